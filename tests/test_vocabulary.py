from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.errors import DataError
from cslr_cli.vocabulary import Vocabulary

glosses = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1).filter(
    lambda text: text.split() == [text]
)


def test_ids_follow_the_code_points_and_start_at_one() -> None:
    vocabulary = Vocabulary.from_counts({"ZWEI": 1, "__ON__": 4, "IX": 2, "ÄRGER": 3, "S+H": 5, "loc-NORD": 6})
    assert vocabulary.glosses == ("IX", "S+H", "ZWEI", "__ON__", "loc-NORD", "ÄRGER")
    assert vocabulary.counts == (2, 5, 1, 4, 6, 3)
    assert vocabulary.encode(["IX", "ÄRGER", "IX"]) == [1, 6, 1]
    assert vocabulary.decode([2, 5]) == ["S+H", "loc-NORD"]


def test_the_blank_counts_as_a_class() -> None:
    vocabulary = Vocabulary.from_counts({"A": 1, "B": 1})
    assert vocabulary.blank_id == 0
    assert vocabulary.num_classes == len(vocabulary) == 3


def test_all_glosses_without_an_id_are_named_at_once() -> None:
    vocabulary = Vocabulary.from_counts({"A": 1})
    with pytest.raises(DataError, match="not in the vocabulary: B, C"):
        vocabulary.encode(["C", "A", "B", "C"])
    assert vocabulary.encode(["C", "A", "B"], unknown="skip") == [1]
    assert "A" in vocabulary
    assert "C" not in vocabulary


@pytest.mark.parametrize("gloss_id", [0, -1, 3])
def test_the_blank_and_numbers_beyond_the_vocabulary_are_no_glosses(gloss_id: int) -> None:
    with pytest.raises(ValueError, match="not a gloss id"):
        Vocabulary.from_counts({"A": 1, "B": 1}).decode([gloss_id])


@given(st.lists(glosses))
def test_decoding_undoes_encoding(sentence: list[str]) -> None:
    vocabulary = Vocabulary.from_counts(Counter(sentence))
    assert vocabulary.decode(vocabulary.encode(sentence)) == sentence


def test_line_n_of_the_file_is_the_gloss_with_id_n(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_counts({"WARM": 3, "IX": 12, "天气": 1})
    path = tmp_path / "vocabulary.txt"
    vocabulary.write(path)
    assert path.read_bytes() == "IX\t12\nWARM\t3\n天气\t1\n".encode()
    assert Vocabulary.read(path) == vocabulary


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(b"\xef\xbb\xbfIX\t12\r\nWARM\t3\r\n")
    assert Vocabulary.read(path) == Vocabulary(("IX", "WARM"), (12, 3))


def test_the_hash_is_that_of_the_glosses_in_order() -> None:
    vocabulary = Vocabulary(("A", "B"), (1, 2))
    assert vocabulary.hash == hashlib.sha256(b"A\nB").hexdigest()[:12]
    assert vocabulary.hash == Vocabulary(("A", "B"), (7, 7)).hash
    assert vocabulary.hash != Vocabulary(("B", "A"), (2, 1)).hash


def test_wrong_lines_of_a_file_are_named_together(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    path.write_text("A\t1\nB\n\nC D\t2\nA\t3\nE\tmany\nF\t1\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        Vocabulary.read(path)
    told = caught.value.message.splitlines()
    assert [line.removeprefix(f"{path}:")[0] for line in told] == ["2", "3", "4", "5", "6"]


def test_of_many_wrong_lines_the_first_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    path.write_text("wrong\n" * 25, encoding="utf-8")
    with pytest.raises(DataError, match="and 15 more"):
        Vocabulary.read(path)


def test_a_missing_or_binary_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    with pytest.raises(DataError, match=r"vocabulary\.txt: cannot read the vocabulary"):
        Vocabulary.read(path)
    path.write_bytes(b"A\t1\n\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8 text, byte 4"):
        Vocabulary.read(path)


def test_a_vocabulary_cannot_hold_a_gloss_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        Vocabulary(("A", "A"), (1, 1))
    with pytest.raises(ValueError, match="2 glosses and 1 counts"):
        Vocabulary(("A", "B"), (1,))
