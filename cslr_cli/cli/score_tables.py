"""Scores on the screen: the few numbers that matter, the same for every command that scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cslr_cli.cli.console import table

if TYPE_CHECKING:
    from cslr_cli.scoring import Breakdown, GroupScore

TOP = 5  # rows of the most frequent errors
TOP_CONFUSIONS = 20  # in JSON on the screen; the report has all


def scores_table(rows: Sequence[tuple[str, GroupScore]], first_column: str = "") -> Any:
    """A row for each set of clips: its WER with the interval by clip, and what it is made of.

    Args:
        rows: names and figures; a name that begins with spaces is a part of what is above it. Wrong clips
            are those with at least one error.
        first_column: what the names are.
    """
    columns = [first_column, "WER %", "95 %\ninterval", "sub %", "del %", "ins %", "wrong\nclips", "glosses"]
    return table(columns, [[name, *_cells(each)] for name, each in rows], narrow=True)


def intervals_text(rows: Sequence[tuple[str, GroupScore]]) -> Any:
    """A line for each set of clips: how sure its rate is, by clip and by signer."""
    from rich.text import Text

    from cslr_cli.report.sentences import told_intervals

    return Text("\n".join(f"{name}: {told_intervals(total)}" for name, total in rows))


def facts_text(facts: Mapping[str, str]) -> Any:
    """How the figures came about, in a line: `protocol: phoenix2014; tool: builtin`."""
    from rich.text import Text

    return Text("; ".join(f"{name}: {what}" for name, what in facts.items()))


def errors_table(rows: Sequence[tuple[str, Breakdown]]) -> Any:
    """Build the table of the most frequent errors of each breakdown; None if there are no errors.

    Args:
        rows: names and breakdowns.
    """
    from cslr_cli.scoring.gloss_counts import most_frequent

    lines = []
    for name, breakdown in rows:
        confused = [f"{each.reference} → {each.hypothesis}  {each.count}" for each in breakdown.confusions[:TOP]]
        deleted = [f"{each.gloss}  {each.deleted}" for each in most_frequent(breakdown.glosses, "deleted", TOP)]
        inserted = [f"{each.gloss}  {each.inserted}" for each in most_frequent(breakdown.glosses, "inserted", TOP)]
        for index in range(max(map(len, (confused, deleted, inserted)))):
            cells = [column[index] if index < len(column) else "" for column in (confused, deleted, inserted)]
            lines.append(["" if index else name, *cells])
    if not lines:
        return None
    return table(["", "most often confused", "deleted", "inserted"], lines, left=range(4))


def _cells(each: GroupScore) -> list[str]:
    from cslr_cli.report.sentences import told_interval, told_percent, told_wer

    counts = each.counts
    return [
        told_wer(counts),
        told_interval(each.by_clip),
        *(told_percent(counts, number) for number in (counts.substitutions, counts.deletions, counts.insertions)),
        f"{each.clips_with_errors}/{each.clips}",
        str(counts.references),
    ]
