"""A report of many clips, made once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from cslr_cli.report import write_report
from tests.report.sections import of_many_clips


@dataclass(frozen=True)
class LargeReport:
    """The page of 10,000 clips and two systems, and the processor seconds that writing the report took."""

    page: Path
    seconds: float


@pytest.fixture(scope="session")
def large_report(tmp_path_factory: pytest.TempPathFactory) -> LargeReport:
    analysis = of_many_clips(10_000)
    start = time.process_time()
    page = write_report(tmp_path_factory.mktemp("large"), [analysis], title="Many")
    return LargeReport(page, time.process_time() - start)
