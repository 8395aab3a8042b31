"""The typed configuration, with the same sections and keys as the YAML files in `configs/`.

Priority: command line (`--set a.b=c`), then configuration file, then the defaults below.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from cslr_cli.choices import DecoderName, Precision, Tracker
from cslr_cli.config_faults import translate_validation_error
from cslr_cli.errors import ConfigError, did_you_mean
from cslr_cli.files import relative_path
from cslr_cli.model.registry import NETWORKS, POOLS, Classifier, NetworkParts, Pool
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES, TemporalLayer, TemporalPlan
from cslr_cli.untrusted import MAX_FRAME_SIDE, UntrustedDataError, parse_yaml, read_yaml

_log = logging.getLogger(__name__)

ScheduleKind = Literal["milestones", "one-cycle"]
Stage = Literal["layer1", "layer2", "layer3", "layer4"]
Fraction = Annotated[float, Field(ge=0, le=1)]
NumBlocks = Annotated[int, Field(ge=1, le=1000)]

# Frames per step of the published networks: 4.
_MAX_STRIDE = 1024
# The keys of `data` with which a user sets a crop.
_CROP_KEYS = {"crop_size", "frame_size"}


def _validate_layer(text: str) -> str:
    try:
        TemporalLayer.parse(text)
    except ConfigError as error:
        raise PydanticCustomError("temporal_layer", str(error.hint)) from error
    return text


Layer = Annotated[str, AfterValidator(_validate_layer)]


def _validate_network_name(name: str) -> str:
    if name not in NETWORKS:
        question = did_you_mean(name, NETWORKS)
        raise PydanticCustomError("network", "; ".join(filter(None, [f"use one of {', '.join(NETWORKS)}", question])))
    return name


NetworkName = Annotated[str, AfterValidator(_validate_network_name)]


class _Section(BaseModel):
    # Defaults are also validated: with `width: 24`, the default of `pretrained` is wrong.
    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _reject_booleans_as_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        expected = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and bool not in (expected, *get_args(expected)):
            raise PydanticCustomError("truth_value", "input should not be true or false")
        return value


class CorpusConfig(_Section):
    """The corpus."""

    name: str = Field("phoenix2014", description="name of the corpus, as in `cslr prepare NAME`")
    path: Path | None = Field(None, description="folder of the prepared corpus; null: prepared/NAME")

    @property
    def folder(self) -> Path:
        """Folder of the prepared corpus."""
        return self.path if self.path is not None else Path("prepared") / self.name


class DataConfig(_Section):
    """Sampling, cropping and augmentation of the prepared frames."""

    frame_size: int | None = Field(
        256,
        ge=1,
        le=MAX_FRAME_SIDE,
        description="side of the prepared frames that crop_size is for, pixels; a training scales the crop to a corpus "
        "with other frames; null: the crop is never scaled",
    )
    crop_size: int = Field(
        224, ge=1, le=MAX_FRAME_SIDE, description="side of the square crop of the prepared frame, pixels"
    )
    resize_to: int | None = Field(
        None,
        ge=32,
        le=MAX_FRAME_SIDE,
        multiple_of=16,
        description="side that the crop is resized to, pixels; null: crop_size × image_scale",
    )
    image_scale: float = Field(1.0, gt=0, le=100, description="scale factor from the crop to the network's input")
    frame_interval: int = Field(1, ge=1, le=1000, description="use every n-th frame")
    flip_probability: Fraction = Field(0.5, description="probability that a training clip is mirrored")
    temporal_scale: Fraction = Field(0.2, description="training clips get 1 ± this times their length; 0: unchanged")
    min_clip_frames: int = Field(32, ge=1, le=100_000, description="shortest resampled training clip, frames")
    max_clip_frames: int | None = Field(
        230, ge=1, le=1_000_000, description="longest training clip, frames; longer clips are shortened; null: no limit"
    )
    colour_jitter: Fraction = Field(
        0.0, description="maximum relative change of brightness, contrast and saturation of a training clip; 0: none"
    )
    num_workers: int = Field(4, ge=0, le=4096, description="number of processes that read training clips")

    @property
    def max_clip_input_frames(self) -> int | None:
        """Maximum number of frames of a training clip that the network sees, before padding; None without limit."""
        return None if self.max_clip_frames is None else math.ceil(self.max_clip_frames / self.frame_interval)

    @property
    def input_size(self) -> int:
        """Side of the network's input frames, pixels."""
        return int(self.crop_size * self.image_scale) if self.resize_to is None else self.resize_to

    @model_validator(mode="before")
    @classmethod
    def _leave_own_crop_unscaled(cls, values: Any) -> Any:
        # The default of frame_size belongs to the default crop. Checkpoints of cslr 0.1 have only a crop.
        if isinstance(values, Mapping) and "crop_size" in values and "frame_size" not in values:
            return {**values, "frame_size": None}
        return values

    @field_validator("image_scale")
    @classmethod
    def _check_input_size(cls, value: float, info: ValidationInfo) -> float:
        if info.data.get("resize_to", 0) is not None:  # a wrong one has its own error
            if value != 1 and "resize_to" in info.data:
                raise ValueError("resize_to is also set; remove one of the two")
            return value
        crop = info.data.get("crop_size")
        size = 32 if crop is None else int(crop * value)  # a wrong crop_size has its own error
        if size < 32 or size % 16:  # 16: the downsampling before the last stage
            raise ValueError(
                f"crop_size {crop} × image_scale {value:g} is {size} pixels; use a multiple of 16, at least 32"
            )
        return value


