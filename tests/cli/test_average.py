from __future__ import annotations

import json
from pathlib import Path

import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.training.run.folder import RunFolder
from tests.cli.conftest import Command


def test_the_best_checkpoints_of_a_run_are_averaged_and_evaluated_like_any_other(cslr: Command, trained: Path) -> None:
    run = trained.parent
    outcome = cslr("convert", "--average", run, "--best", 2, "--json")
    assert (outcome.status, outcome.stderr) == (0, "")
    result = json.loads(outcome.stdout)
    assert result["checkpoint"] == str(run / "average-best-2.pt")
    assert sorted(result["averaged_epochs"]) == [1, 2]
    one, two = (load_checkpoint(run / f"epoch-{epoch}.pt").weights for epoch in (1, 2))
    mean = load_checkpoint(run / "average-best-2.pt").weights
    torch.testing.assert_close(
        mean["lstm.rnn.weight_ih_l0"], (one["lstm.rnn.weight_ih_l0"] + two["lstm.rnn.weight_ih_l0"]) / 2
    )
    assert cslr("evaluate", run / "average-best-2.pt", "--split", "dev", "--workers", 0).status == 0
    assert "averaged epochs" in cslr("inspect", run / "average-best-2.pt").stdout
    assert "average-best-2.pt exists" in cslr("convert", "--average", run, "--best", 2).stderr


def test_an_average_is_not_written_into_a_run_in_use(cslr: Command, trained: Path, tmp_path: Path) -> None:
    run = trained.parent
    with RunFolder(run).lock("cslr train"):
        outcome = cslr("convert", "--average", run, "--best", 2)
        assert outcome.status == 1
        assert "cslr train (process" in outcome.stderr
        assert "use --output for a file in another folder" in outcome.stderr
        assert cslr("convert", "--average", run, "--best", 2, "--output", tmp_path / "mean.pt").status == 0


def test_an_average_of_fewer_checkpoints_than_requested_is_reported(cslr: Command, trained: Path) -> None:
    outcome = cslr("convert", "--average", trained.parent, "--output", "mean.pt")
    assert outcome.status == 0
    assert "note: averaged 2 checkpoints, not 5: 2 epochs were evaluated" in outcome.stderr
    assert "cslr evaluate mean.pt" in outcome.stdout


def test_wrong_uses_of_average_are_errors(cslr: Command, trained: Path) -> None:
    run = trained.parent
    for command, message in {
        ("--average", "runs/none"): "runs/none: not a run: no such folder",
        ("--best", "3"): "cslr convert --average runs/NAME",
        (
            "--average",
            run,
            trained,
        ): "--average works only with --best, --output, --overwrite",
        (
            "--average",
            run,
            "--to",
            "published",
        ): "--average works only with --best, --output, --overwrite",
        (): "no checkpoint given",
        (trained, "--to", "published"): "add --output FILE",
    }.items():
        outcome = cslr("convert", *command)
        assert (outcome.status, outcome.stdout) == (2, "")
        assert message in outcome.stderr
    (run / "epoch-1.pt").unlink()
    outcome = cslr("convert", "--average", run)
    assert outcome.status == 1
    assert "has the weights of 1 of 2 evaluated epochs; an average needs at least 2" in outcome.stderr
    assert "training.keep_best" in outcome.stderr


def test_a_training_from_a_checkpoint_reports_what_it_kept(cslr: Command, trained: Path) -> None:
    options = ("--config", "tiny.yaml", "--set", "training.epochs=1", "--device", "cpu")
    outcome = cslr("train", *options, "--init-weights", trained, "--name", "tuned")
    assert outcome.status == 0, outcome.stderr
    assert f"{trained}; 8 of 8 glosses kept" in outcome.stderr
    outcome = cslr("train", *options, "--init-weights", trained, "--name", "wide", "--set", "model.hidden_size=32")
    assert outcome.status == 1
    assert "model.hidden_size is 16 in the checkpoint and 32 here" in outcome.stderr
    assert not Path("runs/wide").exists()
    outcome = cslr("train", *options, "--set", "training.frozen=[backbone.layr1]", "--name", "frozen")
    assert outcome.status == 2
    assert "the network has no part 'backbone.layr1'; did you mean backbone.layer1?" in outcome.stderr
