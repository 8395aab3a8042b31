"""`Recognizer`: from a video, pictures or arrays, of any length, to glosses with times.

`recognizer` is the class, `long_video` how long recordings are split, `joining` how what was recognised in
their parts becomes one, and `preview` a picture of what the network sees.
"""

from __future__ import annotations

from cslr_cli.media.clip_reader import ClipReader, LoadedClip
from cslr_cli.media.options import ReadOptions
from cslr_cli.recognizer.long_video import LongVideo
from cslr_cli.recognizer.preview import write_preview
from cslr_cli.recognizer.recognizer import Recognizer

__all__ = ["ClipReader", "LoadedClip", "LongVideo", "ReadOptions", "Recognizer", "write_preview"]
