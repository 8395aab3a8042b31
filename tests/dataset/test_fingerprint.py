from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cslr_cli.dataset.fingerprint import CorpusFingerprint
from cslr_cli.dataset.manifest import PreparedCorpus, samples_path
from cslr_cli.dataset.sample import Sample
from cslr_cli.vocabulary import Vocabulary


def digits(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def test_what_goes_in_is_what_the_documentation_states() -> None:
    vocabulary = Vocabulary(("WIND", "SÜD"), (1, 1))
    samples = [Sample("b", "dev", "b.zip", 9, None, ("SÜD",)), Sample("a", "dev", "a.zip", 9, None, ("WIND", "SÜD"))]
    fingerprint = CorpusFingerprint.of(vocabulary, {"dev": samples, "test": []})
    assert fingerprint.vocabulary == digits("WIND\nSÜD\n")
    assert fingerprint.splits == {"dev": digits("a\tWIND SÜD\nb\tSÜD\n"), "test": digits("")}
    assert str(fingerprint).startswith(f"vocabulary {fingerprint.vocabulary}, dev {fingerprint.splits['dev']}, test ")


Change = Callable[[list[dict[str, Any]]], object]


def changed(corpus: PreparedCorpus, folder: Path, split: str, change: Change) -> CorpusFingerprint:
    """Return the fingerprint of a copy of a corpus with other samples in a split."""
    shutil.copytree(corpus.path, folder)
    path = samples_path(folder, split)
    samples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    change(samples)
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples), encoding="utf-8")
    return PreparedCorpus.open(folder).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda samples: samples.reverse(),
        lambda samples: [sample.update(signer="somebody", translation="a sentence") for sample in samples],
        lambda samples: [sample.update(frames="elsewhere.zip", num_frames=1) for sample in samples],
    ],
)
def test_order_frames_and_signers_do_not_matter(tiny_corpus: PreparedCorpus, tmp_path: Path, change: Change) -> None:
    other = changed(tiny_corpus, tmp_path / "other", "dev", change)
    assert other == tiny_corpus.fingerprint
    assert tiny_corpus.fingerprint.differences(other) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda samples: samples.pop(),
        lambda samples: samples[0]["glosses"].append(samples[0]["glosses"][0]),
        lambda samples: samples[0].update(sample_id="renamed"),
    ],
)
def test_another_sample_or_sentence_changes_its_split_only(
    tiny_corpus: PreparedCorpus, tmp_path: Path, change: Change
) -> None:
    other = changed(tiny_corpus, tmp_path / "other", "dev", change)
    assert tiny_corpus.fingerprint.differences(other) == ["split dev"]


def test_another_order_of_the_vocabulary_is_another_vocabulary(tiny_corpus: PreparedCorpus, tmp_path: Path) -> None:
    shutil.copytree(tiny_corpus.path, tmp_path / "other")
    path = tmp_path / "other" / "vocabulary.txt"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    other = PreparedCorpus.open(tmp_path / "other").fingerprint
    assert tiny_corpus.fingerprint.differences(other) == ["vocabulary"]


def test_missing_splits_differ_and_unknown_ones_do_not(tiny_corpus: PreparedCorpus) -> None:
    whole = tiny_corpus.fingerprint
    without_test = CorpusFingerprint(whole.vocabulary, {split: whole.splits[split] for split in ("train", "dev")})
    assert whole.differences(without_test) == ["split test"]
    assert without_test.differences(whole) == []
    assert CorpusFingerprint.of(tiny_corpus.vocabulary).differences(whole) == []
