"""Colours of series, splits and glosses, the same in all plots and pictures."""

from __future__ import annotations

BLUE = "#2f6f9f"
RED = "#c8553d"
GREEN = "#3d8361"
PURPLE = "#8a5a9e"
OCHRE = "#b8862b"

# Adjacent glosses on a time line get these colours in turn.
GLOSS_COLOURS = (BLUE, RED, GREEN, PURPLE, OCHRE)
