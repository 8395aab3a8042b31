"""What is wrong with a configuration, told all at once, with the nearest known keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from cslr_cli.errors import ConfigError

KnownKeys = Mapping[str, Sequence[str]]


def translate_validation_error(error: ValidationError, where: str, known: KnownKeys) -> ConfigError:
    """All faults of a configuration in one error: a line each where there are several.

    Args:
        error: what the typed models say.
        where: what to call the configuration.
        known: the keys of each section.
    """
    faults = list(dict.fromkeys(_describe_fault(item["loc"], item, known) for item in error.errors()))
    if len(faults) == 1:
        return ConfigError(f"{where}: {faults[0][0]}", faults[0][1])
    lines = [message if hint is None else f"{message}: {hint}" for message, hint in faults]
    return ConfigError(f"{where}: {len(faults)} settings are wrong", "\n".join(lines))


def _describe_fault(location: tuple[int | str, ...], item: Any, known: KnownKeys) -> tuple[str, str | None]:
    if item["type"] in ("extra_forbidden", "invalid_key"):
        key = ".".join(str(part) for part in location)
        return f"unknown key {key}", f"the nearest known key is {_nearest_key(key, known)}"
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    if item["type"] == "value_error":
        return f"{key}: {item['ctx']['error']}", None
    if item["type"] == "missing":  # the only fields that must be there are the values of a list
        return f"{key.rpartition('[')[0]} is {item['input']!r}", "it has too few values"
    if item["type"] == "model_type" and not location:
        return "not a configuration", "expected sections such as 'model:' with keys below them"
    if item["type"] == "model_type":
        return f"{key} is {item['input']!r}", f"expected keys below it, such as {known[key][0]}"
    return f"{key} is {item['input']!r}", item["msg"][0].lower() + item["msg"][1:]


def _nearest_key(unknown: str, known: KnownKeys) -> str:
    """The known key that was probably meant: of the same name in another section, or spelt alike."""
    section, _, name = unknown.rpartition(".")
    elsewhere = [f"{other}.{name}" for other, keys in known.items() if name in keys]
    if elsewhere:
        return elsewhere[0]
    spelt = [f"{section}.{key}" for key in known[section]] if section in known else list(known)
    return difflib.get_close_matches(unknown, spelt, n=1, cutoff=0.0)[0]
