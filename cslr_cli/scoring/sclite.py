"""Alignment by sclite itself, for users who must report that they used it.

`alignment` has the built-in alignment, with sclite's costs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cslr_cli.errors import MissingPackageError, ScoringError
from cslr_cli.scoring.alignment import AlignedPair, Operation
from cslr_cli.scoring.scorer import ClipScore, Score
from cslr_cli.scoring.transcripts import Reference, TimedGloss, write_ctm, write_stm

_OPERATIONS: dict[str, Operation] = {"C": "correct", "S": "substitution", "D": "deletion", "I": "insertion"}

# sclite's SGML: a clip is a PATH with its name in `file` and perhaps `labels="<>"` before it; its one
# line has an entry for each place of the alignment: the operation, the two glosses in quotation marks, and
# a time, between colons.
_PATH = re.compile(r'^<PATH .*?\bfile="([^"]*)".*>\n(.*)\n?</PATH>$', re.MULTILINE)
_ENTRY = re.compile(r'(?:^|:)([CSDI]),(?=[",])')


def sclite_score(scored: Score) -> Score:
    """Align the same references and hypotheses with sclite.

    sclite gets the normalised hypotheses, with `[EMPTY]` for empty ones. Clips get numbers as names, since sclite
    converts names to lower case and expects both files in the same order.

    Raises:
        MissingPackageError: sclite is not installed.
        ScoringError: sclite failed, or read a gloss as its own syntax.
    """
    command = [*sclite_command(), "-h", "h.ctm", "ctm", "-r", "r.stm", "stm", "-f", "0", "-o", "sgml", "stdout"]
    names = {f"c{number:08}": clip for number, clip in enumerate(scored.clips)}
    # sclite refuses clips with an empty reference and an empty hypothesis.
    sent = {name: clip for name, clip in names.items() if clip.pairs}
    with tempfile.TemporaryDirectory(prefix="cslr-sclite-") as folder:
        write_stm(Path(folder) / "r.stm", [Reference(name, clip.reference) for name, clip in sent.items()])
        write_ctm(Path(folder) / "h.ctm", {name: _add_times(clip.hypothesis) for name, clip in sent.items()})
        done = subprocess.run(command, cwd=folder, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    printed = done.stdout.decode("utf-8", errors="replace")
    if done.returncode:
        message = "\n".join((done.stderr.decode(errors="replace") + printed).strip().splitlines()[-5:])
        raise ScoringError(f"sclite failed with status {done.returncode}: {message}", "use --tool builtin")
    entries = {name: _ENTRY.findall(line) for name, line in _PATH.findall(printed)}
    clips = tuple(
        replace(clip, pairs=_pairs(clip, entries.get(name, []))) if name in sent else clip
        for name, clip in names.items()
    )
    return replace(scored, clips=clips)


def sclite_command() -> list[str]:
    """Return the command of sclite: `sclite`, or `sctk sclite` as in Debian; a MissingPackageError if there is none."""
    if shutil.which("sclite"):
        return ["sclite"]
    if shutil.which("sctk"):
        return ["sctk", "sclite"]
    raise MissingPackageError(
        "sclite is not installed",
        "on Debian and Ubuntu: apt install sctk; on other systems, build https://github.com/usnistgov/SCTK and add\n"
        "sclite to PATH. The built-in scorer (--tool builtin) gives the same counts without it",
    )


def _add_times(glosses: Sequence[str]) -> list[TimedGloss]:
    """Give glosses increasing times, since sclite sorts by time."""
    return [TimedGloss(gloss, place / 100, (place + 1) / 100) for place, gloss in enumerate(glosses)]


def _pairs(clip: ClipScore, letters: Sequence[str]) -> tuple[AlignedPair, ...]:
    """Combine sclite's operations with the original glosses, which sclite prints in lower case."""
    operations = [_OPERATIONS[letter] for letter in letters]
    reference, hypothesis = iter(clip.reference), iter(clip.hypothesis)
    num_references = sum(operation != "insertion" for operation in operations)
    num_hypotheses = sum(operation != "deletion" for operation in operations)
    if (num_references, num_hypotheses) != (len(clip.reference), len(clip.hypothesis)):
        raise ScoringError(
            f"clip {clip.sample_id!r}: sclite read {num_references} reference and {num_hypotheses} hypothesis "
            f"glosses instead of {len(clip.reference)} and {len(clip.hypothesis)}",
            "use --tool builtin: a gloss contains syntax of sclite (braces, brackets, @ or quotation marks)",
        )
    return tuple(
        AlignedPair(
            operation,
            None if operation == "insertion" else next(reference),
            None if operation == "deletion" else next(hypothesis),
        )
        for operation in operations
    )
