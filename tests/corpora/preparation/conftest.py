from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpora.phoenix_release import write_release


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release")
