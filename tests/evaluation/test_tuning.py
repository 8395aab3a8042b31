from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.config import DecodingConfig
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import DataError, UsageError
from cslr_cli.evaluation import TunedLanguageModel, evaluate, evaluation_warnings, tune_language_model, tuning
from cslr_cli.model.network import Network
from cslr_cli.progress import Progress

ON_CPU: dict[str, Any] = {"device": torch.device("cpu"), "dtype": torch.float32, "num_workers": 0}


@pytest.fixture(autouse=True)
def _few_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyctcdecode")
    pytest.importorskip("kenlm")
    monkeypatch.setattr(tuning, "_WEIGHTS", (0.5, 1.0))
    monkeypatch.setattr(tuning, "_BONUSES", (0.0, 3.0))
    monkeypatch.setattr(tuning, "_REFINEMENTS", ((0.2, 0.5),))


@pytest.fixture
def decoding(tiny_corpus: PreparedCorpus, tmp_path: Path) -> DecodingConfig:
    """With a model of the corpus' glosses but one, in which some are more frequent than others."""
    glosses = tiny_corpus.vocabulary.glosses[:-1]
    known = [f"-{1 + place / 5}\t{gloss}\t0" for place, gloss in enumerate(glosses)]
    unigrams = ["-3\t<unk>", "-99\t<s>\t0", "-1\t</s>", *known]
    bigrams = [f"-0.5\t{glosses[0]} {glosses[1]}"]  # KenLM takes no model of single glosses
    counts = [f"ngram 1={len(unigrams)}", f"ngram 2={len(bigrams)}"]
    sections = ["\\1-grams:", *unigrams, "", "\\2-grams:", *bigrams, "", "\\end\\", ""]
    path = tmp_path / "gloss.arpa"
    lines = ["\\data\\", *counts, "", *sections]
    path.write_text("\n".join(lines), encoding="utf-8")
    return DecodingConfig(decoder="pyctcdecode", language_model=path)


def test_the_weights_found_are_the_best_of_those_tried_and_dev_is_decoded_with_them(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, decoding: DecodingConfig
) -> None:
    told: list[Progress] = []
    tuned = tune_language_model(tiny_checkpoint, tiny_corpus, decoding, progress=told.append, **ON_CPU)
    assert tuned.best.wer == min(trial.wer for trial in tuned.trials)
    assert len({trial.wer for trial in tuned.trials}) > 1
    weights = [(trial.lm_weight, trial.gloss_bonus) for trial in tuned.trials]
    assert len(set(weights)) == len(weights)
    assert weights[:5] == [(0.0, 0.0), (0.5, 0.0), (0.5, 3.0), (1.0, 0.0), (1.0, 3.0)]
    assert len(weights) > 5  # and then the neighbours of the best
    assert all(weight >= 0 for weight, _ in weights)

    assert (tuned.decoding.lm_weight, tuned.decoding.gloss_bonus) == (tuned.best.lm_weight, tuned.best.gloss_bonus)
    assert tuned.result.wer == tuned.best.wer
    (again,) = evaluate(tiny_checkpoint, tiny_corpus, ["dev"], decoding=tuned.decoding, **ON_CPU)
    assert again == tuned.result
    assert told[-1].done == told[-1].total == len(tuned.trials)


def test_the_first_trial_is_the_search_without_the_language_model(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, decoding: DecodingConfig
) -> None:
    tuned = tune_language_model(tiny_checkpoint, tiny_corpus, decoding, **ON_CPU)
    without = DecodingConfig(decoder="pyctcdecode")
    (result,) = evaluate(tiny_checkpoint, tiny_corpus, ["dev"], decoding=without, **ON_CPU)
    assert tuned.trials[0].wer == result.wer


def test_the_network_sees_each_clip_once_however_many_weights_are_tried(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, decoding: DecodingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    forward = Network.forward

    def counting(network: Network, frames: Any, frame_lengths: Any) -> Any:
        seen.append(len(frame_lengths))
        return forward(network, frames, frame_lengths)

    monkeypatch.setattr(Network, "forward", counting)
    tune_language_model(tiny_checkpoint, tiny_corpus, decoding, **ON_CPU)
    assert sum(seen) == len(tiny_corpus.samples("dev"))


def test_of_equally_good_weights_the_smallest_are_taken() -> None:
    trials = [(0.0, 0.0, 20.0), (0.6, 1.0, 10.0), (0.3, -2.0, 10.0), (0.3, 1.0, 10.0), (0.1, 0.0, 10.5)]
    tuned = TunedLanguageModel(
        tuple(tuning.LanguageModelTrial(*trial) for trial in trials),
        DecodingConfig(),
        result=None,  # type: ignore[arg-type]
    )
    assert tuned.best == tuning.LanguageModelTrial(0.3, 1.0, 10.0)


def test_no_weight_below_zero_is_tried() -> None:
    neighbours = tuning._neighbours(tuning.LanguageModelTrial(0.1, 0.0, 10.0), 0.15, 0.5)
    assert set(neighbours) == {(weight, bonus) for weight in (0.1, 0.25) for bonus in (-0.5, 0.0, 0.5)}


def test_without_a_language_model_there_is_nothing_to_tune(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus
) -> None:
    for decoder in ("beam", "pyctcdecode"):
        with pytest.raises(UsageError, match="no language model to tune"):
            tune_language_model(tiny_checkpoint, tiny_corpus, DecodingConfig(decoder=decoder), **ON_CPU)


def test_glosses_unknown_to_the_language_model_are_warned_of_with_their_number(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, decoding: DecodingConfig, tmp_path: Path
) -> None:
    (warning,) = evaluation_warnings(tiny_checkpoint, tiny_corpus, ["dev"], decoding)
    glosses = tiny_checkpoint.vocabulary.glosses
    assert f"lacks 1 of the {len(glosses)} glosses of the vocabulary, for example {glosses[-1]}" in warning
    missing = decoding.model_copy(update={"language_model": tmp_path / "gone.arpa"})
    with pytest.raises(DataError, match=r"gone\.arpa"):
        evaluation_warnings(tiny_checkpoint, tiny_corpus, ["dev"], missing)
