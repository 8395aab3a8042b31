"""A corpus from annotation documents: ELAN, Praat, subtitles, and the JSON of `cslr predict`."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cslr_cli.corpora import AnnotationError, Release, ReleasePaths, SplitDrawing
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.corpora.transcripts import SentenceOptions, TranscriptCorpus
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError, UsageError
from cslr_cli.media.options import Segment
from tests.corpora.test_own_corpus import write_counting_video

ALL_TRAIN = SplitDrawing((1, 0, 0))


def read(folder: Path, *tiers: str, frames: bool = False, **options: Any) -> Release:
    corpus = TranscriptCorpus(
        "mine", transcripts=folder, options=SentenceOptions(tuple(tiers), **options), drawing=ALL_TRAIN
    )
    return corpus.read(ReleasePaths(corpus.default_source, need_frames=frames)).check()


def sentences(folder: Path, *tiers: str, **options: Any) -> list[tuple[str, str | None, float, float | None]]:
    """Glosses, signer, start and end of each clip."""
    release = read(folder, *tiers, **options)
    found = []
    for sample in release.samples:
        segment = release.segments[sample.sample_id]
        found.append((" ".join(sample.glosses), sample.signer, segment.start, segment.end))
    return found


def faults(folder: Path, *tiers: str, **options: Any) -> list[str]:
    with pytest.raises(AnnotationError) as caught:
        read(folder, *tiers, **options)
    return [str(fault).replace(f"{folder}/", "") for fault in caught.value.faults]


# ELAN

Aligned = tuple[int | None, int | None, str]  # start and end in milliseconds, text


def write_eaf(
    path: Path,
    tiers: Mapping[str, Sequence[Aligned]],
    dependent: Mapping[str, tuple[str, Sequence[tuple[int, str]]]] | None = None,
    participants: Mapping[str, str] | None = None,
    media: Sequence[str] = (),
) -> Path:
    """Write a document of ELAN.

    Args:
        path: file to write.
        tiers: annotations of each independent tier.
        dependent: for each dependent tier, its parent, and (number of the parent annotation, text) in the order of
            the signing; the file has them in alphabetical order.
        participants: participant by tier.
        media: attributes of each video.
    """
    slots: list[str] = []
    body = []
    names: dict[str, list[str]] = {}

    def slot(value: int | None) -> str:
        time = "" if value is None else f' TIME_VALUE="{value}"'
        slots.append(f'<TIME_SLOT TIME_SLOT_ID="ts{len(slots) + 1}"{time}/>')
        return f"ts{len(slots)}"

    def head(tier: str, parent: str = "") -> str:
        person = f' PARTICIPANT="{participants[tier]}"' if participants and tier in participants else ""
        return f'<TIER TIER_ID="{tier}" LINGUISTIC_TYPE_REF="x"{person}{parent}>'

    for tier, aligned in tiers.items():
        body.append(head(tier))
        names[tier] = []
        for start, end, text in aligned:
            name = f"{tier}-{len(names[tier])}"
            names[tier].append(name)
            body.append(
                f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{name}" TIME_SLOT_REF1="{slot(start)}" '
                f'TIME_SLOT_REF2="{slot(end)}"><ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>'
                "</ANNOTATION>"
            )
        body.append("</TIER>")
    for tier, (parent, values) in (dependent or {}).items():
        body.append(head(tier, f' PARENT_REF="{parent}"'))
        last: dict[int, str] = {}
        names[tier] = []
        lines = []
        for number, text in values:
            name = f"{tier}-{len(names[tier])}"
            names[tier].append(name)
            previous = f' PREVIOUS_ANNOTATION="{last[number]}"' if number in last else ""
            last[number] = name
            lines.append(
                (
                    text,
                    f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="{name}" ANNOTATION_REF="{names[parent][number]}"'
                    f"{previous}><ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>",
                )
            )
        body += [line for _, line in sorted(lines)]
        body.append("</TIER>")
    links = "".join(f"<MEDIA_DESCRIPTOR {attributes}/>" for attributes in media)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT>'
        f'<HEADER TIME_UNITS="milliseconds">{links}</HEADER><TIME_ORDER>{"".join(slots)}</TIME_ORDER>'
        f"{''.join(body)}</ANNOTATION_DOCUMENT>\n",
        encoding="utf-8",
    )
    return path


SIGNS: list[Aligned] = [  # not in the order of their times
    (1500, 1900, "WEATHER REPORT"),
    (900, 1400, "TODAY"),
    (2000, 3100, "GOOD"),
    (9000, 9900, "ÜBER"),
]


def test_a_sentence_tier_divides_the_glosses_and_gives_the_translation(tmp_path: Path) -> None:
    tiers: dict[str, list[Aligned]] = {
        "Gloss": SIGNS,
        "Deutsch": [(3000, 9950, ""), (800, 3000, "heute ist das Wetter gut")],
    }
    write_eaf(tmp_path / "lecture.eaf", tiers)
    release = read(tmp_path, "Gloss", sentence_tier="Deutsch")
    first, second = release.samples
    assert first == Sample(
        "lecture-0.8-3",
        "train",
        "lecture.eaf",
        None,
        None,
        ("TODAY", "WEATHER-REPORT", "GOOD"),
        "heute ist das Wetter gut",
    )
    assert (second.glosses, second.translation) == (("ÜBER",), None)
    assert release.segments == {"lecture-0.8-3": Segment(0.8, 3.0), "lecture-3-9.95": Segment(3.0, 9.95)}
    assert "glosses with spaces, which became hyphens: 1" in release.notes


def test_pauses_divide_the_glosses_without_a_sentence_tier(tmp_path: Path) -> None:
    write_eaf(tmp_path / "lecture.eaf", {"Gloss": SIGNS})
    assert sentences(tmp_path, "Gloss") == [
        ("TODAY WEATHER-REPORT GOOD", None, 0.65, 3.35),
        ("ÜBER", None, 8.75, 10.15),
    ]
    assert len(sentences(tmp_path, "Gloss", pause=0.05)) == 4
    assert len(sentences(tmp_path, "Gloss", pause=10)) == 1


def test_glosses_outside_of_all_sentences_are_left_out_with_a_note(tmp_path: Path) -> None:
    write_eaf(tmp_path / "lecture.eaf", {"Gloss": SIGNS, "S": [(800, 3200, "")]})
    release = read(tmp_path, "Gloss", sentence_tier="S")
    assert len(release.samples) == 1
    assert "glosses outside of all sentences, left out: 1" in release.notes


def test_a_subdivision_keeps_its_order_and_divides_the_time_of_its_parent(tmp_path: Path) -> None:
    dependent = {"Gloss": ("S", [(0, "ZEBRA"), (0, "APFEL"), (0, "MAUS"), (1, "BAUM")])}
    write_eaf(tmp_path / "lecture.eaf", {"S": [(0, 3000, "x"), (3000, 4000, "y")]}, dependent)
    assert sentences(tmp_path, "Gloss") == [("ZEBRA APFEL MAUS", None, 0.0, 3.0), ("BAUM", None, 3.0, 4.0)]
    # By pauses of a sentence tier that is another one: the times are those of the parts.
    assert sentences(tmp_path, "Gloss", sentence_tier="S")[0][0] == "ZEBRA APFEL MAUS"


def test_a_tier_below_single_signs_is_not_divided_into_them(tmp_path: Path) -> None:
    """Glosses that describe signs one by one: the tier of signs is no tier of sentences."""
    dependent = {"Gloss": ("Sign", [(1, "B"), (0, "A")])}
    write_eaf(tmp_path / "lecture.eaf", {"Sign": [(0, 400, "1"), (500, 900, "2")]}, dependent)
    assert sentences(tmp_path, "Gloss") == [("A B", None, 0.0, 1.15)]


def test_a_subdivision_of_a_subdivision_is_read(tmp_path: Path) -> None:
    dependent = {
        "Clause": ("S", [(0, "c1"), (0, "c2")]),
        "Gloss": ("Clause", [(0, "Z"), (0, "A"), (1, "Y"), (1, "B")]),
    }
    write_eaf(tmp_path / "lecture.eaf", {"S": [(0, 4000, "x")]}, dependent)
    assert sentences(tmp_path, "Gloss") == [("Z A", None, 0.0, 2.0), ("Y B", None, 2.0, 4.0)]
    assert sentences(tmp_path, "Gloss", sentence_tier="S") == [("Z A Y B", None, 0.0, 4.0)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([(0, None), (None, 2000)], [(0, 1), (1, 2)]),
        ([(0, None), (None, None), (None, 3000)], [(0, 1), (1, 2), (2, 3)]),
        ([(0, 1000), (None, 2000)], [(0, 1), (1, 2)]),
        ([(0, None), (1000, 2000)], [(0, 1), (1, 2)]),
        ([(0, 500), (1000, None), (None, 3000)], [(0, 0.5), (1, 2), (2, 3)]),
    ],
)
def test_slots_without_times_are_interpolated(
    times: list[tuple[int | None, int | None]], expected: list[tuple[float, float]], tmp_path: Path
) -> None:
    write_eaf(tmp_path / "a.eaf", {"Gloss": [(start, end, f"G{n}") for n, (start, end) in enumerate(times)]})
    found = sentences(tmp_path, "Gloss", sentence_tier="Gloss")
    assert [(start, end) for _, _, start, end in found] == expected


def test_an_annotation_without_any_time_is_a_fault(tmp_path: Path) -> None:
    write_eaf(tmp_path / "a.eaf", {"Gloss": [(None, 1000, "A")], "Other": [(2000, 1000, "B")]})
    assert faults(tmp_path, "Gloss") == [
        "a.eaf: tier 'Gloss', annotation Gloss-0: it has no time, and no times before and after it",
        "a.eaf: tier 'Other', annotation Other-0: it ends at 1000.0 ms, before its start at 2000.0 ms",
    ]


def test_tiers_of_two_hands_are_merged_by_time(tmp_path: Path) -> None:
    right: list[Aligned] = [(0, 400, "ICH"), (500, 900, "HAUS"), (1800, 2000, "HAUS")]
    left: list[Aligned] = [(520, 880, "HAUS"), (1000, 1400, "DA")]
    write_eaf(tmp_path / "a.eaf", {"Gloss-RH": right, "Gloss-LH": left})
    for tiers in (["Gloss-RH", "Gloss-LH"], ["Gloss-*"]):
        release = read(tmp_path, *tiers)
        assert [sample.glosses for sample in release.samples] == [("ICH", "HAUS", "DA", "HAUS")]
        assert "signs that are in the tiers of both hands, counted once: 1" in release.notes


def test_signers_are_participants_or_parts_of_the_names_of_tiers(tmp_path: Path) -> None:
    tiers: dict[str, list[Aligned]] = {
        "A_Gloss": [(0, 500, "HALLO")],
        "B_Gloss": [(600, 900, "GUT")],
        "A_Satz": [(0, 550, "hallo")],
        "B_Satz": [(0, 950, "gut")],
    }
    people = {"A_Gloss": "Anna B", "B_Gloss": "Ben", "A_Satz": "Anna B", "B_Satz": "Ben"}
    write_eaf(tmp_path / "talk" / "a.eaf", tiers, participants=people)
    expected = [("HALLO", "Anna_B", 0.0, 0.75), ("GUT", "Ben", 0.35, 1.15)]
    assert sentences(tmp_path, "*_Gloss") == expected
    by_tier = sentences(tmp_path, "*_Gloss", signer_from="tier", sentence_tier="*_Satz")
    assert by_tier == [("HALLO", "A", 0.0, 0.55), ("GUT", "B", 0.0, 0.95)]
    assert {signer for _, signer, _, _ in sentences(tmp_path, "A_Gloss", signer_from="file")} == {"a"}
    assert {signer for _, signer, _, _ in sentences(tmp_path, "A_Gloss", signer_from="folder")} == {"talk"}
    assert {signer for _, signer, _, _ in sentences(tmp_path, "A_Gloss", signer_from="none")} == {None}
    assert read(tmp_path, "*_Gloss").samples[0].sample_id == "talk/a-Anna_B-0-0.75"


def test_an_annotation_can_be_a_sentence_of_glosses(tmp_path: Path) -> None:
    write_eaf(tmp_path / "a.eaf", {"Gloss": [(0, 1000, "ICH HAUS GEHEN"), (1000, 2000, "GUT")]})
    assert sentences(tmp_path, "Gloss", sentence_tier="Gloss") == [
        ("ICH HAUS GEHEN", None, 0.0, 1.0),
        ("GUT", None, 1.0, 2.0),
    ]


def test_a_missing_tier_is_reported_for_every_document_with_its_tiers(tmp_path: Path) -> None:
    write_eaf(tmp_path / "a.eaf", {"Glosses": [(0, 1, "A")], "Notes": []})
    write_eaf(tmp_path / "b.eaf", {"S": [(0, 1, "A")], "T": [(0, 1, "A")]})
    assert faults(tmp_path, "Gloss") == [
        "a.eaf: no tier 'Gloss'; did you mean Glosses? its tiers, with the number of annotations: "
        "'Glosses' (1), 'Notes' (0)",
        "b.eaf: no tier 'Gloss'; its tiers, with the number of annotations: 'S' (1), 'T' (1)",
    ]


def test_documents_without_glosses_have_a_note(tmp_path: Path) -> None:
    write_eaf(tmp_path / "a.eaf", {"glosses": []})
    write_eaf(tmp_path / "b.eaf", {"glosses": [(0, 500, "A")]})
    release = read(tmp_path)
    assert len(release.samples) == 1
    assert f"{tmp_path / 'a.eaf'}: no glosses in its tiers" in release.notes


def test_the_only_tier_is_used_by_default(tmp_path: Path) -> None:
    write_eaf(tmp_path / "a.eaf", {"my [glosses]*": [(0, 500, "A")], "empty": []})
    assert sentences(tmp_path) == [("A", None, 0.0, 0.75)]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "a.eaf: not XML: no element found at line 1, column 1"),
        (b"<a><b></a>", "a.eaf: not XML: mismatched tag at line 1, column 9"),
        (b"<html/>", "a.eaf: not a document of ELAN: the first element is 'html'"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "a.eaf: it declares entities, which are not read"),
    ],
)
def test_other_files_are_faults(content: bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / "a.eaf").write_bytes(content)
    assert faults(tmp_path, "Gloss") == [fault]


def test_references_in_a_circle_end(tmp_path: Path) -> None:
    path = write_eaf(tmp_path / "a.eaf", {"S": [(0, 1000, "x")]}, {"Gloss": ("S", [(0, "A"), (0, "B")])})
    text = path.read_text(encoding="utf-8")
    circle = text.replace('ANNOTATION_ID="Gloss-0"', 'ANNOTATION_ID="Gloss-0" PREVIOUS_ANNOTATION="Gloss-1"')
    path.write_text(circle, encoding="utf-8")
    assert sentences(tmp_path, "Gloss") == [("A B", None, 0.0, 1.0)]
    path.write_text(text.replace('ANNOTATION_REF="S-0"', 'ANNOTATION_REF="Gloss-1"'), encoding="utf-8")
    assert "it refers to 'Gloss-1', which has no time" in faults(tmp_path, "Gloss")[0]


def test_annotations_with_one_id_end(tmp_path: Path) -> None:
    """The second follows itself by name, and the third begins the list."""
    path = write_eaf(tmp_path / "a.eaf", {"S": [(0, 1000, "x")]}, {"Gloss": ("S", [(0, "A"), (0, "A"), (0, "B")])})
    text = path.read_text(encoding="utf-8")
    text = text.replace('ANNOTATION_ID="Gloss-2"', 'ANNOTATION_ID="Gloss-0"').replace("Gloss-1", "Gloss-0")
    path.write_text(text, encoding="utf-8")
    assert len(sentences(tmp_path, "Gloss")) == 1


def test_pympi_s_documents_are_read(tmp_path: Path) -> None:
    document = pytest.importorskip("pympi.Elan").Eaf()
    document.add_linguistic_type("sub", "Symbolic_Subdivision", timealignable=False)
    document.add_tier("S")
    document.add_annotation("S", 0, 2000, "x")
    document.add_tier("Gloss", "sub", parent="S")
    for gloss in ("ZEBRA", "APFEL", "MAUS"):
        previous = None if gloss == "ZEBRA" else f"a{document.maxaid}"
        document.add_ref_annotation("Gloss", "S", 1000, gloss, prev=previous)
    document.to_file(str(tmp_path / "a.eaf"))
    assert sentences(tmp_path, "Gloss") == [("ZEBRA APFEL MAUS", None, 0.0, 2.0)]


# Videos of documents


def test_the_video_is_beside_the_document_or_linked(tmp_path: Path) -> None:
    clips = tmp_path / "elsewhere" / "my clips"
    write_counting_video(clips / "talk one.mp4", 50, 25)
    write_counting_video(tmp_path / "docs" / "beside.mp4", 50, 25)
    signs: dict[str, list[Aligned]] = {"glosses": [(200, 1000, "A")]}
    docs = tmp_path / "docs"
    write_eaf(docs / "beside.eaf", signs, media=['MEDIA_URL="file:///C:/Users/x/gone.mp4" MIME_TYPE="video/mp4"'])
    relative = 'MEDIA_URL="file:///gone/talk one.mp4" RELATIVE_MEDIA_URL="../elsewhere/my%20clips/talk%20one.mp4"'
    write_eaf(docs / "linked.eaf", signs, media=[f"{relative} MIME_TYPE='video/mp4'"])
    write_eaf(docs / "absolute.eaf", signs, media=[f'MEDIA_URL="file://{clips}/talk one.mp4" MIME_TYPE="video/mp4"'])
    release = read(docs, frames=True)
    assert {sample.sample_id: sample.frames for sample in release.samples} == {
        "absolute-0-1.25": "../elsewhere/my clips/talk one.mp4",
        "beside-0-1.25": "beside.mp4",
        "linked-0-1.25": "../elsewhere/my clips/talk one.mp4",
    }
    corpus = TranscriptCorpus("mine", transcripts=docs, drawing=ALL_TRAIN)
    report = prepare(corpus, docs, tmp_path / "out", PreparationOptions(frame_size=16), workers=1)
    assert (report.faults, report.splits["train"].frames) == ((), 3 * 31)
    assert str(tmp_path) not in (tmp_path / "out" / "train.jsonl").read_text(encoding="utf-8")


def test_a_linked_video_is_found_in_another_unicode_form(tmp_path: Path) -> None:
    write_counting_video(
        tmp_path / unicodedata.normalize("NFD", "Vidéos") / unicodedata.normalize("NFD", "Ü.mp4"), 50, 25
    )
    link = unicodedata.normalize("NFC", "../Vidéos/Ü.mp4")
    write_eaf(tmp_path / "docs" / "a.eaf", {"glosses": [(0, 500, "A")]}, media=[f'RELATIVE_MEDIA_URL="{link}"'])
    (sample,) = read(tmp_path / "docs", frames=True).samples
    assert (tmp_path / "docs" / sample.frames).is_file()


def test_one_of_several_videos_is_chosen_and_its_offset_counts(tmp_path: Path) -> None:
    for name in ("front.mp4", "side.mp4"):
        write_counting_video(tmp_path / name, 100, 25)
    media = [
        'MEDIA_URL="file:///x/sound.wav" RELATIVE_MEDIA_URL="./sound.wav" MIME_TYPE="audio/x-wav"',
        'MEDIA_URL="file:///x/front.mp4" RELATIVE_MEDIA_URL="./front.mp4" MIME_TYPE="video/mp4"',
        'MEDIA_URL="file:///x/side.mp4" RELATIVE_MEDIA_URL="./side.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="1500"',
    ]
    write_eaf(tmp_path / "talk.eaf", {"glosses": [(500, 1000, "A")]}, media=media)
    first = read(tmp_path, frames=True)
    assert first.samples[0].frames == "front.mp4"
    assert any("documents with several videos: 1" in note for note in first.notes)
    second = read(tmp_path, frames=True, media=2)
    assert second.samples[0].frames == "side.mp4"
    assert list(second.segments.values()) == [Segment(1.75, 2.75)]
    assert faults(tmp_path, frames=True, media=3) == ["talk.eaf: --media 3: the document names 2 videos"]


def test_videos_may_be_in_another_folder_than_the_documents(tmp_path: Path) -> None:
    for name in ("talk.mp4", "day 1/news.mp4"):
        write_counting_video(tmp_path / "videos" / name, 50, 25)
    (tmp_path / "docs/day 1").mkdir(parents=True)
    for name in ("talk.srt", "day 1/news.de.vtt"):
        (tmp_path / "docs" / name).write_text("1\n00:00:00,000 --> 00:00:01,000\nA\n")
    corpus = TranscriptCorpus("mine", transcripts=tmp_path / "docs", drawing=ALL_TRAIN)
    release = corpus.read(ReleasePaths(tmp_path / "videos")).check()
    assert [sample.frames for sample in release.samples] == ["day 1/news.mp4", "talk.mp4"]


@pytest.mark.parametrize("pause", [0.3, 1.0])
def test_clips_between_pauses_have_a_part_of_the_pauses_and_do_not_overlap(pause: float, tmp_path: Path) -> None:
    write_eaf(tmp_path / "a.eaf", {"Gloss": [(100, 400, "A"), (800, 1000, "B"), (3000, 3500, "C")]})
    found = [(start, end) for _, _, start, end in sentences(tmp_path, "Gloss", pause=pause)]
    if pause == 0.3:
        assert found == [(0.0, pytest.approx(0.6)), (pytest.approx(0.6), 1.25), (2.75, 3.75)]
    else:
        assert found == [(0.0, 1.25), (2.75, 3.75)]


def test_a_missing_video_is_a_fault_that_names_what_was_sought(tmp_path: Path) -> None:
    links = ['MIME_TYPE="video/mp4"', 'MEDIA_URL="file:///x/gone.mp4"']  # the first names nothing
    write_eaf(tmp_path / "talk.eaf", {"glosses": [(0, 1, "A")]}, media=links)
    (tmp_path / "news.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nA\n")
    assert faults(tmp_path, frames=True) == [
        "news.srt: no video, zip or folder 'news' is beside it",
        "talk.eaf: the video 'file:///x/gone.mp4' that it names was not found, and no video, zip or folder 'talk' is "
        "beside it",
    ]


# Praat

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "glosses"
        xmin = 0
        xmax = 3.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.8
            text = ""
        intervals [2]:
            xmin = 0.8
            xmax = 1.5
            text = "SAY ""HALLO"""
        intervals [3]:
            xmin = 1.5
            xmax = 3.5e0
            text = "ÜBER"
    item [2]:
        class = "TextTier"
        name = "points"
        xmin = 0
        xmax = 3.5
        points: size = 1
        points [1]:
            number = 1
            mark = "x"
