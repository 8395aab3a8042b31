"""The layers of a backbone that have heat maps, and the computation up to a layer and from there on.

Axes: N neighbouring frames of one clip, C channels, H, W places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from cslr_cli.errors import UsageError, did_you_mean
from cslr_cli.model.backbone import STAGES, ResNet
from cslr_cli.model.clips import ClipLayout

# `layer2.correlated` is layer2 after the correlation block that follows it.
CORRELATED = "correlated"
# A map with this many cells along a side tells a hand from its surroundings: a cell is a tenth of the picture wide.
_MIN_CELLS = 10
_FIRST_STRIDE = 4  # pixels per cell at the first stage; each later stage doubles it


@dataclass(frozen=True)
class Layer:
    """A part of a backbone whose output has places: (N, C, H, W).

    Attributes:
        name: `stem`, `layer1.0` (the first residual block of a stage), `layer1` (the whole stage) or
            `layer2.correlated` (the stage and the correlation block that follows it).
        run: computes its output from the output of the layer before.
        reach: number of neighbouring frames on each side that the output depends on.
    """

    name: str
    run: Callable[[Tensor, ClipLayout], Tensor]
    reach: int = 0


@dataclass(frozen=True)
class SplitBackbone:
    """A backbone that is split after one layer.

    Attributes:
        name: the name of that layer.
        before: the layers up to it, inclusive.
        after: the layers after it.
    """

    name: str
    before: Sequence[Layer]
    after: Sequence[Layer]

    @property
    def reach_before(self) -> int:
        """Number of frames on each side on which the layer's output depends."""
        return sum(layer.reach for layer in self.before)

    @property
    def reach_after(self) -> int:
        """Number of frames on each side whose output at the layer the feature of a frame depends on."""
        return sum(layer.reach for layer in self.after)

    def activations(self, pictures: Tensor) -> Tensor:
        """Compute the output of the layer from pictures (N, 3, H, W), -1 to 1, of neighbouring frames."""
        return _run_layers(self.before, pictures)

    def features(self, activations: Tensor) -> Tensor:
        """Compute the backbone's features (N, C) from the output of the layer."""
        features: Tensor = _run_layers(self.after, activations).mean(dim=(2, 3))
        return features


def backbone_layers(backbone: ResNet) -> list[Layer]:
    """List all layers that have maps, in the order of the computation."""
    layers = [Layer("stem", lambda x, clips: backbone.stem(x))]
    for stage in STAGES:
        blocks = list(backbone.get_submodule(stage).children())
        names = [f"{stage}.{index}" for index in range(len(blocks) - 1)] + [stage]
        layers += [Layer(name, partial(_run_block, block)) for name, block in zip(names, blocks, strict=True)]
        reach = backbone.stage_context(stage)
        if reach:
            layers.append(Layer(f"{stage}.{CORRELATED}", partial(backbone.after_stage, stage), reach))
        else:  # whatever follows the stage belongs to it, because it also looks at single frames
            layers[-1] = Layer(stage, partial(_run_last_block, backbone, stage, blocks[-1]))
    return layers


def default_layer(backbone: ResNet, input_size: int) -> str:
    """Return the name of the layer whose Grad-CAM shows most.

    This is the deepest stage with at least `_MIN_CELLS` cells along a side. If only the first stage has so many,
    it is that stage's first block, which `benchmarks/cam.py` finds to be the best of all layers at 64 pixels.

    Args:
        backbone: the network's backbone.
        input_size: side length of the network's pictures, pixels.
    """
    for index in reversed(range(1, len(STAGES))):
        if input_size // (_FIRST_STRIDE * 2**index) >= _MIN_CELLS:
            return STAGES[index]
    names = [layer.name for layer in backbone_layers(backbone)]
    return next(name for name in (f"{STAGES[0]}.0", STAGES[0]) if name in names)


def split_backbone(backbone: ResNet, layer_name: str) -> SplitBackbone:
    """Split a backbone after a layer.

    Raises:
        UsageError: there is no such layer; lists the layers.
    """
    layers = backbone_layers(backbone)
    names = [layer.name for layer in layers]
    if layer_name not in names:
        hint = f"{did_you_mean(layer_name, names)}\nuse one of {', '.join(names)}".lstrip()
        raise UsageError(f"this network has no layer {layer_name!r}", hint)
    end = names.index(layer_name) + 1
    return SplitBackbone(layer_name, layers[:end], layers[end:])


def widen_range(frames: range, margin: int, num_frames: int) -> range:
    """Add a margin of frames on both sides of a range, within a clip of `num_frames` frames."""
    return range(max(0, frames.start - margin), min(num_frames, frames.stop + margin))


def slice_within(inner: range, outer: range) -> slice:
    """Return the slice that selects the frames of `inner` from an array over those of `outer`."""
    return slice(inner.start - outer.start, inner.stop - outer.start)


def _run_block(block: nn.Module, x: Tensor, clips: ClipLayout) -> Tensor:
    output: Tensor = block(x)
    return output


def _run_last_block(backbone: ResNet, stage: str, block: nn.Module, x: Tensor, clips: ClipLayout) -> Tensor:
    return backbone.after_stage(stage, block(x), clips)


def _run_layers(layers: Sequence[Layer], x: Tensor) -> Tensor:
    clips = ClipLayout.from_lengths([len(x)], x.device)
    for layer in layers:
        x = layer.run(x, clips)
    return x
