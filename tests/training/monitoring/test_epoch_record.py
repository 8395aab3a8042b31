from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from cslr_cli.training.monitoring.epoch_record import EpochRecord

# A line of `metrics.jsonl` that version 0.1.0 wrote.
LINE = (
    '{"epoch": 3, "step": 12, "lr": 0.003, "loss": 30.5, "sequence_ctc": 12.25, "conv_ctc": 10.0, '
    '"distillation": 0.33, "grad_norm": 7.5, "wer": 62.5, "conv_wer": 70.0, "clips_per_second": 3.5, '
    '"seconds": 9.25, "waiting_percent": 1.5, "skipped": ["SÜD"]}'
)


def test_a_line_of_metrics_is_read_and_written_without_a_change() -> None:
    record = EpochRecord.from_dict(json.loads(LINE))
    assert (record.epoch, record.step, record.wer, record.skipped_clips) == (3, 12, 62.5, ("SÜD",))
    assert record.losses == {"loss": 30.5, "sequence_ctc": 12.25, "conv_ctc": 10.0, "distillation": 0.33}
    assert json.dumps(record.to_dict(), ensure_ascii=False) == LINE


@pytest.mark.parametrize("missing", ["waiting_percent", "grad_norm", "loss", "step", "seconds", "clips_per_second"])
def test_a_figure_that_an_older_version_did_not_record_stays_absent(missing: str) -> None:
    values = {name: value for name, value in json.loads(LINE).items() if name != missing}
    assert EpochRecord.from_dict(values).to_dict() == values


def test_an_epoch_without_an_evaluation_has_null_as_its_wer() -> None:
    values = {**json.loads(LINE), "wer": None, "conv_wer": None}
    assert EpochRecord.from_dict(values).to_dict() == values


def test_figures_of_a_newer_version_are_kept() -> None:
    values = {**json.loads(LINE), "new_loss": 0.5, "devices": ["a", "b"]}
    record = EpochRecord.from_dict(values)
    assert record.losses["new_loss"] == 0.5
    assert record.to_dict() == values


@pytest.mark.parametrize(
    "change", [{"epoch": "3"}, {"epoch": None}, {"wer": "x"}, {"lr": [1]}, {"skipped": "SÜD"}, {"skipped": 3}]
)
def test_a_record_with_a_wrong_value_is_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"epoch|numbers"):
        EpochRecord.from_dict({**json.loads(LINE), **change})


def test_records_and_observers_need_no_torch() -> None:
    program = (
        "import sys; import cslr_cli.training.monitoring.epoch_record, cslr_cli.training.monitoring.observer, "
        "cslr_cli.training.run.folder; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
