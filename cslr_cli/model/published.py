"""The names that the published code gives to the tensors of these networks.

Published checkpoints are read and written under those names (`cslr convert`); inside, the names are
this project's. Convolutions over single frames are 3-D with kernels (1, k, k) there and 2-D here.
"""

from __future__ import annotations

import re

from torch import Tensor

# Published -> ours, tried in order. CorrNet's corr1, corr2 and corr3 follow layers 2, 3 and 4.
_RULES: tuple[tuple[str, str], ...] = (
    (r"^conv2d\.corr(\d)\.weights$", r"backbone.correlation.layer<\1+1>.aggregation_weights"),
    (r"^conv2d\.corr(\d)\.weights2$", r"backbone.correlation.layer<\1+1>.direction_weights"),
    (r"^conv2d\.corr(\d)\.down_conv\.", r"backbone.correlation.layer<\1+1>.reduce."),
    (r"^conv2d\.corr(\d)\.down_conv2\.", r"backbone.correlation.layer<\1+1>.keys."),
    (r"^conv2d\.corr(\d)\.spatial_aggregation(\d)\.", r"backbone.correlation.layer<\1+1>.aggregations.<\2-1>."),
    (r"^conv2d\.corr(\d)\.conv_back\.", r"backbone.correlation.layer<\1+1>.expand."),
    (r"^conv2d\.", "backbone."),
    (r"^conv1d\.temporal_conv\.", "temporal."),
    (r"^conv1d\.fc\.", "classifier."),
    (r"^temporal_model\.", "lstm."),
)


def our_name(published: str) -> str:
    """The name here of a tensor of the published code."""
    for pattern, replacement in _RULES:
        name, count = re.subn(pattern, replacement, published)
        if count:
            return re.sub(r"<(\d)([+-]\d)>", lambda match: str(int(match[1]) + int(match[2])), name)
    return published


def our_tensor(published: Tensor, like: Tensor) -> Tensor:
    """A published tensor in the shape that it has here: (O, I, 1, k, k) -> (O, I, k, k)."""
    if published.dim() == 5 and like.dim() == 4:
        return published.squeeze(2)
    return published
