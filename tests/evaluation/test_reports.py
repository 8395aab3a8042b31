from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cslr_cli.config import DecodingConfig
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.evaluation import SplitResult, evaluation_folder
from cslr_cli.evaluation.reports import report_section, rescore, write_evaluation
from cslr_cli.recognition import Alternative
from cslr_cli.scoring import Score, TimedGloss, find_protocol, read_stm, score


@pytest.fixture
def result(tiny_corpus: PreparedCorpus) -> SplitResult:
    """The dev split, of which the sequence head loses each last gloss and the convolution head repeats it."""
    references = read_stm(tiny_corpus.references("dev"))
    glosses = {
        "sequence": {each.sample_id: each.glosses[:-1] for each in references},
        "conv": {each.sample_id: (*each.glosses, each.glosses[-1]) for each in references},
    }
    timed = {
        head: {
            name: [TimedGloss(gloss, place, place + 0.5) for place, gloss in enumerate(clip)]
            for name, clip in clips.items()
        }
        for head, clips in glosses.items()
    }
    scores = {head: score(references, clips, find_protocol("phoenix2014")) for head, clips in glosses.items()}
    return SplitResult(
        split="dev",
        scores=scores,
        hypotheses=timed,
        unseen_signers=frozenset(),
        greedy=scores,
        oracle={"sequence": scores["conv"]},
        nbest={
            head: {name: [Alternative(tuple(clip), -1.0)] for name, clip in clips.items()}
            for head, clips in timed.items()
        },
        decoding=DecodingConfig(num_best=5),
    )


def test_a_split_becomes_a_section_with_both_heads_and_what_the_corpus_knows(
    result: SplitResult, tiny_corpus: PreparedCorpus
) -> None:
    section = report_section(result, tiny_corpus)
    assert section.name == "dev"
    assert [system.score for system in section.systems] == [result.scores["sequence"], result.scores["conv"]]
    sample = tiny_corpus.samples("dev")[0]
    facts = section.clips[sample.sample_id]
    assert facts.frames == tiny_corpus.frames_path(sample)
    assert facts.seconds is not None
    assert facts.seconds * tiny_corpus.fps == pytest.approx(sample.num_frames)
    assert facts.recognised == result.hypotheses["sequence"][sample.sample_id]
    signed = {gloss for each in tiny_corpus.samples("train") for gloss in each.glosses}
    assert section.training_glosses == signed
    assert section.facts["decoder"] == "beam, beam width 10"
    assert {system.name: system.score for system in section.further_systems} == {
        "greedy decoding": result.greedy["sequence"],
        "each clip's best alternative": result.oracle["sequence"],
    }


def test_an_evaluation_leaves_hypotheses_with_times_references_and_a_report(
    result: SplitResult, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    (analysis,) = write_evaluation([result], tiny_corpus, tmp_path, {"checkpoint": "best.pt"})
    assert analysis.comparison is not None
    assert {path.name for path in tmp_path.iterdir()} == {
        *("dev.ctm", "dev.conv.ctm", "dev.stm", "dev.hypotheses.json"),
        *("report.html", "report.json", "dev.clips.csv"),
    }
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["facts"] == {"checkpoint": "best.pt", "corpus fingerprint": str(tiny_corpus.fingerprint)}
    assert report["sections"]["dev"]["wer"] == result.wer
    best = report["sections"]["dev"]["beside"]["each clip's best alternative"]
    assert (best["wer"], best["interval_by_clip"]["unit"]) == (result.oracle["sequence"].wer, "clip")
    assert "WER of greedy decoding" in (tmp_path / "report.html").read_text(encoding="utf-8")
    first = report["sections"]["dev"]["alignments"][0]
    assert [timed["start"] for timed in first["recognised"]] == list(range(len(first["recognised"])))
    line = (tmp_path / "dev.ctm").read_text().splitlines()[0].split()
    assert line[2:4] == ["0.000", "0.500"]  # seconds, not places


@pytest.mark.skipif(shutil.which("sctk") is None, reason="sctk is not installed")
def test_sclite_as_the_tool_gives_the_same_result(result: SplitResult) -> None:
    assert rescore(result, "sclite") == result


def test_the_published_python_scorer_as_the_tool_merges_repeats_of_every_score(result: SplitResult) -> None:
    def errors(scores: dict[str, Score]) -> list[int]:
        return [each.counts.insertions for each in scores.values()]

    rescored = rescore(result, "published-python")
    assert errors(dict(result.scores)) == [0, 4]
    for scores in (rescored.scores, rescored.greedy, rescored.oracle):
        assert sum(errors(dict(scores))) == 0
    assert rescored.hypotheses == result.hypotheses


def test_checkpoints_of_one_folder_have_different_evaluation_folders() -> None:
    names = ("best.pt", "epoch-8.pt", "dev_18.80.pt", "dev_18.8.pt", "published", "published.pth", "published.model")
    folders = [evaluation_folder(Path("runs/a") / name) for name in names]
    assert folders[:2] == [Path("runs/a/evaluation/best"), Path("runs/a/evaluation/epoch-8")]
    assert len(set(folders)) == len(names)
