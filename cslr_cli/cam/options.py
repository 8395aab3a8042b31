"""The choices of `cslr cam`; this module imports no torch, so that help texts can use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cslr_cli.choices import Head

CamMethod = Literal["grad-cam", "hires-cam"]


@dataclass(frozen=True)
class CamOptions:
    """Which maps to make.

    Attributes:
        glosses: names of recognised glosses; empty means all recognised glosses.
        reference: the sentence to explain instead of the recognised one.
        head: the head whose logits are explained.
        layer: the layer whose maps are made; None for `default_layer`.
        method: how gradients become a map.
        place: x and y in the source's frame, pixels, for the correlation maps; None for the hottest place of the
            gloss with the highest confidence.
        at: time in seconds of the frame with that place; None for the hottest frame of that gloss.
    """

    glosses: tuple[str, ...] = ()
    reference: tuple[str, ...] | None = None
    head: Head = "sequence"
    layer: str | None = None
    method: CamMethod = "grad-cam"
    place: tuple[float, float] | None = None
    at: float | None = None
