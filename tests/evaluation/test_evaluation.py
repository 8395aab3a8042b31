from __future__ import annotations

import dataclasses
import json
import multiprocessing
import pickle
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.config import Config, DecodingConfig
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.decoding import decoder_pool
from cslr_cli.errors import CslrError, DataError
from cslr_cli.evaluation import (
    Evaluator,
    SplitResult,
    evaluate,
    evaluation_warnings,
    write_hypotheses,
)
from cslr_cli.evaluation.reports import write_evaluation
from cslr_cli.evaluation.results import oracle_score
from cslr_cli.media.frames import open_frames
from cslr_cli.model.network import NetworkOutput
from cslr_cli.progress import Progress
from cslr_cli.scoring import Reference, find_protocol, read_ctm, read_stm, score, write_stm
from cslr_cli.temporal_plan import TemporalPlan

CPU = torch.device("cpu")
PLAN = TemporalPlan.parse(["K5", "P2", "K5", "P2"])
Hypotheses = Mapping[str, Sequence[str]]


class ScriptedNetwork(nn.Module):
    """Recognises each clip by its first frame, and says of it what it was told to.

    The glosses come on every second step, from the first on, with nothing between them.
    """

    def __init__(self, corpus: PreparedCorpus, split: str, sequence: Hypotheses, conv: Hypotheses) -> None:
        super().__init__()
        self.corpus, self.scripts = corpus, (sequence, conv)
        self.clips = {self._key(self._first_frame(sample)): sample.sample_id for sample in corpus.samples(split)}
        self.seen: list[str] = []

    def __deepcopy__(self, memo: object) -> ScriptedNetwork:
        return self  # the form for inference is a copy, and has seen what this has

    def _first_frame(self, sample: Sample) -> Tensor:
        frame = torch.from_numpy(open_frames(self.corpus.frames_path(sample)).read([0])[0])
        return frame[2:34, 2:34].permute(2, 0, 1)  # the middle 32 of 36 pixels

    @staticmethod
    def _key(picture: Tensor) -> bytes:
        return picture.contiguous().numpy().tobytes()

    def forward(self, frames: Tensor, frame_lengths: Tensor) -> NetworkOutput:
        steps = torch.tensor([PLAN.num_steps(int(length)) for length in frame_lengths])
        names = [self.clips[self._key(clip[0])] for clip in frames]
        self.seen += names
        sequence, conv = (self._logits([script[name] for name in names], int(steps.max())) for script in self.scripts)
        return NetworkOutput(sequence, conv, steps)

    def _logits(self, clips: Sequence[Sequence[str]], num_steps: int) -> Tensor:
        logits = torch.zeros(len(clips), num_steps, self.corpus.vocabulary.num_classes)
        logits[..., 0] = 20.0
        for clip, glosses in zip(logits, clips, strict=True):
            for place, gloss_id in enumerate(self.corpus.vocabulary.encode(glosses)):
                clip[2 * place, gloss_id] = 40.0
        return logits


def with_settings(config: Config, **sections: Mapping[str, Any]) -> Config:
    values = config.to_dict()
    return Config.from_dict({**values, **{name: {**values[name], **new} for name, new in sections.items()}}, "changed")


def evaluator(corpus: PreparedCorpus, split: str, config: Config) -> Evaluator:
    return Evaluator(corpus, split, config, corpus.vocabulary, device=CPU, dtype=torch.float32, num_workers=0)


def scripted(
    corpus: PreparedCorpus, split: str, config: Config, sequence: Hypotheses, conv: Hypotheses | None = None
) -> SplitResult:
    network: Any = ScriptedNetwork(corpus, split, sequence, sequence if conv is None else conv)
    return evaluator(corpus, split, config)(network)


def references(corpus: PreparedCorpus, split: str) -> dict[str, list[str]]:
    return {sample.sample_id: list(sample.glosses) for sample in corpus.samples(split)}


def another_gloss(corpus: PreparedCorpus, *not_these: str) -> str:
    return next(gloss for gloss in corpus.vocabulary.glosses if gloss not in not_these)


def copied(corpus: PreparedCorpus, folder: Path) -> PreparedCorpus:
    shutil.copytree(corpus.path, folder)
    return PreparedCorpus.open(folder)


# Figures


