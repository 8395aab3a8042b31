from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cslr_cli.config import Config, LossConfig, ModelConfig, changed_decoding, load_config, load_recipe, shipped_configs
from cslr_cli.errors import ConfigError
from cslr_cli.model.registry import NETWORKS
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES

# CorrNet's published recipe (arXiv 2303.03202 and its code), as far as a setting stands for it.
PUBLISHED: dict[str, Any] = {
    "data.frame_size": 256,
    "data.crop_size": 224,
    "data.image_scale": 1.0,
    "data.frame_interval": 1,
    "data.flip_probability": 0.5,
    "data.temporal_scale": 0.2,
    "data.min_clip_frames": 32,
    "data.max_clip_frames": 230,
    "model.name": "corrnet",
    "model.width": 64,
    "model.blocks": [2, 2, 2, 2],
    "model.correlation_after": ["layer2", "layer3", "layer4"],
    "model.temporal_layers": ["K5", "P2", "K5", "P2"],
    "model.hidden_size": 1024,
    "model.pretrained": True,
    "loss.sequence_ctc": 1.0,
    "loss.conv_ctc": 1.0,
    "loss.distillation": 25.0,
    "optimizer.lr": 1e-4,
    "optimizer.weight_decay": 1e-4,
    "schedule.kind": "milestones",
    "schedule.milestones": [20, 35],
    "schedule.gamma": 0.2,
    "training.epochs": 40,
    "training.batch_size": 2,
    "training.seed": 0,
    "training.evaluation_interval": 1,
    "decoding.decoder": "beam",
    "decoding.beam_width": 10,
    "decoding.max_classes": 40,
    "decoding.keep_repeats": False,
}
# What the published recipe does not have at all.
ABSENT: dict[str, Any] = {
    "data.colour_jitter": 0.0,
    "loss.distillation_from_epoch": 1,
    "optimizer.clip_norm": None,
    "training.group_by_length": False,
    "training.short_first_epochs": 0,
}


def value_of(values: dict[str, Any], key: str) -> Any:
    section, name = key.split(".")
    return values[section][name]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(source: str | Path, *changes: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(source, changes)
    return caught.value


def refused_values(values: dict[str, Any]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(values, "own.yaml")
    return caught.value


# The shipped configurations


@pytest.mark.parametrize("key", PUBLISHED)
def test_the_published_recipe_stands_in_the_file_of_phoenix2014_and_in_the_defaults(key: str) -> None:
    path = next(parent / "configs" for parent in Path(__file__).parents if (parent / "configs").is_dir())
    file = yaml.safe_load((path / "phoenix2014.yaml").read_text(encoding="utf-8"))
    assert value_of(file, key) == PUBLISHED[key]
    assert value_of(Config().to_dict(), key) == PUBLISHED[key]


def test_additions_to_the_published_recipe_are_off_by_default() -> None:
    recipe = load_config("phoenix2014")
    assert {key: value_of(recipe.to_dict(), key) for key in ABSENT} == ABSENT
    assert recipe == Config()


def test_every_shipped_configuration_loads() -> None:
    assert {"phoenix2014", "quickstart"} <= set(shipped_configs())
    for name in shipped_configs():
        config = load_config(name)
        assert config.data.input_size % 32 == 0


def test_a_shipped_configuration_is_found_in_any_case() -> None:
    assert load_config("PHOENIX2014") == load_config("phoenix2014")


def test_the_corpus_folder_follows_from_its_name_unless_it_is_given() -> None:
    assert load_config("phoenix2014").corpus.folder == Path("prepared/phoenix2014")
    assert load_config("phoenix2014", ["corpus.path=/data/p14"]).corpus.folder == Path("/data/p14")


# Which value counts


def test_the_command_line_goes_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, "training:\n  epochs: 7\n  batch_size: 3\n")
    config = load_config(path, ["training.epochs=9"])
    assert (config.training.epochs, config.training.batch_size, config.training.seed) == (9, 3, 0)


def test_the_later_of_two_settings_counts() -> None:
    assert load_config("phoenix2014", ["training.epochs=9", "training.epochs=8"]).training.epochs == 8


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("optimizer.lr=5e-5", 5e-5),
        ("optimizer.lr=0.00005", 5e-5),
        ("optimizer.lr=1", 1.0),
        ("optimizer.clip_norm=5", 5.0),
        ("optimizer.clip_norm=null", None),
        ("training.epochs=3", 3),
        ("training.group_by_length=true", True),
        ("decoding.decoder=greedy", "greedy"),
        ("corpus.name=csl-daily", "csl-daily"),
        ("schedule.milestones=[40, 60]", (40, 60)),
        ("schedule.milestones=[]", ()),
        ("model.correlation_after=[layer3, layer4]", ("layer3", "layer4")),
        ("model.temporal_layers=[K5,P2]", ("K5", "P2")),
        (" training.epochs = 3", 3),
        ("corpus.path=/data/a=b", Path("/data/a=b")),
    ],
)
def test_a_setting_is_written_as_in_yaml(setting: str, value: object) -> None:
    section, name = setting.partition("=")[0].strip().split(".")
    found = getattr(getattr(load_config("phoenix2014", [setting]), section), name)
    assert found == value
    assert type(found) is type(value) or isinstance(value, Path)


