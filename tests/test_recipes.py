"""The shipped recipes against the published ones, written down here from the papers and the published code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cslr_cli.config import load_config, shipped_configs
from cslr_cli.corpora import CORPORA
from cslr_cli.model.network import build_network
from cslr_cli.training.step import learning_rate

CONFIGS = next(parent / "configs" for parent in Path(__file__).parents if (parent / "configs").is_dir())
CORPUS_NAMES = ["phoenix2014", "phoenix2014-si5", "phoenix2014-T", "csl", "csl-daily"]
RECIPES = [*CORPUS_NAMES, *(f"{name}-corrnet-plus" for name in CORPUS_NAMES)]

# What all of them share. Every one of these numbers stands in each file.
SHARED: dict[str, Any] = {
    "data.frame_size": 256,
    "data.crop_size": 224,
    "data.image_scale": 1.0,
    "data.frame_interval": 1,
    "data.flip_probability": 0.5,
    "model.width": 64,
    "model.blocks": [2, 2, 2, 2],
    "model.temporal_layers": ["K5", "P2", "K5", "P2"],
    "model.hidden_size": 1024,
    "model.pretrained": True,
    "loss.sequence_ctc": 1.0,
    "loss.conv_ctc": 1.0,
    "loss.distillation": 25.0,
    "optimizer.weight_decay": 1e-4,
    "schedule.kind": "milestones",
    "training.batch_size": 2,
    "training.seed": 0,
    "training.evaluation_interval": 1,
    "decoding.decoder": "beam",
    "decoding.beam_width": 10,
    "decoding.max_classes": 40,
    "decoding.keep_repeats": False,
}
RESAMPLED = {"data.temporal_scale": 0.2, "data.min_clip_frames": 32, "data.max_clip_frames": 230}
BY_NETWORK: dict[str, dict[str, Any]] = {
    "corrnet": {"training.epochs": 40, "schedule.milestones": [20, 35]},
    "corrnet-plus": {
        "training.epochs": 80,
        "schedule.milestones": [40, 60],
        "loss.lifting_update": 5e-4,
        "loss.lifting_prediction": 5e-4,
    },
}
BY_CORPUS: dict[str, dict[str, Any]] = {
    name: {"optimizer.lr": 1e-4, "schedule.gamma": 0.2, **RESAMPLED} for name in CORPUS_NAMES
}
BY_CORPUS["csl-daily"] = {
    "optimizer.lr": 5e-5,
    "schedule.gamma": 0.5,
    "data.temporal_scale": 0.0,
    "data.max_clip_frames": None,
}

PUBLISHED_WER = {
    "phoenix2014": ("18.8", "19.4"),
    "phoenix2014-T": ("18.9", "20.5"),
    "csl-daily": ("30.6", "30.1"),
    "phoenix2014-corrnet-plus": ("18.0", "18.2"),
    "phoenix2014-T-corrnet-plus": ("17.2", "19.1"),
    "csl-daily-corrnet-plus": ("28.6", "28.2"),
}


def table_of(recipe: str) -> dict[str, Any]:
    """The row of the table: every setting that the published systems define for this corpus and network."""
    network = "corrnet-plus" if recipe.endswith("-corrnet-plus") else "corrnet"
    corpus = recipe.removesuffix("-corrnet-plus")
    stages = ["layer3", "layer4"] if recipe == "csl-daily" else ["layer2", "layer3", "layer4"]
    return {
        "corpus.name": corpus,
        "model.name": network,
        "model.correlation_after": stages,
        **SHARED,
        **BY_NETWORK[network],
        **BY_CORPUS[corpus],
    }


def value_of(values: dict[str, Any], key: str) -> Any:
    section, name = key.split(".")
    return values[section][name]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_number_of_the_published_recipe_stands_in_its_file(recipe: str) -> None:
    in_file = yaml.safe_load((CONFIGS / f"{recipe}.yaml").read_text(encoding="utf-8"))
    used = load_config(recipe).to_dict()
    table = table_of(recipe)
    assert {key: value_of(in_file, key) for key in table} == table
    assert {key: value_of(used, key) for key in table} == table


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_differs_only_as_the_table_says(recipe: str) -> None:
    values = yaml.safe_load((CONFIGS / f"{recipe}.yaml").read_text(encoding="utf-8"))
    of_this_machine = {"data.num_workers", "training.precision"}
    named = {f"{section}.{key}" for section, keys in values.items() for key in keys}
    assert named - table_of(recipe).keys() == of_this_machine
    # What the file leaves out, no published system has: it is off.
    left_out = load_config(recipe).training
    assert (left_out.ema_decay, left_out.frozen, left_out.init_weights) == (None, (), None)


@pytest.mark.parametrize("recipe", [*RECIPES, "quickstart"])
def test_every_setting_of_a_shipped_file_is_explained(recipe: str) -> None:
    lines = (CONFIGS / f"{recipe}.yaml").read_text(encoding="utf-8").splitlines()
    settings = [number for number, line in enumerate(lines) if re.match(r"  [a-z_]+: ", line)]
    assert settings
    unexplained = [
        lines[number]
        for number in settings
        if " # " not in lines[number] and not lines[number - 1].lstrip().startswith("#")
    ]
    assert unexplained == []


def test_the_figures_that_a_recipe_reached_stand_above_it() -> None:
    for recipe in RECIPES:
        text = (CONFIGS / f"{recipe}.yaml").read_text(encoding="utf-8")
        found = re.search(r"Published WER of this recipe: dev ([\d.]+) %, test ([\d.]+) %", text)
        assert (found and found.groups()) == PUBLISHED_WER.get(recipe), recipe


def test_a_recipe_is_for_every_published_corpus_and_is_found_by_its_name_in_any_case() -> None:
    assert set(RECIPES) < set(shipped_configs())
    assert {load_config(name).corpus.name for name in RECIPES} <= set(CORPORA)
    assert load_config("PHOENIX2014-t") == load_config("phoenix2014-T")


# lr over the epochs, worked out by hand: (epoch, factor of the first rate).
COURSES = {
    "phoenix2014": [(1, 1), (20, 1), (21, 0.2), (35, 0.2), (36, 0.04), (40, 0.04)],
    "csl-daily": [(1, 1), (20, 1), (21, 0.5), (35, 0.5), (36, 0.25), (40, 0.25)],
    "phoenix2014-T-corrnet-plus": [(1, 1), (40, 1), (41, 0.2), (60, 0.2), (61, 0.04), (80, 0.04)],
    "csl-daily-corrnet-plus": [(1, 1), (40, 1), (41, 0.5), (60, 0.5), (61, 0.25), (80, 0.25)],
}


@pytest.mark.parametrize("recipe", COURSES)
def test_the_learning_rate_falls_where_the_published_one_falls(recipe: str) -> None:
    config = load_config(recipe)
    first = 5e-5 if recipe.startswith("csl-daily") else 1e-4
    for epoch, factor in COURSES[recipe]:
        rate = learning_rate(config.optimizer.lr, config.schedule, epoch=epoch, step=0, num_steps=1)
        assert rate == pytest.approx(first * factor), epoch


def test_a_recipe_describes_the_network_that_was_published() -> None:
    with torch.device("meta"):
        network = build_network(load_config("phoenix2014").model, 1296)
        daily = build_network(load_config("csl-daily").model, 2001)
    assert sum(parameter.numel() for parameter in network.parameters()) == 33_374_242
    # The published CSL-Daily checkpoint has two blocks, and none after layer2.
    assert daily.state_dict()["backbone.alpha"].shape == (2,)
    assert not [name for name in daily.state_dict() if name.startswith("backbone.correlation.layer2")]
