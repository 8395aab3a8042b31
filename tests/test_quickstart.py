"""The quickstart, with a corpus and a network so small that seconds do."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from cslr_cli import quickstart as module
from cslr_cli.config import Config
from cslr_cli.corpora.synthetic import SyntheticOptions
from cslr_cli.documents import format_json
from cslr_cli.quickstart import STAGES, QuickstartResult, quickstart, quickstart_document
from tests.documents import check_document
from tests.training.observers import CallbackObserver


@pytest.fixture
def small(tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, where the quickstart draws few clips and trains a tiny network for two epochs."""
    options = partial(SyntheticOptions, num_train_clips=6, num_dev_clips=2, num_test_clips=2, num_signers=3)
    values = tiny_config.to_dict() | {"corpus": {"name": "synthetic"}}
    monkeypatch.setattr(module, "SyntheticOptions", options)
    monkeypatch.setattr(module, "FRAME_SIZE", 36)
    monkeypatch.setattr(module, "load_config", lambda name: Config.from_dict(values, name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run() -> tuple[QuickstartResult, list[str], list[int]]:
    stages: list[str] = []
    epochs: list[int] = []

    result = quickstart(
        device=torch.device("cpu"),
        on_stage=lambda stage: stages.append(stage.command),
        observer=CallbackObserver(epoch=lambda record: epochs.append(record.epoch)),
    )
    return result, stages, epochs


def test_everything_is_made_and_each_stage_names_its_command(small: Path) -> None:
    result, stages, epochs = run()
    assert stages == [stage.command for stage in STAGES]
    assert [command.split()[1] for command in stages] == ["prepare", "train", "evaluate", "predict", "cam"]
    assert epochs == [1, 2]
    assert [split.split for split in result.results] == ["dev", "test"]
    for what, path in result.made:
        assert (small / path).exists(), what
    assert result.recognition.num_frames > 0
    check_document("quickstart", json.loads(format_json(quickstart_document(result, 1.5))))
    clips = {video.read_bytes() for video in (small / "runs/quickstart").glob("example*.mp4")}
    assert len(clips) == 2, "as many different ones to try as there are test clips, at most three"


def test_a_second_call_does_not_train_again_and_gives_the_same_results(small: Path) -> None:
    first, _, _ = run()
    best = (small / "runs/quickstart/best.pt").read_bytes()
    second, _, epochs = run()
    assert epochs == []
    assert (small / "runs/quickstart/best.pt").read_bytes() == best
    assert [split.wer for split in second.results] == [split.wer for split in first.results]
    assert second.recognition.text == first.recognition.text
