"""All forms of transcripts: recognised by content, read on both sides, and written as each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cslr_cli.choices import TranscriptForm
from cslr_cli.errors import ScoringError, UsageError
from cslr_cli.evaluation.documents import ClipHypothesesDocument
from cslr_cli.scoring import TimedGloss
from cslr_cli.scoring.forms import (
    FORM_NAMES,
    FORMS,
    TranscriptFile,
    find_form,
    form_of_suffix,
    read_transcripts,
    write_transcripts,
)
from cslr_cli.scoring.table_forms import Side
from cslr_cli.scoring.transcripts import Transcript, untimed

EXPECTED = {"ID1": ("X", "Y"), "ID2": ("Z",)}
# The same two hypotheses in each form; the names of the files say nothing.
CONTENTS: dict[str, tuple[TranscriptForm, str]] = {
    "stm": ("stm", "ID1 1 A 0.0 1.0 X Y\nID2 1 A 0.0 1.0 Z\n"),
    "stm with labels": ("stm", ';; LABEL "o" "all" ""\nID1 1 A 0 1 <o,f0> X Y\nID2 1 A 0 1 <o,> Z\n'),
    "ctm": ("ctm", "ID1 1 0.1 0.2 X\nID1 1 0.5 0.6 Y\nID2 1 0.1 0.2 Z\n"),
    "ctm with confidences": ("ctm", ";; made by hand\nID1 1 0.1 0.2 X 0.9\nID1 1 0.5 0.6 Y NA\nID2 1 0.1 0.2 Z 1\n"),
    "ctm with types": ("ctm", "ID1 1 0.1 0.2 X NA lex\nID1 1 0.5 0.6 Y NA lex NA\nID2 1 0.1 0.2 Z NA lex S1\n"),
    "ctm with numbers": ("ctm", "ID1 1 0.1 0.2 X\nID1 1 0.5 0.6 Y\nID2 1 0.1 0.2 Z\n"),
    "trn": ("trn", "X Y (ID1)\nZ (ID2)\n"),
    "trn with comments": ("trn", ";; comment\nX  Y   (ID1)\n\n Z(ID2)\n"),
    "text": ("text", "ID1 X Y\nID2 Z\n"),
    "text with tabs": ("text", "ID1\tX Y\nID2\tZ\n"),
    "bar": ("bar", "ID1|X Y\nID2|Z\n"),
    "bar with spaces": ("bar", "ID1 | X  Y\nID2 | Z\n"),
    "csv": ("csv", "id,hypothesis\nID1,X Y\nID2,Z\n"),
    "csv with quotes": ("csv", '"Hyp","Clip"\n"X Y","ID1"\n"Z","ID2"\n'),
    "csv with semicolons": ("csv", "sep=;\nname;prediction;\nID1;X Y;\nID2;Z;\n"),
    "csv of bars": ("csv", "id|folder|signer|annotation\nID1|f|s|X Y\nID2|f|s|Z\n"),
    "csv of predict": (
        "csv",
        "source,hypothesis,start,end,gloss,confidence\nID1.mp4,1,0.1,0.2,X,0.9\nID1.mp4,1,0.5,0.6,Y,\n"
        "ID1.mp4,2,0.1,0.2,W,\nID2.mp4,1,0.1,0.2,Z,0.5\n",
    ),
    "csv of evaluate": ("csv", "sample_id,signer,wer,reference,hypothesis\nID1,s,0,A B,X Y\nID2,s,0,C,Z\n"),
    "csv with durations": ("csv", "id,start,duration,gloss\nID1,0.5,0.1,Y\nID1,0.1,0.1,X\nID2,0.1,0.1,Z\n"),
    "tsv": ("tsv", "utt_id\ttext\nID1\tX Y\nID2\tZ\n"),
    "jsonl": ("jsonl", '{"id": "ID1", "hypothesis": "X Y"}\n{"id": "ID2", "hypothesis": "Z"}\n'),
    "jsonl with lists": ("jsonl", '{"name": "ID1", "glosses": ["X", "Y"]}\n{"name": "ID2", "glosses": ["Z"]}\n'),
    "jsonl of predict": (
        "jsonl",
        '{"schema_version": 1, "source": "in/ID1.mp4", "glosses": [{"gloss": "X", "start": 0, "end": 1, '
        '"confidence": 0.5}, {"gloss": "Y", "start": 1, "end": 2, "confidence": null}], "score": -1.0}\n'
        '{"schema_version": 1, "input": "bad.mp4", "error": {"kind": "media", "message": "m", "hint": "h"}}\n'
        '{"schema_version": 1, "source": "in/ID2.mp4", "glosses": [{"gloss": "Z", "start": 0, "end": 1}]}\n',
    ),
    "json of glosses by clip": ("json", '{"ID1": ["X", "Y"], "ID2": "Z"}'),
    "json of evaluate": (
        "json",
        '{\n"schema_version": 1,\n"ID1": {"glosses": [{"gloss": "X", "start": 0, "end": 1, "confidence": 1}, '
        '{"gloss": "Y", "start": 1, "end": 2, "confidence": 1}], "score": 0},\n"ID2": {"glosses": [{"gloss": "Z", '
        '"start": 0, "end": 1, "confidence": 1}], "score": 0, "nbest": []}\n}\n',
    ),
    "json list": ("json", '[\n{"id": "ID1", "text": "X Y"},\n{"id": "ID2", "text": "Z"}\n]'),
    "json of evaluate --json": (
        "json",
        json.dumps({"splits": {"dev": {"hypotheses": {"ID1": {"glosses": ["X", "Y"]}, "ID2": {"glosses": ["Z"]}}}}}),
    ),
    "report.json": (
        "json",
        json.dumps(
            {
                "schema_version": 1,
                "sections": {
                    "dev": {
                        "alignments": [
                            {
                                "sample_id": "ID1",
                                "signer": "s",
                                "recognised": None,
                                "systems": {"a": {"pairs": [["substitution", "A", "X"], ["insertion", None, "Y"]]}},
                            },
                            {
                                "sample_id": "ID2",
                                "signer": "s",
                                "recognised": [{"gloss": "Z", "start": 0, "end": 1, "confidence": None}],
                                "systems": {"a": {"pairs": [["correct", "Z", "Z"]]}},
                            },
                        ]
                    }
                },
            }
        ),
    ),
}


def read(
    folder: Path, text: str | bytes, side: Side = "hypotheses", name: str = "file", **how: object
) -> TranscriptFile:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_transcripts(path, side, **how)  # type: ignore[arg-type]


def glosses_of(file: TranscriptFile) -> dict[str, tuple[str, ...]]:
    return {Path(each.sample_id).stem: each.labels_of_glosses for each in file.transcripts}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_form_is_recognised_by_its_content(name: str, tmp_path: Path) -> None:
    form, text = CONTENTS[name]
    file = read(tmp_path, text)
    assert file.form == form
    assert glosses_of(file) == EXPECTED


@pytest.mark.parametrize("name", [name for name in CONTENTS if name not in ("csv with quotes", "report.json")])
def test_each_form_is_read_as_references_too(name: str, tmp_path: Path) -> None:
    form, text = CONTENTS[name]
    text = text.replace("hypothesis", "reference").replace("prediction", "ref")
    if name == "csv of evaluate":
        text = text.replace("reference,reference", "other,reference")
    if name in ("csv of predict", "json of evaluate --json"):
        text = CONTENTS[name][1]
    file = read(tmp_path, text, "references")
    assert file.form == form
    assert {Path(each.sample_id).stem: each.to_reference().glosses for each in file.transcripts} == EXPECTED


@pytest.mark.parametrize("form", FORM_NAMES)
def test_the_option_overrides_the_content(form: TranscriptForm, tmp_path: Path) -> None:
    """Chinese glosses that are numbers make a text of lines look like CTM."""
    if form == "text":
        assert glosses_of(read(tmp_path, "ID1 4 5 6 他\n", form=form)) == {"ID1": ("4", "5", "6", "他")}
    else:
        _, text = next(content for content in CONTENTS.values() if content[0] == form)
        assert read(tmp_path, text, form=form).form == form


def test_the_name_decides_what_the_content_leaves_open(tmp_path: Path) -> None:
    """Five fields with numbers in the third to the fifth can be both STM and CTM."""
    for name, form in (("a.stm", "stm"), ("a.ctm", "ctm"), ("a.txt", "ctm")):
        assert read(tmp_path, "ID1 1 0.0 1.0 4\nID1 1 1.0 2.0 5\n", name=name).form == form
    assert read(tmp_path, "", name="a.trn").form == "trn"
    assert read(tmp_path, "", "references").form == "stm"


def test_an_unknown_form_is_an_error_with_a_suggestion() -> None:
    assert find_form("jsonl") == "jsonl"
    with pytest.raises(UsageError, match=r"unknown form; did you mean jsonl\?"):
        find_form("jsonlines")
    assert form_of_suffix(Path("a.TSV")) == "tsv"
    assert form_of_suffix(Path("a.doc")) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["stm", "ctm", "trn", "text", "bar", "csv", "tsv", "jsonl", "json list"])
def test_text_of_all_systems_is_read_and_becomes_nfc(name: str, line_end: str, encoding: str, tmp_path: Path) -> None:
    form, text = CONTENTS[name]
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    text = text.replace("X", "U\u0308BER").replace("\n", line_end)
    file = read(tmp_path, mark + text.encode(encoding))
    assert (file.form, glosses_of(file)) == (form, {"ID1": ("ÜBER", "Y"), "ID2": ("Z",)})


FAULTS = [
    ("stm", "ID1 1 A 0 1 X\nID2 1 A 0\n", "line 2: 4 fields, expected at least 5"),
    ("stm", "ID1 1 A 2 1 X\n", "line 1: the segment ends at 1, before its start 2"),
    ("stm", "ID1 1 A 0 1 X { Y / Z\n", "line 1: alternatives '{ Y / Z' have no end, expected '}'"),
    ("ctm", "ID1 1 0.1 0.2 X\nID2 1 0.1 x Y\n", "line 2: '0.1 x' are not all numbers"),
    ("ctm", "ID1 1 0.1 0.2 X\nID2 1 1_0 2 Y\n", "line 2: '1_0 2' are not all numbers"),
    ("trn", "X Y (ID1)\nZ W (ID3)\nZ\n", "line 3: no (ID) at the end of the line"),
    ("trn", "X Y (ID1)\nZ (ID1)\n", "line 2: clip 'ID1' occurs twice, first in line 1"),
    ("text", "ID1 X\nID1 Y\n", "line 2: clip 'ID1' occurs twice, first in line 1"),
    ("bar", "ID1|X\nID2|Y|Z\n", "line 2: 3 fields separated by '|', expected 2"),
    ("bar", "ID1|X\n|Y\n", "line 2: no name before '|'"),
    ("csv", "id,hypothesis\nID1,X,Y\n", "line 2: 3 cells, expected 2 as in the header"),
    ("csv", "id,hypothesis\n,X\n", "line 2: the name of the clip is empty"),
    ("csv", "id,start,end,gloss\nID1,0,x,A\n", "line 2: end is 'x', expected a number such as 1.25"),
    ("csv", "id,start,end,gloss\nID1,0,,A\n", "line 2: a gloss has no start or no end"),
    ("csv", 'id,hypothesis\nID1,"A\n' + "x" * 200_000 + '"\n', "not a table (field larger than field limit"),
    ("csv", "id,hypothesis\nID1,X\nID1,Y\n", "line 3: clip 'ID1' occurs twice"),
    ("jsonl", '{"id": "ID1", "text": "X"}\n{"id": "ID2"}\n', "line 2: the keys are id; expected id and glosses"),
    ("jsonl", '{"id": "ID1", "text": "X"}\n{"id": "ID2", "text": "X"\n', "line 2: not JSON"),
    ("jsonl", '{"id": "ID1", "text": 7}\n', "line 1: the glosses of 'ID1' are 7, expected 'A B' or ['A', 'B']"),
    ("jsonl", '{"id": [1], "text": "X"}\n', "line 1: id is [1], expected the name of a clip"),
    ("jsonl", '{"id": "a", "glosses": [{"gloss": "X", "start": "x"}]}\n', "line 1: the times of a gloss of 'a'"),
    ("json", '{"ID1": {"text2": "A"}}', "line 1: 'ID1' has no glosses, expected for example"),
    ("json", "[1, 2]", "line 1: 1 is no object"),
    ("json", '{"ID1": ["A",\n', "line 1: not JSON"),
    ("json", "[" * 100_000, "line 1: nested more than 64 levels deep"),
]


@pytest.mark.parametrize(("form", "text", "fault"), FAULTS, ids=[f"{form}: {fault}" for form, _, fault in FAULTS])
def test_faults_name_file_line_what_was_expected_and_an_example(
    form: TranscriptForm, text: str, fault: str, tmp_path: Path
) -> None:
    with pytest.raises(ScoringError) as raised:
        read(tmp_path, text, form=form)
    assert f"{tmp_path / 'file'}, {fault.partition(':')[0]}" in raised.value.message or "field limit" in fault
    assert fault in raised.value.message
    assert f"read as {form}" in str(raised.value.hint)
    assert f"example: {FORMS[form].example}" in str(raised.value.hint)


def test_a_table_with_unknown_columns_names_them_and_the_wanted_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ScoringError, match="line 1: the columns are a, b; expected a header with a column id"
    ) as raised:
        read(tmp_path, "a,b\n1,2\n", name="x.csv")
    assert "a column hypothesis or glosses" in raised.value.message
    with pytest.raises(ScoringError, match="a column reference or glosses"):
        read(tmp_path, "a,b\n1,2\n", "references", name="x.csv")


def test_a_channel_is_chosen(tmp_path: Path) -> None:
    text = "t A 0 1 X\nt B 0 1 Y\n"
    assert glosses_of(read(tmp_path, text, channel="B")) == {"t": ("Y",)}
    with pytest.raises(ScoringError, match="no channel 'C'") as raised:
        read(tmp_path, text, channel="C")
    assert "one of: A, B" in str(raised.value.hint)


def test_alternatives_of_a_ctm_file_are_alternatives_of_a_reference(tmp_path: Path) -> None:
    text = "t A 1 1 A\nt A * * <ALT_BEGIN>\nt A 12.00 0.34 UM\nt A * * <ALT>\nt A 12.00 0.34 UH\nt A * * <ALT_END>\n"
    (transcript,) = read(tmp_path, text, "references").transcripts
    assert transcript.to_reference().tokens == ("A", "{ UM / UH }")


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=5).map(
    lambda name: f"c{name}"
)
TRANSCRIPTS = st.lists(
    st.builds(
        lambda name, glosses, timed: Transcript(
            name,
            tuple(TimedGloss(gloss, place / 4, place / 4 + 0.25, 0.5) for place, gloss in enumerate(glosses))
            if timed
            else untimed(glosses),
            has_times=timed,
        ),
        NAMES,
        st.lists(NAMES, min_size=1, max_size=4),
        st.booleans(),
    ),
    min_size=2,
    max_size=4,
    unique_by=lambda each: each.sample_id,
)


@settings(deadline=None)
@given(TRANSCRIPTS, st.sampled_from(FORM_NAMES), st.sampled_from(FORM_NAMES))
def test_each_form_is_written_as_each_other(
    tmp_path_factory: pytest.TempPathFactory,
    transcripts: list[Transcript],
    first: TranscriptForm,
    second: TranscriptForm,
) -> None:
    import unicodedata

    folder = tmp_path_factory.mktemp("forms")
    wanted = {
        unicodedata.normalize("NFC", each.sample_id): tuple(
            unicodedata.normalize("NFC", gloss) for gloss in each.labels_of_glosses
        )
        for each in transcripts
    }
    if len(wanted) < len(transcripts):
        return
    write_transcripts(folder / "first", first, transcripts)
    once = read_transcripts(folder / "first", "hypotheses", first)
    write_transcripts(folder / "second", second, once.transcripts)
    twice = read_transcripts(folder / "second", "hypotheses", second)
    assert {each.sample_id: each.labels_of_glosses for each in twice.transcripts} == wanted


@pytest.mark.parametrize("form", FORM_NAMES)
def test_a_written_file_is_recognised(form: TranscriptForm, tmp_path: Path) -> None:
    timed = [
        Transcript(name, (TimedGloss("X", 0.5, 1.0, 0.25), TimedGloss("Y", 1.5, 2.0)), has_times=True) for name in "ab"
    ]
    for number, transcripts in enumerate(([*timed], [Transcript("a", untimed(["X"])), Transcript("b", ())])):
        path = tmp_path / f"{number}"
        write_transcripts(path, form, transcripts)
        file = read_transcripts(path, "hypotheses")
        assert file.form == form
        assert [each.labels_of_glosses for each in file.transcripts] == [each.labels_of_glosses for each in transcripts]
        if number == 0 and form in ("ctm", "csv", "tsv", "json", "jsonl"):
            assert [each.glosses for each in file.transcripts] == [each.glosses for each in timed]


def test_what_a_form_cannot_hold_is_an_error(tmp_path: Path) -> None:
    marked = read(tmp_path, "a 1 s 0 1 X { Y / Z }\nb 1 s 0 1 IGNORE_TIME_SEGMENT_IN_SCORING\n").transcripts
    write_transcripts(tmp_path / "same.stm", "stm", marked)
    again = read_transcripts(tmp_path / "same.stm", "references").transcripts
    assert [(each.text, each.is_ignored) for each in again] == [("X { Y / Z }", False), (None, True)]
    for form in FORM_NAMES:
        if form != "stm":
            with pytest.raises(ScoringError, match="cannot"):
                write_transcripts(tmp_path / "other", form, marked)
    with pytest.raises(ScoringError, match="cannot be written"):
        write_transcripts(tmp_path / "other", "trn", [Transcript("a b", untimed(["X"]))])


def test_the_schema_of_evaluate_has_the_fields_that_are_read() -> None:
    assert "glosses" in ClipHypothesesDocument.__annotations__ or "glosses" in dir(ClipHypothesesDocument)


def test_every_form_has_a_row_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")}
    assert set(FORM_NAMES) <= rows
