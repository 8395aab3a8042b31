from __future__ import annotations

import dataclasses
import unicodedata
from pathlib import Path

import pytest
import torch
from torch import nn

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint
from cslr_cli.config import Config, load_config
from cslr_cli.dataset.batching import evaluation_batches
from cslr_cli.dataset.clip_dataset import ClipDataset
from cslr_cli.dataset.loader import Loader
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CheckpointError, ConfigError
from cslr_cli.model.network import Network, build_network
from cslr_cli.training.loop import TrainingResult, train
from cslr_cli.training.start_points import (
    StartPoint,
    freeze_parts,
    load_shared_weights,
    load_start_weights,
    set_training_mode,
)
from cslr_cli.vocabulary import Vocabulary
from tests.checkpoints.published_files import content_of, save_gloss_dict
from tests.model.deterministic import narrow_shapes, published_state
from tests.training.test_loop import changed

CPU = torch.device("cpu")
PATH = Path("start.pt")


def with_classifier(config: Config, kind: str, *, shared: bool) -> Config:
    return changed(config, model={"classifier": kind, "shared_classifier": shared})


def checkpoint_of(config: Config, vocabulary: Vocabulary, like: Checkpoint) -> Checkpoint:
    """A checkpoint with weights of its own."""
    torch.manual_seed(11)
    weights = build_network(config.model, vocabulary.num_classes).state_dict()
    return dataclasses.replace(like, config=config, vocabulary=vocabulary, weights=weights)


def logits(network: Network, corpus: PreparedCorpus, config: Config) -> tuple[torch.Tensor, torch.Tensor]:
    """Of both heads, on two clips of dev."""
    samples = corpus.samples("dev")[:2]
    loader = Loader(ClipDataset(corpus, samples, config.data, training=False), network.plan, 0)
    (batch,) = loader.batches(evaluation_batches(samples, 2))
    with torch.inference_mode():
        output = network.eval()(batch.frames, batch.frame_lengths)
    return output.sequence_logits, output.conv_logits


# Weights of a checkpoint


@pytest.mark.parametrize(("kind", "shared"), [("normalised", True), ("linear", False)])
def test_shared_glosses_get_the_same_logits_as_from_the_checkpoint_wherever_they_stand(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tiny_checkpoint: Checkpoint, kind: str, shared: bool
) -> None:
    config = with_classifier(tiny_config, kind, shared=shared)
    theirs = Vocabulary(("OLD", "A", "B", "C", "D", "OLDER"), (1,) * 6)
    ours = Vocabulary(("D", "NEW", "B", "A", "NEWER"), (1,) * 5)
    source = checkpoint_of(config, theirs, tiny_checkpoint)
    network = build_network(config.model, ours.num_classes)
    start = load_shared_weights(network, config.model, ours, source, PATH)
    assert (start.glosses, start.kept, start.dropped) == (5, 3, 3)
    pairs = zip(logits(network, tiny_corpus, config), logits(source.build_network(), tiny_corpus, config), strict=True)
    for now, then in pairs:
        # The blank, D, B and A in the new order, and where they were in the old one.
        torch.testing.assert_close(now[..., [0, 1, 3, 4]], then[..., [0, 5, 3, 2]])
        assert not torch.allclose(now[..., 2], then[..., 2])


def test_the_classifier_s_columns_of_new_glosses_stay_as_they_were_drawn(
    tiny_config: Config, tiny_checkpoint: Checkpoint
) -> None:
    ours = Vocabulary(("A", "NEW"), (1, 1))
    source = checkpoint_of(tiny_config, Vocabulary(("A",), (1,)), tiny_checkpoint)
    network = build_network(tiny_config.model, ours.num_classes)
    before = network.state_dict()["classifier.weight"].clone()
    load_shared_weights(network, tiny_config.model, ours, source, PATH)
    after = network.state_dict()["classifier.weight"]
    assert torch.equal(after[:, 2], before[:, 2])
    assert torch.equal(after[:, :2], source.weights["classifier.weight"])


def test_glosses_of_a_checkpoint_in_another_unicode_form_keep_their_weights(
    tiny_config: Config, tiny_checkpoint: Checkpoint
) -> None:
    """Version 0.1 kept glosses as they were written."""
    theirs = Vocabulary(("A", unicodedata.normalize("NFD", "ÜBER"), "SCHÖN\u200b", "SCHÖN"), (1,) * 4)
    source = checkpoint_of(tiny_config, theirs, tiny_checkpoint)
    ours = Vocabulary(("SCHÖN", "ÜBER"), (1, 1))
    network = build_network(tiny_config.model, ours.num_classes)
    start = load_shared_weights(network, tiny_config.model, ours, source, PATH)
    assert (start.kept, start.dropped) == (2, 2)
    columns = network.state_dict()["classifier.weight"][:, 1:]
    assert torch.equal(columns, source.weights["classifier.weight"][:, [4, 2]])


def test_the_start_point_counts_kept_new_and_dropped_glosses() -> None:
    assert str(StartPoint(PATH, glosses=1295, kept=1102, dropped=0)) == (
        "start.pt; 1,102 of 1,295 glosses kept, 193 new"
    )
    assert str(StartPoint(PATH, glosses=8, kept=8, dropped=3)) == "start.pt; 8 of 8 glosses kept, 3 dropped"
    assert str(StartPoint()) == "fresh weights"
    assert str(StartPoint("ImageNet")) == "ImageNet weights"


