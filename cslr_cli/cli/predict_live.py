"""`cslr predict` with a camera instead of videos."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from typing_extensions import TypedDict

from cslr_cli.cli.console import print_error, print_json, print_note
from cslr_cli.errors import UsageError
from cslr_cli.media.options import FitMode, ReadOptions
from cslr_cli.recognizer.options import LiveOptions

if TYPE_CHECKING:
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.recognizer.live.camera import Camera
    from cslr_cli.recognizer.live.live_recognizer import LiveGloss, LiveRecognizer, LiveSummary

# Time between two warnings about dropped frames, seconds.
_WARNING_INTERVAL = 5.0


class LiveGlossDocument(TypedDict):
    """A gloss of a camera: one line of `cslr predict --json` with a camera.

    Attributes:
        schema_version: version of this document.
        gloss: label.
        start: start in seconds since the first frame.
        end: end in seconds since the first frame.
        confidence: confidence, 0 to 1; null if unknown.
        delay: time between the end of the sign and its output, seconds.
    """

    schema_version: Literal[1]
    gloss: str
    start: float
    end: float
    confidence: float | None
    delay: float


def is_live(videos: Sequence[str], play_files: bool) -> bool:
    """Return whether the input is a camera, or with `play_files` (`--live`) a file that is played like a camera."""
    from cslr_cli.recognizer.live.stream_camera import is_camera

    if not (play_files or any(map(is_camera, videos))):
        return False
    if len(videos) != 1:
        raise UsageError(f"{len(videos)} inputs with a live camera", "use a single camera")
    return True


def open_live(video: str, picture_fps: float) -> Camera:
    """Open a camera, or a file that is played like a camera; folders of pictures have a frame rate of `picture_fps`."""
    from cslr_cli.recognizer.live.camera import FileCamera
    from cslr_cli.recognizer.live.stream_camera import is_camera, open_camera

    return open_camera(video) if is_camera(video) else FileCamera(Path(video), picture_fps=picture_fps)


def refuse_options(given: dict[str, object]) -> None:
    """Raise UsageError if an option for files has a value other than None."""
    wrong = [option for option, value in given.items() if value is not None]
    if wrong:
        raise UsageError(
            f"{', '.join(wrong)}: not supported with a live camera",
            "record a video first, and recognise the file",
        )


def recognize_camera(
    video: str,
    load_recognizer: Callable[[], Recognizer],
    options: LiveOptions,
    frame_fit: FitMode,
    *,
    as_json: bool,
    confidence: bool,
) -> None:
    """Print the glosses of a camera until it ends or until Ctrl-C, and then a summary.

    Args:
        video: number of a camera, address of a stream, or file that is played like a camera.
        load_recognizer: function that loads the recognizer.
        options: window and interval of the recognition.
        frame_fit: conversion of frames to the corpus' aspect ratio.
        as_json: whether to print one JSON object per gloss instead of text.
        confidence: whether the text contains confidences.
    """
    from cslr_cli.recognizer.live.live_recognizer import LiveRecognizer
    from cslr_cli.recognizer.live.sliding_window import SlidingWindowRecognizer

    recognizer = load_recognizer()
    window = SlidingWindowRecognizer(recognizer, options.window, ReadOptions(frame_fit=frame_fit))
    camera = open_live(video, recognizer.fps)
    live_recognizer = LiveRecognizer(camera, window, options)
    warnings = _DropWarnings(camera)

    def print_glosses(glosses: Sequence[LiveGloss]) -> None:
        for gloss in glosses:
            _print_gloss(gloss, as_json=as_json, confidence=confidence)

    try:
        with _stop_on_ctrl_c(live_recognizer):
            print_note(f"watching {camera.name}; press Ctrl-C to stop")
            if camera.is_recording:
                print_note(
                    "playing the recording in real time; without --live, recognition is faster and more accurate"
                )
            while not live_recognizer.is_over:
                print_glosses(live_recognizer.step())
                for warning in camera.take_warnings():
                    print_error(warning, kind="warning")
                warnings.print_if_due()
            print_glosses(live_recognizer.finish())
    finally:
        live_recognizer.stop()
        print_note(format_summary(live_recognizer.summary()))
    if camera.error is not None:
        raise camera.error


@contextmanager
def _stop_on_ctrl_c(live_recognizer: LiveRecognizer) -> Iterator[None]:
    """Stop the recognition at the first Ctrl-C; another one interrupts the program."""

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        live_recognizer.stop()

    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _DropWarnings:
    """Prints warnings about dropped frames at intervals."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._num_reported = 0
        self._last_time = -_WARNING_INTERVAL

    def print_if_due(self) -> None:
        """Print a warning if frames were dropped since the last one, but not too often."""
        num_dropped, now = self._camera.num_dropped, self._camera.clock.now()
        if num_dropped == self._num_reported or now - self._last_time < _WARNING_INTERVAL:
            return
        print_error(
            f"{num_dropped - self._num_reported} frames dropped: the computer is too slow for this camera and network",
            kind="warning",
        )
        self._num_reported, self._last_time = num_dropped, now


def _print_gloss(gloss: LiveGloss, *, as_json: bool, confidence: bool) -> None:
    timed = gloss.timed
    if as_json:
        document: LiveGlossDocument = {
            "schema_version": 1,
            "gloss": timed.gloss,
            "start": round(timed.start, 3),
            "end": round(timed.end, 3),
            "confidence": timed.confidence,
            "delay": round(gloss.delay, 3),
        }
        print_json(document)
        return
    percent = f"  ({timed.confidence:.0%})" if confidence and timed.confidence is not None else ""
    print(f"{timed.start:8.2f} {timed.end:8.2f}  {timed.gloss}{percent}  +{gloss.delay:.1f} s", flush=True)


def format_summary(summary: LiveSummary) -> str:
    """Format the statistics of a live recognition as one line."""
    lost = 100 * summary.num_dropped / max(1, summary.num_frames)
    text = (
        f"watched {summary.seconds:.1f} s: {summary.num_frames} frames, {summary.num_dropped} dropped ({lost:.0f} %); "
        f"{summary.num_glosses} gloss{'' if summary.num_glosses == 1 else 'es'}"
    )
    if summary.median_delay is None or summary.longest_delay is None:
        return text
    whose = "its" if summary.num_glosses == 1 else "their"
    delays = f"median; at most {summary.longest_delay:.1f} s"
    return f"{text}, {summary.median_delay:.1f} s after {whose} end ({delays})"
