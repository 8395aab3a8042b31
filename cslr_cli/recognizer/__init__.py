"""`Recognizer`: from a video, pictures or arrays of any length to glosses with times.

`recognizer` contains the class, `segmentation` divides long recordings into segments (`rests` finds the pauses),
`joining` joins overlapping windows, `batch` recognizes many files, `features` writes a network's features, `live`
recognizes a camera. The names below are imported when they are first used, so that options need no torch.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cslr_cli.media.clip_reader import ClipReader, LoadedClip
    from cslr_cli.media.options import ReadOptions
    from cslr_cli.recognizer.options import Segmentation
    from cslr_cli.recognizer.preview import write_preview
    from cslr_cli.recognizer.recognizer import Recognizer

__all__ = ["ClipReader", "LoadedClip", "ReadOptions", "Recognizer", "Segmentation", "write_preview"]

# Public name -> the module that defines it.
_EXPORTS = {
    "ClipReader": "cslr_cli.media.clip_reader",
    "LoadedClip": "cslr_cli.media.clip_reader",
    "ReadOptions": "cslr_cli.media.options",
    "Recognizer": "cslr_cli.recognizer.recognizer",
    "Segmentation": "cslr_cli.recognizer.options",
    "write_preview": "cslr_cli.recognizer.preview",
}
# Name in version 0.1 -> new name. The old names go in version 1.0.
RENAMED_NAMES = {"LongVideo": "Segmentation", "PreparedClip": "LoadedClip", "Reading": "ReadOptions"}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name in RENAMED_NAMES:
        new_name = RENAMED_NAMES[name]
        message = f"{__name__}.{name} is now {new_name}; version 1.0 will remove the old name"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return __getattr__(new_name)
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)