def test_a_checkpoint_of_another_network_is_refused_with_what_differs_and_nothing_is_changed(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tiny_checkpoint: Checkpoint
) -> None:
    config = changed(tiny_config, model={"hidden_size": 32, "correlation_after": ["layer3", "layer4"]})
    network = build_network(config.model, tiny_corpus.vocabulary.num_classes)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_shared_weights(network, config.model, tiny_corpus.vocabulary, tiny_checkpoint, PATH)
    told = str(caught.value)
    assert "start.pt: the network in this checkpoint and the network to train have different shapes" in told
    assert "unexpected: backbone.correlation.layer2" in told
    assert "model.hidden_size is 16 in the checkpoint and 32 here" in told
    assert '--set model.correlation_after=["layer2","layer3","layer4"] --set model.hidden_size=16' in told
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_settings_that_the_message_names_mend_it(tiny_config: Config, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(changed(tiny_config, model={"hidden_size": 32}).to_yaml())
    mended = load_config(
        tmp_path / "own.yaml", ['model.correlation_after=["layer2","layer3","layer4"]', "model.hidden_size=16"]
    )
    assert mended.model == tiny_config.model


def test_a_published_checkpoint_is_a_start_point_with_its_vocabulary(
    tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    state = published_state("corrnet", narrow_shapes("corrnet", 6))
    glosses = tiny_corpus.vocabulary.glosses
    theirs = Vocabulary(("AAA", *glosses[:3], "ZZZ"), (1,) * 5)
    torch.save(content_of(state), tmp_path / "published.pt")
    from cslr_cli.checkpoints.published_tensors import identify_network

    config = Config.from_dict(
        {
            "model": {**identify_network(state), "pretrained": False},
            "training": {
                "init_weights": str(tmp_path / "published.pt"),
                "init_vocabulary": str(save_gloss_dict(tmp_path, theirs)),
            },
        },
        "fine-tuning",
    )
    network = build_network(config.model, tiny_corpus.vocabulary.num_classes)
    start = load_start_weights(network, config, tiny_corpus)
    assert (start.kept, start.dropped, start.glosses) == (3, 2, len(glosses))
    weight = network.state_dict()["classifier.weight"]
    torch.testing.assert_close(weight[:, 1:4], state["classifier.weight"][:, 2:5].to(weight.dtype))


def test_a_training_begins_at_the_weights_of_its_start_point(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    source = tiny_training.run.best
    # So small a rate changes nothing that can be seen, but for batch norm's statistics.
    config = changed(
        tiny_config, training={"init_weights": str(source), "epochs": 1}, optimizer={"lr": 1e-30, "weight_decay": 0.0}
    )
    result = train(config, tmp_path / "run", device=CPU)
    then, now = load_checkpoint(source).weights, load_checkpoint(result.run.last).weights
    same = [name for name, value in now.items() if torch.equal(value, then[name])]
    assert {name for name in now if "running" not in name and "num_batches" not in name} <= set(same)


# Frozen parts


@pytest.fixture
def network(tiny_config: Config) -> Network:
    return build_network(tiny_config.model, 9)


def test_a_frozen_module_is_not_optimized_and_its_batch_norm_stays_in_evaluation_mode(network: Network) -> None:
    frozen = ["backbone.layer1", "backbone.alpha"]
    trained = freeze_parts(network, frozen)
    names = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert names == {n for n, _ in network.named_parameters() if n.startswith("backbone.layer1.")} | {"backbone.alpha"}
    assert sum(p.numel() for p in trained) + sum(p.numel() for n, p in network.named_parameters() if n in names) == sum(
        p.numel() for p in network.parameters()
    )
    set_training_mode(network, frozen)
    norms = {name: module.training for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert [name for name, training in norms.items() if not training] == [
        name for name in norms if name.startswith("backbone.layer1.")
    ]


def test_freezing_layer1_does_not_freeze_layer10(network: Network) -> None:
    layer10 = nn.Linear(2, 2)
    network.backbone.add_module("layer10", layer10)
    freeze_parts(network, ["backbone.layer1"])
    assert layer10.weight.requires_grad


@pytest.mark.parametrize(
    ("name", "nearest"), [("layer1", "backbone.layer1"), ("backbone.layr3", "backbone.layer3"), ("lstn", "lstm")]
)
def test_an_unknown_part_names_the_nearest(network: Network, name: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        freeze_parts(network, [name, "lstm"])
    assert f"the network has no part '{name}'; did you mean {nearest}?" in str(caught.value)


def test_a_network_with_nothing_to_train_is_refused(network: Network) -> None:
    with pytest.raises(ConfigError, match="no parameters are left to train"):
        freeze_parts(network, ["backbone", "temporal", "lstm", "classifier"])


def test_training_changes_only_the_parts_that_are_not_frozen(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    config = changed(
        tiny_config,
        training={"init_weights": str(tiny_training.run.best), "frozen": ["backbone", "temporal"], "epochs": 2},
    )
    result = train(config, tmp_path / "run", device=CPU)
    then, now = load_checkpoint(tiny_training.run.best).weights, load_checkpoint(result.run.last).weights
    differing = {name.split(".")[0] for name, value in now.items() if not torch.equal(value, then[name])}
    assert differing == {"lstm", "classifier"}


def test_weights_from_two_files_and_a_vocabulary_of_none_are_refused(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    both = changed(
        tiny_config,
        training={"init_weights": str(tiny_training.run.best)},
        model={"backbone_weights": "resnet18.pth"},
    )
    with pytest.raises(ConfigError, match="remove --backbone-weights or --init-weights"):
        train(both, tmp_path / "run", device=CPU)
    with pytest.raises(ConfigError, match=r"training\.init_vocabulary"):
        changed(tiny_config, training={"init_vocabulary": "gloss_dict.npy"})
