"""A toy corpus and a toy network, each one file and one line, work in every command (docs/architecture.md)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.config import Config
from cslr_cli.model.registry import NETWORKS, NetworkEntry
from tests.cli.conftest import REPOSITORY, Command
from tests.corpora.test_adding_a_corpus import toy_folder as toy_folder
from tests.model.test_adding_a_network import TOY_NETWORK

ARCHITECTURE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_a_toy_corpus_and_a_toy_network_work_in_every_command(
    toy_folder: Path, tiny_config: Config, cslr: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy_folder)
    Path("toy_network.py").write_text(TOY_NETWORK, encoding="utf-8")
    monkeypatch.syspath_prepend(toy_folder)
    monkeypatch.delitem(sys.modules, "toy_network", raising=False)
    monkeypatch.setitem(NETWORKS, "toy", NetworkEntry("toy_network:TOY"))
    values = tiny_config.to_dict()
    values["corpus"] = {"name": "toy"}
    values["model"]["name"] = "toy"
    values["training"]["epochs"] = 1
    Path("toy.yaml").write_text(Config.from_dict(values, "the toy recipe").to_yaml(), encoding="utf-8")

    def run(*arguments: object) -> str:
        outcome = cslr(*arguments)
        assert outcome.status == 0, outcome.stderr
        return outcome.stdout

    run("prepare", "toy", "--source", ".", "--size", 36, "--workers", 1)
    run("train", "--config", "toy.yaml", "--device", "cpu")
    splits = json.loads(run("evaluate", "runs/toy/best.pt", "--workers", 0, "--json"))["splits"]
    assert {split: scores["clips"] for split, scores in splits.items()} == {"dev": 1, "test": 1}
    run("convert", "runs/toy/best.pt", "--to", "published", "--output", "published/toy.pt")
    run("convert", "published/toy.pt", "--vocabulary", "published/gloss_dict.npy", "--output", "back.pt")
    trained, back = load_checkpoint(Path("runs/toy/best.pt")), load_checkpoint(Path("back.pt"))
    assert (back.config.model.name, back.corpus.name, back.corpus.fps) == ("toy", "toy", 12.5)
    assert all(back.weights[name].equal(value) for name, value in trained.weights.items())
    assert json.loads(run("inspect", "back.pt", "--json"))["network"] == "toy"


@pytest.mark.parametrize(
    "place", ["corpora/registry.py", "corpora/reader.py", "model/registry.py", "model/definition.py"]
)
def test_the_architecture_page_names_the_places_that_are_extended(place: str) -> None:
    assert place in ARCHITECTURE
    assert (REPOSITORY / "cslr_cli" / place).is_file()
