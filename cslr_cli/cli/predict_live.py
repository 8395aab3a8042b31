"""`cslr predict` with a camera in place of videos."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cslr_cli.cli.console import print_error, print_note
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.recognizer.live.camera import Camera
    from cslr_cli.recognizer.live.live_recognizer import LiveGloss, LiveRecognizer, LiveSummary

# Seconds from one remark on lost frames to the next.
_REMARK_INTERVAL = 5.0


def is_live(videos: Sequence[str], play_files: bool) -> bool:
    """Whether a camera is meant, or a file is to play one.

    Args:
        videos: the arguments.
        play_files: whether `--live` was given.

    Raises:
        UsageError: there are other inputs beside it.
    """
    from cslr_cli.recognizer.live.camera import is_camera

    if not (play_files or any(map(is_camera, videos))):
        return False
    if len(videos) != 1:
        raise UsageError(f"one camera is watched at a time; here are {len(videos)} inputs", "give one of them")
    return True


def open_live(video: str, picture_fps: float) -> Camera:
    """Open a camera, or the file that plays one.

    Args:
        video: the number of a camera, the address of a stream, or a file.
        picture_fps: frames a second of a folder of pictures.

    Raises:
        MediaError: it is not there.
    """
    from cslr_cli.recognizer.live.camera import FileCamera, is_camera, open_camera

    return open_camera(video) if is_camera(video) else FileCamera(Path(video), picture_fps=picture_fps)


def refuse(given: dict[str, object]) -> None:
    """Refuse options that mean nothing for a camera.

    Args:
        given: what was given for each; None for nothing.

    Raises:
        UsageError: some were given.
    """
    wrong = [option for option, value in given.items() if value is not None]
    if wrong:
        raise UsageError(
            f"{', '.join(wrong)}: not for a camera, which is watched and not kept",
            "record it first, and recognise the file",
        )


def watch(
    video: str,
    make_recognizer: Callable[[], Recognizer],
    window: float,
    fit: Any,
    *,
    as_json: bool,
    confidence: bool,
) -> None:
    """Print what is signed before a camera until it ends, or until Ctrl-C, and then what there was to see.

    Args:
        video: the number of a camera, the address of a stream, or a file that plays the camera.
        make_recognizer: loads the network.
        window: seconds that are recognised together.
        fit: how frames of another shape become the corpus', the name of a `Fit`.
        as_json: a JSON object a gloss, in place of text.
        confidence: show in the text how sure each gloss is.

    Raises:
        UsageError: the window is too short.
        MediaError: the camera is not there, or a frame of a file cannot be read.
        DeviceError: the device is out of memory.
    """
    from cslr_cli.media.options import ReadOptions
    from cslr_cli.recognizer.live.live_recognizer import LiveRecognizer
    from cslr_cli.recognizer.live.sliding_window import SlidingWindowRecognizer
    from cslr_cli.recognizer.options import LiveOptions

    live = LiveOptions(window)
    recognizer = make_recognizer()
    seen = SlidingWindowRecognizer(recognizer, live.window, ReadOptions(fit=fit))
    camera = open_live(video, recognizer.fps)
    watching = LiveRecognizer(camera, seen, live)
    remarks = _LossRemarks(camera)

    def show(glosses: Sequence[LiveGloss]) -> None:
        for gloss in glosses:
            _print(gloss, as_json=as_json, confidence=confidence)

    try:
        with _stopped_by_ctrl_c(watching):
            print_note(f"watching {camera.name}; Ctrl-C ends it")
            if camera.is_recording:
                print_note("it is a recording, played at its own pace; as a file it is recognised faster and better")
            while not watching.is_over:
                show(watching.step())
                remarks.tell()
            show(watching.finish())
    finally:
        watching.stop()
        print_note(summary_text(watching.summary()))


@contextmanager
def _stopped_by_ctrl_c(watching: LiveRecognizer) -> Iterator[None]:
    """Let the first Ctrl-C end the watching in order, and another one all else."""

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        watching.stop()

    if threading.current_thread() is not threading.main_thread():  # signals are for the main thread
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _LossRemarks:
    """Says now and then that frames were lost."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._told = 0
        self._last = -_REMARK_INTERVAL

    def tell(self) -> None:
        """Say it, if some were since the last time, and that was not just now."""
        lost, now = self._camera.num_dropped, self._camera.clock.now()
        if lost == self._told or now - self._last < _REMARK_INTERVAL:
            return
        print_error(
            f"{lost - self._told} frames dropped: this machine is too slow for this camera and network", kind="warning"
        )
        self._told, self._last = lost, now


def _print(gloss: LiveGloss, *, as_json: bool, confidence: bool) -> None:
    timed = gloss.timed
    if as_json:
        print(
            json.dumps(
                {
                    "gloss": timed.gloss,
                    "start": round(timed.start, 3),
                    "end": round(timed.end, 3),
                    "confidence": timed.confidence,
                    "delay": round(gloss.delay, 3),
                },
                ensure_ascii=False,
            ),
            flush=True,
        )
        return
    sure = f"  ({timed.confidence:.0%})" if confidence and timed.confidence is not None else ""
    print(f"{timed.start:8.2f} {timed.end:8.2f}  {timed.gloss}{sure}  +{gloss.delay:.1f} s", flush=True)


def summary_text(summary: LiveSummary) -> str:
    """What there was to see, in a line."""
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
