from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.choices import CueUnit
from cslr_cli.output.formats import FORMATS, FormatOptions
from cslr_cli.output.subtitles import Cue, make_cues, make_subtitles
from cslr_cli.recognition import Alternative, Recognition, Sentence
from cslr_cli.scoring import TimedGloss
from tests.output.recognitions import GLOSSES, recognised, two_sentences

SRT_BLOCK = re.compile(
    r"(\d+)\n(\d\d):(\d\d):(\d\d),(\d\d\d) --> (\d\d):(\d\d):(\d\d),(\d\d\d)\n((?:.+\n)+)",
)


def read_srt(document: str) -> list[Cue]:
    """A reader that knows nothing of the writer; each character of the file has to fit."""
    read: list[Cue] = []
    position = 0
    while position < len(document):
        block = SRT_BLOCK.match(document, position)
        assert block is not None, document[position:]
        number, *clock, text = block.groups()
        assert int(number) == len(read) + 1
        h1, m1, s1, ms1, h2, m2, s2, ms2 = map(int, clock)
        assert max(m1, s1, m2, s2) < 60
        start, end = ((h * 60 + m) * 60 + s for h, m, s in ((h1, m1, s1), (h2, m2, s2)))
        read.append(Cue(1000 * start + ms1, 1000 * end + ms2, text.removesuffix("\n").replace("\n", " ")))
        position = block.end()
        if position < len(document):
            assert document[position] == "\n"
            position += 1
    return read


def test_srt_has_each_gloss_from_its_start_for_long_enough_to_read_with_commas() -> None:
    document = FORMATS["srt"].document(recognised(*GLOSSES))
    assert read_srt(document) == [
        Cue(40, 740, "GESTERN"),
        Cue(800, 1500, "A<B&C>"),
        Cue(3_599_960, 3_600_660, '今天"x",ÄÖÜ'),
    ]
    assert "00:59:59,960 --> 01:00:00,660" in document


def test_vtt_has_its_header_and_escapes_markup() -> None:
    document = FORMATS["vtt"].document(recognised(*GLOSSES, TimedGloss("A-->B", 3601.0, 3602.0)))
    assert document.splitlines()[:6] == [
        "WEBVTT",
        "",
        "00:00:00.040 --> 00:00:00.740",
        "GESTERN",
        "",
        "00:00:00.800 --> 00:00:01.500",
    ]
    assert "A&lt;B&amp;C&gt;" in document
    assert document.count("-->") == 4  # the arrow of a gloss is none of a cue


def test_exact_cues_of_overlapping_glosses_are_cut_and_simultaneous_ones_share_a_cue() -> None:
    glosses = [
        TimedGloss("LATE", 2.0, 2.5),
        TimedGloss("LONG", 0.0, 1.9),
        TimedGloss("WITHIN", 1.0, 1.2),
        TimedGloss("TOO", 2.0, 2.0),
        TimedGloss("INSTANT", 3.0, 3.0001),
    ]
    assert make_cues(glosses) == [
        Cue(0, 1000, "LONG"),
        Cue(1000, 1200, "WITHIN"),
        Cue(2000, 2500, "TOO LATE"),
        Cue(3000, 3001, "INSTANT"),
    ]


times = st.floats(0, 40000, allow_nan=False)


@given(st.lists(st.tuples(times, st.floats(0, 5), st.sampled_from(["A", "B C", "今\n天"]))))
def test_exact_cues_are_ordered_not_empty_and_do_not_overlap(spans: list[tuple[float, float, str]]) -> None:
    glosses = [TimedGloss(gloss, start, start + length) for start, length, gloss in spans]
    found = make_cues(glosses)
    assert all(cue.start < cue.end for cue in found)
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))
    shown = sorted(word for cue in found for word in cue.text.split())
    assert shown == sorted(word for timed in glosses for word in timed.gloss.split())  # none is lost


# Cues that can be read


def subtitles(*glosses: TimedGloss, start: float = 0.0, duration: float = 100.0, **options: Any) -> list[Cue]:
    recognition = dataclasses.replace(recognised(*glosses), start=start, duration=duration)
    return make_subtitles(recognition, FormatOptions(**options))