class ModelConfig(_Section):
    """The network."""

    name: NetworkName = Field("corrnet", description="network: corrnet, corrnet-plus, vac or vac-smkd")
    width: int = Field(64, ge=1, le=4096, description="channels of the first ResNet stage (64 in ResNet-18)")
    blocks: tuple[NumBlocks, NumBlocks, NumBlocks, NumBlocks] = Field(
        (2, 2, 2, 2), description="number of residual blocks of each stage"
    )
    correlation_after: tuple[Stage, ...] = Field(
        ("layer2", "layer3", "layer4"), description="stages followed by a correlation block (not in VAC)"
    )
    temporal_layers: tuple[Layer, ...] = Field(
        PUBLISHED_SCHEDULES[2],
        description="K (convolution) or P (pool) with its size; or the number of a published schedule, 0 to 8",
    )
    hidden_size: int = Field(1024, ge=2, le=65536, multiple_of=2, description="size of step features and LSTM output")
    pool: Pool | None = Field(None, description="pool: max or lifting; null: the network's default")
    classifier: Classifier | None = Field(None, description="linear or normalised; null: the network's default")
    shared_classifier: bool | None = Field(
        None, description="whether both heads share one classifier; null: the network's default"
    )
    pretrained: bool = Field(True, description="start from ImageNet weights (only for width 64)")
    backbone_weights: Path | None = Field(None, description="file of ImageNet weights; null: download them")

    @field_validator("temporal_layers", mode="before")
    @classmethod
    def _expand_schedule_number(cls, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if value not in range(len(PUBLISHED_SCHEDULES)):
            raise PydanticCustomError("schedule", "use a schedule number from 0 to 8")
        return PUBLISHED_SCHEDULES[value]

    @field_validator("temporal_layers")
    @classmethod
    def _check_has_layers(cls, layers: tuple[str, ...]) -> tuple[str, ...]:
        # min_length would count only the valid layers.
        if not layers:
            raise ValueError("no layers; use at least one, for example K5")
        if (stride := TemporalPlan.parse(layers).stride) > _MAX_STRIDE:
            raise ValueError(f"a step would be {stride} frames long; use pools with a product of at most {_MAX_STRIDE}")
        return layers

    @field_validator("pool")
    @classmethod
    def _check_pool_size(cls, pool: Pool | None, info: ValidationInfo) -> Pool | None:
        entry = NETWORKS.get(info.data.get("name", ""))  # an unknown name has its own error
        effective = pool or (entry.parts.pool if entry else "max")
        size = POOLS[effective].size
        wrong = [layer for layer in info.data.get("temporal_layers", ()) if layer[0] == "P" and layer != f"P{size}"]
        if size is not None and wrong:
            raise ValueError(
                f"a {effective} pool needs P{size}, but temporal_layers has {wrong[0]}; set model.pool=max"
            )
        return pool

    @field_validator("pretrained")
    @classmethod
    def _check_pretrained_fits(cls, pretrained: bool, info: ValidationInfo) -> bool:
        # Wrong widths and blocks have their own errors.
        width, blocks = info.data.get("width", 64), info.data.get("blocks", (2, 2, 2, 2))
        if pretrained and (width, blocks) != (64, (2, 2, 2, 2)):
            raise ValueError("ImageNet weights fit width 64 and blocks [2, 2, 2, 2] only; set model.pretrained=false")
        return pretrained

    @property
    def parts(self) -> NetworkParts:
        """Parts of the network: its defaults, replaced by what this section sets."""
        parts = NETWORKS[self.name].parts
        return dataclasses.replace(
            parts,
            pool=self.pool or parts.pool,
            classifier=self.classifier or parts.classifier,
            shared_classifier=parts.shared_classifier if self.shared_classifier is None else self.shared_classifier,
        )


class LossConfig(_Section):
    """Weights of the losses; losses of weight 0 are not computed."""

    sequence_ctc: float = Field(1.0, ge=0, description="weight of CTC on the LSTM's logits (SeqCTC)")
    conv_ctc: float = Field(1.0, ge=0, description="weight of CTC on the temporal convolution's logits (ConvCTC)")
    distillation: float = Field(25.0, ge=0, description="weight of the LSTM-to-convolution distillation (Dist)")
    distillation_from_epoch: int = Field(1, ge=1, description="first epoch with distillation")
    lifting_update: float = Field(5e-4, ge=0, description="weight of the update loss of lifting pools (Cu)")
    lifting_prediction: float = Field(5e-4, ge=0, description="weight of the prediction loss of lifting pools (Cp)")

    @field_validator("conv_ctc")
    @classmethod
    def _check_ctc_weights(cls, value: float, info: ValidationInfo) -> float:
        if value == 0 and info.data.get("sequence_ctc") == 0:
            raise ValueError("sequence_ctc is also 0; no gloss would be learned, so set one of them above 0")
        return value

    def weights(self, epoch: int) -> dict[str, float]:
        """Return the weights, in an epoch (from 1), of the losses that all networks have."""
        distillation = self.distillation if epoch >= self.distillation_from_epoch else 0.0
        return {"sequence_ctc": self.sequence_ctc, "conv_ctc": self.conv_ctc, "distillation": distillation}


class OptimizerConfig(_Section):
    """The optimizer, Adam."""

    lr: float = Field(1e-4, gt=0, description="learning rate; with one-cycle, its maximum")
    weight_decay: float = Field(1e-4, ge=0, description="weight decay, coupled (added to the gradient)")
    clip_norm: float | None = Field(None, gt=0, description="maximum gradient norm; null: no clipping")


class ScheduleConfig(_Section):
    """The learning rate schedule."""

    kind: ScheduleKind = Field("milestones", description="milestones (steps down) or one-cycle (rises and falls once)")
    milestones: tuple[int, ...] = Field((20, 35), description="epochs after which the rate is multiplied by gamma")
    gamma: float = Field(0.2, gt=0, description="factor at each milestone")
    warmup: Fraction = Field(0.3, description="fraction of the steps of one-cycle in which the learning rate rises")


class TrainingConfig(_Section):
    """The training run."""

    epochs: int = Field(40, ge=1, le=1_000_000, description="number of passes over the training clips")
    batch_size: int = Field(2, ge=1, le=1_000_000, description="clips per step, over all devices")
    batch_frames: int | None = Field(
        None, ge=1, description="maximum frames per step including padding, instead of batch_size; null: use batch_size"
    )
    accumulation: int = Field(1, ge=1, le=1_000_000, description="parts in which a device computes its batch")
    activation_checkpointing: bool = Field(
        False, description="recompute the backbone in the backward pass: less memory, more time"
    )
    group_by_length: bool = Field(False, description="group clips of similar length in a batch, to reduce padding")
    seed: int = Field(0, ge=0, lt=2**63, description="random seed")
    precision: Precision = Field(
        "auto",
        description="auto: bf16 if the device computes it fast, else fp16 on a GPU and fp32 on a CPU",
    )
    num_threads: int | None = Field(
        None, ge=1, description="number of CPU threads; null: torch's default, usually one per core"
    )
    save_minutes: float | None = Field(
        10.0, gt=0, description="minutes between saves within an epoch; null: save only after each epoch"
    )
    evaluation_interval: int = Field(1, ge=1, description="number of epochs between evaluations on dev")
    short_first_epochs: int = Field(
        0, ge=0, description="number of first epochs with only the clips of at most short_glosses glosses"
    )
    short_glosses: int = Field(3, ge=1, description="maximum number of glosses of a short clip")
    init_weights: Path | None = Field(None, description="checkpoint to start from, instead of ImageNet weights")
    init_vocabulary: Path | None = Field(None, description="vocabulary of a published checkpoint in init_weights")
    frozen: tuple[str, ...] = Field(
        (), description="names of modules that are not trained, for example backbone.layer1"
    )
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay of the moving average of the weights, for example 0.999; null: no average",
    )
    keep_best: int = Field(5, ge=0, description="number of epochs with the lowest WER on dev whose epoch-N.pt is kept")
    keep_newest: int = Field(2, ge=0, description="number of newest epochs whose epoch-N.pt is kept")
    track: Tracker | None = Field(None, description="also log to this tracker: tensorboard; null: no tracker")

    @field_validator("init_vocabulary")
    @classmethod
    def _check_init_vocabulary(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and info.data.get("init_weights") is None:
            raise ValueError("init_weights is not set; set it, or remove init_vocabulary")
        return path


class DecodingConfig(_Section):
    """The decoder: from logits to glosses."""

    decoder: DecoderName = Field("beam", description="decoder: beam, greedy or pyctcdecode")
    beam_width: int = Field(10, ge=1, le=100_000, description="number of prefixes kept per step")
    max_classes: int = Field(40, ge=1, le=1_000_000, description="number of best classes considered per step")
    num_best: int = Field(1, ge=1, le=100_000, description="number of hypotheses per clip")
    keep_repeats: bool = Field(False, description="keep adjacent repeats of a gloss (published systems merge them)")
    language_model: Path | None = Field(
        None, description="n-gram model of glosses, ARPA or KenLM file; requires decoder pyctcdecode"
    )
    lm_weight: float = Field(0.5, ge=0, description="weight of the language model's score (the network's: 1)")
    gloss_bonus: float = Field(0.0, description="score added per gloss (natural logarithm), with a language model")

    @field_validator("language_model")
    @classmethod
    def _check_language_model(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        decoder = info.data.get("decoder", "pyctcdecode")  # a wrong name has its own error
        if path is not None and decoder != "pyctcdecode":
            raise ValueError(f"decoding.decoder is {decoder}; a language model requires pyctcdecode")
        return path


class Config(_Section):
    """All settings of a training or an evaluation.

    Example:
        >>> config = Config.from_dict({"model": {"name": "vac"}, "training": {"epochs": 10}}, "example")
        >>> config.training.epochs, config.data.input_size, config.model.parts.classifier
        (10, 224, 'linear')
        >>> config = load_config("phoenix2014", ["optimizer.lr=5e-5"])
    """

    corpus: CorpusConfig = CorpusConfig()
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    training: TrainingConfig = TrainingConfig()
    decoding: DecodingConfig = DecodingConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_empty_sections(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {name: {} if section is None else section for name, section in values.items()}

    def loss_weights(self, epoch: int) -> dict[str, float]:
        """Return the weights, in an epoch (from 1), of all losses of the configured network."""
        weights = self.loss.weights(epoch)
        return weights | {name: getattr(self.loss, name) for name in POOLS[self.model.parts.pool].losses}

    def with_corpus_name(self, name: str) -> Config:
        """Return the configuration with this corpus name and the same corpus folder."""
        if name == self.corpus.name:
            return self
        corpus = self.corpus.model_copy(update={"name": name, "path": self.corpus.folder})
        return self.model_copy(update={"corpus": corpus})

    def with_corpus_folder(self, folder: Path) -> Config:
        """Return the configuration with another folder of the prepared corpus; unchanged if it is the same folder."""
        path = relative_path(folder)
        if path == relative_path(self.corpus.folder):
            return self
        return self.model_copy(update={"corpus": self.corpus.model_copy(update={"path": Path(path)})})

    def with_relative_paths(self) -> Config:
        """Return the configuration with all paths relative to the current folder, as runs and checkpoints store it."""
        changed: dict[str, BaseModel] = {}
        for name in type(self).model_fields:
            section = getattr(self, name)
            paths = {key: value for key, value in section if isinstance(value, Path) and value.is_absolute()}
            if paths:
                relative = {key: Path(relative_path(value)) for key, value in paths.items()}
                changed[name] = section.model_copy(update=relative)
        return self.model_copy(update=changed)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, for YAML files and checkpoints."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """Return the configuration as the text of a YAML file."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Config:
        """Validate plain values, for example those of a checkpoint.

        Args:
            values: sections by name; missing sections and keys have their defaults.
            where: name of the source, for messages.

        Raises:
            ConfigError: unknown keys or wrong values; all are listed.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise translate_validation_error(error, where, _known_keys()) from error


def shipped_configs() -> list[str]:
    """Return the names of the configurations in the package."""
    return sorted(path.stem for path in _config_dir().glob("*.yaml"))


def load_config(source: str | Path, settings: Sequence[str] = ()) -> Config:
    """Read a configuration and apply `--set` settings.

    Args:
        source: name of a shipped configuration (`phoenix2014`, case-insensitive) or path of a YAML file.
        settings: `section.key=value` with a YAML value; later settings win.

    Raises:
        ConfigError: no such file, invalid YAML, unknown keys or wrong values; all are listed.
    """
    path = _find_config(source)
    _log.debug("configuration %s with %s", path, list(settings) or "no changes")
    try:
        values = read_yaml(path)
    except UntrustedDataError as error:
        raise ConfigError(error.message) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a configuration", "write sections such as 'model:' with keys below them")
    apply_settings(values, settings)
    return Config.from_dict(values, f"{source} with --set" if settings else str(source))


def load_recipe(source: str | Path, settings: Sequence[str] = ()) -> Config:
    """Read the configuration of a new training, as `load_config` does, so that the user's own crop is never scaled.

    The crop is the user's own if a setting or the user's own file has `data.crop_size` or `data.frame_size`.
    `data.frame_size` is None then.
    """
    config = load_config(source, settings)
    changed = {f"data.{name}" for name in _CROP_KEYS} & {setting.partition("=")[0].strip() for setting in settings}
    in_own_file = not is_shipped_config(source) and bool(_CROP_KEYS & config.data.model_fields_set)
    if not changed and not in_own_file:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"frame_size": None})})


def is_shipped_config(source: str | Path) -> bool:
    """Return whether a source of `load_config` is the name of a configuration in the package."""
    return _find_config(source).parent == _config_dir()


def apply_settings(values: dict[str, Any], settings: Sequence[str]) -> None:
    """Apply `section.key=value` settings to plain values (sections by name); later settings win."""
    faults = [fault for setting in settings if (fault := _apply_setting(values, setting)) is not None]
    if faults:
        raise ConfigError("\n".join(faults), "use section.key=value, for example optimizer.lr=5e-5")


def changed_decoding(decoding: DecodingConfig, **changes: Any) -> DecodingConfig:
    """Return the decoding section with some settings changed; settings of None stay unchanged."""
    given = {name: value for name, value in changes.items() if value is not None}
    return Config.from_dict({"decoding": {**decoding.model_dump(), **given}}, "decoding").decoding


def _config_dir() -> Path:
    """Return `configs/` inside an installed package, or next to the package in a checkout."""
    installed = Path(__file__).parent / "configs"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "configs"


def _find_config(source: str | Path) -> Path:
    path = Path(source)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if path.is_file():
            return path
        raise ConfigError(f"{path}: no such configuration file")
    for name in shipped_configs():
        if name.lower() == str(source).lower():
            return _config_dir() / f"{name}.yaml"
    question = did_you_mean(str(source), shipped_configs())
    shipped = f"use a .yaml file or one of {', '.join(shipped_configs())}"
    raise ConfigError(f"unknown configuration '{source}'", f"{question} {shipped}".lstrip())


def _apply_setting(values: dict[str, Any], setting: str) -> str | None:
    """Put a setting into `values`; return a message if its form is wrong."""
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) != 2 or not all(parts):
        return f"--set {setting}: not a setting"
    section, name = parts
    try:
        value = parse_yaml(text)
    except UntrustedDataError:
        return f"--set {setting}: the value is not valid YAML"
    if isinstance(value, str):  # in YAML 1.1, 5e-5 without a point is text
        value = _number_or_text(value)
    if values.get(section) is None:
        values[section] = {}
    if isinstance(values[section], dict):
        values[section][name] = value
    return None


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _known_keys() -> dict[str, list[str]]:
    """Return the keys of each section."""
    sections = {name: field.annotation for name, field in Config.model_fields.items()}
    return {
        name: list(section.model_fields)
        for name, section in sections.items()
        if isinstance(section, type) and issubclass(section, BaseModel)
    }
