"""The layers of a backbone that a heat map can be taken of, and running a backbone up to one and on from it.

Axes: N frames of one clip (or of a stretch of it), C channels, H, W places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from cslr_cli.errors import UsageError, did_you_mean
from cslr_cli.model.backbone import STAGES, ResNet
from cslr_cli.model.clips import ClipLayout

# What comes after a stage in the networks that correlate frames: `layer2.correlated` is layer2 after it.
CORRELATED = "correlated"
# Cells along a side, from which on a map tells a hand from what is beside it: one is a tenth of the picture wide.
_FINE_ENOUGH = 10
_FIRST_STRIDE = 4  # pixels from cell to cell at the first stage; each further one doubles it


@dataclass(frozen=True)
class Layer:
    """A part of a backbone whose output has places: (N, C, H, W).

    Attributes:
        name: `stem`, `layer1.0` (the first residual block of a stage), `layer1` (the whole stage) or
            `layer2.correlated` (the stage and the correlation that follows it).
        run: makes its output of the output of the layer before.
        reach: frames on each side that it looks at.
    """

    name: str
    run: Callable[[Tensor, ClipLayout], Tensor]
    reach: int = 0


@dataclass(frozen=True)
class SplitBackbone:
    """A backbone cut behind one layer.

    Attributes:
        name: of that layer.
        before: the layers up to it.
        after: the layers behind it.
    """

    name: str
    before: Sequence[Layer]
    after: Sequence[Layer]

    @property
    def reach_before(self) -> int:
        """Frames on each side of a frame that its output at the layer depends on."""
        return sum(layer.reach for layer in self.before)

    @property
    def reach_after(self) -> int:
        """Frames on each side of a frame whose output at the layer its feature depends on."""
        return sum(layer.reach for layer in self.after)

    def activations(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W), -1…1, of neighbouring frames -> what comes out of the layer."""
        return _run(self.before, pictures)

    def features(self, activations: Tensor) -> Tensor:
        """What comes out of the layer -> the backbone's features (N, C)."""
        features: Tensor = _run(self.after, activations).mean(dim=(2, 3))
        return features


def backbone_layers(backbone: ResNet) -> list[Layer]:
    """All layers that a map can be taken of, in the order of the computation."""
    layers = [Layer("stem", lambda x, clips: backbone.stem(x))]
    for stage in STAGES:
        blocks = list(backbone.get_submodule(stage).children())
        names = [f"{stage}.{index}" for index in range(len(blocks) - 1)] + [stage]
        layers += [Layer(name, partial(_single_frames, block)) for name, block in zip(names, blocks, strict=True)]
        reach = backbone.stage_context(stage)
        if reach:
            layers.append(Layer(f"{stage}.{CORRELATED}", partial(backbone.after_stage, stage), reach))
        else:  # what follows the stage, if anything does, looks at single frames as the stage does
            layers[-1] = Layer(stage, partial(_with_what_follows, backbone, stage, blocks[-1]))
    return layers


def default_layer(backbone: ResNet, input_size: int) -> str:
    """The layer whose Grad-CAM shows most.

    The deepest stage whose cells are fine enough for a hand; where only the first stage's are, its first block,
    which `benchmarks/cam.py` finds to be the best of all layers at 64 pixels.

    Args:
        backbone: of the network.
        input_size: side of the pictures that it sees, pixels.
    """
    for place in reversed(range(1, len(STAGES))):
        if input_size // (_FIRST_STRIDE * 2**place) >= _FINE_ENOUGH:
            return STAGES[place]
    names = [layer.name for layer in backbone_layers(backbone)]
    return next(name for name in (f"{STAGES[0]}.0", STAGES[0]) if name in names)


def split_backbone(backbone: ResNet, name: str) -> SplitBackbone:
    """Cut a backbone behind a layer.

    Raises:
        UsageError: it has no such layer; says which it has.
    """
    layers = backbone_layers(backbone)
    names = [layer.name for layer in layers]
    if name not in names:
        hint = f"{did_you_mean(name, names)} its layers are {', '.join(names)}".lstrip()
        raise UsageError(f"this network has no layer {name!r}", hint)
    behind = names.index(name) + 1
    return SplitBackbone(name, layers[:behind], layers[behind:])


def widened(frames: range, by: int, length: int) -> range:
    """Neighbouring frames with some more on each side, as far as a clip of this length has them."""
    return range(max(0, frames.start - by), min(length, frames.stop + by))


def within(inner: range, outer: range) -> slice:
    """Where some of neighbouring frames stand among them."""
    return slice(inner.start - outer.start, inner.stop - outer.start)


def _single_frames(block: nn.Module, x: Tensor, clips: ClipLayout) -> Tensor:
    output: Tensor = block(x)
    return output


def _with_what_follows(backbone: ResNet, stage: str, block: nn.Module, x: Tensor, clips: ClipLayout) -> Tensor:
    return backbone.after_stage(stage, block(x), clips)


def _run(layers: Sequence[Layer], x: Tensor) -> Tensor:
    clips = ClipLayout.from_lengths([len(x)], x.device)
    for layer in layers:
        x = layer.run(x, clips)
    return x
