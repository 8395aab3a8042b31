from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.output.formats import FORMATS, FormatOptions
from cslr_cli.output.subtitles import Cue, make_cues
from cslr_cli.scoring import TimedGloss
from tests.output.recognitions import GLOSSES, recognised

SRT_BLOCK = re.compile(
    r"(\d+)\n(\d\d):(\d\d):(\d\d),(\d\d\d) --> (\d\d):(\d\d):(\d\d),(\d\d\d)\n(.+)\n",
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
        read.append(Cue(1000 * start + ms1, 1000 * end + ms2, text))
        position = block.end()
        if position < len(document):
            assert document[position] == "\n"
            position += 1
    return read


def test_srt_has_the_glosses_at_their_times_with_commas() -> None:
    document = FORMATS["srt"].document(recognised(*GLOSSES))
    assert read_srt(document) == [
        Cue(40, 360, "GESTERN"),
        Cue(800, 1120, "A<B&C>"),
        Cue(3_599_960, 3_600_200, '今天"x",ÄÖÜ'),
    ]
    assert "00:59:59,960 --> 01:00:00,200" in document


def test_vtt_has_its_header_and_escapes_markup() -> None:
    document = FORMATS["vtt"].document(recognised(*GLOSSES, TimedGloss("A-->B", 3601.0, 3602.0)))
    assert document.splitlines()[:6] == [
        "WEBVTT",
        "",
        "00:00:00.040 --> 00:00:00.360",
        "GESTERN",
        "",
        "00:00:00.800 --> 00:00:01.120",
    ]
    assert "A&lt;B&amp;C&gt;" in document
    assert document.count("-->") == 4  # the arrow of a gloss is none of a cue


def test_overlapping_glosses_are_cut_and_simultaneous_ones_share_a_cue() -> None:
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
def test_cues_are_ordered_not_empty_and_do_not_overlap(spans: list[tuple[float, float, str]]) -> None:
    glosses = [TimedGloss(gloss, start, start + length) for start, length, gloss in spans]
    found = make_cues(glosses)
    assert all(cue.start < cue.end for cue in found)
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))
    shown = sorted(word for cue in found for word in cue.text.split())
    assert shown == sorted(word for timed in glosses for word in timed.gloss.split())  # none is lost
    assert read_srt(FORMATS["srt"].document(recognised(*glosses))) == found


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize(("name", "codec"), [("srt", "subrip"), ("vtt", "webvtt")])
def test_ffmpeg_reads_the_cues_at_their_times(tmp_path: Path, name: str, codec: str) -> None:
    path = tmp_path / f"talk.{name}"
    path.write_text(FORMATS[name].document(recognised(*GLOSSES)), encoding="utf-8")
    asked = ["ffprobe", "-v", "error", "-show_packets", "-show_streams", "-of", "json", str(path)]
    answer = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    assert answer["streams"][0]["codec_name"] == codec
    shown = [float(packet[name]) for packet in answer["packets"] for name in ("pts_time", "duration_time")]
    assert shown == pytest.approx([seconds for timed in GLOSSES for seconds in (timed.start, timed.end - timed.start)])


def test_subtitles_show_confidences_if_wanted() -> None:
    sure = FormatOptions(show_confidence=True)
    assert [cue.text for cue in read_srt(FORMATS["srt"].document(recognised(*GLOSSES), sure))] == [
        *("GESTERN (62%)", "A<B&C> (90%)"),
        '今天"x",ÄÖÜ',
    ]
    assert "GESTERN (62%)\n" in FORMATS["vtt"].document(recognised(*GLOSSES), sure)
    assert "%" not in FORMATS["srt"].document(recognised(*GLOSSES))
