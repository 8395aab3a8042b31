"""What shared code needs to know about a network: each network's file states it as a `NetworkDefinition`."""

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
        mean: pixel value that becomes 0.
        scale: distance from `mean` that becomes 1.
    """

    mean: float = 127.5
    scale: float = 127.5

    def apply_(self, pixels: Tensor) -> Tensor:
        """Normalise float pixels of any shape in place."""
        return pixels.sub_(self.mean).div_(self.scale)  # in this order the default is exact even in bf16

    def __str__(self) -> str:
        return f"x / {self.scale:g} - {self.mean / self.scale:g}"


def _no_unused_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    return {}


@dataclass(frozen=True)
class PublishedForm:
    """How the published code of a network names and shapes the backbone's tensors.

    Attributes:
        markers: regular expressions; a checkpoint of this network has a tensor name that matches each of them.
        modules: published module name by module name here. `backbone` itself is `conv2d`; the longest name counts.
        correlation_blocks: published module of the correlation block after each stage; empty without such blocks.
        has_3d_kernels: whether convolutions over single frames have kernels (1, k, k) there; here they have (k, k).
        unused_shapes: shapes by published name of tensors that are saved and never used.
    """

    markers: tuple[str, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    correlation_blocks: Mapping[str, str] = field(default_factory=dict)
    has_3d_kernels: bool = False
    unused_shapes: Callable[[ModelConfig], Mapping[str, tuple[int, ...]]] = _no_unused_shapes


@dataclass(frozen=True)
class NetworkDefinition:
    """A network as its file states it. The default parts of its head are in the registry.

    Attributes:
        backbone: class of the backbone. Its `stage_context` gives the frames of context of each stage.
        published: names and shapes in published checkpoints.
        normalisation: normalisation of the input.
    """

    backbone: type[ResNet]
    published: PublishedForm = PublishedForm()
    normalisation: Normalisation = Normalisation()


def load_definition(name: str) -> NetworkDefinition:
    """Import the definition of a registered network."""
    definition = pkgutil.resolve_name(NETWORKS[name].definition)
    assert isinstance(definition, NetworkDefinition)
    return definition
