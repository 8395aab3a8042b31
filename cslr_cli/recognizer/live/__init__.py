"""Live recognition of a camera, a stream, or a video file in its place.

`camera` gives the frames and drops what nobody takes in time, `even_rate` brings them to the corpus' rate,
`network_window` recognises the last seconds, `stability` says what of it is sure, `watching` puts them together.
"""

from __future__ import annotations

from cslr_cli.recognizer.live.camera import LONGEST_WAIT, Camera, CameraFrame, FileCamera, is_camera, open_camera
from cslr_cli.recognizer.live.clock import Clock, RealClock
from cslr_cli.recognizer.live.network_window import NetworkWindow
from cslr_cli.recognizer.live.watching import LiveGloss, LiveOptions, LiveSummary, Watching, WindowRecognizer

__all__ = [
    "LONGEST_WAIT",
    "Camera",
    "CameraFrame",
    "Clock",
    "FileCamera",
    "LiveGloss",
    "LiveOptions",
    "LiveSummary",
    "NetworkWindow",
    "RealClock",
    "Watching",
    "WindowRecognizer",
    "is_camera",
    "open_camera",
]
