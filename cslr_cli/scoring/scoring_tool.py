"""The tools that can align hypotheses with references."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cslr_cli.choices import ScoringTool
from cslr_cli.errors import MissingPackageError
from cslr_cli.scoring.alignment import AlignedPair, align, fold_case
from cslr_cli.scoring.sclite import sclite_command, sclite_score
from cslr_cli.scoring.scorer import ClipScore, Score
from cslr_cli.scoring.transcripts import EMPTY_HYPOTHESIS


def require_tool(tool: ScoringTool) -> None:
    """Raise a MissingPackageError if a tool is not installed."""
    if tool == "sclite":
        sclite_command()
    elif tool == "jiwer":
        _import_jiwer()


def score_with_tool(tool: ScoringTool, scored: Score) -> Score:
    """Align the hypotheses and references of a score with a tool.

    Raises:
        MissingPackageError: the tool is not installed.
        ScoringError: sclite failed.
    """
    if tool == "sclite":
        return sclite_score(scored)
    if tool == "jiwer":
        return jiwer_score(scored)
    if tool == "published-python":
        return published_python_score(scored)
    return scored


def published_python_score(scored: Score) -> Score:
    """Score like the Python scorer of the published code, which prints its WER next to sclite's.

    It merges adjacent equal glosses of the normalised hypotheses once more. If a reference repeats a gloss, or
    normalisation makes two glosses equal, its WER differs from sclite's and is mostly lower. Papers quote sclite's WER.
    """
    clips = tuple(
        replace(clip, pairs=align(clip.reference, [gloss for gloss, _ in itertools.groupby(clip.hypothesis)]))
        for clip in scored.clips
    )
    return replace(scored, clips=clips)


def jiwer_score(scored: Score) -> Score:
    """Score with jiwer, which aligns at a cost of 1 for each substitution, deletion and insertion.

    Glosses are compared as by the other tools: normalised, and ASCII letters without their case. An empty hypothesis
    stays empty, so all glosses of its reference are deletions; `[EMPTY]`, which sclite needs, is removed.
    """
    jiwer = _import_jiwer()
    # With an empty reference every gloss is an insertion already, and older versions of jiwer refuse it.
    clips = [clip for clip in scored.clips if clip.reference]
    numbers: dict[str, str] = {}  # jiwer splits texts at spaces, so it gets a number for each gloss

    def number_glosses(glosses: Sequence[str]) -> str:
        return " ".join(numbers.setdefault(fold_case(gloss), str(len(numbers))) for gloss in glosses)

    references = [number_glosses(clip.reference) for clip in clips]
    hypotheses = [number_glosses(_remove_empty_mark(clip)) for clip in clips]
    alignments = jiwer.process_words(references, hypotheses).alignments
    pairs = {clip.sample_id: _jiwer_pairs(clip, chunks) for clip, chunks in zip(clips, alignments, strict=True)}
    aligned = (replace(clip, pairs=pairs.get(clip.sample_id, clip.pairs)) for clip in scored.clips)
    return replace(scored, clips=tuple(aligned))


def _jiwer_pairs(clip: ClipScore, chunks: Sequence[Any]) -> tuple[AlignedPair, ...]:
    """Convert jiwer's alignment of a clip, runs of one operation each, to pairs of glosses."""
    reference, hypothesis = clip.reference, _remove_empty_mark(clip)
    pairs: list[AlignedPair] = []
    for chunk in chunks:
        references = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        hypotheses = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "delete":
            pairs += [AlignedPair("deletion", gloss, None) for gloss in references]
        elif chunk.type == "insert":
            pairs += [AlignedPair("insertion", None, gloss) for gloss in hypotheses]
        elif chunk.type == "equal":
            pairs += [AlignedPair("correct", *glosses) for glosses in zip(references, hypotheses, strict=True)]
        else:
            pairs += [AlignedPair("substitution", *glosses) for glosses in zip(references, hypotheses, strict=True)]
    return tuple(pairs)


def _remove_empty_mark(clip: ClipScore) -> tuple[str, ...]:
    return () if clip.hypothesis == (EMPTY_HYPOTHESIS,) else clip.hypothesis


def _import_jiwer() -> Any:
    try:
        import jiwer
    except ImportError as error:
        raise MissingPackageError(f"jiwer cannot be imported ({error})", "pip install jiwer") from error
    return jiwer