def test_a_short_cue_is_extended_into_the_free_time_after_it_but_no_long_one() -> None:
    assert subtitles(TimedGloss("A", 1.0, 1.2), TimedGloss("B", 1.8, 3.0), TimedGloss("C", 3.0, 3.7)) == [
        Cue(1000, 1700, "A"),
        Cue(1800, 3000, "B"),
        Cue(3000, 3700, "C"),
    ]


def test_a_short_cue_without_time_after_it_is_joined_with_the_next_ones() -> None:
    glosses = [TimedGloss("A", 1.0, 1.2), TimedGloss("B", 1.2, 1.3), TimedGloss("C", 1.6, 1.8), TimedGloss("D", 1.9, 2)]
    assert subtitles(*glosses) == [Cue(1000, 1800, "A B C"), Cue(1900, 2600, "D")]


def test_a_short_last_cue_starts_earlier_or_is_joined_with_the_one_before_it() -> None:
    last = TimedGloss("LAST", 9.5, 9.75)
    assert subtitles(last, duration=10) == [Cue(9300, 10_000, "LAST")]
    assert subtitles(TimedGloss("LONG", 8, 9.5), last, duration=10) == [
        Cue(8000, 9300, "LONG"),
        Cue(9300, 10_000, "LAST"),
    ]
    assert subtitles(TimedGloss("A", 8.7, 9.5), last, duration=10) == [Cue(8700, 10_000, "A LAST")]
    assert subtitles(last, start=9.5, duration=0.25) == [Cue(9500, 9750, "LAST")]  # the recording is not longer


def test_a_sentence_is_one_cue_from_its_first_to_its_last_gloss() -> None:
    made = make_subtitles(two_sentences(), FormatOptions(cues="sentence"))
    assert made == [Cue(40, 1120, "GESTERN A<B&C>"), Cue(20_000, 20_700, "MOND")]


def test_a_long_sentence_is_divided_at_the_longest_pause_near_its_middle() -> None:
    starts = [0.0, 3.0, 4.0, 6.0, 6.6, 9.0]  # the longest pauses are not near the middle
    glosses = [TimedGloss(f"G{number}", start, start + 0.5) for number, start in enumerate(starts)]
    assert subtitles(*glosses, cues="sentence") == [Cue(0, 4500, "G0 G1 G2"), Cue(6000, 9500, "G3 G4 G5")]


@pytest.mark.parametrize("word", ["ABCDEFGHIJ", "一二三四五"])
def test_a_long_text_is_broken_into_two_lines_and_divided_if_they_do_not_suffice(word: str) -> None:
    glosses = [TimedGloss(word, 0.75 * number, 0.75 * number + 0.7) for number in range(9)]
    document = FORMATS["srt"].document(recognised(*glosses[:6]), FormatOptions(cues="sentence"))
    assert document.splitlines()[2:] == [f"{word} {word} {word}"] * 2
    assert sorted(len(cue.text.split()) for cue in subtitles(*glosses, cues="sentence")) == [4, 5]


@given(
    st.lists(st.tuples(st.floats(0.7, 1.5), st.floats(0, 2), st.text("AB", min_size=1, max_size=20)), max_size=40),
)
def test_cues_of_sentences_are_short_enough(parts: list[tuple[float, float, str]]) -> None:
    glosses, end = [], 0.0
    for length, pause, text in parts:
        glosses.append(TimedGloss(text, end + pause, end + pause + length))
        end += pause + length
    recognition = recognised(*glosses)
    made = make_subtitles(recognition, FormatOptions(cues="sentence"))
    assert all(cue.end - cue.start <= 7001 for cue in made)  # both ends are rounded
    blocks = FORMATS["srt"].document(recognition, FormatOptions(cues="sentence")).removesuffix("\n").split("\n\n")
    for lines in (block.splitlines()[2:] for block in blocks if block):
        assert len(lines) <= 2
        assert all(len(line) <= 42 for line in lines)


