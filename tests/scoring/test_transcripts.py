from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.errors import ScoringError
from cslr_cli.scoring import Reference, TimedGloss, read_ctm, read_stm, strip_times, write_ctm, write_stm

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=" \ufeff"), min_size=1, max_size=6
).filter(lambda name: not name.startswith(";;"))
# A brace begins sclite's alternatives, and `@` is no gloss.
GLOSSES = NAMES.filter(lambda name: "{" not in name and name != "@" and "IGNORE_TIME_SEG" not in name.upper())
REFERENCES = st.lists(
    st.builds(
        Reference,
        NAMES,
        st.lists(GLOSSES | st.just("<unk>"), max_size=4).map(tuple),
        st.none() | NAMES.filter(lambda name: name != "unknown"),
    ),
    unique_by=lambda reference: reference.sample_id,
    max_size=4,
)
MILLISECONDS = st.integers(0, 10**7).map(lambda number: number / 1000)
TIMED = st.builds(
    TimedGloss,
    NAMES,
    MILLISECONDS,
    MILLISECONDS,
    st.none() | st.integers(0, 10000).map(lambda number: number / 10000),
)
HYPOTHESES = st.dictionaries(
    NAMES,
    st.lists(TIMED, max_size=4).map(lambda glosses: tuple(sorted(glosses, key=lambda timed: timed.start))),
    max_size=4,
)


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@given(REFERENCES)
def test_references_come_back_from_an_stm_file_as_they_were(references: list[Reference]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "references.stm"
        write_stm(path, references)
        assert read_stm(path) == references


@given(HYPOTHESES)
def test_hypotheses_come_back_from_a_ctm_file_as_they_were(
    hypotheses: dict[str, tuple[TimedGloss, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hypotheses.ctm"
        write_ctm(path, hypotheses)
        assert read_ctm(path) == hypotheses


def test_the_files_have_the_layout_of_the_published_systems(tmp_path: Path) -> None:
    write_stm(tmp_path / "r.stm", [Reference("clip-1", ("__ON__", "REGEN"), "Signer01"), Reference("b", ())])
    assert (tmp_path / "r.stm").read_text() == (
        "clip-1 1 Signer01 0.0 1.79769e+308 __ON__ REGEN\nb 1 unknown 0.0 1.79769e+308\n"
    )
    write_ctm(
        tmp_path / "h.ctm",
        {"clip-1": [TimedGloss("REGEN", 0.16, 0.8), TimedGloss("WIND", 1, 2, 0.5)], "b": []},
    )
    assert (tmp_path / "h.ctm").read_text() == (
        "clip-1 1 0.160 0.800 REGEN\nclip-1 1 1.000 2.000 WIND 0.5000\nb 1 0.000 0.000 [EMPTY]\n"
    )


def test_comments_blank_lines_labels_and_a_byte_order_mark_are_no_glosses(tmp_path: Path) -> None:
    text = ";; a comment\n\na 1 s 0.0 9.5 <o,f0,male> REGEN\r\n  b\t1 s 0.0 9.5  X   Y \nc 1 s 0 1 <b>X</b> Y\n"
    path = written(tmp_path, "r.stm", b"\xef\xbb\xbf" + text.encode())
    assert [reference.glosses for reference in read_stm(path)] == [("REGEN",), ("X", "Y"), ("Y",)]


def test_only_ascii_white_space_separates_glosses(tmp_path: Path) -> None:
    path = written(tmp_path, "r.stm", "a 1 s 0.0 9.5 我\u3000们 去\u00a0\n")
    assert read_stm(path) == [Reference("a", ("我\u3000们", "去\u00a0"), "s")]


def test_glosses_of_a_clip_are_put_in_the_order_of_their_start(tmp_path: Path) -> None:
    path = written(tmp_path, "h.ctm", "a 1 0.5 0.6 LATER\na 1 0.1 0.2 FIRST\n")
    assert strip_times(read_ctm(path)) == {"a": ("FIRST", "LATER")}


def test_empty_mark_is_a_gloss_if_there_are_others(tmp_path: Path) -> None:
    path = written(tmp_path, "h.ctm", "a 1 0 1 [EMPTY]\nb 1 0 1 [EMPTY]\nb 1 1 2 X\n")
    assert strip_times(read_ctm(path)) == {"a": (), "b": ("[EMPTY]", "X")}


def test_every_faulty_line_of_an_stm_file_is_named_with_what_was_expected(tmp_path: Path) -> None:
    text = "a 1 s 0.0 9 X\nb 1 s\nc 1 s zero 9 X\nc 1 s 0 9 X\na 1 s 0.0 9 Y\nd 1 s 0 nan\ne 1 s 0 9 X { Y / @\n"
    path = written(tmp_path, "r.stm", text)
    with pytest.raises(ScoringError) as raised:
        read_stm(path)
    assert raised.value.message.splitlines() == [
        f"{path}, line 2: 3 fields, expected at least 5",
        f"{path}, line 3: start and end are 'zero' and '9', expected two numbers",
        f"{path}, line 5: clip 'a' occurs twice",
        f"{path}, line 6: start and end are '0' and 'nan', expected two numbers",
        f"{path}, line 7: alternatives '{{ Y / @' have no end, expected '}}'",
    ]
    assert "ID 1 SIGNER START END GLOSS" in str(raised.value.hint)


def test_every_faulty_line_of_a_ctm_file_is_named_with_what_was_expected(tmp_path: Path) -> None:
    text = "a 1 0.0 0.1 X\nb 1 0.0 0.1\nb 1 0.0 ? X\nb 1 0 1 X\na 1 0.2 0.3 Y\nb 1 0 1 X often\nc 1 0 inf X\n"
    path = written(tmp_path, "h.ctm", f"{text}d 1 0 1 X\nd 2 0 1 X\n")
    with pytest.raises(ScoringError) as raised:
        read_ctm(path)
    assert raised.value.message.splitlines() == [
        f"{path}, line 2: 4 fields, expected 5 to 8 (the sixth is a confidence)",
        f"{path}, line 3: '0.0 ?' are not all numbers",
        f"{path}, line 5: clip 'a' occurs twice, with other clips in between",
        f"{path}, line 6: '0 1 often' are not all numbers",
        f"{path}, line 7: '0 inf' are not all numbers",
        f"{path}, line 9: clip 'd' has two channels, '1' and '2'; expected one",
    ]
    assert "ID 1 START END GLOSS" in str(raised.value.hint)


def test_a_file_that_is_faulty_throughout_gives_a_short_message(tmp_path: Path) -> None:
    path = written(tmp_path, "h.ctm", "id|glosses\n" * 500)
    with pytest.raises(ScoringError, match="and 490 more"):
        read_ctm(path)


@pytest.mark.parametrize("read", [read_stm, read_ctm])
def test_a_file_that_is_not_utf8_or_not_there_is_named(read: type, tmp_path: Path) -> None:
    path = written(tmp_path, "latin1.stm", "ok 1 0.0 1.0 X\nb 1 0.0 1.0 SCHNEEFÄLLE\n".encode("latin-1"))
    with pytest.raises(ScoringError, match=r"latin1\.stm, line 2: not UTF-8"):
        read(path)
    with pytest.raises(ScoringError, match=r"nowhere\.stm: cannot be read"):
        read(tmp_path / "nowhere.stm")


def test_what_the_formats_cannot_hold_is_refused_and_nothing_written(tmp_path: Path) -> None:
    path = tmp_path / "r.stm"
    for reference in (
        Reference("a b", ("X",)),
        Reference("a", ("X Y",)),
        Reference("a", ("",)),
        Reference("a", ("X",), "signer one"),
        Reference(";;a", ("X",)),
        Reference("a", ("X", "{Y/Z}")),
    ):
        with pytest.raises(ScoringError, match=r"clip '(a b|a|;;a)'"):
            write_stm(path, [reference])
    with pytest.raises(ScoringError, match="clip 'a': 'X Y' cannot be written to an STM"):
        write_ctm(path, {"a": [TimedGloss("X Y", 0, 1)]})
    assert list(tmp_path.iterdir()) == []