'''
SHORT = '''File type = "ooTextFile"
"TextGrid"

0
3.5
<exists>
1
"IntervalTier"
"glosses"
0
3.5
3
0
0.8
""
0.8
1.5
"SAY ""HALLO"""
1.5
3.5
"ÜBER"
'''


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
def test_text_grids_are_read(text: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "talk.TextGrid").write_text(text, encoding=encoding)
    assert sentences(tmp_path) == [('SAY-"HALLO" ÜBER', None, 0.55, 3.75)]


def test_a_damaged_text_grid_is_a_fault_with_its_line(tmp_path: Path) -> None:
    lines = LONG.splitlines()
    (tmp_path / "talk.TextGrid").write_text("\n".join(lines[:18]))
    assert faults(tmp_path)[0].startswith("talk.TextGrid:18: expected a number, such as 12.4, found None")
    (tmp_path / "talk.TextGrid").write_text("other")
    assert "not a TextGrid in text form" in faults(tmp_path)[0] or "expected a text" in faults(tmp_path)[0]


# Subtitles

SRT = """1
00:00:01,000 --> 00:00:01,500
<i>HALLO</i>

2
00:00:01,600 --> 00:00:02,000
A&amp;B

3
00:01:00,000 --> 00:01:01,000
GUT
"""


def test_subtitles_of_glosses_are_divided_at_pauses(tmp_path: Path) -> None:
    (tmp_path / "talk.srt").write_text(SRT)
    assert sentences(tmp_path) == [("HALLO A&B", None, 0.75, 2.25), ("GUT", None, 59.75, 61.25)]


def test_subtitles_with_several_words_are_sentences(tmp_path: Path) -> None:
    text = "WEBVTT\n\nNOTE x\n\n00:01.000 --> 00:02.000 align:left\nICH HAUS\nGEHEN\n\n00:02.000 --> 00:03.000\nGUT\n"
    (tmp_path / "talk.vtt").write_text(text)
    assert sentences(tmp_path) == [("ICH HAUS GEHEN", None, 1.0, 2.0), ("GUT", None, 2.0, 3.0)]


def test_all_wrong_times_of_subtitles_are_reported(tmp_path: Path) -> None:
    (tmp_path / "talk.srt").write_text(f"{SRT}\n4\n1:00 -> --> 5\nX\n\n5\n00:00:09,0 --> 00:00:08,0\nX\n")
    assert faults(tmp_path) == [
        "talk.srt:14: invalid times '1:00 -> --> 5'; expected 00:00:12,400 --> 00:00:15,200",
        "talk.srt:18: the cue ends at 8 s, before its start at 9 s",
    ]


# JSON of `cslr predict`


def timed(gloss: str, start: float, end: float) -> dict[str, Any]:
    return {"gloss": gloss, "start": start, "end": end, "confidence": 0.9}


def recognition(source: str = "clips/talk.mp4") -> dict[str, Any]:
    first, second = [timed("ICH", 0.2, 0.6), timed("HAUS", 0.8, 1.4)], [timed("GUT", 2.5, 3.0)]
    parts = [{"start": 0.0, "end": 2.0, "glosses": first}, {"start": 2.0, "end": 3.5, "glosses": second}]
    best = {"glosses": [*first, *second], "score": -1.0}
    return {"schema_version": 1, "source": source, **best, "nbest": [best], "sentences": parts}


def test_the_json_of_predict_has_the_bounds_of_its_sentences(tmp_path: Path) -> None:
    (tmp_path / "talk.json").write_text(json.dumps(recognition()))
    expected = [("ICH HAUS", None, 0.0, 2.0), ("GUT", None, 2.0, 3.5)]
    assert sentences(tmp_path) == expected
    (tmp_path / "talk.json").rename(tmp_path / "all.jsonl")
    assert sentences(tmp_path) == expected


@pytest.mark.parametrize("corrected", ["glosses", "sentences"])
def test_a_correction_by_hand_is_read_wherever_it_is(corrected: str, tmp_path: Path) -> None:
    document = json.loads(json.dumps(recognition()))
    glosses = document["glosses"] if corrected == "glosses" else document["sentences"][0]["glosses"]
    glosses[1]["gloss"] = "BAUM"
    (tmp_path / "talk.json").write_text(json.dumps(document))
    assert [glosses for glosses, *_ in sentences(tmp_path)] == ["ICH BAUM", "GUT"]


def test_two_different_corrections_are_a_fault(tmp_path: Path) -> None:
    document = json.loads(json.dumps(recognition()))
    document["glosses"][1]["gloss"] = "BAUM"
    document["sentences"][1]["glosses"][0]["gloss"] = "SCHLECHT"
    (tmp_path / "talk.json").write_text(json.dumps(document))
    assert faults(tmp_path) == [
        "talk.json: glosses and the glosses of sentences were both changed, differently; change one, and remove the "
        "other"
    ]


def test_lines_of_several_videos_are_read_with_their_videos(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_counting_video(tmp_path / f"{name}.mp4", 100, 25)
    lines = [json.dumps(recognition(f"somewhere/{name}.mp4")) for name in ("one", "two")]
    (tmp_path / "all.jsonl").write_text("\n".join(lines))
    release = read(tmp_path, frames=True)
    assert [(sample.sample_id, sample.frames) for sample in release.samples] == [
        ("one-0-2", "one.mp4"),
        ("one-2-3.5", "one.mp4"),
        ("two-0-2", "two.mp4"),
        ("two-2-3.5", "two.mp4"),
    ]


def test_other_json_is_a_fault_with_an_example(tmp_path: Path) -> None:
    wrong = {"source": "a.mp4", "glosses": [{"gloss": "A", "start": 2, "end": 1}]}
    (tmp_path / "a.jsonl").write_text(f'{{"x": 1}}\n{json.dumps(wrong)}\n{{\n')
    found = faults(tmp_path)
    assert found[0].startswith("a.jsonl:1: not a recognition")
    assert found[1].startswith("a.jsonl:2: gloss 0: ")
    assert 'expected {"gloss": "HELLO", "start": 1.2, "end": 1.6}' in found[1]
    assert found[2].startswith("a.jsonl:3: not JSON")


# Folders


def test_of_documents_with_one_name_the_first_format_is_read_with_a_note(tmp_path: Path) -> None:
    write_eaf(tmp_path / "talk.eaf", {"glosses": [(0, 500, "A")]})
    (tmp_path / "talk.srt").write_text(SRT)
    release = read(tmp_path)
    assert [sample.glosses for sample in release.samples] == [("A",)]
    assert "documents with the name of another one, not read: talk.srt (read: talk.eaf)" in release.notes


def test_a_folder_without_documents_shows_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "talk.mp4").touch()
    with pytest.raises(DataError, match=r"no annotation documents .* the folder holds talk\.mp4") as caught:
        read(tmp_path)
    assert caught.value.hint is not None
    assert "talk.eaf, talk.mp4" in caught.value.hint


def test_wrong_options_are_reported_together() -> None:
    with pytest.raises(UsageError) as caught:
        SentenceOptions(media=0, pause=0, signer_from="name")  # type: ignore[arg-type]
    assert [line.split(":")[0] for line in caught.value.message.splitlines()] == [
        "--media 0",
        "--pause 0",
        "--signer-from name",
    ]


def test_a_prepared_corpus_has_the_parts_of_the_video(tmp_path: Path) -> None:
    write_counting_video(tmp_path / "talk.mp4", 100, 25)
    write_eaf(tmp_path / "talk.eaf", {"glosses": [(0, 1000, "A"), (3000, 4000, "B")]})
    corpus = TranscriptCorpus("mine", transcripts=tmp_path / "talk.eaf", drawing=SplitDrawing((1, 1, 0)))
    prepare(corpus, tmp_path, tmp_path / "out", PreparationOptions(frame_size=16), workers=1)
    prepared = PreparedCorpus.open(tmp_path / "out")
    found = {clip.glosses: clip.num_frames for split in prepared.splits for clip in prepared.samples(split)}
    assert found == {("A",): 31, ("B",): 31}