def test_the_figures_are_those_that_one_counts_by_hand(tiny_corpus: PreparedCorpus, tiny_config: Config) -> None:
    signed = references(tiny_corpus, "dev")
    first, second, third, fourth = signed
    total = sum(len(glosses) for glosses in signed.values())
    hypotheses = {
        first: [*signed[first], another_gloss(tiny_corpus, *signed[first])],  # one insertion
        second: signed[second][:-1],  # one deletion
        third: [another_gloss(tiny_corpus, *signed[third]), *signed[third][1:]],  # one substitution
        fourth: [],  # [EMPTY] for the first gloss, the others deleted
    }
    conv = {**signed, first: signed[first][1:]}
    result = scripted(tiny_corpus, "dev", tiny_config, hypotheses, conv)
    counts = result.scores["sequence"].counts
    assert (counts.insertions, counts.substitutions) == (1, 2)
    assert counts.deletions == 1 + len(signed[fourth]) - 1
    assert counts.references == total
    assert result.wer == pytest.approx(100 * (3 + len(signed[fourth])) / total)
    assert result.scores["conv"].wer == pytest.approx(100 / total)


def test_what_is_recognised_without_a_fault_has_no_errors(tiny_corpus: PreparedCorpus, tiny_config: Config) -> None:
    for split in ("train", "dev", "test"):
        result = scripted(tiny_corpus, split, tiny_config, references(tiny_corpus, split))
        assert result.wer == 0
        assert result.scores["conv"].wer == 0


def test_known_and_unseen_signers_are_scored_separately(tiny_corpus: PreparedCorpus, tiny_config: Config) -> None:
    samples = tiny_corpus.samples("test")
    unseen = {sample.sample_id for sample in samples if sample.signer == "Signer03"}
    assert len(unseen) == 2
    hypotheses = {
        sample.sample_id: (
            [another_gloss(tiny_corpus, *sample.glosses)] if sample.sample_id in unseen else sample.glosses
        )
        for sample in samples
    }
    result = scripted(tiny_corpus, "test", tiny_config, hypotheses)
    assert result.unseen_signers == {"Signer03"}
    known_clips, unseen_clips = result.clips_of_known_signers, result.clips_of_unseen_signers
    assert {clip.sample_id for clip in unseen_clips} == unseen
    assert {clip.signer for clip in known_clips} == {"Signer01", "Signer02"}
    assert [clip.counts.errors for clip in known_clips] == [0] * (len(samples) - len(unseen))
    assert [clip.counts.wer for clip in unseen_clips] == [100, 100]


def test_a_split_by_signers_of_training_has_no_unseen_ones(tiny_corpus: PreparedCorpus, tiny_config: Config) -> None:
    result = scripted(tiny_corpus, "dev", tiny_config, references(tiny_corpus, "dev"))
    assert result.unseen_signers == frozenset()
    assert result.clips_of_unseen_signers == ()
    assert result.clips_of_known_signers == result.scores["sequence"].clips


