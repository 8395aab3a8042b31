"""`cslr score REFERENCES A1 A2 A3 -- B1 B2 B3`: systems that were trained with several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from typing_extensions import NotRequired, TypedDict

from cslr_cli.choices import ScoringTool
from cslr_cli.cli.command import COMMAND_LINE
from cslr_cli.cli.console import print_json, print_result, table
from cslr_cli.cli.score_inputs import distinct_names
from cslr_cli.cli.score_tables import facts_text
from cslr_cli.errors import UsageError
from cslr_cli.scoring.seeds import SeedComparison, SeedComparisonFigures, SeedSummary, SystemSeedsFigures, compare_seeds

if TYPE_CHECKING:
    from cslr_cli.scoring import Score

_SYSTEMS = ("first system", "second system")


class SeedsDocument(TypedDict):
    """The scores of one system or two over several seeds: what `cslr score --json` prints for them.

    Attributes:
        schema_version: version of this document.
        protocol: name of the scoring protocol.
        tool: scoring tool.
        systems: figures of each system, in the order of the command line.
        comparison: comparison of the second system with the first one; only with two systems.
    """

    schema_version: Literal[1]
    protocol: str
    tool: ScoringTool
    systems: list[SystemSeedsFigures]
    comparison: NotRequired[SeedComparisonFigures]


def split_systems(context: typer.Context, paths: Sequence[Path]) -> list[list[Path]]:
    """Return the files of hypotheses of each system.

    `--` separates the seeds of two systems. Without it, two files are two systems, and more are seeds of one system.
    """
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if list(paths).count(path) > 1)
        raise UsageError(f"{twice}: the same file twice", "use the hypotheses of another system or seed")
    given: list[str] = context.meta.get(COMMAND_LINE, [])
    num_second = len(given) - given.index("--") - 1 if "--" in given else 0
    if 0 < num_second < len(paths):
        return [list(paths[:-num_second]), list(paths[-num_second:])]
    return [[path] for path in paths] if len(paths) <= 2 else [list(paths)]


def report_seeds(
    systems: Sequence[Sequence[Path]], scores: dict[Path, Score], tool: ScoringTool, *, as_json: bool
) -> None:
    """Print the scores of the seeds of one system or two, and compare two systems."""
    summaries = [SeedSummary(tuple(scores[path] for path in paths)) for paths in systems]
    names = dict(zip(scores, distinct_names(list(scores)), strict=True))
    comparison = compare_seeds(*summaries) if len(summaries) == 2 else None
    protocol = summaries[0].scores[0].protocol.name
    if as_json:
        document: SeedsDocument = {
            "schema_version": 1,
            "protocol": protocol,
            "tool": tool,
            "systems": [
                summary.as_dict([names[path] for path in paths])
                for summary, paths in zip(summaries, systems, strict=True)
            ],
        }
        if comparison is not None:
            document["comparison"] = comparison.as_dict()
        print_json(document)
        return
    rows = []
    for system, (summary, paths) in zip(_SYSTEMS, zip(summaries, systems, strict=True), strict=False):
        deviation = "–" if summary.deviation is None else f"{summary.deviation:.2f}"
        rows.append([system if len(systems) == 2 else "all seeds", f"{summary.mean:.2f}", deviation, str(len(paths))])
        rows += [[f"  {names[path]}", f"{rate:.2f}", "", ""] for path, rate in zip(paths, summary.rates, strict=True)]
    print_result(table(["", "WER %", "deviation", "seeds"], rows))
    print_result(facts_text({"protocol": protocol, "tool": tool}))
    if comparison is not None:
        for line in describe_seed_comparison(comparison):
            print_result(line)


def describe_seed_comparison(comparison: SeedComparison) -> list[str]:
    """Describe a comparison over seeds in sentences."""
    from cslr_cli.report.score_text import SIGNIFICANCE_LEVEL

    interval = comparison.interval
    shown = (
        ""
        if interval is None
        else f" (95 % interval {interval.low:+.2f} to {interval.high:+.2f}, seeds and clips drawn)"
    )
    lines = [f"Mean WER of the second system minus that of the first: {comparison.difference:+.2f} points{shown}."]
    if comparison.t is None or comparison.p is None or comparison.degrees is None:
        lines.append("Welch's t-test: not possible; it needs two seeds per system, and WERs that vary.")
        return lines
    verdict = "the difference may be due to chance"
    if comparison.p < SIGNIFICANCE_LEVEL:
        better = "first" if comparison.t > 0 else "second"
        verdict = f"the {better} system is better; the difference is unlikely to be due to chance"
    p = "p < 0.001" if comparison.p < 0.001 else f"p = {comparison.p:.3f}"
    figures = f"{p}, t = {comparison.t:.2f}, {comparison.degrees:.1f} degrees of freedom"
    lines.append(f"Welch's t-test on the seeds: {verdict} ({figures}).")
    return lines
