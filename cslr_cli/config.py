"""The typed configuration: its shape is that of the YAML files in `configs/`.

Priority: command line (`--set a.b=c`) > configuration file > the defaults that stand here.
"""

from __future__ import annotations

import dataclasses
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
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from cslr_cli.choices import DecoderName, Tracker
from cslr_cli.config_faults import translate_validation_error
from cslr_cli.errors import ConfigError, did_you_mean
from cslr_cli.model.registry import NETWORKS, POOLS, Classifier, NetworkParts, Pool
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES, TemporalLayer

Precision = Literal["auto", "fp32", "bf16", "fp16"]
ScheduleKind = Literal["milestones", "one-cycle"]
Stage = Literal["layer1", "layer2", "layer3", "layer4"]
Fraction = Annotated[float, Field(ge=0, le=1)]


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
        raise PydanticCustomError(
            "network", "; ".join(filter(None, [f"the networks are {', '.join(NETWORKS)}", question]))
        )
    return name


NetworkName = Annotated[str, AfterValidator(_validate_network_name)]


class _Section(BaseModel):
    # Defaults are checked as well: `width: 24` makes the default of `pretrained` a wrong one.
    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _reject_booleans_as_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        expected = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and bool not in (expected, *get_args(expected)):
            raise PydanticCustomError("truth_value", "input should be neither true nor false")
        return value


class CorpusConfig(_Section):
    """Which corpus, and where it lies."""

    name: str = Field("phoenix2014", description="name of the corpus, as `cslr prepare` knows it")
    path: Path | None = Field(None, description="prepared corpus; default `prepared/NAME`")

    @property
    def folder(self) -> Path:
        """The prepared corpus' folder."""
        return self.path if self.path is not None else Path("prepared") / self.name


class DataConfig(_Section):
    """What happens to frames between the prepared corpus and the network."""

    crop_size: int = Field(224, ge=32, description="side of the square cut out of the prepared frame, pixels")
    image_scale: float = Field(1.0, gt=0, description="factor by which the crop is resized")
    frame_interval: int = Field(1, ge=1, description="take every n-th frame")
    flip_probability: Fraction = Field(0.5, description="chance that a training clip is mirrored")
    temporal_scale: Fraction = Field(0.2, description="training clips get 1 ± this times their length; 0: as they are")
    min_clip_frames: int = Field(32, ge=1, description="shortest resampled training clip, frames")
    max_clip_frames: int | None = Field(
        230, ge=1, description="longest training clip, frames: longer ones lose some of theirs; null: of any length"
    )
    colour_jitter: Fraction = Field(
        0.0, description="largest change of brightness, contrast and saturation of a training clip; 0: none"
    )
    num_workers: int = Field(4, ge=0, description="processes that read training clips")

    @property
    def max_clip_input_frames(self) -> int | None:
        """How many frames the network sees of a training clip at most, before rounding; None for any number."""
        return None if self.max_clip_frames is None else math.ceil(self.max_clip_frames / self.frame_interval)

    @property
    def input_size(self) -> int:
        """Side of the pictures that the network sees, pixels."""
        return int(self.crop_size * self.image_scale)

    @field_validator("image_scale")
    @classmethod
    def _check_input_size(cls, value: float, info: ValidationInfo) -> float:
        crop = info.data.get("crop_size")
        size = 32 if crop is None else int(crop * value)  # a wrong crop_size has its own error
        if size < 32 or size % 16:  # 16: what the stages before the last divide by
            raise ValueError(
                f"crop_size {crop} × image_scale {value:g} is {size} pixels; the network takes a multiple of 16 from 32"
            )
        return value