def test_a_small_rate_may_be_written_without_a_point_in_a_file_too(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "optimizer:\n  lr: 5e-5\n")).optimizer.lr == 5e-5


@pytest.mark.parametrize("text", ["", "# nothing\n", "model:\n", "model: {}\n"])
def test_what_a_file_leaves_out_has_the_default(tmp_path: Path, text: str) -> None:
    assert load_config(written(tmp_path, text)) == Config()


@settings(deadline=None)
@given(
    lr=st.floats(1e-12, 1e3),
    clip_norm=st.none() | st.floats(1e-6, 1e6),
    milestones=st.lists(st.integers(0, 100), max_size=4),
    path=st.none()
    | st.text(st.characters(exclude_categories=("C", "Z")), min_size=1).map(lambda name: f"/data/{name}"),
    keep_repeats=st.booleans(),
)
def test_a_configuration_that_was_written_is_read_as_the_same(tmp_path_factory: Any, **drawn: Any) -> None:
    config = Config.from_dict(
        {
            "optimizer": {"lr": drawn["lr"], "clip_norm": drawn["clip_norm"]},
            "schedule": {"milestones": drawn["milestones"]},
            "corpus": {"path": drawn["path"]},
            "decoding": {"keep_repeats": drawn["keep_repeats"]},
        },
        "drawn",
    )
    path = written(tmp_path_factory.mktemp("round"), config.to_yaml())
    assert load_config(path) == config
    assert Config.from_dict(config.to_dict(), "dict") == config


# What is refused


