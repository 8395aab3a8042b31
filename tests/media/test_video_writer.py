"""A video appears under its name only if it can be shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cslr_cli.errors import MediaError
from cslr_cli.media import video_writer as module
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.video_writer import VideoWriter, video_writer


class FullDisk(VideoWriter):
    """Ends like ffmpeg 5.1 on a full disk: without an error, and without the index that MP4 players need."""

    codec = "H.264"

    def __init__(self, path: Path, *_: object) -> None:
        self._path = path

    def write(self, frame: Frame) -> None:
        """Write some of the data."""
        self._path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(1000))

    def close(self) -> None:
        """Succeed."""


def test_a_video_that_was_not_written_to_its_end_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, frame = tmp_path / "talk.mp4", np.zeros((32, 32, 3), np.uint8)
    with video_writer(path, 32, 32, 25.0) as writer:
        writer.write(frame)
    assert path.stat().st_size > 0
    path.unlink()
    monkeypatch.setattr(module, "_open", FullDisk)
    with (
        pytest.raises(MediaError, match=r"talk\.mp4: the video could not be written completely"),
        video_writer(path, 32, 32, 25.0) as writer,
    ):
        writer.write(frame)
    assert list(tmp_path.iterdir()) == []