@st.composite
def recordings(draw: st.DrawFn) -> Recognition:
    """A part of a recording with glosses anywhere in it, divided into sentences anywhere between them."""
    start, duration = draw(st.floats(0, 5000)), draw(st.floats(0.002, 20))
    moments = st.floats(0, 1).map(lambda share: start + share * duration)
    pairs = (sorted(draw(st.tuples(moments, moments))) for _ in range(draw(st.integers(0, 15))))
    spans = sorted((first, second) for first, second in pairs)
    texts = (draw(st.sampled_from(["A", "B C", "今\n天", "LONGER-GLOSS"])) for _ in spans)
    glosses = tuple(TimedGloss(text, *span, confidence=0.5) for text, span in zip(texts, spans, strict=True))
    cuts = sorted(draw(st.sets(st.integers(0, len(glosses)), max_size=4)) | {0, len(glosses)})
    sentences = tuple(
        Sentence(start, start + duration, (Alternative(glosses[left:right], -1.0),))
        for left, right in itertools.pairwise(cuts)
    )
    return dataclasses.replace(recognised(*glosses, sentences=sentences), start=start, duration=duration)


@given(recordings(), st.sampled_from(get_args(CueUnit)), st.booleans())
def test_cues_can_be_read(recording: Recognition, cues: CueUnit, show_confidence: bool) -> None:
    made = make_subtitles(recording, FormatOptions(cues=cues, show_confidence=show_confidence))
    start, end = round(1000 * recording.start), round(1000 * (recording.start + recording.duration))
    assert all(cue.start < cue.end for cue in made)
    assert all(left.end <= right.start for left, right in itertools.pairwise(made))
    assert all(start <= cue.start and cue.end <= end for cue in made)
    # All glosses are shown, in their order.
    confidence = " (50%)" if show_confidence else ""
    expected = " ".join(" ".join(timed.gloss.split()) + confidence for timed in recording.glosses)
    assert " ".join(cue.text for cue in made) == expected
    # They are shown long enough, if the recording is that long.
    assert all(cue.end - cue.start >= min(700, end - start) for cue in made)
    document = FORMATS["srt"].document(recording, FormatOptions(cues=cues, show_confidence=show_confidence))
    assert read_srt(document) == made


@given(recordings())
def test_cues_keep_the_exact_times_where_they_can(recording: Recognition) -> None:
    exact = make_cues(recording.glosses)
    made = make_subtitles(recording, FormatOptions())
    for cue in made[:-1]:
        held = [each for each in exact if cue.start <= each.start < cue.end]
        assert held[0].start == cue.start
        assert held[-1].start < cue.start + 700 or len(held) == 1  # no more is joined than needed
        if cue is not made[-2]:  # the last but one may give time to the last
            assert cue.end == max(held[-1].end, cue.start + 700)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize(("name", "codec"), [("srt", "subrip"), ("vtt", "webvtt")])
def test_ffmpeg_reads_the_cues_at_their_times(tmp_path: Path, name: str, codec: str) -> None:
    path = tmp_path / f"talk.{name}"
    path.write_text(FORMATS[name].document(recognised(*GLOSSES)), encoding="utf-8")
    asked = ["ffprobe", "-v", "error", "-show_packets", "-show_streams", "-of", "json", str(path)]
    answer = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    assert answer["streams"][0]["codec_name"] == codec
    shown = [float(packet[name]) for packet in answer["packets"] for name in ("pts_time", "duration_time")]
    assert shown == pytest.approx([seconds for timed in GLOSSES for seconds in (timed.start, 0.7)])


def test_subtitles_show_confidences_if_wanted() -> None:
    sure = FormatOptions(show_confidence=True)
    assert [cue.text for cue in read_srt(FORMATS["srt"].document(recognised(*GLOSSES), sure))] == [
        *("GESTERN (62%)", "A<B&C> (90%)"),
        '今天"x",ÄÖÜ',
    ]
    assert "GESTERN (62%)\n" in FORMATS["vtt"].document(recognised(*GLOSSES), sure)
    assert "%" not in FORMATS["srt"].document(recognised(*GLOSSES))
