"""A network is one file and one line in the registry: a toy network is trained, evaluated and converted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cslr_cli.checkpoints.checkpoint_file import read_checkpoint_file
from cslr_cli.checkpoints.inspection import inspect_checkpoint
from cslr_cli.checkpoints.published import convert_published, write_published
from cslr_cli.config import Config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.documents import plain_values
from cslr_cli.errors import ConfigError
from cslr_cli.evaluation import evaluate
from cslr_cli.model.network import build_network
from cslr_cli.model.registry import NETWORKS, NetworkEntry
from cslr_cli.training.loop import train

TOY_NETWORK = '''
"""A ResNet whose frames are mixed with the frames before and after them."""

import torch
from torch import nn

from cslr_cli.model.backbone import ResNet
from cslr_cli.model.definition import NetworkDefinition, Normalisation, PublishedForm


class MixingBackbone(ResNet):
    def __init__(self, width=64, blocks=(2, 2, 2, 2)):
        super().__init__(width, blocks)
        self.mix = nn.Parameter(torch.zeros(2))

    def stage_context(self, stage):
        return 1 if stage == "layer4" else 0

    def after_stage(self, stage, x, clips):
        if stage != "layer4":
            return x
        return x + self.mix[0] * x[clips.preceding] + self.mix[1] * x[clips.following]


TOY = NetworkDefinition(
    MixingBackbone,
    PublishedForm(
        markers=(r"^conv2d\\.mixer\\.",),
        modules={"backbone.mix": "conv2d.mixer.weights"},
        has_3d_kernels=True,
        unused_shapes=lambda config: {"conv2d.mixer.spare": (config.width, 2)},
    ),
    Normalisation(mean=114.75, scale=57.375),
)
'''


@pytest.fixture
def toy_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_config: Config) -> Iterator[Config]:
    """The tiny recipe with the toy network, which is one file and one line."""
    (tmp_path / "toy_network.py").write_text(TOY_NETWORK, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(NETWORKS, "toy", NetworkEntry("toy_network:TOY"))
    values = tiny_config.to_dict()
    values["model"]["name"] = "toy"
    values["training"]["epochs"] = 1
    yield Config.from_dict(values, "the toy recipe")
    sys.modules.pop("toy_network", None)


def dev_hypotheses(checkpoint: Checkpoint, corpus: PreparedCorpus) -> dict[str, dict[str, list[str]]]:
    cpu = torch.device("cpu")
    (result,) = evaluate(checkpoint, corpus, ["dev"], device=cpu, dtype=torch.float32, num_workers=0)
    return {
        head: {clip: [single.gloss for single in glosses] for clip, glosses in clips.items()}
        for head, clips in result.hypotheses.items()
    }


def test_a_network_of_one_file_and_one_line_works_in_every_step(
    toy_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    network = build_network(toy_config.model, tiny_corpus.vocabulary.num_classes)
    pixels = torch.tensor([0, 114, 255], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 32, 32)
    normalised = network.normalise_frames(pixels)[0, :, 0, 0]
    torch.testing.assert_close(normalised, torch.tensor([-2.0, -0.75 / 57.375, 140.25 / 57.375]))

    run = train(toy_config, tmp_path / "run", device=torch.device("cpu")).run
    trained = load_checkpoint(run.last)
    assert trained.weights["backbone.mix"].all()  # it has learned something
    before = dev_hypotheses(trained, tiny_corpus)

    published = tmp_path / "published.pt"
    vocabulary = write_published(trained, published)
    state = read_checkpoint_file(published)["model_state_dict"]
    assert state["conv2d.conv1.weight"].shape == (8, 3, 1, 7, 7)
    assert torch.equal(state["conv2d.mixer.weights"], trained.weights["backbone.mix"])
    assert state["conv2d.mixer.spare"].shape == (8, 2)
    # Without what cslr adds to the file, the network is recognised by its tensors.
    bare = tmp_path / "bare.pt"
    torch.save({"epoch": 0, "model_state_dict": state}, bare)
    back = convert_published(bare, vocabulary, corpus=tiny_corpus, settings=["data.crop_size=32"]).checkpoint
    assert back.config.model.name == "toy"
    assert back.weights.keys() == trained.weights.keys()
    assert all(torch.equal(back.weights[name], value) for name, value in trained.weights.items())

    save_checkpoint(back, tmp_path / "back.pt")
    inspection = plain_values(inspect_checkpoint(tmp_path / "back.pt").to_dict())
    assert (inspection["network"], inspection["model"]["backbone"]) == ("toy", "toy_network.MixingBackbone")
    assert inspection["preprocessing"]["normalisation"] == "x / 57.375 - 2"
    assert dev_hypotheses(back, tiny_corpus) == before


def test_the_names_of_networks_come_from_the_registry(toy_config: Config) -> None:
    assert toy_config.model.name == "toy"
    with pytest.raises(ConfigError, match="tox") as caught:
        Config.from_dict({"model": {"name": "tox"}}, "own")
    assert "corrnet-plus, toy; did you mean toy?" in str(caught.value.hint)
    assert "toy_network" not in sys.modules
