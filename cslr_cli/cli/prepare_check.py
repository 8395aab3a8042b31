"""What `cslr prepare --check` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cslr_cli.cli.console import print_json, print_line, print_note, print_result, table
from cslr_cli.errors import FAULTS_SHOWN

if TYPE_CHECKING:
    from cslr_cli.corpora.preparation.release_check import OpenedClip, ReleaseCheck

_KIND_NAMES = {"folder": "folder of pictures", "zip": "zip", "video": "video"}


def print_check(check: ReleaseCheck, *, as_json: bool) -> None:
    """Print what a release has and lacks: on standard output, with the layout on standard error if it is incomplete."""
    document = check.document()
    if as_json:
        print_json(document)
        return
    known = document["known_num_glosses"]
    of_known = "" if known is None else f" (the published vocabulary has {known})"
    print_line(f"{check.corpus.title} in {check.release.root}: {document['num_glosses']} distinct glosses{of_known}")
    rows = []
    has_published = any(counts["published"] is not None for counts in document["splits"].values())
    for split, counts in document["splits"].items():
        published = [_shown(counts["published"])] if has_published else []
        found, signers = _shown(counts["found"]), _shown(counts["signers"] or None)
        rows.append([split, *published, str(counts["clips"]), found, str(counts["glosses"]), signers])
    columns = [*(["clips\npublished"] if has_published else []), "clips in the\nannotation", "with\nframes"]
    print_result(table(["split", *columns, "glosses", "signers"], rows))
    if document["frame_kinds"]:
        kinds = ", ".join(f"{_KIND_NAMES[kind]}: {count}" for kind, count in document["frame_kinds"].items())
        print_line(f"clips by the form of their frames: {kinds}")
    for clip in document["opened"]:
        print_line(f"    {clip['path']}: {_describe_clip(clip)}")
    for note in document["notes"]:
        print_line(f"note: {note}")
    _print_list("fault", [f"{fault.where}: {fault.what}" for fault in document["faults"]])
    _print_list("left out", [f"{clip.split} clip {clip.sample_id}: {clip.reason}" for clip in document["left_out"]])
    if check.is_complete:
        print_line("complete: nothing is missing")
    else:
        print_line("not complete")
    if document["faults"] or check.missing:
        print_note(check.release.hint or f"expected this layout of {check.corpus.title}:\n{check.corpus.layout}")


def _shown(count: int | None) -> str:
    return "–" if count is None else str(count)


def _describe_clip(clip: OpenedClip) -> str:
    if clip["fault"] is not None:
        return clip["fault"]
    rate = "" if clip["fps"] is None else f", {clip['fps']:g} frames per second"
    return f"{clip['frames']} frames of {clip['width']}×{clip['height']} pixels{rate}"


def _print_list(kind: str, lines: list[str]) -> None:
    for line in lines[:FAULTS_SHOWN]:
        print_line(f"{kind}: {line}")
    if len(lines) > FAULTS_SHOWN:
        print_line(f"    and {len(lines) - FAULTS_SHOWN} more; use --json to list all")
