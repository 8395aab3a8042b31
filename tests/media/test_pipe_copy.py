"""Videos that come through pipes, and other things that are no files."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from cslr_cli.errors import MediaError
from cslr_cli.media import pipe_copy
from cslr_cli.media.frames import open_frames

VIDEO = Path(__file__).parents[1] / "data" / "videos" / "bt601.mp4"

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_video_through_a_pipe_is_read_as_often_as_needed(pipe: Path) -> None:
    writer = threading.Thread(target=lambda: pipe.write_bytes(VIDEO.read_bytes()))
    writer.start()
    frames = [open_frames(pipe).read() for _ in range(2)]
    writer.join()
    for read in frames:
        np.testing.assert_array_equal(read, open_frames(VIDEO).read())


def test_a_pipe_into_which_nobody_writes_is_an_error(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe_copy, "_MAX_WAIT_SECONDS", 0.2)
    with pytest.raises(MediaError, match="pipe: nothing comes through this pipe"):
        open_frames(pipe)


def test_a_pipe_without_end_is_given_up(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe_copy, "MAX_BYTES", 100_000)

    def write_for_ever() -> None:
        try:
            with open(pipe, "wb") as file:
                while True:
                    file.write(bytes(10_000))
        except BrokenPipeError:
            pass

    writer = threading.Thread(target=write_for_ever)
    writer.start()
    with pytest.raises(MediaError, match="come through this pipe"):
        open_frames(pipe)
    writer.join(10)
    assert not writer.is_alive()


def test_devices_and_sockets_are_errors(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "socket", Path("/dev/zero"), Path("/dev/null")):
            with pytest.raises(MediaError, match="a device or a socket, not a video"):
                open_frames(path)
