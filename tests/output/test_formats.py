from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from cslr_cli.errors import ScoringError, UsageError
from cslr_cli.output.formats import FORMATS, FormatOptions, find_format, format_of_file
from cslr_cli.recognition import Alternative, Recognition
from cslr_cli.scoring import TimedGloss, read_ctm
from tests.output.recognitions import CHINESE, GLOSSES, ODD, ONE, recognised, two_sentences


def written(name: str, recognition: Recognition, **options: Any) -> str:
    return find_format(name).document(recognition, FormatOptions(**options))


# All formats


@pytest.mark.parametrize("name", FORMATS)
def test_a_document_ends_with_a_line_break_and_is_valid_utf_8(name: str) -> None:
    for recognition in (recognised(*GLOSSES), recognised(), two_sentences()):
        document = written(name, recognition)
        assert document.encode("utf-8").decode("utf-8") == document
        # An SRT document without glosses is empty.
        assert document.endswith("\n") or (not recognition.glosses and name == "srt" and document == "")


def test_a_format_is_found_by_its_name_and_by_the_suffix_of_a_file() -> None:
    assert find_format("vtt").suffix == ".vtt"
    with pytest.raises(UsageError, match="did you mean textgrid"):
        find_format("TextGrit")
    found = {name: format_of_file(name) for name in ("a.srt", "a.TEXTGRID", "a.textgrid", "a.txt", "a.mp4", "srt")}
    assert {name: None if form is None else form.name for name, form in found.items()} == {
        "a.srt": "srt",
        "a.TEXTGRID": "textgrid",
        "a.textgrid": "textgrid",
        "a.txt": "text",
        "a.mp4": None,
        "srt": None,
    }


def test_the_documentation_describes_every_format() -> None:
    page = (Path(__file__).parents[2] / "docs" / "predict.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert all(any(f"`{name}`" in cell for cell in first_cells) for name in FORMATS)


# Text


def test_text_has_one_line_per_gloss_with_its_times_in_seconds() -> None:
    assert written("text", recognised(*GLOSSES)) == (
        'a folder/talk.mp4\n    0.04     0.36  GESTERN\n    0.80     1.12  A<B&C>\n 3599.96  3600.20  今天"x",ÄÖÜ\n'
    )


def test_text_shows_known_confidences_if_wanted() -> None:
    lines = written("text", recognised(*GLOSSES), show_confidence=True).splitlines()
    assert [line.rpartition("  ")[2] for line in lines[1:3]] == ["(62%)", "(90%)"]
    assert lines[3].endswith(CHINESE.gloss)


def test_text_separates_sentences_and_lists_alternatives_below_them() -> None:
    assert written("text", two_sentences()).splitlines() == [
        "a folder/talk.mp4",
        "    0.04     0.36  GESTERN",
        "    0.80     1.12  A<B&C>",
        "",
        "   20.00    20.50  MOND",
        "  2. (-2.50) SONNE",
    ]


def test_text_says_that_no_gloss_was_recognised() -> None:
    assert written("text", recognised()) == "a folder/talk.mp4\n  no gloss recognised\n"


def test_glosses_are_one_line_per_recording() -> None:
    assert written("glosses", recognised(*GLOSSES)) == 'GESTERN A<B&C> 今天"x",ÄÖÜ\n'
    pieces = find_format("glosses").stream([(recognised(ONE), FormatOptions()), (recognised(), FormatOptions())])
    assert "".join(pieces) == "GESTERN\n\n"


# JSON


@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_json_holds_the_whole_recognition(name: str) -> None:
    document = written(name, two_sentences())
    result = json.loads(document)
    assert result["source"] == "a folder/talk.mp4"
    assert result["glosses"][0] == {"gloss": "GESTERN", "start": 0.04, "end": 0.36, "confidence": 0.62}
    assert [timed["gloss"] for timed in result["glosses"]] == ["GESTERN", "A<B&C>", "MOND"]
    assert [timed["gloss"] for timed in result["conv_glosses"]] == ["GESTERN", "SONNE"]
    second = result["sentences"][1]
    assert (second["start"], second["end"], second["score"]) == (19.0, 21.0, -0.25)
    assert [(other["score"], other["glosses"][0]["gloss"]) for other in second["nbest"]] == [
        (-0.25, "MOND"),
        (-2.5, "SONNE"),
    ]
    assert document.count("\n") == 1 or name == "json"


def test_json_has_no_infinities_and_no_escaped_characters() -> None:
    impossible = Alternative((ONE,), float("-inf"))
    document = written("jsonl", recognised(CHINESE, nbest=(impossible,)))
    assert "今天" in document
    assert "Infinity" not in document
    assert json.loads(document)["nbest"][1]["score"] is None


def test_jsonl_has_one_line_per_recording() -> None:
    stream = "".join(FORMATS["jsonl"].stream([(recognised(ONE), FormatOptions()), (recognised(ODD), FormatOptions())]))
    assert [json.loads(line)["glosses"][0]["gloss"] for line in stream.splitlines()] == ["GESTERN", "A<B&C>"]


# CSV


def test_csv_quotes_special_characters_and_has_one_header() -> None:
    recordings = [(recognised(*GLOSSES, source="a, b.mp4"), FormatOptions()), (recognised(ONE), FormatOptions())]
    rows = list(csv.DictReader(io.StringIO("".join(FORMATS["csv"].stream(recordings)))))
    assert [row["gloss"] for row in rows] == ["GESTERN", "A<B&C>", '今天"x",ÄÖÜ', "GESTERN"]
    assert {row["source"] for row in rows[:3]} == {"a, b.mp4"}
    assert rows[0] == {
        "source": "a, b.mp4",
        "hypothesis": "1",
        "start": "0.040",
        "end": "0.360",
        "gloss": "GESTERN",
        "confidence": "0.6200",
    }
    assert rows[2]["confidence"] == ""


def test_csv_numbers_the_hypotheses() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", two_sentences()))))
    assert [(row["hypothesis"], row["gloss"]) for row in rows] == [
        ("1", "GESTERN"),
        ("1", "A<B&C>"),
        ("1", "MOND"),
        ("2", "SONNE"),
    ]


# CTM


def test_the_scorer_reads_ctm(tmp_path: Path) -> None:
    glosses = (ONE, ODD, TimedGloss("今天", 2.0, 2.04))
    (tmp_path / "both.ctm").write_text(
        "".join(
            FORMATS["ctm"].stream(
                [
                    (recognised(*glosses), FormatOptions()),
                    (recognised(source="a/empty one.mp4"), FormatOptions(recording_name="empty one")),
                ]
            )
        ),
        encoding="utf-8",
    )
    assert read_ctm(tmp_path / "both.ctm") == {"talk": glosses, "empty_one": ()}
    assert (tmp_path / "both.ctm").read_text(encoding="utf-8").splitlines()[0] == "talk 1 0.040 0.360 GESTERN 0.6200"


def test_ctm_refuses_a_gloss_with_white_space() -> None:
    with pytest.raises(ScoringError, match="GUTEN TAG"):
        written("ctm", recognised(TimedGloss("GUTEN TAG", 0.0, 1.0)))


# Formats with one recording a document


@pytest.mark.parametrize("name", ["json", "srt", "vtt", "eaf", "textgrid"])
def test_formats_for_one_recording_refuse_two(name: str) -> None:
    two = [(recognised(ONE), FormatOptions()), (recognised(ODD), FormatOptions())]
    with pytest.raises(ValueError, match="holds one recognition"):
        "".join(FORMATS[name].stream(two))