class ModelConfig(_Section):
    """The network."""

    name: NetworkName = Field("corrnet", description="which network: corrnet, corrnet-plus, vac or vac-smkd")
    width: int = Field(64, ge=1, description="channels of the first ResNet stage; 64 in ResNet-18")
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        (2, 2, 2, 2), description="residual blocks of each stage"
    )
    correlation_after: tuple[Stage, ...] = Field(
        ("layer2", "layer3", "layer4"), description="stages that a correlation block follows (not in VAC)"
    )
    temporal_layers: tuple[Layer, ...] = Field(
        PUBLISHED_SCHEDULES[2],
        description="K: convolution, P: pooling, with their sizes; or the number of a published schedule, 0 to 8",
    )
    hidden_size: int = Field(1024, ge=2, multiple_of=2, description="features of a step")
    pool: Pool | None = Field(None, description="max or lifting; null: as the network has it")
    classifier: Classifier | None = Field(None, description="linear or normalised; null: as the network has it")
    shared_classifier: bool | None = Field(
        None, description="one classifier for both heads, or one for each; null: as the network has it"
    )
    pretrained: bool = Field(True, description="start from ImageNet weights (width 64 only)")
    backbone_weights: Path | None = Field(None, description="file with ResNet-18's ImageNet weights")

    @field_validator("temporal_layers", mode="before")
    @classmethod
    def _expand_schedule_number(cls, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if value not in range(len(PUBLISHED_SCHEDULES)):
            raise PydanticCustomError("schedule", "the published schedules have the numbers 0 to 8")
        return PUBLISHED_SCHEDULES[value]

    @field_validator("temporal_layers")
    @classmethod
    def _check_has_layers(cls, layers: tuple[str, ...]) -> tuple[str, ...]:
        # Not by min_length: that counts only the layers that can be read.
        if not layers:
            raise ValueError("expected at least one layer, for example K5")
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
                f"a {effective} pool takes {size} steps, and temporal_layers has {wrong[0]}; set model.pool=max"
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
        """What the network is made of: what its name stands for, but for what is set here."""
        parts = NETWORKS[self.name].parts
        return dataclasses.replace(
            parts,
            pool=self.pool or parts.pool,
            classifier=self.classifier or parts.classifier,
            shared_classifier=parts.shared_classifier if self.shared_classifier is None else self.shared_classifier,
        )


class LossConfig(_Section):
    """Weights of the losses; one of weight 0 is not computed."""

    sequence_ctc: float = Field(1.0, ge=0, description="CTC on the LSTM's logits (SeqCTC)")
    conv_ctc: float = Field(1.0, ge=0, description="CTC on the temporal convolution's logits (ConvCTC)")
    distillation: float = Field(25.0, ge=0, description="the convolution learns from the LSTM (Dist)")
    distillation_from_epoch: int = Field(1, ge=1, description="first epoch in which the distillation counts")
    lifting_update: float = Field(5e-4, ge=0, description="on the sums of lifting pools, where there are some (Cu)")
    lifting_prediction: float = Field(
        5e-4, ge=0, description="on the differences of lifting pools, where there are some (Cp)"
    )

    @field_validator("conv_ctc")
    @classmethod
    def _check_ctc_weights(cls, value: float, info: ValidationInfo) -> float:
        if value == 0 and info.data.get("sequence_ctc") == 0:
            raise ValueError("sequence_ctc is 0 as well; one of the two must be more, or no gloss is ever learned")
        return value

    def weights(self, epoch: int) -> dict[str, float]:
        """The weight of each loss that every network has, in an epoch (from 1)."""
        distillation = self.distillation if epoch >= self.distillation_from_epoch else 0.0
        return {"sequence_ctc": self.sequence_ctc, "conv_ctc": self.conv_ctc, "distillation": distillation}


class OptimizerConfig(_Section):
    """Adam."""

    lr: float = Field(1e-4, gt=0, description="learning rate; the highest one under `one-cycle`")
    weight_decay: float = Field(1e-4, ge=0, description="added to the gradient (coupled, as in Adam's paper)")
    clip_norm: float | None = Field(None, gt=0, description="largest gradient norm; null: no clipping")


class ScheduleConfig(_Section):
    """How the learning rate changes."""

    kind: ScheduleKind = Field(
        "milestones", description="multiply at epochs, or rise and fall once over the whole training"
    )
    milestones: tuple[int, ...] = Field((20, 35), description="epochs after which the rate is multiplied by gamma")
    gamma: float = Field(0.2, gt=0, description="factor at each milestone")
    warmup: Fraction = Field(0.3, description="share of a one-cycle training in which the rate rises")


class TrainingConfig(_Section):
    """The course of a training."""

    epochs: int = Field(40, ge=1, description="times that every training clip is seen")
    batch_size: int = Field(2, ge=1, description="clips a step, over all devices")
    batch_frames: int | None = Field(
        None, ge=1, description="frames a step, padding included, in place of a number of clips; null: batch_size"
    )
    accumulation: int = Field(1, ge=1, description="parts of a batch that a device computes one after the other")
    activation_checkpointing: bool = Field(
        False, description="compute the backbone again in the backward pass: less memory, more time"
    )
    group_by_length: bool = Field(False, description="put clips of similar length into one batch, to pad little")
    seed: int = Field(0, ge=0, description="of everything random")
    precision: Precision = Field(
        "auto", description="auto: bf16 where the device has it fast, else fp16 on GPUs, else fp32"
    )
    num_threads: int | None = Field(
        None, ge=1, description="threads that compute on a CPU; null: as torch has it, usually one a core"
    )
    save_minutes: float | None = Field(
        10.0, gt=0, description="minutes from one save within an epoch to the next; null: only after each epoch"
    )
    evaluation_interval: int = Field(1, ge=1, description="epochs from one evaluation on dev to the next")
    short_first_epochs: int = Field(
        0, ge=0, description="epochs in which only clips of at most `short_glosses` glosses are trained on"
    )
    short_glosses: int = Field(3, ge=1, description="glosses of a clip that counts as short")
    init_weights: Path | None = Field(
        None, description="checkpoint whose weights a training starts from, in place of ImageNet's"
    )
    init_vocabulary: Path | None = Field(None, description="vocabulary of `init_weights`, if that is a published one")
    frozen: tuple[str, ...] = Field(
        (), description="parts of the network that stay as they are, by name, for example backbone.layer1"
    )
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="decay of the moving average of the weights, for example 0.999; null: none"
    )
    keep_best: int = Field(5, ge=0, description="epochs of lowest WER on dev whose weights stay in `epoch-N.pt`")
    keep_newest: int = Field(2, ge=0, description="newest epochs whose weights stay in `epoch-N.pt`")
    track: Tracker | None = Field(None, description="what else is told the figures; null: nothing")

    @field_validator("init_vocabulary")
    @classmethod
    def _check_init_vocabulary(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and info.data.get("init_weights") is None:
            raise ValueError("without init_weights there is no checkpoint that it could be the vocabulary of")
        return path


class DecodingConfig(_Section):
    """How logits become glosses."""

    decoder: DecoderName = Field("beam", description="which decoder")
    beam_width: int = Field(10, ge=1, description="prefixes kept a step")
    max_classes: int = Field(40, ge=1, description="best classes looked at a step")
    num_best: int = Field(1, ge=1, description="hypotheses given for a clip")
    keep_repeats: bool = Field(False, description="do not merge neighbouring equal glosses")
    language_model: Path | None = Field(
        None, description="ARPA or KenLM file of an n-gram model of glosses; needs decoder pyctcdecode"
    )
    lm_weight: float = Field(0.5, ge=0, description="how much the language model counts; the network counts 1")
    gloss_bonus: float = Field(
        0.0, description="added to a hypothesis' score for each gloss, with a language model; natural logarithm"
    )

    @field_validator("language_model")
    @classmethod
    def _check_language_model(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        decoder = info.data.get("decoder", "pyctcdecode")  # a wrong name has its own error
        if path is not None and decoder != "pyctcdecode":
            raise ValueError(f"a language model needs the decoder pyctcdecode, and decoding.decoder is {decoder}")
        return path


class Config(_Section):
    """All settings of a training or an evaluation."""

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
        """The weight of each loss that this network has, in an epoch (from 1)."""
        weights = self.loss.weights(epoch)
        return weights | {name: getattr(self.loss, name) for name in POOLS[self.model.parts.pool].losses}

    def with_corpus_name(self, name: str) -> Config:
        """The configuration that calls the corpus, at the place where it is, by its own name."""
        if name == self.corpus.name:
            return self
        corpus = self.corpus.model_copy(update={"name": name, "path": self.corpus.folder})
        return self.model_copy(update={"corpus": corpus})

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, as YAML and checkpoints hold them."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The configuration as a YAML file."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Config:
        """Check plain values, for example those of a checkpoint.

        Args:
            values: sections by name; one without a value has the defaults.
            where: what to call the source in an error.

        Raises:
            ConfigError: unknown keys or wrong values; all of them at once.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise translate_validation_error(error, where, _known_keys()) from error


def shipped_configs() -> list[str]:
    """Names of the configurations that come with the package."""
    return sorted(path.stem for path in _config_dir().glob("*.yaml"))


def load_config(source: str | Path, settings: Sequence[str] = ()) -> Config:
    """Read a configuration file and change it by `--set` settings.

    Args:
        source: the name of a shipped configuration (`phoenix2014`, in any case) or the path of a YAML file.
        settings: `section.key=value`, the value written as in YAML; later ones win.

    Raises:
        ConfigError: no such file, no YAML, unknown keys or wrong values; all of them at once.
    """
    path = _find_config(source)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({error})") from error
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a configuration", "expected sections such as 'model:' with keys below them")
    apply_settings(values, settings)
    return Config.from_dict(values, f"{source} with --set" if settings else str(source))


def apply_settings(values: dict[str, Any], settings: Sequence[str]) -> None:
    """Change plain values, sections by name, by `section.key=value` settings; later ones win.

    Raises:
        ConfigError: a setting has another form; all of them at once.
    """
    faults = [fault for setting in settings if (fault := _apply_setting(values, setting)) is not None]
    if faults:
        raise ConfigError("\n".join(faults), "expected section.key=value, for example optimizer.lr=5e-5")


def changed_decoding(decoding: DecodingConfig, **changes: Any) -> DecodingConfig:
    """The decoding with some settings changed; those that are None stay as they are.

    Raises:
        ConfigError: a value is wrong.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    return Config.from_dict({"decoding": {**decoding.model_dump(), **given}}, "decoding").decoding


def _config_dir() -> Path:
    """`configs/` inside an installed package, or beside the package in a checkout."""
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
    shipped = f"shipped are {', '.join(shipped_configs())}; or give a .yaml file"
    raise ConfigError(f"'{source}' is no configuration", f"{question} {shipped}".lstrip())


def _apply_setting(values: dict[str, Any], setting: str) -> str | None:
    """Put a setting into `values`, or say what is wrong with its form."""
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) != 2 or not all(parts):
        return f"--set {setting}: not a setting"
    section, name = parts
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return f"--set {setting}: the value cannot be read as YAML"
    if isinstance(value, str):  # YAML 1.1 takes 5e-5, without a point, for a word
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
    """The keys of each section."""
    sections = {name: field.annotation for name, field in Config.model_fields.items()}
    return {
        name: list(section.model_fields)
        for name, section in sections.items()
        if isinstance(section, type) and issubclass(section, BaseModel)
    }
