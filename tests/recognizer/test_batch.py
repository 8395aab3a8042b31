from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.config import Config
from cslr_cli.errors import MediaError, UsageError
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.frame_fit import FrameFit
from cslr_cli.media.options import ReadOptions
from cslr_cli.recognition import Recognition
from cslr_cli.recognizer import Recognizer
from cslr_cli.recognizer.batch import recognize_files

NUM_FRAMES = 300  # more than are read ahead


class Library:
    """Stands for a recognizer: opens clips, and remembers how many frames of each were read."""

    def __init__(self) -> None:
        self.fit = FrameFit(36, Config.from_dict({"data": {"crop_size": 32}}, "a test").data)
        self.num_read: dict[str, int] = {}
        self.has_begun: dict[str, threading.Event] = {}

    def open(self, path: Path, reading: ReadOptions) -> ClipReader:
        if path.name == "missing":
            raise MediaError(f"{path}: there is no such file")
        if path.name == "unreadable":
            raise PermissionError(13, "Permission denied", str(path))
        self.has_begun[path.name] = threading.Event()
        self.num_read[path.name] = 0
        return ClipReader(self._frames(path.name), reading, self.fit, fps=25.0)

    def _frames(self, name: str) -> Iterator[NDArray[np.uint8]]:
        for number in range(NUM_FRAMES):
            if name == "torn" and number == 3:
                raise MediaError(f"{name}: frame 3 cannot be decoded")
            self.has_begun[name].set()
            self.num_read[name] += 1
            yield np.zeros((36, 36, 3), np.uint8)


def read_to_the_end(place: int, clip: ClipReader) -> Recognition:
    num_frames = sum(1 for _ in clip)
    return Recognition(str(place), (), 0.0, num_frames, 25.0, num_frames / 25, ())


def outcomes(library: Library, names: list[str], recognize: Any = read_to_the_end) -> list[str]:
    paths = [Path(name) for name in names]
    return [
        str(outcome.error) if outcome.recognition is None else f"{outcome.path} {outcome.recognition.num_frames}"
        for outcome in recognize_files(cast("Recognizer", library), paths, ReadOptions(), recognize)
    ]


def test_only_the_next_recording_is_read_ahead() -> None:
    library = Library()

    def recognize(place: int, clip: ClipReader) -> Recognition:
        names = ["a", "b", "c", "d"]
        if place + 1 < len(names):
            assert library.has_begun[names[place + 1]].wait(240)  # though nobody has asked for its frames yet
        assert set(library.num_read) == set(names[: place + 2])
        if place + 1 < len(names):
            assert library.num_read[names[place + 1]] < NUM_FRAMES  # and not all of it is in memory
        return read_to_the_end(place, clip)

    assert outcomes(library, ["a", "b", "c", "d"], recognize) == [f"{name} {NUM_FRAMES}" for name in "abcd"]


def test_an_unreadable_recording_has_an_error_outcome_and_the_others_continue() -> None:
    assert outcomes(Library(), ["a", "missing", "torn", "unreadable", "b"]) == [
        f"a {NUM_FRAMES}",
        "missing: there is no such file",
        "torn: frame 3 cannot be decoded",
        "unreadable: Permission denied",
        f"b {NUM_FRAMES}",
    ]
    assert outcomes(Library(), []) == []


@pytest.mark.parametrize("error", [UsageError("wrong for all"), BrokenPipeError(32, "nobody reads the results")])
def test_a_fault_of_all_recordings_is_raised_once(error: Exception) -> None:
    library = Library()
    before = set(threading.enumerate())

    def recognize(place: int, clip: ClipReader) -> Recognition:
        raise error

    with pytest.raises(type(error)):
        outcomes(library, ["a", "b", "c"], recognize)
    assert set(library.num_read) == {"a", "b"}
    assert set(threading.enumerate()) <= before  # no thread goes on reading


def test_a_fault_of_the_next_recording_closes_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    before = set(threading.enumerate())
    open_clip = library.open

    def refuse_second(path: Path, options: ReadOptions) -> ClipReader:
        if path.name == "b":
            raise UsageError("an option is wrong")
        return open_clip(path, options)

    monkeypatch.setattr(library, "open", refuse_second)
    with pytest.raises(UsageError):
        outcomes(library, ["a", "b"])
    assert set(threading.enumerate()) <= before


def test_stopping_early_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    paths = [Path(name) for name in "abc"]
    turn = recognize_files(cast("Recognizer", Library()), paths, ReadOptions(), read_to_the_end)
    assert next(turn).recognition is not None
    cast("Any", turn).close()
    assert set(threading.enumerate()) <= before