def test_all_faults_are_reported_together_with_what_was_expected(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        traning: {epochs: 3}
        model: {widht: 24, temporal_layers: [K5, K6]}
        training: {epoch: 3, batch_size: 0, seed: one}
        """,
    )
    error = refused(path, "decoding.decoder=bean")
    assert error.message == f"{path} with --set: 7 invalid settings"
    assert sorted(str(error.hint).splitlines()) == [
        "decoding.decoder is 'bean': input should be 'beam', 'greedy' or 'pyctcdecode'",
        "model.temporal_layers[1] is 'K6': use 'K' and an odd size, or 'P' and a size of 2 or more, both below 100, "
        "for example 'K5'",
        "training.batch_size is 0: input should be greater than or equal to 1",
        "training.seed is 'one': input should be a valid integer, unable to parse string as an integer",
        "unknown key model.widht: did you mean model.width?",
        "unknown key training.epoch: did you mean training.epochs?",
        "unknown key traning: did you mean training?",
    ]


def test_one_fault_has_a_message_and_a_hint(tmp_path: Path) -> None:
    path = written(tmp_path, "model:\n  temporal_layers: [K5, K6, K5]\n")
    assert str(refused(path)) == (
        f"{path}: model.temporal_layers[1] is 'K6'\n"
        "hint: use 'K' and an odd size, or 'P' and a size of 2 or more, both below 100, for example 'K5'"
    )


@pytest.mark.parametrize(
    ("setting", "unknown", "nearest"),
    [
        ("optimizer.lrr=1", "optimizer.lrr", "optimizer.lr"),
        ("data.crop=224", "data.crop", "data.crop_size"),
        ("training.lr=1", "training.lr", "optimizer.lr"),  # the same name in another section
        ("optimiser.lr=1", "optimiser", "optimizer"),
        ("decodin.beams=4", "decodin", "decoding"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(setting: str, unknown: str, nearest: str) -> None:
    error = refused("phoenix2014", setting)
    assert error.message == f"phoenix2014 with --set: unknown key {unknown}"
    assert error.hint == f"did you mean {nearest}?"


@pytest.mark.parametrize(
    "setting",
    [
        *("training.epochs=0", "training.epochs=2.5", "training.epochs=yes", "training.epochs=", "training.epochs=[1]"),
        *("optimizer.lr=0", "optimizer.lr=-1", "optimizer.lr=.nan", "optimizer.lr=.inf", "optimizer.lr=fast"),
        *("data.flip_probability=1.1", "data.temporal_scale=-0.1", "data.num_workers=-1", "data.frame_interval=0"),
        *("model.blocks=[2,2,2]", "model.blocks=[2,2,2,2,2]", "model.blocks=[2,2,2,0]", "model.blocks=2"),
        *("model.correlation_after=[layer5]", "model.temporal_layers=[]", "model.temporal_layers=K5"),
        *("model.name=corrnt", "model.name=", "model.pool=mean", "model.classifier=1", "model.shared_classifier=2"),
        *("model.hidden_size=3", "model.pretrained=perhaps", "loss.lifting_update=-1"),
        *("training.precision=fp8", "schedule.kind=cosine"),
        *("corpus.name=", "corpus.name=[a]"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(setting: str) -> None:
    key = setting.partition("=")[0]
    error = refused("phoenix2014", setting)
    assert error.message.startswith(f"phoenix2014 with --set: {key}")
    assert error.exit_status == 2


@pytest.mark.parametrize(
    ("crop_size", "image_scale", "size"),
    [(224, 1.0, 224), (256, 0.5, 128), (224, 0.5, 112), (100, 1.0, 100), (320, 0.7, 224), (64, 0.25, 16)],
)
def test_the_network_s_pictures_are_a_multiple_of_16_pixels(crop_size: int, image_scale: float, size: int) -> None:
    values = {"data": {"crop_size": crop_size, "image_scale": image_scale}}
    if size % 16 == 0 and size >= 32:
        assert Config.from_dict(values, "own.yaml").data.input_size == size
    else:
        error = refused_values(values)
        assert f"{crop_size} × image_scale {image_scale:g} is {size} pixels" in error.message


def test_a_crop_that_does_not_suit_the_network_is_refused_where_no_scale_is_given() -> None:
    assert "crop_size 100" in refused_values({"data": {"crop_size": 100}}).message


def test_a_resized_crop_has_one_size() -> None:
    values = {"crop_size": 228, "resize_to": 64}
    assert Config.from_dict({"data": values}, "own.yaml").data.input_size == 64
    error = refused_values({"data": {**values, "image_scale": 0.5}})
    assert "data.image_scale" in error.message
    assert "resize_to" in str(error)
    assert "data.resize_to" in refused_values({"data": {**values, "resize_to": 65}}).message


# The crop of a new training


@pytest.mark.parametrize("name", ["phoenix2014", "QUICKSTART", "csl-daily-corrnet-plus"])
def test_the_crop_of_a_shipped_recipe_is_for_its_frame_size(name: str) -> None:
    sizes = {"frame_size": 256, "crop_size": 224} if name != "QUICKSTART" else {"frame_size": 72, "crop_size": 64}
    assert load_recipe(name, ["optimizer.lr=1", "data.image_scale=1"]).data.model_dump(include=set(sizes)) == sizes


@pytest.mark.parametrize("setting", ["data.crop_size=64", " data.crop_size = 192", "data.frame_size=256"])
def test_a_crop_of_the_command_line_is_for_any_frame_size(setting: str) -> None:
    assert load_recipe("phoenix2014", [setting]).data.frame_size is None


@pytest.mark.parametrize(
    ("text", "frame_size"),
    [
        ("data: {crop_size: 64}", None),
        ("data: {crop_size: 64, frame_size: 72}", None),
        ("data: {frame_size: 300}", None),
        ("data: {flip_probability: 0}", 256),  # the default crop
        ("optimizer: {lr: 1}", 256),
    ],
)
def test_a_crop_of_the_user_s_file_is_for_any_frame_size(tmp_path: Path, text: str, frame_size: int | None) -> None:
    path = written(tmp_path, text)
    assert load_recipe(path).data.frame_size == frame_size
    assert load_recipe(path, ["data.crop_size=32"]).data.frame_size is None


def test_a_configuration_of_version_0_1_has_no_frame_size() -> None:
    assert Config.from_dict({"data": {"crop_size": 224, "image_scale": 1.0}}, "old").data.frame_size is None


@pytest.mark.parametrize("image_scale", [0.001, float("inf"), float("nan")])
def test_a_scale_that_leaves_no_picture_is_refused(image_scale: float) -> None:
    assert "data.image_scale" in refused_values({"data": {"image_scale": image_scale}}).message


@pytest.mark.parametrize("values", [{"width": 24}, {"blocks": [1, 1, 1, 1]}])
def test_imagenet_weights_for_another_network_than_resnet_18_are_refused(values: dict[str, Any]) -> None:
    assert "set model.pretrained=false" in refused_values({"model": values}).message
    assert not Config.from_dict({"model": {**values, "pretrained": False}}, "own.yaml").model.pretrained


def test_one_wrong_value_is_reported_once() -> None:
    assert refused_values({"model": {"width": 0}}).message == "own.yaml: model.width is 0"
    assert refused_values({"data": {"crop_size": 0}}).message == "own.yaml: data.crop_size is 0"


def test_a_recipe_from_which_no_gloss_is_learned_is_refused() -> None:
    assert "sequence_ctc" in refused_values({"loss": {"sequence_ctc": 0, "conv_ctc": 0}}).message
    assert Config.from_dict({"loss": {"conv_ctc": 0}}, "own.yaml").loss.conv_ctc == 0


def test_malformed_settings_are_reported_together() -> None:
    error = refused("phoenix2014", "epochs=3", "training.epochs", "a.b.c=1", "training.epochs=[", "training.seed=1")
    assert error.message.splitlines() == [
        "--set epochs=3: not a setting",
        "--set training.epochs: not a setting",
        "--set a.b.c=1: not a setting",
        "--set training.epochs=[: the value is not valid YAML",
    ]
    assert error.hint == "use section.key=value, for example optimizer.lr=5e-5"


@pytest.mark.parametrize("text", ["- a\n", "model\n", "3\n"])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    assert refused(path).message == f"{path}: not a configuration"


@pytest.mark.parametrize("content", [b"model: [\n", b"\xff\xfe\x00", b"a: b: c\n"])
def test_a_file_that_cannot_be_read_as_yaml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    assert refused(path).message.startswith((f"{path}: not YAML", f"{path}: not UTF-8"))


def test_a_section_that_is_a_value_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "model: corrnet\n")
    assert str(refused(path)) == f"{path}: model is 'corrnet'\nhint: write keys below it, such as name"
    assert "model is 'corrnet'" in str(refused(path, "model.width=64"))


def test_values_that_are_no_configuration_at_all_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"best\.pt: not a configuration"):
        Config.from_dict([1], "best.pt")  # type: ignore[arg-type]


def test_a_key_that_is_no_text_is_an_unknown_one(tmp_path: Path) -> None:
    assert "unknown key model.1" in refused(written(tmp_path, "model: {1: 2}\n")).message


def test_an_unknown_configuration_names_those_that_are_shipped() -> None:
    error = refused("phoenix2015")
    assert error.message == "unknown configuration 'phoenix2015'"
    assert all(name in str(error.hint) for name in shipped_configs())
    assert "did you mean phoenix2014-T?" in str(refused("phoenix2014T").hint)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.yaml").message == f"{tmp_path / 'no.yaml'}: no such configuration file"


# What follows from it


def test_the_distillation_counts_from_its_first_epoch_on() -> None:
    loss = LossConfig(distillation=25.0, distillation_from_epoch=3)
    assert [loss.weights(epoch)["distillation"] for epoch in (1, 2, 3, 4)] == [0, 0, 25, 25]
    assert {(loss.weights(epoch)["sequence_ctc"], loss.weights(epoch)["conv_ctc"]) for epoch in (1, 3)} == {(1, 1)}


def test_each_network_has_its_default_parts_unless_configured() -> None:
    parts = {name: ModelConfig(name=name).parts for name in NETWORKS}
    assert parts == {name: entry.parts for name, entry in NETWORKS.items()}
    own = ModelConfig(name="vac", shared_classifier=True, classifier="normalised").parts
    assert own == NETWORKS["vac-smkd"].parts
    assert ModelConfig(name="corrnet-plus", pool="max").parts.pool == "max"


def test_an_unknown_network_is_reported_with_the_known_names() -> None:
    hint = str(refused("phoenix2014", "model.name=corrnet+").hint)
    assert all(name in hint for name in NETWORKS)
    assert "did you mean corrnet" in hint


def test_only_a_network_with_lifting_pools_has_their_losses() -> None:
    common = {"sequence_ctc": 1.0, "conv_ctc": 1.0, "distillation": 25.0}
    for name in ("vac", "vac-smkd", "corrnet"):
        assert Config.from_dict({"model": {"name": name}}, "own").loss_weights(1) == common
    lifting = {"lifting_update": 5e-4, "lifting_prediction": 5e-4}
    assert Config.from_dict({"model": {"name": "corrnet-plus"}}, "own").loss_weights(1) == common | lifting
    without = {"model": {"name": "corrnet-plus", "pool": "max"}}
    assert Config.from_dict(without, "own").loss_weights(1) == common


def test_a_published_schedule_can_be_named_by_its_number() -> None:
    for number, layers in enumerate(PUBLISHED_SCHEDULES):
        assert load_config("phoenix2014", [f"model.temporal_layers={number}"]).model.temporal_layers == layers
    for number in (-1, 9):
        assert "0 to 8" in str(refused("phoenix2014", f"model.temporal_layers={number}").hint)
    assert "model.temporal_layers" in refused("phoenix2014", "model.temporal_layers=true").message


def test_a_lifting_pool_takes_pairs_of_steps() -> None:
    values = {"model": {"name": "corrnet-plus", "temporal_layers": ["K5", "P3"]}}
    assert "model.pool" in refused_values(values).message
    assert Config.from_dict({"model": {**values["model"], "pool": "max"}}, "own").model.parts.pool == "max"


def test_decoding_changes_only_where_something_is_given() -> None:
    decoding = load_config("phoenix2014").decoding
    assert changed_decoding(decoding) == decoding
    changed = changed_decoding(decoding, beam_width=3, decoder=None, keep_repeats=False)
    assert changed == decoding.model_copy(update={"beam_width": 3})
    with pytest.raises(ConfigError, match=r"decoding\.beam_width is 0"):
        changed_decoding(decoding, beam_width=0)
