"""Alignment by sclite itself, for users who must report that they used it.

`alignment` has the built-in alignment, with sclite's costs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cslr_cli.errors import MissingPackageError, ScoringError
from cslr_cli.scoring.alignment import AlignedPair, Operation, fold_case
from cslr_cli.scoring.scorer import ClipScore, Score
from cslr_cli.scoring.transcripts import Reference, TimedGloss, check_fields, write_ctm, write_stm

_OPERATIONS: dict[str, Operation] = {"C": "correct", "S": "substitution", "D": "deletion", "I": "insertion"}

# sclite's SGML: a clip is a PATH with its name in `file` and perhaps `labels="<>"` before it; its one
# line has an entry for each place of the alignment: the operation, the two glosses in quotation marks, and
# a time, between colons.
_PATH = re.compile(r'^<PATH .*?\bfile="([^"]*)".*>\n(.*)\n?</PATH>$', re.MULTILINE)
_ENTRY = re.compile(r'(?:^|:)([CSDI]),(?=[",])')
# The same with both glosses, which sclite prints in lower case, with a backslash before a few characters.
_WORDS = re.compile(r'(?:^|:)([CSDI]),(?:"((?:[^"\\]|\\.)*)")?,(?:"((?:[^"\\]|\\.)*)")?')


def sclite_score(scored: Score) -> Score:
    """Align the same references and hypotheses with sclite.

    sclite gets the normalised hypotheses, with `[EMPTY]` for empty ones. Clips get numbers as names, since sclite
    converts names to lower case and expects both files in the same order.

    Raises:
        MissingPackageError: sclite is not installed.
        ScoringError: sclite failed, or read a gloss as its own syntax.
    """
    options = ["-f", "0", "-o", "sgml", "stdout", *(["-D"] if scored.optional_glosses else [])]
    command = [*sclite_command(), "-h", "h.ctm", "ctm", "-r", "r.stm", "stm", *options]
    names = {f"c{number:08}": clip for number, clip in enumerate(scored.clips)}
    # sclite refuses clips without a hypothesis, which segments of recordings can have; all their glosses are deletions.
    sent = {name: clip for name, clip in names.items() if clip.hypothesis}
    with tempfile.TemporaryDirectory(prefix="cslr-sclite-") as folder:
        references = [Reference(name, (), tokens=clip.tokens or _checked(clip)) for name, clip in sent.items()]
        write_stm(Path(folder) / "r.stm", references)
        write_ctm(Path(folder) / "h.ctm", {name: _add_times(_nfc(clip.hypothesis)) for name, clip in sent.items()})
        done = subprocess.run(command, cwd=folder, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    printed = done.stdout.decode("utf-8", errors="replace")
    if done.returncode:
        message = "\n".join((done.stderr.decode(errors="replace") + printed).strip().splitlines()[-5:])
        raise ScoringError(f"sclite failed with status {done.returncode}: {message}", "use --tool builtin")
    lines = dict(_PATH.findall(printed))

    def aligned(name: str, clip: ClipScore) -> ClipScore:
        if name not in sent:
            return clip
        if clip.tokens is not None or scored.optional_glosses:
            return replace(clip, pairs=_pairs_of_words(clip, lines.get(name, "")))
        return replace(clip, pairs=_pairs(clip, _ENTRY.findall(lines.get(name, ""))))

    return replace(scored, clips=tuple(aligned(*item) for item in names.items()))


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


def _nfc(glosses: Sequence[str]) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", gloss) for gloss in glosses)


def _checked(clip: ClipScore) -> tuple[str, ...]:
    """Return the reference of a clip without alternatives, whose glosses are written unchanged."""
    check_fields(clip.sample_id, *clip.reference)
    return _nfc(clip.reference)


def _syntax_error(clip: ClipScore, what: str) -> ScoringError:
    return ScoringError(
        f"clip {clip.sample_id!r}: {what}",
        "use --tool builtin: a gloss contains syntax of sclite (braces, brackets, @ or quotation marks)",
    )


def _pairs_of_words(clip: ClipScore, line: str) -> tuple[AlignedPair, ...]:
    """Return sclite's alignment of a clip with alternatives or optional glosses, of which it has chosen some."""
    written = {fold_case(gloss): gloss for gloss in clip.hypothesis}
    words = (part for token in clip.tokens or () for part in token.split() if part not in "{/}")
    signed = {fold_case(gloss): gloss for gloss in (*words, *clip.reference)}
    pairs = []
    for letter, reference, hypothesis in _WORDS.findall(line):
        reference, hypothesis = (re.sub(r"\\(.)", r"\1", gloss) for gloss in (reference, hypothesis))
        pairs.append(
            AlignedPair(
                _OPERATIONS[letter],
                signed.get(reference, reference) or None,
                written.get(hypothesis, hypothesis) or None,
            )
        )
    if tuple(pair.hypothesis for pair in pairs if pair.hypothesis is not None) != clip.hypothesis:
        raise _syntax_error(clip, "sclite read other recognised glosses")
    return tuple(pairs)


def _pairs(clip: ClipScore, letters: Sequence[str]) -> tuple[AlignedPair, ...]:
    """Combine sclite's operations with the original glosses, which sclite prints in lower case."""
    operations = [_OPERATIONS[letter] for letter in letters]
    reference, hypothesis = iter(clip.reference), iter(clip.hypothesis)
    num_references = sum(operation != "insertion" for operation in operations)
    num_hypotheses = sum(operation != "deletion" for operation in operations)
    if (num_references, num_hypotheses) != (len(clip.reference), len(clip.hypothesis)):
        raise _syntax_error(
            clip,
            f"sclite read {num_references} reference and {num_hypotheses} hypothesis glosses instead of "
            f"{len(clip.reference)} and {len(clip.hypothesis)}",
        )
    return tuple(
        AlignedPair(
            operation,
            None if operation == "insertion" else next(reference),
            None if operation == "deletion" else next(hypothesis),
        )
        for operation in operations
    )
