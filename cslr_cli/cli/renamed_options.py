"""Options of version 0.1 with new names: the old spellings work until version 1.0, and the help does not show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cslr_cli.cli.console import print_note

_USED = "cslr_cli.renamed_options"  # key of a context's `meta`: the old spellings that the user gave


@dataclass(frozen=True)
class RenamedOption:
    """An old spelling of an option.

    Attributes:
        old: old name.
        new: new name.
        values: new values by old ones, if they changed too.
    """

    old: str
    new: str
    values: Mapping[str, str] = field(default_factory=dict)

    def note(self, value: object) -> str:
        """Return the note for a user who gave the old spelling with this value."""
        new_value = self.values.get(str(value))
        old, new = (self.old, self.new) if new_value is None else (f"{self.old} {value}", f"{self.new} {new_value}")
        return f"note: {old} is now {new}; the old spelling will be removed in version 1.0"


_READING = (
    RenamedOption("--fps", "--source-fps"),
    RenamedOption("--fit", "--frame-fit", {"squash": "stretch"}),
)
# By command.
RENAMED_OPTIONS: Mapping[str, tuple[RenamedOption, ...]] = {
    "prepare": (RenamedOption("--aspect", "--fit"),),
    "predict": (RenamedOption("--split", "--segment"), *_READING),
    "cam": _READING,
    "features": _READING,
}


def accept_renamed_options(parser: Any, context: Any, parameters: Iterable[Any]) -> None:
    """Make the parser of a command accept the old spellings of its options.

    The value of an old spelling is that of the new option, so that the new option checks it. It is an error to give
    both spellings.

    Args:
        parser: parser of the command line, from `make_parser`.
        context: context of the command.
        parameters: parameters of the command.
    """
    by_name = {name: parameter for parameter in parameters for name in parameter.opts}
    renamed = {f"renamed {option.old}": option for option in RENAMED_OPTIONS.get(context.command.name or "", ())}
    for key, option in renamed.items():
        parser.add_option(obj=by_name[option.new], opts=[option.old], dest=key, action="store", nargs=1)
    parse = parser.parse_args

    def parse_args(args: list[str]) -> tuple[dict[str, Any], list[str], list[Any]]:
        values, rest, order = parse(args=args)
        for key in values.keys() & renamed.keys():
            option, value = renamed[key], values.pop(key)
            name = by_name[option.new].name
            if name in values:
                context.fail(f"{option.old} and {option.new} are the same option; remove {option.old}, its old name")
            values[name] = option.values.get(value, value)
            context.meta.setdefault(_USED, []).append(option.note(value))
        return values, rest, order

    parser.parse_args = parse_args


def print_renamed_options(context: Any) -> None:
    """Print one note per old spelling that the user gave."""
    for note in context.meta.get(_USED, ()):
        print_note(note)
