"""Output of `cslr prepare`: remarks and faults on standard error, the result on standard output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cslr_cli.cli.console import print_json, print_note, print_remarks, print_result, table
from cslr_cli.errors import FAULTS_SHOWN, DataError

if TYPE_CHECKING:
    from cslr_cli.corpora import AnnotationError, LeftOutClip
    from cslr_cli.corpora.preparation import PreparationReport, ShardReport


def print_faults(error: AnnotationError) -> DataError:
    """Print the faults of a release as a table, and return the error to raise."""
    rows = [[fault.where, fault.what] for fault in error.faults[:FAULTS_SHOWN]]
    print_remarks(_faults_table(["where", "fault"], rows, len(error.faults)))
    noun = "fault" if len(error.faults) == 1 else "faults"
    return DataError(f"{len(error.faults)} {noun} in the release; nothing was prepared", error.hint)


def print_report(report: PreparationReport | ShardReport, *, as_json: bool) -> None:
    """Print remarks on standard error and the result on standard output."""
    from cslr_cli.corpora.preparation import PreparationReport

    if isinstance(report, PreparationReport):
        for remark in _remarks(report):
            print_note(remark)
    _print_left_out(report.faults, report.expected_layout)
    if not isinstance(report, PreparationReport):
        if as_json:
            print_json(_shard_json(report))
        else:
            print_result(_shard_table(report))
            print_note("when all parts are done, run the same command without --shard to join them")
    elif as_json:
        print_json({"output": str(report.output), **json.loads(report.to_json())})
    else:
        print_result(_report_table(report))


def _remarks(report: PreparationReport) -> list[str]:
    remarks = list(report.notes)
    for split, unseen in report.unseen_glosses.items():
        if unseen:
            count = f"{sum(unseen.values())} ({len(unseen)} distinct)"
            remarks.append(f"glosses of {split} that are not in train: {count}")
    by_origin: dict[str, list[str]] = {}
    for split, origin in report.references.items():
        by_origin.setdefault(origin, []).append(split)
    remarks += [f"references of {', '.join(splits)}: {origin}" for origin, splits in by_origin.items()]
    return remarks


def _print_left_out(left_out: Sequence[LeftOutClip], expected_layout: str | None) -> None:
    if not left_out:
        return
    rows = [[clip.sample_id, clip.split, clip.reason] for clip in left_out[:FAULTS_SHOWN]]
    print_remarks(_faults_table(["left out", "split", "reason"], rows, len(left_out)))
    if expected_layout is not None:
        print_note(f"expected layout of the release:\n{expected_layout}")


def _faults_table(columns: Sequence[str], rows: Sequence[Sequence[str]], count: int) -> Any:
    more = count - len(rows)
    ending = [[f"and {more} more; see prepare-report.json", *[""] * (len(columns) - 1)]] if more > 0 else []
    return table(columns, [*rows, *ending], left=range(len(columns)))


def _report_table(report: PreparationReport) -> Any:
    """Build a table of the clips, frames, glosses and left-out clips of each split."""
    rows = [
        [
            split,
            str(counts.clips),
            "–" if counts.frames is None else str(counts.frames),
            str(counts.glosses),
            str(sum(clip.split == split for clip in report.left_out)),
        ]
        for split, counts in report.splits.items()
    ]
    rows.append(["distinct glosses", "", "", str(report.num_glosses), ""])
    return table([str(report.output), "clips", "frames", "glosses", "left out"], rows)


def _shard_table(report: ShardReport) -> Any:
    row = [f"part {report.shard}", str(report.num_clips), str(report.num_frames), str(len(report.left_out))]
    return table([str(report.output), "clips", "frames", "left out"], [row])


def _shard_json(report: ShardReport) -> dict[str, Any]:
    return {
        "output": str(report.output),
        "corpus": report.corpus,
        "shard": report.shard,
        "clips": report.num_clips,
        "frames": report.num_frames,
        "left_out": [
            {"sample_id": clip.sample_id, "split": clip.split, "reason": clip.reason} for clip in report.left_out
        ],
    }
