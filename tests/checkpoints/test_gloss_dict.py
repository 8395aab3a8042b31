"""The published code's vocabularies, and lists of glosses."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.checkpoints.gloss_dict import read_any_vocabulary, read_gloss_dict, write_gloss_dict
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CslrError, DataError
from cslr_cli.vocabulary import Vocabulary

GLOSSES = Vocabulary(("HAUS", "REGEN", "ÜBER", "我"), (3, 20, 1, 0))


def saved(path: Path, content: object) -> Path:
    """As the published preparation writes it."""
    np.save(path, np.array(content, dtype=object))
    return path


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_any_vocabulary(path)
    assert str(path) in caught.value.message
    return caught.value


def test_a_gloss_dict_is_read_in_the_order_of_its_ids(tmp_path: Path) -> None:
    content = {"我": [4, 0], "REGEN": [2, 20], "HAUS": [1, 3], "ÜBER": (3, 1)}
    assert read_gloss_dict(saved(tmp_path / "gloss_dict.npy", content)) == GLOSSES


@given(st.lists(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1), min_size=1, unique=True), st.data())
def test_what_is_written_is_what_numpy_reads_and_we_read_back(
    tmp_path_factory: pytest.TempPathFactory, glosses: list[str], data: st.DataObject
) -> None:
    counts = data.draw(st.lists(st.integers(0, 10**9), min_size=len(glosses), max_size=len(glosses)))
    vocabulary, path = Vocabulary(tuple(glosses), tuple(counts)), tmp_path_factory.mktemp("glosses") / "gloss_dict.npy"
    write_gloss_dict(vocabulary, path)
    by_numpy = np.load(path, allow_pickle=True).item()
    assert by_numpy == {gloss: [place, counts[place - 1]] for place, gloss in enumerate(glosses, start=1)}
    assert read_gloss_dict(path) == vocabulary


def test_what_is_written_is_for_older_versions_of_numpy_too(tmp_path: Path) -> None:
    write_gloss_dict(GLOSSES, tmp_path / "gloss_dict.npy")
    content = (tmp_path / "gloss_dict.npy").read_bytes()
    assert b"numpy.core.multiarray" in content
    assert b"numpy._core" not in content


def test_a_vocabulary_is_read_from_wherever_one_is(tmp_path: Path, tiny_corpus: PreparedCorpus) -> None:
    assert read_any_vocabulary(tiny_corpus.path) == tiny_corpus.vocabulary
    assert read_any_vocabulary(tiny_corpus.path / "vocabulary.txt") == tiny_corpus.vocabulary
    write_gloss_dict(GLOSSES, tmp_path / "gloss_dict.npy")
    assert read_any_vocabulary(tmp_path / "gloss_dict.npy") == GLOSSES
    plain = tmp_path / "glosses.txt"
    plain.write_text("HAUS\r\n REGEN\nÜBER\n我\n\n", encoding="utf-8-sig")
    assert read_any_vocabulary(plain).glosses == GLOSSES.glosses
    assert read_any_vocabulary(plain).hash == GLOSSES.hash


# What is refused


class _Intruder:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_code_in_a_gloss_dict_is_refused_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "intruder was here"
    path = saved(tmp_path / "gloss_dict.npy", {"HAUS": [1, 3], "REGEN": [2, _Intruder(target)]})
    assert "no code in it was run" in refused(path).message
    assert not target.exists()
    np.load(path, allow_pickle=True)  # the same file does run its code where everything is trusted
    assert target.is_dir()


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1, 2],
        "HAUS",
        None,
        {"HAUS": 1},
        {"HAUS": [1]},
        {"HAUS": ["1", "3"]},
        {"HAUS": [1.0, 3]},
        {"HAUS": [True, 3]},
        {1: [1, 3]},
        {"ZWEI WORTE": [1, 3]},
        {"HAUS": [0, 3], "REGEN": [1, 3]},
        {"HAUS": [1, 3], "REGEN": [1, 3]},
        {"HAUS": [1, 3], "REGEN": [3, 3]},
    ],
)
def test_anything_but_glosses_with_ids_from_1_and_counts_is_refused(tmp_path: Path, content: object) -> None:
    assert "not a gloss_dict.npy" in refused(saved(tmp_path / "gloss_dict.npy", content)).message


def test_an_array_of_numbers_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "numbers.npy", np.arange(4))
    assert "no dictionary" in refused(tmp_path / "numbers.npy").message


def test_a_damaged_gloss_dict_raises_a_cslr_error_or_is_harmless(tmp_path: Path) -> None:
    whole = saved(tmp_path / "gloss_dict.npy", {f"GLOSS{i}": [i, i] for i in range(1, 30)}).read_bytes()
    path, rng = tmp_path / "damaged.npy", random.Random(0)
    for _ in range(200):
        start = rng.randrange(len(whole))
        path.write_bytes(whole[:start] + rng.randbytes(rng.randrange(8)) + whole[start + rng.randrange(8) :])
        with contextlib.suppress(CslrError):
            read_gloss_dict(path)
    for content in (b"", b"\x93NUMPY", whole[:-20], pickle.dumps({"HAUS": [1, 3]}), os.urandom(300)):
        path.write_bytes(content)
        refused(path)


def test_a_file_that_is_not_there_or_holds_no_glosses_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "gloss_dict.npy")
    refused(tmp_path / "vocabulary.txt")
    refused(tmp_path)  # a folder, and no prepared corpus
    for content in ("", "\n\n", "HAUS\nHAUS\n", "ZWEI WORTE\n", "HAUS\t3\nREGEN\n"):
        (tmp_path / "vocabulary.txt").write_text(content)
        assert refused(tmp_path / "vocabulary.txt").hint
    (tmp_path / "vocabulary.txt").write_bytes(b"\xff\x00H")
    refused(tmp_path / "vocabulary.txt")