def test_a_corpus_without_a_training_split_is_evaluated_and_knows_of_no_unseen_signers(
    tiny_corpus: PreparedCorpus, tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    info = tiny_corpus.info
    test_only = dataclasses.replace(
        info, splits={"test": info.splits["test"]}, references={"test": info.references["test"]}
    )
    corpus = copied(tiny_corpus, tmp_path / "test-only")
    (corpus.path / "corpus.yaml").write_text(test_only.to_yaml())
    for left_out in ("train.jsonl", "dev.jsonl"):
        (corpus.path / left_out).unlink()
    corpus = PreparedCorpus.open(corpus.path)
    (result,) = evaluate(tiny_checkpoint, corpus, ["test"], device=CPU, dtype=torch.float32)
    assert result.unseen_signers == frozenset()
    (analysis,) = write_evaluation([result], corpus, tmp_path / "report", {})
    assert analysis.breakdown.unseen is None
    (whole,) = evaluate(tiny_checkpoint, tiny_corpus, ["test"], device=CPU, dtype=torch.float32)
    assert result.scores == whole.scores


def test_clips_whose_signer_nobody_knows_count_as_known(
    tiny_corpus: PreparedCorpus, tiny_config: Config, tmp_path: Path
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "prepared")
    lines = [dataclasses.replace(sample, signer=None).to_json() for sample in corpus.samples("test")]
    (corpus.path / "test.jsonl").write_text("".join(f"{line}\n" for line in lines))
    result = scripted(corpus, "test", tiny_config, references(corpus, "test"))
    assert result.unseen_signers == frozenset()
    assert result.clips_of_known_signers == result.scores["sequence"].clips


# Times


def test_each_gloss_has_the_time_of_its_step(tiny_corpus: PreparedCorpus, tiny_config: Config) -> None:
    signed = references(tiny_corpus, "dev")
    result = scripted(tiny_corpus, "dev", tiny_config, signed)
    for sample_id, glosses in signed.items():
        timed = result.hypotheses["sequence"][sample_id]
        assert [gloss.gloss for gloss in timed] == glosses
        # A step is 4 frames of 1/25 s; the glosses are on the steps 0, 2, 4 …
        assert [gloss.start for gloss in timed] == pytest.approx([0.32 * place for place in range(len(glosses))])
        assert [gloss.end - gloss.start for gloss in timed] == pytest.approx([0.16] * len(glosses))
        assert all(gloss.confidence is not None and gloss.confidence > 0.99 for gloss in timed)


def test_no_gloss_ends_after_its_clip_where_frames_are_passed_over(
    tiny_corpus: PreparedCorpus, tiny_config: Config
) -> None:
    config = with_settings(tiny_config, data={"frame_interval": 3})
    for split in ("dev", "test"):
        for sample in tiny_corpus.samples(split):
            assert sample.num_frames is not None
            seen = -(-sample.num_frames // 3)
            last_step = PLAN.num_steps(seen) - 1
            # So many glosses that the last one is on the last step, if that is an even one.
            glosses = [tiny_corpus.vocabulary.glosses[place % 3] for place in range(last_step // 2 + 1)]
            script = {other.sample_id: glosses[:1] for other in tiny_corpus.samples(split)} | {
                sample.sample_id: glosses
            }
            last = scripted(tiny_corpus, split, config, script).hypotheses["sequence"][sample.sample_id][-1]
            assert last.start == pytest.approx(last_step // 2 * 2 * 4 * 3 / 25)
            if last_step % 2 == 0:
                assert last.end == pytest.approx(sample.num_frames / 25)


# Every clip once, and alike in any company


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7])
def test_every_clip_is_evaluated_exactly_once(
    tiny_corpus: PreparedCorpus, tiny_config: Config, batch_size: int
) -> None:
    signed = references(tiny_corpus, "train")
    network: Any = ScriptedNetwork(tiny_corpus, "train", signed, signed)
    told: list[Progress] = []
    config = with_settings(tiny_config, training={"batch_size": batch_size})
    result = evaluator(tiny_corpus, "train", config)(network, told.append)
    assert sorted(network.seen) == sorted(signed)
    assert list(result.hypotheses["sequence"]) == list(result.hypotheses["conv"]) == list(signed)
    assert result.wer == 0
    assert told[-1] == Progress("evaluate train", 8, 8)
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)


def test_the_result_does_not_depend_on_the_batch_size(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus) -> None:
    def with_batches_of(size: int) -> list[SplitResult]:
        config = with_settings(tiny_checkpoint.config, training={"batch_size": size})
        checkpoint = dataclasses.replace(tiny_checkpoint, config=config)
        return evaluate(checkpoint, tiny_corpus, ["dev", "test"], device=CPU, dtype=torch.float32)

    alone = with_batches_of(1)
    for together in (with_batches_of(3), with_batches_of(4)):
        for one, other in zip(alone, together, strict=True):
            for head in ("sequence", "conv"):
                assert_same_hypotheses(one.hypotheses[head], other.hypotheses[head])


def assert_same_hypotheses(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """The same glosses at the same times, and confidences that differ by rounding only."""
    assert list(one) == list(other)
    for sample_id, glosses in one.items():
        without = [
            [dataclasses.replace(gloss, confidence=None) for gloss in clip] for clip in (glosses, other[sample_id])
        ]
        assert without[0] == without[1]
        expected = [gloss.confidence for gloss in glosses]
        assert [gloss.confidence for gloss in other[sample_id]] == pytest.approx(expected, rel=1e-4)


def test_both_heads_have_hypotheses_of_their_own(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus) -> None:
    (result,) = evaluate(tiny_checkpoint, tiny_corpus, ["dev"], device=CPU, dtype=torch.float32)
    assert result.hypotheses["sequence"].keys() == result.hypotheses["conv"].keys()
    assert result.hypotheses["sequence"] != result.hypotheses["conv"]


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # torch's own choice, from Python 3.12 on
def test_workers_change_nothing(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus) -> None:
    def with_workers(num_workers: int) -> SplitResult:
        (result,) = evaluate(
            tiny_checkpoint, tiny_corpus, ["dev"], device=CPU, dtype=torch.float32, num_workers=num_workers
        )
        return result

    assert with_workers(0) == with_workers(1)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # torch's own choice, from Python 3.12 on
def test_the_workers_of_a_split_end_before_the_next_split_begins(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus
) -> None:
    alive: dict[str, int] = {}

    def count_workers(progress: Progress) -> None:
        alive[progress.stage] = len(multiprocessing.active_children())

    evaluate(
        tiny_checkpoint,
        tiny_corpus,
        ["dev", "test"],
        device=CPU,
        dtype=torch.float32,
        num_workers=1,
        progress=count_workers,
    )
    assert max(alive.values()) <= 1
    assert multiprocessing.active_children() == []


def test_the_network_is_left_in_the_mode_that_it_was_in(tiny_corpus: PreparedCorpus, tiny_config: Config) -> None:
    signed = references(tiny_corpus, "dev")
    network: Any = ScriptedNetwork(tiny_corpus, "dev", signed, signed)
    for training in (True, False):
        network.train(training)
        evaluator(tiny_corpus, "dev", tiny_config)(network)
        assert network.training is training


# Decoding


def test_neighbouring_repeats_are_merged_unless_they_are_to_be_kept(
    tiny_corpus: PreparedCorpus, tiny_config: Config
) -> None:
    gloss = tiny_corpus.vocabulary.glosses[0]
    script = {sample.sample_id: [gloss, gloss] for sample in tiny_corpus.samples("dev")}
    for keep_repeats, expected in [(False, [gloss]), (True, [gloss, gloss])]:
        config = with_settings(tiny_config, decoding={"keep_repeats": keep_repeats})
        for clip in scripted(tiny_corpus, "dev", config, script).hypotheses["sequence"].values():
            assert [timed.gloss for timed in clip] == expected


def test_the_decoding_can_be_another_than_in_training(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus) -> None:
    def decoded_by(**settings: Any) -> SplitResult:
        decoding = DecodingConfig(**settings)
        options: dict[str, Any] = {"device": CPU, "dtype": torch.float32, "decoding": decoding}
        return evaluate(tiny_checkpoint, tiny_corpus, ["dev"], **options)[0]

    greedy, beam = decoded_by(decoder="greedy"), decoded_by(decoder="beam")
    (as_trained,) = evaluate(tiny_checkpoint, tiny_corpus, ["dev"], device=CPU, dtype=torch.float32)
    assert_same_hypotheses(as_trained.hypotheses["sequence"], beam.hypotheses["sequence"])
    assert greedy.hypotheses != beam.hypotheses


# Files


def test_the_files_score_to_the_same_figures(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    for result in evaluate(tiny_checkpoint, tiny_corpus, ["dev", "test"], device=CPU, dtype=torch.float32):
        ctm, stm = write_hypotheses(result, tiny_corpus, tmp_path / "new" / "folder")
        heads = {"sequence": ctm, "conv": ctm.with_suffix(".conv.ctm")}
        for head, path in heads.items():
            hypotheses = {name: [timed.gloss for timed in clip] for name, clip in read_ctm(path).items()}
            scored = score(read_stm(stm), hypotheses, find_protocol(tiny_corpus.protocol))
            assert scored.counts == result.scores[head].counts
            assert scored.wer == result.scores[head].wer


def test_the_files_of_a_part_of_a_split_have_the_same_clips(
    tiny_corpus: PreparedCorpus, tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "part")
    dev = corpus.path / "dev.jsonl"
    dev.write_text("".join(dev.read_text(encoding="utf-8").splitlines(keepends=True)[1:3]), encoding="utf-8")
    corpus = PreparedCorpus.open(corpus.path)
    (result,) = evaluate(tiny_checkpoint, corpus, ["dev"], device=CPU, dtype=torch.float32)
    ctm, stm = write_hypotheses(result, corpus, tmp_path)
    kept = list(references(corpus, "dev"))
    assert [reference.sample_id for reference in read_stm(stm)] == list(read_ctm(ctm)) == kept


def test_the_ctm_and_the_json_file_have_the_same_times_in_seconds(
    tiny_corpus: PreparedCorpus, tiny_config: Config, tmp_path: Path
) -> None:
    signed = references(tiny_corpus, "dev")
    result = scripted(tiny_corpus, "dev", with_settings(tiny_config, decoding={"num_best": 2}), signed)
    ctm, _ = write_hypotheses(result, tiny_corpus, tmp_path)
    told = json.loads((tmp_path / "dev.hypotheses.json").read_text(encoding="utf-8"))
    assert list(told) == ["schema_version", *signed]
    for sample_id, glosses in signed.items():
        # The script has its glosses on the steps 0, 2, 4 … of 4 frames of 1/25 s.
        expected = [(gloss, 0.32 * place, 0.32 * place + 0.16) for place, gloss in enumerate(glosses)]
        in_json = [(timed["gloss"], timed["start"], timed["end"]) for timed in told[sample_id]["glosses"]]
        lines = [line.split() for line in ctm.read_text().splitlines() if line.startswith(f"{sample_id} ")]
        in_ctm = [(line[4], float(line[2]), float(line[3])) for line in lines]
        for found in (in_json, in_ctm):
            assert [gloss for gloss, _, _ in found] == glosses
            for (_, start, end), (_, expected_start, expected_end) in zip(found, expected, strict=True):
                assert (start, end) == pytest.approx((expected_start, expected_end), abs=1e-3)
        assert told[sample_id]["nbest"][0] == {key: told[sample_id][key] for key in ("glosses", "score")}
        assert len(told[sample_id]["nbest"]) == 2


def test_a_clip_without_hypothesis_is_in_the_files_as_well(
    tiny_corpus: PreparedCorpus, tiny_config: Config, tmp_path: Path
) -> None:
    nothing: dict[str, list[str]] = {sample.sample_id: [] for sample in tiny_corpus.samples("dev")}
    result = scripted(tiny_corpus, "dev", tiny_config, nothing)
    ctm, _ = write_hypotheses(result, tiny_corpus, tmp_path)
    assert result.wer == 100
    assert read_ctm(ctm) == dict.fromkeys(nothing, ())


# In parts, and in other processes


@pytest.mark.parametrize("num_shards", [1, 2, 3, 5])
def test_shards_score_like_one_pass(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, num_shards: int) -> None:
    network = tiny_checkpoint.build_network()
    whole = evaluator(tiny_corpus, "dev", tiny_checkpoint.config)
    parts = [whole.recognize(network, shard=shard, num_shards=num_shards) for shard in reversed(range(num_shards))]
    assert max(map(len, parts)) - min(map(len, parts)) <= 2  # a batch
    assert whole.score([clip for part in parts for clip in part]) == whole(network)


def test_progress_counts_the_clips_of_the_shard(tiny_corpus: PreparedCorpus, tiny_config: Config) -> None:
    signed = references(tiny_corpus, "train")
    network: Any = ScriptedNetwork(tiny_corpus, "train", signed, signed)
    told: list[Progress] = []
    config = with_settings(tiny_config, training={"batch_size": 1})
    evaluator(tiny_corpus, "train", config).recognize(network, told.append, shard=1, num_shards=3)
    assert [(progress.done, progress.total) for progress in told] == [(1, 3), (2, 3), (3, 3)]


def test_clips_that_are_missing_or_there_twice_are_not_scored(tiny_corpus: PreparedCorpus, tiny_config: Config) -> None:
    signed = references(tiny_corpus, "dev")
    network: Any = ScriptedNetwork(tiny_corpus, "dev", signed, signed)
    whole = evaluator(tiny_corpus, "dev", tiny_config)
    clips = whole.recognize(network)
    for wrong in (clips[1:], [*clips, clips[0]], [*clips[1:], clips[1]]):
        with pytest.raises(ValueError, match="expected each of the 4 of dev once"):
            whole.score(wrong)


def test_what_is_recognised_can_be_sent_to_another_process(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus
) -> None:
    whole = evaluator(tiny_corpus, "dev", with_settings(tiny_checkpoint.config, decoding={"num_best": 3}))
    clips = whole.recognize(tiny_checkpoint.build_network())
    sent = pickle.dumps(clips)
    assert len(sent) < 20_000  # hypotheses, no logits
    assert pickle.loads(sent) == clips


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_decoding_in_other_processes_changes_nothing(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_workers(num_workers: int) -> SplitResult:
        decoding = DecodingConfig(num_best=4)
        options: dict[str, Any] = {"device": CPU, "dtype": torch.float32, "decoding": decoding}
        return evaluate(tiny_checkpoint, tiny_corpus, ["dev"], num_workers=num_workers, **options)[0]

    here = with_workers(0)
    monkeypatch.setattr(decoder_pool, "MIN_SECONDS_FOR_WORKERS", 0.0)
    assert with_workers(1) == here


# The same logits decoded in other ways


def test_greedy_decoding_is_scored_with_every_decoder(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus) -> None:
    options: dict[str, Any] = {"device": CPU, "dtype": torch.float32}
    (greedy,) = evaluate(tiny_checkpoint, tiny_corpus, ["dev"], decoding=DecodingConfig(decoder="greedy"), **options)
    (beam,) = evaluate(tiny_checkpoint, tiny_corpus, ["dev"], **options)
    assert beam.greedy == greedy.scores == greedy.greedy
    assert beam.scores != greedy.scores


def test_the_n_best_lists_have_scores_and_real_times(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus) -> None:
    decoding = DecodingConfig(num_best=5)
    (result,) = evaluate(tiny_checkpoint, tiny_corpus, ["dev"], device=CPU, dtype=torch.float32, decoding=decoding)
    lengths = {sample.sample_id: sample.num_frames for sample in tiny_corpus.samples("dev")}
    for head in ("sequence", "conv"):
        for sample_id, alternatives in result.nbest[head].items():
            assert 1 < len(alternatives) <= 5
            assert alternatives[0].glosses == result.hypotheses[head][sample_id]
            scores = [alternative.score for alternative in alternatives]
            assert scores == sorted(scores, reverse=True)
            assert len({tuple(timed.gloss for timed in alternative.glosses) for alternative in alternatives}) == len(
                alternatives
            )
            for timed in (timed for alternative in alternatives for timed in alternative.glosses):
                assert 0 <= timed.start < timed.end <= (lengths[sample_id] or 0) / 25
                assert timed.start / 0.16 == pytest.approx(round(timed.start / 0.16))  # a step is 4 frames of 1/25 s


def test_the_oracle_takes_each_clips_best_alternative(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus) -> None:
    def evaluated(num_best: int) -> SplitResult:
        decoding = DecodingConfig(num_best=num_best)
        options: dict[str, Any] = {"device": CPU, "dtype": torch.float32, "decoding": decoding}
        return evaluate(tiny_checkpoint, tiny_corpus, ["train"], **options)[0]

    result = evaluated(10)
    for head in ("sequence", "conv"):
        errors = 0
        for sample in tiny_corpus.samples("train"):
            errors += min(
                edit_distance(sample.glosses, [timed.gloss for timed in alternative.glosses])
                for alternative in result.nbest[head][sample.sample_id]
            )
        assert result.oracle[head].counts.errors <= result.scores[head].counts.errors
        assert result.oracle[head].counts.errors == errors
    assert evaluated(1).oracle == {}


def edit_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    row = list(range(len(hypothesis) + 1))
    for place, gloss in enumerate(reference, start=1):
        above, row = row, [place]
        for other, recognised in enumerate(hypothesis, start=1):
            row.append(min(above[other] + 1, row[-1] + 1, above[other - 1] + (gloss != recognised)))
    return row[-1]


def test_alternatives_are_normalised_before_the_oracle_chooses() -> None:
    clips = [Reference("a", ("REGEN", "WIND")), Reference("b", ("SONNE",)), Reference("c", ())]
    alternatives = {
        "a": [["REGEN"], ["loc-REGEN", "WIND"], ["WIND"]],  # the second is right once it is normalised
        "b": [["WIND"], []],  # [EMPTY] is no better than a wrong gloss: the likelier one stays
        "c": [["WIND"], []],  # and nothing is right where nothing is signed
    }
    best = oracle_score(clips, alternatives, find_protocol("phoenix2014"))
    assert [clip.hypothesis for clip in best.clips] == [("REGEN", "WIND"), ("WIND",), ()]
    assert best.wer == pytest.approx(100 / 3)


# What cannot be evaluated


def refused(checkpoint: Checkpoint, corpus: PreparedCorpus, split: str) -> str:
    with pytest.raises(CslrError) as caught:
        evaluate(checkpoint, corpus, [split], device=CPU, dtype=torch.float32)
    return str(caught.value)


def spoilt(corpus: PreparedCorpus, folder: Path, file: str, change: Callable[[str], str]) -> PreparedCorpus:
    copy = copied(corpus, folder)
    path = copy.path / file
    path.write_text(change(path.read_text()))
    return PreparedCorpus.open(copy.path)


def test_a_corpus_of_another_frame_size_is_refused_with_the_command_that_mends_it(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    larger = spoilt(tiny_corpus, tmp_path / "large", "corpus.yaml", lambda text: text.replace("size: 36", "size: 256"))
    message = refused(tiny_checkpoint, larger, "dev")
    assert "256 pixels" in message
    assert "--size 36" in message


def at_rate(corpus: PreparedCorpus, folder: Path, fps: float) -> PreparedCorpus:
    return spoilt(corpus, folder, "corpus.yaml", lambda text: re.sub("fps: .*", f"fps: {fps}", text))


def test_a_corpus_of_another_frame_rate_is_warned_of_and_of_quite_another_refused(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    def warnings(corpus: PreparedCorpus) -> list[str]:
        return evaluation_warnings(tiny_checkpoint, corpus, ["dev"], DecodingConfig())

    assert tiny_checkpoint.corpus.fps == 25
    assert warnings(tiny_corpus) == []
    assert warnings(at_rate(tiny_corpus, tmp_path / "same", 24.99)) == []
    (warning,) = warnings(at_rate(tiny_corpus, tmp_path / "near", 30.0))
    assert "30 frames per second" in warning
    assert "trained at 25" in warning
    for fps in (50.0, 12.5):
        message = refused(tiny_checkpoint, at_rate(tiny_corpus, tmp_path / str(fps), fps), "dev")
        assert f"{fps:g} frames per second" in message
        assert "--fps 25" in message


def test_splits_that_are_not_there_or_empty_are_named(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    message = refused(tiny_checkpoint, tiny_corpus, "validation")
    assert "validation" in message
    assert "train, dev, test" in message
    empty = spoilt(tiny_corpus, tmp_path / "empty", "dev.jsonl", lambda text: "")
    assert "no clips in the split dev" in refused(tiny_checkpoint, empty, "dev")


def test_a_clip_without_reference_is_named(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    def without_the_first(text: str) -> str:
        return "".join(text.splitlines(keepends=True)[1:])

    corpus = spoilt(tiny_corpus, tmp_path / "prepared", "references/dev.stm", without_the_first)
    assert "synthetic_dev-0001" in refused(tiny_checkpoint, corpus, "dev")


def test_diverged_weights_are_an_error(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus) -> None:
    weights = {name: value * float("nan") for name, value in tiny_checkpoint.weights.items()}
    assert "diverged" in refused(dataclasses.replace(tiny_checkpoint, weights=weights), tiny_corpus, "dev")


def test_reference_glosses_that_the_network_cannot_give_are_warned_of_and_are_not_all(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "strange")
    signed = read_stm(corpus.references("dev"))

    def warned(*glosses: str) -> list[str]:
        changed = [dataclasses.replace(each, glosses=glosses) for each in signed]
        write_stm(corpus.references("dev"), changed)
        return evaluation_warnings(tiny_checkpoint, corpus, ["dev", "test"], DecodingConfig())

    known = tiny_checkpoint.vocabulary.glosses[0]
    assert warned(known, known.lower()) == []
    (warning,) = warned(known, "FAX", "EMAIL")
    assert "cannot recognise 2 of the 3 glosses of dev, for example EMAIL, FAX" in warning
    with pytest.raises(DataError, match="can recognise none of the 2 glosses of dev, for example EMAIL, FAX"):
        warned("FAX", "EMAIL")
