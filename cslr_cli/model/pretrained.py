"""ImageNet weights to start a training from; nothing here is used when a checkpoint is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from urllib.error import URLError

import torch
from torch import Tensor

from cslr_cli.errors import CheckpointError
from cslr_cli.model.backbone import ResNet

_WEIGHTS_FILE = "resnet18-f37072fd.pth"


def load_imagenet_weights(backbone: ResNet, path: Path | None) -> None:
    """Put ResNet-18's ImageNet weights into a backbone; what a ResNet has not stays as it is.

    Args:
        backbone: of width 64.
        path: a file with torchvision's ResNet-18; None fetches it, once, into torch's cache.

    Raises:
        CheckpointError: it cannot be fetched or read, or is no ResNet-18.
    """
    weights = _read(path) if path is not None else _fetch()
    trunk = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    own = {
        name: value
        for name, value in backbone.state_dict().items()
        if not name.startswith(("correlation", "alpha")) and not name.endswith("num_batches_tracked")
    }
    wrong = sorted(name for name in own if name not in trunk or trunk[name].shape != own[name].shape)
    if wrong:
        raise CheckpointError(
            f"{path or _WEIGHTS_FILE}: not torchvision's ResNet-18",
            f"{len(wrong)} of {len(own)} tensors are missing or of another shape, first {wrong[0]}",
        )
    backbone.load_state_dict({name: trunk[name] for name in own}, strict=False)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights", "expected torchvision's resnet18 .pth") from error
    if not isinstance(weights, dict):
        raise CheckpointError(f"{path}: holds no weights by name", "expected torchvision's resnet18 .pth")
    return weights


def _fetch() -> Mapping[str, Tensor]:
    from torchvision.models import ResNet18_Weights  # only here: it takes a second to import

    try:
        weights: Mapping[str, Tensor] = ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError) as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints" / _WEIGHTS_FILE
        raise CheckpointError(
            f"the ImageNet weights could not be fetched ({error})",
            f"put torchvision's {_WEIGHTS_FILE} at {cache},\n"
            "or name it by --backbone-weights FILE, or train without by --set model.pretrained=false",
        ) from error
    return weights
