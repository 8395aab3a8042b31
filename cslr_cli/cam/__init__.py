"""Heat maps: what in a video speaks for which gloss, and what CorrNet's blocks look at.

`explaining` goes from a video to an `Explanation`; `sheet`, `video` and `archive` write it down. Below them,
`clip` makes maps of one clip in one network: `gradcam` of gradients, `correlations` of the network's own blocks,
`layers` says of which layers. `placing` spreads maps over frames, `measurement` says whether they are right.
"""

from __future__ import annotations

from cslr_cli.cam.archive import write_maps
from cslr_cli.cam.explaining import CamOptions, explain
from cslr_cli.cam.explanation import Explanation
from cslr_cli.cam.sheet import write_correlation_sheet, write_sheet
from cslr_cli.cam.video import write_video

__all__ = [
    "CamOptions",
    "Explanation",
    "explain",
    "write_correlation_sheet",
    "write_maps",
    "write_sheet",
    "write_video",
]
