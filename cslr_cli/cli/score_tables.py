"""Tables of scores on the screen, shared by all commands that score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cslr_cli.cli.console import table

if TYPE_CHECKING:
    from cslr_cli.scoring import Breakdown, GroupScore

MAX_ERROR_ROWS = 5


def scores_table(rows: Sequence[tuple[str, GroupScore]], first_column: str = "") -> Any:
    """Build a table with one row per group of clips: WER with its interval, and the kinds of errors.

    Args:
        rows: names and scores of the groups; a name that begins with spaces is part of the group above it.
        first_column: heading of the names.
    """
    columns = [first_column, "WER %", "95 %\ninterval", "sub %", "del %", "ins %", "wrong\nclips", "glosses"]
    return table(columns, [[name, *_cells(each)] for name, each in rows], narrow=True)


def intervals_text(rows: Sequence[tuple[str, GroupScore]]) -> Any:
    """Format the intervals of each group of clips, one line per group."""
    from rich.text import Text

    from cslr_cli.report.score_text import format_intervals

    return Text("\n".join(f"{name}: {format_intervals(total)}" for name, total in rows))


def facts_text(facts: Mapping[str, str]) -> Any:
    """Format facts in one line: `protocol: phoenix2014; tool: builtin`."""
    from rich.text import Text

    return Text("; ".join(f"{name}: {value}" for name, value in facts.items()))


def errors_table(rows: Sequence[tuple[str, Breakdown]]) -> Any:
    """Build the table of the most frequent errors of each breakdown; None if there are no errors.

    Args:
        rows: names and breakdowns.
    """
    from cslr_cli.scoring.gloss_counts import most_frequent

    lines = []
    for name, breakdown in rows:
        confused = [
            f"{each.reference} → {each.hypothesis}  {each.count}" for each in breakdown.confusions[:MAX_ERROR_ROWS]
        ]
        deleted = [
            f"{each.gloss}  {each.deleted}" for each in most_frequent(breakdown.glosses, "deleted", MAX_ERROR_ROWS)
        ]
        inserted = [
            f"{each.gloss}  {each.inserted}" for each in most_frequent(breakdown.glosses, "inserted", MAX_ERROR_ROWS)
        ]
        for index in range(max(map(len, (confused, deleted, inserted)))):
            cells = [column[index] if index < len(column) else "" for column in (confused, deleted, inserted)]
            lines.append(["" if index else name, *cells])
    if not lines:
        return None
    return table(["", "most often confused", "deleted", "inserted"], lines, left=range(4))


def _cells(each: GroupScore) -> list[str]:
    from cslr_cli.report.score_text import format_interval, format_percent, format_wer

    counts = each.counts
    return [
        format_wer(counts),
        format_interval(each.by_clip),
        *(format_percent(counts, number) for number in (counts.substitutions, counts.deletions, counts.insertions)),
        f"{each.clips_with_errors}/{each.clips}",
        str(counts.references),
    ]
