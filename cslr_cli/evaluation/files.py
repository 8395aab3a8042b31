"""Where the corpus to evaluate on is, and what an evaluation writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.corpora.registry import open_prepared_corpus
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import DataError
from cslr_cli.evaluation.results import SplitResult
from cslr_cli.files import write_text
from cslr_cli.recognition import Alternative
from cslr_cli.scoring import read_stm, write_ctm, write_stm


def find_corpus(checkpoint: Checkpoint, path: Path | None) -> PreparedCorpus:
    """The prepared corpus to evaluate on: the one named, else where the network was trained, else `prepared/NAME`.

    Raises:
        DataError: there is none.
    """
    if path is not None:
        return open_prepared_corpus(path)
    origin = checkpoint.corpus
    places = (Path(origin.path), Path("prepared") / origin.name)
    for place in places:
        if place.is_dir():
            return open_prepared_corpus(place)
    searched = dict.fromkeys(str(place.absolute()) for place in places)  # often the same folder
    raise DataError(
        f"{' and '.join(searched)}: the corpus that the network was trained on is not there",
        f"say by --corpus where it is, or make it with: cslr prepare {origin.name} --size {origin.frame_size}",
    )


def write_hypotheses(result: SplitResult, corpus: PreparedCorpus, output: Path) -> tuple[Path, Path]:
    """Write a split's hypotheses and beside them its references.

    `SPLIT.ctm` are those of the sequence head, `SPLIT.conv.ctm` those of the convolution's, both
    with times in seconds; `SPLIT.stm` the references of the same clips; `SPLIT.hypotheses.json` has all
    alternatives of the sequence head with their scores, confidences and times.

    Returns:
        The paths of the sequence head's hypotheses and of the references.
    """
    ctm, stm = output / f"{result.split}.ctm", output / f"{result.split}.stm"
    output.mkdir(parents=True, exist_ok=True)
    write_ctm(ctm, result.hypotheses["sequence"])
    write_ctm(output / f"{result.split}.conv.ctm", result.hypotheses["conv"])
    references = read_stm(corpus.references(result.split))  # of a part of its clips, if the manifest was cut
    write_stm(stm, (each for each in references if each.sample_id in result.hypotheses["sequence"]))
    lines = (
        f"{json.dumps(sample_id, ensure_ascii=False)}: {json.dumps(clip, ensure_ascii=False)}"
        for sample_id, clip in hypotheses_json(result).items()
    )
    write_text(output / f"{result.split}.hypotheses.json", "{\n" + ",\n".join(lines) + "\n}\n")
    return ctm, stm


def hypotheses_json(result: SplitResult, head: str = "sequence") -> dict[str, Any]:
    """What was recognised in each clip, as plain values.

    Returns:
        For each clip `glosses` (each with `gloss`, `start` and `end` in seconds, `confidence`),
        `score` (natural logarithm), and where more than one hypothesis was asked for `nbest`: all of
        them, the best first, in the same form.
    """
    return {sample_id: _clip_json(alternatives) for sample_id, alternatives in result.nbest[head].items()}


def _clip_json(alternatives: Sequence[Alternative]) -> dict[str, Any]:
    told = [
        {"glosses": [asdict(timed) for timed in alternative.glosses], "score": alternative.score}
        for alternative in alternatives
    ]
    return told[0] if len(told) == 1 else {**told[0], "nbest": told}
