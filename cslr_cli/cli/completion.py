"""Completion of names in a shell: corpora, configurations, runs, checkpoints and keys of `--set`.

A shell asks at each press of Tab, so nothing here imports torch or OpenCV. If no name fits, the shell completes files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import typer

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

# Names and help texts of values.
Candidates = list[tuple[str, str]]

# The keys of `CORPORA`, whose import takes too long here.
CORPUS_NAMES = ("phoenix2014", "phoenix2014-si5", "phoenix2014-T", "csl", "csl-daily", "synthetic")
# Sections of the configuration that can change when a network is used.
CHANGEABLE_SECTIONS = ("data", "decoding")
_SPLITS = ("train", "dev", "test")
_NUMBERS = {int: "whole number", float: "number", Path: "path", str: "text"}


def complete_corpus_name(incomplete: str) -> Candidates:
    """Complete the name of a corpus for `prepare`."""
    return [(name, "corpus") for name in CORPUS_NAMES]


def complete_prepared_corpus(incomplete: str) -> Candidates:
    """Complete the folder of a prepared corpus."""
    return [(str(path.parent), "prepared corpus") for path in sorted(Path().glob("prepared/*/corpus.yaml"))]


def complete_config(incomplete: str) -> Candidates:
    """Complete a configuration: a name, or a file in the current folder."""
    from cslr_cli.config import shipped_configs

    files = sorted(path.name for path in [*Path().glob("*.yaml"), *Path().glob("*.yml")])
    return [*((name, "shipped configuration") for name in shipped_configs()), *((name, "file") for name in files)]


def complete_run(ctx: typer.Context, incomplete: str) -> Candidates:
    """Complete the folder of a run."""
    return [(str(run), "run") for run in _runs(ctx)]


def complete_checkpoint(ctx: typer.Context, incomplete: str) -> Candidates:
    """Complete a checkpoint: a run with `best.pt`; the files of a run behind its name; a file in the current folder."""
    runs = [run for run in _runs(ctx) if (run / "best.pt").is_file()]
    candidates = [(str(run), "best checkpoint of the run") for run in runs]
    candidates += [(path.name, "file") for path in sorted(Path().glob("*.pt"))]
    for run in _runs(ctx):
        if incomplete.startswith(f"{run}{os.sep}"):
            candidates += [(str(path), "file of the run") for path in sorted(run.glob("*.pt"))]
    return candidates


def complete_corpus_or_checkpoint(ctx: typer.Context, incomplete: str) -> Candidates:
    """Complete what `inspect` describes."""
    return [*complete_prepared_corpus(incomplete), *complete_checkpoint(ctx, incomplete)]


def complete_format(incomplete: str) -> Candidates:
    """Complete an output format."""
    from cslr_cli.output.formats import FORMATS

    return [(name, f"*{output_format.suffix}") for name, output_format in FORMATS.items()]


def complete_splits(incomplete: str) -> Candidates:
    """Complete a split, also behind others and a comma."""
    before = incomplete[: incomplete.rfind(",") + 1]
    named = before.split(",")
    return [(f"{before}{split}", "split") for split in _SPLITS if split not in named]


def complete_setting(incomplete: str) -> Candidates:
    """Complete a setting of `--set`: its key, then its values.

    If one key fits, its values or its default are offered too, so that the shell adds no space behind the `=`.
    """
    fields = _settings()
    key, equals, _ = incomplete.partition("=")
    fitting = [name for name in fields if (name == key if equals else name.startswith(key))]
    candidates = [] if equals else [(f"{name}=", _describe_setting(fields[name])) for name in fitting]
    if len(fitting) == 1:
        candidates += [(f"{fitting[0]}={value}", "value") for value in _values(fitting[0], fields[fitting[0]])]
    return candidates


def complete_changeable_setting(incomplete: str) -> Candidates:
    """Complete a setting that can change when a network is used."""
    return [each for each in complete_setting(incomplete) if each[0].partition(".")[0] in CHANGEABLE_SECTIONS]


# By the name or the placeholder of an option.
_COMPLETIONS: Mapping[tuple[str, str | None], Callable[..., Candidates]] = {
    ("--corpus", "NAME"): complete_corpus_name,
    ("--corpus", "FOLDER"): complete_prepared_corpus,
    ("--config", "NAME|FILE"): complete_config,
    ("--format", "NAME"): complete_format,
    ("--set", "KEY=VALUE"): complete_setting,
    **{(name, "SPLIT,…"): complete_splits for name in ("--split", "--vocabulary-splits")},
    **{(name, "RUN"): complete_run for name in ("--resume", "--average")},
    ("--checkpoint", "FILE|RUN|NAME"): complete_checkpoint,
    ("--init-weights", "CHECKPOINT"): complete_checkpoint,
}


def find_completion(name: str, metavar: str | None) -> Callable[..., Any] | None:
    """Return the function that completes an option; None if its values have no names.

    Args:
        name: name of the option.
        metavar: placeholder of its value. Choices in it are completed; a part in capitals stands for other values.
    """
    known = _COMPLETIONS.get((name, metavar))
    choices = [part for part in (metavar or "").split("|") if part and part == part.lower()]
    if known is not None or not choices:
        return known

    def complete_choice(incomplete: str) -> list[str]:
        return choices

    return complete_choice


def complete_split_setting(words: Sequence[str], position: int) -> list[str] | None:
    """Complete the value of a setting in bash, which gives `--set key=value` as four words.

    Args:
        words: words of the command line.
        position: index of the word to complete.

    Returns:
        Values, without the key; None if the word is not the value of a setting.
    """
    words = [*words, ""]
    if words[position] == "=":
        start, value = position - 2, ""
    elif position > 0 and words[position - 1] == "=":
        start, value = position - 3, words[position]
    else:
        return None
    if start < 0 or words[start] != "--set":
        return None
    prefix = f"{words[start + 1]}="
    return [name.removeprefix(prefix) for name, _ in complete_setting(prefix) if name.startswith(prefix + value)]


def _runs(ctx: typer.Context) -> list[Path]:
    folder = Path(ctx.params.get("runs_dir") or "runs")
    return sorted(path.parent for path in folder.glob("*/config.yaml"))


def _settings() -> dict[str, FieldInfo]:
    """Return all settings by their keys, `section.name`."""
    from cslr_cli.config import Config

    return {
        f"{section}.{name}": field
        for section, sections_field in Config.model_fields.items()
        for name, field in getattr(sections_field.annotation, "model_fields", {}).items()
    }


def _describe_setting(field: FieldInfo) -> str:
    """Return the type, the default and the meaning of a setting."""
    types = [_NUMBERS.get(kind, "") for kind in _types(field.annotation)]
    kind = next(filter(None, types), "") or "|".join(_choices(field.annotation)) or "list"
    return f"{kind}, default {_as_yaml(field.default)}: {field.description}"


def _values(key: str, field: FieldInfo) -> list[str]:
    """Return the values that a setting can have, or else its default."""
    from cslr_cli.model.registry import NETWORKS

    names = {"corpus.name": CORPUS_NAMES, "model.name": NETWORKS}.get(key, ())
    return list(names) or _choices(field.annotation) or [_as_yaml(field.default)]


def _choices(annotation: Any) -> list[str]:
    choices: list[str] = []
    for kind in _types(annotation):
        if get_origin(kind) is Literal:
            choices += map(str, get_args(kind))
        elif kind is bool:
            choices += ["true", "false"]
        elif kind is type(None):
            choices.append("null")
    return choices if choices != ["null"] else []


def _types(annotation: Any) -> Iterator[Any]:
    """Return the types of a union without their constraints; not those inside a list."""
    parts: Iterable[Any] = get_args(annotation)
    if get_origin(annotation) in (Literal, tuple, list) or not parts:
        yield annotation
    else:
        for part in parts:
            if isinstance(part, type) or get_origin(part) is not None:
                yield from _types(part)


def _as_yaml(value: Any) -> str:
    """Format a default without spaces, so that it is one word in a shell."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return f"[{','.join(map(_as_yaml, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
