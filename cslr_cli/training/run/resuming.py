"""Going on with a run: with which configuration, and whether all else is as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cslr_cli.checkpoints.checkpoint import Checkpoint, CorpusOrigin, load_checkpoint
from cslr_cli.config import Config, load_config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CheckpointError, ConfigError, DataError, join_faults
from cslr_cli.training.run.folder import RunFolder

_GLOSSES_NAMED = 5
# Where a network's first weights come from: of no matter to one that has weights.
_START_KEYS = ("model.pretrained", "model.backbone_weights")


def resumed_config(run: RunFolder, settings: Sequence[str] = (), other: str | Path | None = None) -> Config:
    """The configuration to go on with: the run's own, changed only where settings say so.

    Args:
        run: to be resumed.
        settings: `section.key=value`, as `--set` has them.
        other: a configuration that the user takes for the run's; None: none was named.

    Raises:
        ConfigError: a configuration cannot be read, or differs from that of the run's last save in keys that no
            setting names: the other one, or the run's `config.yaml`, which somebody has edited.
        CheckpointError: the run's last save cannot be read.
    """
    config = load_config(run.config, settings)
    if other is not None:
        _refuse(
            differences(config, load_config(other, settings)),
            (other, run.path),
            "--resume goes on with the run's own configuration, so leave --config out",
        )
    if run.last.is_file():
        edited = differences(load_checkpoint(run.last).config, load_config(run.config))
        unnamed = {key: values for key, values in edited.items() if key not in keys_named(settings)}
        _refuse(unnamed, (run.config, run.last), "the run's last save was made with other values, so put them back")
    return config


def keys_named(settings: Sequence[str]) -> set[str]:
    """The keys, `section.key`, that settings as `--set` has them give a value."""
    return {setting.partition("=")[0].strip() for setting in settings}


def _refuse(differing: Mapping[str, tuple[Any, Any]], places: tuple[str | Path, Path], way_back: str) -> None:
    """Refuse a configuration that is not the run's.

    Args:
        differing: keys, each with its value in the run and in the other configuration; if there are none, all is well.
        places: where the other one stands, and where the run's.
        way_back: how not to change the run.

    Raises:
        ConfigError: there are some.
    """
    if not differing:
        return
    changes = " ".join(f"--set {key}={_as_yaml(theirs)}" for key, (_, theirs) in differing.items())
    faults = [
        f"{places[0]}: {key} is {_as_yaml(theirs)}, in {places[1]} it is {_as_yaml(ours)}"
        for key, (ours, theirs) in differing.items()
    ]
    raise ConfigError(join_faults(faults), f"{way_back};\nor to change the run, name each key: {changes}")


def differences(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """The keys, `section.key`, in which two configurations differ, with both values."""
    ours, theirs = one.to_dict(), other.to_dict()
    return {
        f"{section}.{key}": (value, theirs[section][key])
        for section, values in ours.items()
        for key, value in values.items()
        if value != theirs[section][key]
    }


def changes_told(before: Config, now: Config) -> str:
    """What changed in a configuration, in a line; empty if nothing has."""
    changed = differences(before, now).items()
    return ", ".join(f"{key} {_as_yaml(then)} → {_as_yaml(new)}" for key, (then, new) in changed)


def check_same_network(before: Config, now: Config, path: Path) -> None:
    """Refuse to go on with another network.

    Args:
        before: the configuration that a checkpoint was saved with.
        now: the one to go on with.
        path: of the checkpoint.

    Raises:
        CheckpointError: what the network is made of has changed; the keys are named.
    """
    changed = [
        f"{key} was {_as_yaml(then)} and is {_as_yaml(new)}"
        for key, (then, new) in differences(before, now).items()
        if key.startswith("model.") and key not in _START_KEYS
    ]
    if changed:
        raise CheckpointError(
            f"{path}: not the state of a training with this configuration: {', '.join(changed)}",
            "change that back, in config.yaml or by --set; or start another run by --name",
        )


def check_same_corpus(checkpoint: Checkpoint, corpus: PreparedCorpus, run: Path) -> None:
    """Refuse to go on with a corpus that is not the one that a run began with; it may have moved.

    Raises:
        DataError: it is another; what differs is named.
    """
    then, now = checkpoint.corpus, CorpusOrigin.from_corpus(corpus)
    differing = [
        f"its {name} was {getattr(then, name)} and is {getattr(now, name)}"
        for name in ("name", "protocol", "fps", "frame_size", "interpolation", "aspect")
        if getattr(then, name) != getattr(now, name)
    ]
    known, there = checkpoint.vocabulary.glosses, corpus.vocabulary.glosses
    if known != there:
        differing.append(_vocabularies_told(known, there))
    if differing:
        raise DataError(
            f"{corpus.path}: not the corpus that {run} began with: {'; '.join(differing)}",
            "prepare it as it was; or start another run by --name, from these weights by --init-weights "
            f"{run / 'best.pt'}",
        )


def _vocabularies_told(known: Sequence[str], there: Sequence[str]) -> str:
    new, gone = sorted(set(there) - set(known)), sorted(set(known) - set(there))
    if not new and not gone:
        return "its vocabulary has the glosses in another order"
    counts = [
        f"{len(glosses)} {word} ({_some(glosses)})" for glosses, word in ((new, "new"), (gone, "gone")) if glosses
    ]
    return f"its vocabulary has other glosses: {', '.join(counts)}"


def _some(glosses: Sequence[str]) -> str:
    return ", ".join(glosses[:_GLOSSES_NAMED]) + (" …" if len(glosses) > _GLOSSES_NAMED else "")


def _as_yaml(value: Any) -> str:
    """A value in one line, as `--set` reads it."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")
