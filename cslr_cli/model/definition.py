"""`NetworkDefinition`: what shared code needs to know about a network. Each network's file states it.

A network's file may state:

- in its backbone, a subclass of `ResNet`: `from_config` (constructor arguments from the configuration),
  `after_stage` (layers after a stage), `stage_context` (frames on each side that `after_stage` needs), and
  `batch_norm_includes_padding` (whether batch norm sees padded frames in training);
- in its `NetworkDefinition`: the backbone's class, the names and shapes of published checkpoints
  (`PublishedForm`), and the input normalisation (`Normalisation`).

The default parts of the head (pool, classifier, shared classifier) are in the network's line of
`registry.NETWORKS`. `tests/model/test_adding_a_network.py` contains a complete example.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from cslr_cli.config import ModelConfig
from cslr_cli.model.backbone import ResNet
from cslr_cli.model.registry import NETWORKS


@dataclass(frozen=True)
class Normalisation:
    """How pixels 0…255 become the network's input: `(x - mean) / scale`, the same for all channels.

    Attributes:
        mean: pixel value that is mapped to 0.
        scale: difference from `mean` that is mapped to 1.
    """

    mean: float = 127.5
    scale: float = 127.5

    def apply_(self, pixels: Tensor) -> Tensor:
        """Normalise float pixels of any shape in place."""
        return pixels.sub_(self.mean).div_(self.scale)  # in this order the default is exact even in bf16

    def __str__(self) -> str:
        return f"x / {self.scale:g} - {self.mean / self.scale:g}"


@dataclass(frozen=True)
class PublishedForm:
    """Names and shapes of the backbone's tensors in published checkpoints.

    Attributes:
        markers: regular expressions that identify the network. Each must be found in at least one tensor name
            of a checkpoint.
        modules: published module name by module name in this package. To translate a tensor name, the longest
            key that equals its first dotted parts is replaced: the key `backbone.mix` with the value
            `conv2d.mixer.weights` translates `backbone.mix.bias` to `conv2d.mixer.weights.bias`. The entry
            `backbone: conv2d`, which all networks share, need not be repeated.
        correlation_blocks: published module of the correlation block after each stage; empty without such blocks.
        has_3d_kernels: whether published convolutions over single frames have kernels (1, k, k) instead of (k, k).
        unused_shapes: function that returns the shape, by published name, of tensors that are saved but not used.
    """

    markers: tuple[str, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    correlation_blocks: Mapping[str, str] = field(default_factory=dict)
    has_3d_kernels: bool = False
    unused_shapes: Callable[[ModelConfig], Mapping[str, tuple[int, ...]]] = lambda config: {}


@dataclass(frozen=True)
class NetworkDefinition:
    """The definition of one network.

    Attributes:
        backbone: class of the backbone.
        published: names and shapes of the tensors in published checkpoints.
        normalisation: normalisation of the input pixels.
    """

    backbone: type[ResNet]
    published: PublishedForm = PublishedForm()
    normalisation: Normalisation = Normalisation()


def load_definition(name: str) -> NetworkDefinition:
    """Import the definition of a registered network."""
    definition = pkgutil.resolve_name(NETWORKS[name].definition)
    assert isinstance(definition, NetworkDefinition)
    return definition
