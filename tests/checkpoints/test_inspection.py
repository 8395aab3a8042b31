from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import save_checkpoint
from cslr_cli.checkpoints.inspection import inspect_checkpoint
from cslr_cli.checkpoints.published import convert_published
from cslr_cli.documents import format_json
from cslr_cli.training.loop import TrainingResult
from tests.checkpoints.published_files import GLOSSES, save_gloss_dict, save_published, state_of
from tests.model.batches import NETWORK_NAMES


def test_inspection_shows_everything_in_a_checkpoint(tiny_training: TrainingResult) -> None:
    told = json.loads(format_json(inspect_checkpoint(tiny_training.run.best).to_dict()))
    assert (told["network"], told["model"]["width"], told["model"]["pool"]) == ("corrnet", 8, "max")
    assert told["vocabulary"]["glosses"] == 8
    assert len(told["vocabulary"]["first"]) == 8
    assert (told["corpus"]["name"], told["corpus"]["fps"]) == ("synthetic", 25)
    assert (told["preprocessing"]["crop_size"], told["preprocessing"]["input_size"]) == (32, 32)
    assert tiny_training.best is not None
    assert told["best"] == tiny_training.best.to_dict()
    assert told["history"][-1]["epoch"] == told["epoch"]
    assert told["num_bytes"] == tiny_training.run.best.stat().st_size
    assert not told["resumable"]
    assert inspect_checkpoint(tiny_training.run.last).resumable


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_the_parameters_of_the_parts_are_all_there_are(name: str, tmp_path: Path) -> None:
    inspection = inspect_checkpoint(save_published(tmp_path / "dev.pt", name))
    tensors = {
        key: value
        for key, value in state_of(name).items()
        if "running" not in key and "num_batches" not in key and ".mlp." not in key and "weights3" not in key
    }
    shared = 0 if name == "vac" else tensors["classifier.weight"].numel()  # stored twice
    assert sum(inspection.parameters.values()) == sum(value.numel() for value in tensors.values()) - shared
    assert ("correlation" in inspection.parameters) == name.startswith("corrnet")
    assert ("temporal weighting" in inspection.parameters) == (name == "corrnet-plus")


def test_a_converted_checkpoint_names_its_source_and_has_no_history(tmp_path: Path) -> None:
    path = save_published(tmp_path / "dev_18.80.pt", "corrnet")
    published = inspect_checkpoint(path)
    assert (published.written_by, published.vocabulary, published.corpus) == ("the published code", None, None)
    converted = convert_published(path, save_gloss_dict(tmp_path), corpus="csl").checkpoint
    save_checkpoint(converted, tmp_path / "ours.pt")
    ours = inspect_checkpoint(tmp_path / "ours.pt")
    assert (ours.converted_from, ours.vocabulary, ours.best) == ("dev_18.80.pt", GLOSSES, None)
    assert (ours.epoch, ours.num_epochs) == (35, None)
    assert ours.parameters == published.parameters


def test_tensors_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    state = state_of("vac")
    state["classifier.bias"][0] = torch.inf
    torch.save({"model_state_dict": state}, tmp_path / "dev.pt")
    (warning,) = inspect_checkpoint(tmp_path / "dev.pt").warnings
    assert warning.endswith(": classifier.bias")
