"""`cslr evaluate`: n-best lists, language models, and the times in what it writes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from cslr_cli.choices import DecoderName
from cslr_cli.cli.decoding import apply_decoding_options
from cslr_cli.config import DecodingConfig
from cslr_cli.dataset.manifest import PreparedCorpus

from .conftest import Command

FAST = ("--split", "dev", "--precision", "fp32", "--workers", 0)


@pytest.fixture
def arpa(tiny_corpus: PreparedCorpus, tmp_path: Path) -> Path:
    """A model of the tiny corpus' glosses, all alike."""
    glosses = tiny_corpus.vocabulary.glosses
    unigrams = ["-3\t<unk>", "-99\t<s>\t0", "-1\t</s>", *(f"-1\t{gloss}\t0" for gloss in glosses)]
    lines = ["\\data\\", f"ngram 1={len(unigrams)}", "ngram 2=1", "", "\\1-grams:", *unigrams, ""]
    path = tmp_path / "gloss.arpa"
    path.write_text("\n".join([*lines, "\\2-grams:", f"-1\t<s> {glosses[0]}", "", "\\end\\", ""]), encoding="utf-8")
    return path


def test_the_json_has_times_in_seconds_greedy_decoding_and_the_n_best_lists(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus
) -> None:
    outcome = cslr("evaluate", trained, *FAST, "--nbest", 3, "--json")
    assert outcome.status == 0
    reported = json.loads(outcome.stdout)
    assert (reported["protocol"], reported["tool"]) == (tiny_corpus.protocol, "builtin")
    assert (reported["decoding"]["decoder"], reported["decoding"]["num_best"]) == ("beam", 3)
    split = reported["splits"]["dev"]
    assert split["greedy"]["references"] == split["oracle"]["references"] == split["references"]
    assert split["oracle"]["wer"] <= split["wer"]
    assert "greedy decoding" not in outcome.stdout
    for sample in tiny_corpus.samples("dev"):
        clip = split["hypotheses"][sample.sample_id]
        assert 1 <= len(clip["nbest"]) <= 3
        assert clip["nbest"][0]["glosses"] == clip["glosses"]
        for timed in clip["glosses"]:
            assert 0 <= timed["start"] < timed["end"] <= (sample.num_frames or 0) / tiny_corpus.fps
            assert 0 <= timed["confidence"] <= 1


def test_the_table_has_greedy_decoding_and_the_best_of_the_n_best_lists(cslr: Command, trained: Path) -> None:
    outcome = cslr("evaluate", trained, *FAST, "--nbest", 3)
    assert "greedy decoding" in outcome.stdout
    assert "protocol: phoenix2014; decoder: beam, beam width 10; tool: builtin" in outcome.stdout
    assert "best of 3 (oracle)" in outcome.stdout
    alone = cslr("evaluate", trained, *FAST, "--decoder", "greedy")
    assert "greedy decoding" not in alone.stdout
    assert "decoder: greedy; tool: builtin" in alone.stdout
    assert "oracle" not in alone.stdout


def test_more_hypotheses_than_the_decoder_has_are_refused(cslr: Command, trained: Path) -> None:
    outcome = cslr("evaluate", trained, *FAST, "--nbest", 11)
    assert outcome.status == 2
    assert "beam width of 10" in outcome.stderr
    assert cslr("evaluate", trained, *FAST, "--nbest", 11, "--beam-width", 11).status == 0
    greedy = cslr("evaluate", trained, *FAST, "--nbest", 2, "--decoder", "greedy")
    assert greedy.status == 2
    assert "greedy decoding gives one hypothesis" in greedy.stderr
    greedy = cslr("evaluate", trained, *FAST, "--beam-width", 20, "--decoder", "greedy")
    assert greedy.status == 2
    assert "--beam-width 20: greedy decoding has no beam" in greedy.stderr


def test_a_language_model_is_tuned_on_dev_and_used_for_all_splits(cslr: Command, trained: Path, arpa: Path) -> None:
    pytest.importorskip("pyctcdecode")
    pytest.importorskip("kenlm")
    given = ("--precision", "fp32", "--workers", 0, "--lm", arpa)
    outcome = cslr("evaluate", trained, *given, "--tune-lm", "--json")
    assert outcome.status == 0
    reported = json.loads(outcome.stdout)
    found = reported["language_model"]
    assert reported["splits"]["dev"]["wer"] == found["wer"] == min(trial["wer"] for trial in found["trials"])
    again = cslr(
        "evaluate", trained, *given, "--json", "--lm-weight", found["lm_weight"], "--gloss-bonus", found["gloss_bonus"]
    )
    assert json.loads(again.stdout)["splits"] == reported["splits"]
    table = cslr("evaluate", trained, *given, "--tune-lm", "--split", "test").stdout
    assert re.search(r"language model weight.*WER % on dev", table)
    assert "without the language model" in table
    assert "chosen" in table


def test_contradicting_options_of_language_models_are_refused(cslr: Command, trained: Path, arpa: Path) -> None:
    refusals = {
        ("--lm", arpa, "--decoder", "beam"): ("beam does not support language models", "remove --decoder"),
        ("--tune-lm",): ("no language model to tune", "--lm gloss.arpa"),
        ("--lm-weight", 0.5): ("--lm-weight without a language model", "--lm FILE"),
        ("--gloss-bonus", 1): ("--gloss-bonus without a language model", "--lm FILE"),
        ("--lm", arpa, "--lm-weight", -1): ("--lm-weight", "0"),
        ("--lm", arpa, "--tune-lm", "--gloss-bonus", 1): (
            "--gloss-bonus with --tune-lm, which searches the weights",
            "remove one",
        ),
    }
    for options, words in refusals.items():
        outcome = cslr("evaluate", trained, *FAST, *options)
        assert outcome.status == 2, options
        for word in words:
            assert word in outcome.stderr, options
        assert "evaluate dev" not in outcome.stderr  # reported before the work


@pytest.mark.parametrize("name", ["beam", "greedy"])
def test_other_decoders_ignore_the_language_model_of_the_checkpoint(name: DecoderName) -> None:
    carried = DecodingConfig(decoder="pyctcdecode", language_model=Path("elsewhere.arpa"))
    assert apply_decoding_options(carried, decoder=None).language_model == Path("elsewhere.arpa")
    decoding = apply_decoding_options(carried, decoder=name)
    assert (decoding.decoder, decoding.language_model) == (name, None)


def test_unusable_language_model_is_an_error_before_the_work(
    cslr: Command, trained: Path, arpa: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyctcdecode")
    pytest.importorskip("kenlm")
    arpa.write_text("no n-grams\n")
    outcome = cslr("evaluate", trained, *FAST, "--lm", arpa)
    assert outcome.status == 1
    assert f"{arpa}: cannot be read as a language model" in outcome.stderr
    assert "evaluate dev" not in outcome.stderr
    monkeypatch.setitem(sys.modules, "kenlm", None)
    assert "pip install '.[lm]'" in cslr("evaluate", trained, *FAST, "--lm", arpa).stderr
