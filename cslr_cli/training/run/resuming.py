"""Resuming a run: the configuration to continue with, and the checks that network and corpus are the same.

A resume is also validated in `cli/train` (options that conflict with `--resume`), `run/folder.RunFolder.existing` (the
folder and its format) and `run/state.TrainingState.restore` (the contents of `last.pt`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin, FoundCorpus, find_corpus, read_origin
from cslr_cli.config import Config, load_config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CheckpointError, ConfigError, DataError, join_faults
from cslr_cli.training.run.folder import RunFolder
from cslr_cli.training.run.state import TrainingState
from cslr_cli.training.start_points import START_WEIGHT_KEYS

# Glosses that a message names.
_GLOSSES_NAMED = 5


@dataclass(frozen=True)
class ResumedRun:
    """What a run is resumed with.

    Attributes:
        config: configuration to continue with; its corpus is the one that was found.
        corpus: corpus to continue with, and why this one; None for that of the configuration, because the run stores
            nothing about it: version 0.1 stopped it before the first save.
    """

    config: Config
    corpus: FoundCorpus | None


def load_resumed_run(run: RunFolder, settings: Sequence[str] = (), other: str | Path | None = None) -> ResumedRun:
    """Load the configuration to resume a run with, the run's own changed only by settings, and find its corpus.

    Args:
        run: run to be resumed.
        settings: changes, `section.key=value`, as in `--set`; `corpus.path` names the corpus, as `--corpus` does.
        other: another configuration that the user has given; None if there is none.

    Raises:
        ConfigError: a configuration cannot be read; or `other`, or the run's `config.yaml`, which was edited, differs
            from that of the run's last save in keys that no setting names.
        CheckpointError: the run's last save cannot be read.
        DataError: the corpus cannot be found or read.
    """
    config = load_config(run.config, settings)
    if other is not None:
        _validate_same_config(
            compare_configs(config.with_relative_paths(), load_config(other, settings).with_relative_paths()),
            (other, run.path),
            "remove --config, since --resume uses the run's own configuration",
        )
    keys = setting_keys(settings)
    given = config.corpus.path if "corpus.path" in keys else None
    if not run.last.is_file():
        origin = read_origin(run.recorded_corpus(), run.path)
        return ResumedRun(config, None) if origin is None else _with_corpus(config, find_corpus(origin, given))
    last = load_checkpoint(run.last)
    edited = compare_configs(last.config.with_relative_paths(), load_config(run.config).with_relative_paths())
    unnamed = {key: values for key, values in edited.items() if key not in keys}
    _validate_same_config(unnamed, (run.config, run.last), "restore the values of the run's last save")
    return _with_corpus(config, find_corpus(last.corpus, given, run.path))


def _with_corpus(config: Config, found: FoundCorpus) -> ResumedRun:
    return ResumedRun(config.with_corpus_folder(found.corpus.path), found)


def setting_keys(settings: Sequence[str]) -> set[str]:
    """The keys, `section.key`, that settings of the form `section.key=value` name."""
    return {setting.partition("=")[0].strip() for setting in settings}


def _validate_same_config(
    differences: Mapping[str, tuple[Any, Any]], places: tuple[str | Path, Path], way_back: str
) -> None:
    """Raise a ConfigError if there are differences between the configuration of the run and another one.

    Args:
        differences: differing keys with their values in the run and in the other configuration.
        places: paths of the other configuration and of the run's.
        way_back: hint how to leave the run unchanged.
    """
    if not differences:
        return
    changes = " ".join(f"--set {key}={_as_yaml(other)}" for key, (_, other) in differences.items())
    faults = [
        f"{places[0]}: {key} is {_as_yaml(other)}, in {places[1]} it is {_as_yaml(run)}"
        for key, (run, other) in differences.items()
    ]
    raise ConfigError(join_faults(faults), f"{way_back};\nor change the run with: {changes}")


def compare_configs(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """The keys, `section.key`, in which two configurations differ, with both values."""
    values, other_values = one.to_dict(), other.to_dict()
    return {
        f"{section}.{key}": (value, other_values[section][key])
        for section, keys in values.items()
        for key, value in keys.items()
        if value != other_values[section][key]
    }


def resume_state(run: RunFolder, state: TrainingState, config: Config, corpus: PreparedCorpus) -> str:
    """Restore the state of a run's last save.

    Args:
        run: run with a `last.pt`.
        state: fresh state, to be restored.
        config: configuration to continue with.
        corpus: corpus to continue with.

    Returns:
        The changes of the configuration since the last save, one line; empty if there are none.

    Raises:
        CheckpointError: the last save cannot be read, or is of another network.
        DataError: the corpus is not the corpus of the run.
    """
    checkpoint = load_checkpoint(run.last)
    validate_same_corpus(checkpoint, corpus, run.path)
    validate_same_network(checkpoint.config, config, run.last)
    state.restore(checkpoint, run.last)
    changes = compare_configs(checkpoint.config, config).items()
    return ", ".join(f"{key} {_as_yaml(before)} → {_as_yaml(now)}" for key, (before, now) in changes)


def validate_same_network(before: Config, now: Config, path: Path) -> None:
    """Check that a run continues with the same network.

    Args:
        before: configuration of a checkpoint.
        now: configuration to continue with.
        path: path of the checkpoint.

    Raises:
        CheckpointError: settings of the network have changed; the message names them.
    """
    changed = [
        f"{key} was {_as_yaml(then)} and is {_as_yaml(new)}"
        for key, (then, new) in compare_configs(before, now).items()
        if key.startswith("model.") and key.removeprefix("model.") not in START_WEIGHT_KEYS
    ]
    if changed:
        raise CheckpointError(
            f"{path}: saved with a network of another configuration: {', '.join(changed)}",
            "restore these values in config.yaml or with --set; or start a new run with --name",
        )


def validate_same_corpus(checkpoint: Checkpoint, corpus: PreparedCorpus, run: Path) -> None:
    """Raise a DataError, with the differences, if a run would continue with another corpus; the path may differ."""
    then, now = checkpoint.corpus, CorpusOrigin.from_corpus(corpus)
    differing = [
        f"its {name} was {getattr(then, name)} and is {getattr(now, name)}"
        for name in ("name", "protocol", "fps", "frame_size", "interpolation", "fit")
        if getattr(then, name) != getattr(now, name)
    ]
    glosses, corpus_glosses = checkpoint.vocabulary.glosses, corpus.vocabulary.glosses
    if glosses != corpus_glosses:
        differing.append(_describe_vocabulary_change(glosses, corpus_glosses))
    if differing:
        raise DataError(
            f"{corpus.path}: not the corpus that {run} was started with: {'; '.join(differing)}",
            "prepare it again with the same settings; or start a new run with --name, from these weights with "
            f"--init-weights {run / 'best.pt'}",
        )


def _describe_vocabulary_change(before: Sequence[str], now: Sequence[str]) -> str:
    new, gone = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    if not new and not gone:
        return "its vocabulary has the glosses in another order"
    counts = [
        f"{len(glosses)} {word} ({_format_glosses(glosses)})"
        for glosses, word in ((new, "new"), (gone, "gone"))
        if glosses
    ]
    return f"its vocabulary has other glosses: {', '.join(counts)}"


def _format_glosses(glosses: Sequence[str]) -> str:
    return ", ".join(glosses[:_GLOSSES_NAMED]) + (" …" if len(glosses) > _GLOSSES_NAMED else "")


def _as_yaml(value: Any) -> str:
    """A value in one line, as `--set` reads it."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")
