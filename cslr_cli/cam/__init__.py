"""Heat maps: which places of a video increase the score of which gloss, and what CorrNet's blocks look at.

    >>> from pathlib import Path
    >>> from cslr_cli import Recognizer
    >>> from cslr_cli.cam import explain, write_sheet
    >>> write_sheet(explain(Recognizer.load("runs/quickstart/best.pt"), Path("talk.mp4")), Path("cam.png"))

`explain` makes the `Explanation` of a video; `write_sheet`, `write_correlation_sheet`, `write_video` and `write_maps`
write it to files. The names are imported when they are first used, so that help texts need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cslr_cli.cam.explain_video import explain
    from cslr_cli.cam.explanation import Explanation, write_maps
    from cslr_cli.cam.options import CamOptions
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

# Public name -> the module that defines it.
_EXPORTS = {
    "CamOptions": "options",
    "Explanation": "explanation",
    "explain": "explain_video",
    "write_correlation_sheet": "sheet",
    "write_maps": "explanation",
    "write_sheet": "sheet",
    "write_video": "video",
}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
