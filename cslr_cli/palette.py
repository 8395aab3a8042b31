"""The colours that tell series, splits and glosses apart, the same in every plot and picture."""

from __future__ import annotations

BLUE = "#2f6f9f"
RED = "#c8553d"
GREEN = "#3d8361"
PURPLE = "#8a5a9e"
OCHRE = "#b8862b"

# Neighbouring glosses on a time line take these in turn.
GLOSS_COLOURS = (BLUE, RED, GREEN, PURPLE, OCHRE)
