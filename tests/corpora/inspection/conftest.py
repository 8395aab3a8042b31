from __future__ import annotations

from pathlib import Path

import pytest

from cslr_cli.corpora import find_reader
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from tests.corpora.phoenix_release import Clip, write_release

# dev says again what train says, and something that train does not; test is all new.
CLIPS: dict[str, list[Clip]] = {
    "train": [
        ("a-1", "Signer01", "ICH OSTERN WETTER"),
        ("a-2", "Signer02", "WETTER MORGEN WARM"),
        ("a-3", "Signer01", "MORGEN"),
    ],
    "dev": [("d-1", "Signer01", "MORGEN"), ("d-2", "Signer01", "MORGEN S+H S+H")],
    "test": [("t-1", "Signer03", "ICH WARM")],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A prepared corpus: clips of 9, 10, 11 frames in train, 9 and 10 in dev, 9 in test."""
    release = write_release(tmp_path / "release", CLIPS, num_frames=9)
    output = tmp_path / "prepared"
    prepare(find_reader("phoenix2014"), release, output, PreparationOptions(frame_size=16), workers=1)
    return output
