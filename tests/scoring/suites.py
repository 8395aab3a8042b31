"""The suites whose counts sclite gave: hypotheses as decoded, references, and the figures."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from cslr_cli.scoring import Reference, read_ctm, read_stm, strip_times

DATA_DIR = Path(__file__).parent.parent / "data" / "scoring"
SUITES = ("phoenix2014-dev", "phoenix2014-T-dev")


def load_suite(name: str, folder: Path) -> tuple[list[Reference], dict[str, tuple[str, ...]], dict[str, Any]]:
    """Unpack a suite into `folder`; its references, hypotheses and expected figures."""
    for file_name in ("references.stm", "hypotheses.ctm"):
        packed = DATA_DIR / name / f"{file_name}.gz"
        (folder / file_name).write_bytes(gzip.decompress(packed.read_bytes()))
    expected = json.loads((DATA_DIR / name / "expected.json").read_text())
    references, hypotheses = read_stm(folder / "references.stm"), read_ctm(folder / "hypotheses.ctm")
    return references, strip_times(hypotheses), expected
