from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.choices import SplitUnit
from cslr_cli.corpora import AnnotationError, OwnCorpus, Release, ReleasePaths, SplitDrawing
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError, UsageError
from cslr_cli.media.frames import open_frames
from cslr_cli.media.options import Segment
from tests.corpora.releases import write_frames


def read(manifest: Path, drawing: SplitDrawing | None = None) -> Release:
    reader = OwnCorpus("mine", manifest=manifest, drawing=drawing)
    return reader.read(ReleasePaths(reader.default_source)).check()


def written(tmp_path: Path, text: str, name: str = "clips.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def refused(manifest: Path, drawing: SplitDrawing | None = None) -> list[str]:
    """What is wrong with a manifest, each fault with its line."""
    with pytest.raises(AnnotationError) as caught:
        read(manifest, drawing)
    return [str(fault).removeprefix(f"{manifest}:") for fault in caught.value.faults]


# What a manifest says


def test_a_line_becomes_a_sample(tmp_path: Path) -> None:
    text = 'path,glosses,split,signer,id,translation,start,end\nclips/a b.mp4,HELLO  WORLD,dev,anna,,"hello, world",,\n'
    release = read(written(tmp_path, text))
    assert release.root == tmp_path
    assert release.samples == (Sample("a_b", "dev", "clips/a b.mp4", None, "anna", ("HELLO", "WORLD"), "hello, world"),)
    assert release.segments == {}


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    lines = [
        {"path": "a.mp4", "glosses": ["HELLO", "WORLD"], "split": "train", "signer": None},
        {"path": "b.zip", "glosses": "HELLO", "split": "test", "start": 1.5, "end": 3},
    ]
    release = read(written(tmp_path, "\n".join(map(json.dumps, lines)) + "\n", "clips.jsonl"))
    assert release.samples == (
        Sample("a", "train", "a.mp4", None, None, ("HELLO", "WORLD")),
        Sample("b-1.5-3", "test", "b.zip", None, None, ("HELLO",)),
    )
    assert release.segments == {"b-1.5-3": Segment(1.5, 3.0)}


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffpath;glosses;split\r\na.mp4;HELLO;train\r\n",
        "path\tglosses\tsplit\na.mp4\tHELLO\ttrain\n\n",
        "split|glosses|path\ntrain | HELLO | a.mp4\n",
    ],
)
def test_spreadsheets_of_every_country_are_read(tmp_path: Path, text: str) -> None:
    assert read(written(tmp_path, text)).samples == (Sample("a", "train", "a.mp4", None, None, ("HELLO",)),)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "text",
    [
        "sep=;\npath;glosses;split\na.mp4;A, B;train\n",
        '"sep=;"\npath;glosses;split\na.mp4;A, B;train\n',
        "sep=\t\npath\tglosses\tsplit\na.mp4\tA, B\ttrain\n",
        "path;glosses;split;;;\na.mp4;A, B;train;;;\n;;;;;\n",
        "path;glosses;split\na.mp4;A, B;train;;\n",
    ],
)
def test_what_spreadsheets_add_changes_nothing(tmp_path: Path, text: str, line_end: str) -> None:
    samples = read(written(tmp_path, text.replace("\n", line_end))).samples
    assert samples == (Sample("a", "train", "a.mp4", None, None, ("A,", "B")),)


def test_the_line_with_the_separator_counts_in_messages(tmp_path: Path) -> None:
    assert refused(written(tmp_path, "sep=;\npath;glosses;split\na.mp4;A;train;x\n")) == [
        "3: 4 fields, but the first line has 3"
    ]


@pytest.mark.parametrize(
    ("paths", "ids"),
    [
        (["anna/001.mp4", "ben/001.mp4"], ["anna/001", "ben/001"]),
        (["anna/001.mp4", "ben/002.mp4"], ["001", "002"]),
        (["x/a/1.mp4", "y/a/1.mp4", "y/b/1.mp4"], ["x/a/1", "y/a/1", "b/1"]),
        (["1.mp4", "a/1.mp4"], ["1", "a/1"]),
        (["a/1.mp4", "a/1.zip"], ["a/1.mp4", "a/1.zip"]),
        (["my clips/a b.mp4", "c/a b.mp4"], ["my_clips/a_b", "c/a_b"]),
    ],
)
def test_ids_have_as_much_of_the_path_as_makes_them_unique(tmp_path: Path, paths: list[str], ids: list[str]) -> None:
    rows = [f"{path},A,train" for path in paths]
    release = read(written(tmp_path, "\n".join(["path,glosses,split", *rows])))
    assert [sample.sample_id for sample in release.samples] == ids


def test_parts_of_equally_named_videos_have_the_folder_in_their_ids(tmp_path: Path) -> None:
    rows = ["a/1.mp4,A,train,0,1", "a/1.mp4,A,train,1,2", "b/1.mp4,A,train,0,1"]
    release = read(written(tmp_path, "\n".join(["path,glosses,split,start,end", *rows])))
    assert [sample.sample_id for sample in release.samples] == ["a/1-0-1", "1-1-2", "b/1-0-1"]


def test_a_given_id_is_not_taken_by_another_clip(tmp_path: Path) -> None:
    release = read(written(tmp_path, "path,glosses,split,id\na/1.mp4,A,train,\nb/2.mp4,A,train,1\n"))
    assert [sample.sample_id for sample in release.samples] == ["a/1", "1"]


def test_clips_with_folders_in_their_ids_are_prepared_and_read(tmp_path: Path) -> None:
    for name in ("anna/001", "ben/001"):
        write_frames(tmp_path / name)
    manifest = written(tmp_path, "path,glosses,split\nanna/001,A,train\nben/001,A,train\n")
    options = PreparationOptions(frame_size=16)
    report = prepare(OwnCorpus("mine", manifest=manifest), tmp_path, tmp_path / "out", options, workers=1)
    assert report.faults == ()
    corpus = PreparedCorpus.open(tmp_path / "out")
    assert [sample.frames for sample in corpus.samples("train")] == [
        "frames/train/anna/001.zip",
        "frames/train/ben/001.zip",
    ]
    assert all(open_frames(corpus.frames_path(sample)).num_frames == 3 for sample in corpus.samples("train"))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_spreadsheets_unicode_text_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "clips.txt"
    path.write_bytes("\ufeffpath\tglosses\tsplit\r\na.mp4\tGRÜN 园丁\ttrain\r\n".encode(encoding))
    assert read(path).samples == (Sample("a", "train", "a.mp4", None, None, ("GRÜN", "园丁")),)


@pytest.mark.parametrize(
    ("start", "end", "segment"),
    [
        ("12.4", "15.2", Segment(12.4, 15.2)),
        ("0:12.4", "0:00:15.2", Segment(12.4, 15.2)),
        ("12,4", "0:15,2", Segment(12.4, 15.2)),  # as spreadsheets of many countries have it
        ("1:00:00", "1:00:01", Segment(3600, 3601)),
        ("", "2", Segment(0, 2)),
        ("2", "", Segment(2, None)),
    ],
)
def test_times_are_seconds_or_clock_times(tmp_path: Path, start: str, end: str, segment: Segment) -> None:
    release = read(written(tmp_path, f"path;glosses;split;id;start;end\na.mp4;HELLO;train;x;{start};{end}\n"))
    assert release.segments["x"].start == pytest.approx(segment.start)
    assert release.segments["x"].end == (None if segment.end is None else pytest.approx(segment.end))


def test_samples_come_split_by_split(tmp_path: Path) -> None:
    release = read(written(tmp_path, "path,glosses,split\na.mp4,A,test\nb.mp4,A,train\nc.mp4,A,dev\nd.mp4,A,train\n"))
    assert [sample.sample_id for sample in release.samples] == ["b", "d", "c", "a"]


def test_an_absolute_path_inside_the_folder_is_made_relative(tmp_path: Path) -> None:
    release = read(written(tmp_path, f"path,glosses,split\n{tmp_path}/clips/a.mp4,A,train\n"))
    assert release.samples[0].frames == "clips/a.mp4"


# What is wrong with a manifest


def test_an_unknown_column_gets_the_nearest_known_one(tmp_path: Path) -> None:
    faults = refused(written(tmp_path, "path,gloss,path\na.mp4,A,b\n"))
    assert faults[0].startswith("1: unknown column 'gloss'; did you mean glosses? the columns are path, glosses, split")
    assert faults[1:] == ["1: duplicate column 'path'", "1: missing column 'glosses'"]


def test_all_wrong_lines_are_reported_with_their_numbers(tmp_path: Path) -> None:
    text = """path,glosses,split,signer,id,start,end
../a.mp4,A,train,,,,
/etc/passwd,A,train,,,,
b.mp4,A,training,,,,
c.mp4,A,,,,,
d.mp4,A,train,,,3,2
e.mp4,A,train,,,soon,
,A,train,,,,
f.mp4,A
g.mp4,A,train,,same,,
h.mp4,A,dev,,same,,
i.mp4,A,train,anna b,,,
clips\\j.mp4,A,train,,,,
"""
    faults = dict(fault.split(": ", 1) for fault in refused(written(tmp_path, text)))
    assert list(faults) == ["8", "9", "2", "3", "4", "5", "6", "7", "11", "12", "13"]
    assert faults["2"] == f"'../a.mp4' is outside of the corpus' folder, {tmp_path}"
    assert "'/etc/passwd' is outside" in faults["3"]
    assert faults["4"] == "unknown split 'training'; expected one of train, dev, test"
    assert faults["5"] == "the split is empty"
    assert faults["6"] == "the clip ends at 2 s, not after its start at 3 s"
    assert faults["7"].startswith("invalid time: soon; expected seconds (12.4)")
    assert faults["8"] == "the path is empty"
    assert faults["13"] == "'clips\\j.mp4' has a backslash; write / between folders, on Windows too"
    assert faults["9"] == "2 fields, but the first line has 7"
    assert "duplicate clip 'same', first in" in faults["11"]
    assert "invalid name of a signer: 'anna b'" in faults["12"]


def test_wrong_lines_of_json_are_reported(tmp_path: Path) -> None:
    text = '{"path": "a.mp4"}\n[1]\n{"path": \n{"path": "b.mp4", "glosses": "A", "splits": "train"}\n'
    faults = refused(written(tmp_path, text, "clips.jsonl"))
    assert faults[0] == "1: 'glosses' missing"
    assert faults[1] == "2: not a JSON object, {…}"
    assert faults[2].startswith("3: not JSON")
    assert faults[3].startswith("4: unknown column 'splits'; did you mean split?")


def test_a_clip_without_glosses_is_left_out_with_a_reason(tmp_path: Path) -> None:
    release = read(written(tmp_path, "path,glosses,split\na.mp4,,train\nb.mp4,B,train\n"))
    assert [sample.sample_id for sample in release.samples] == ["b"]
    (left_out,) = release.left_out
    assert left_out.reason.endswith("clips.csv:2: no glosses in the annotation")


def test_a_manifest_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_bytes("path,glosses,split\na.mp4,MÄRZ,train\n".encode("latin-1"))
    assert refused(path) == ["2: not UTF-8 text (byte 0xc4)"]


@pytest.mark.parametrize(
    ("text", "fault"), [("", "missing column 'path'"), ("path,glosses\n", "the file has no clips")]
)
def test_an_empty_manifest_is_reported(tmp_path: Path, text: str, fault: str) -> None:
    assert fault in refused(written(tmp_path, text))[0]


def test_a_manifest_of_another_kind_or_none_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown format of a manifest"):
        read(written(tmp_path, "", "clips.xlsx"))
    with pytest.raises(DataError, match="manifest not found") as caught:
        read(tmp_path / "clips.csv")
    assert caught.value.hint is not None
    assert "path,glosses,split" in caught.value.hint
    with pytest.raises(UsageError, match="invalid name of a corpus"):
        OwnCorpus("my corpus", manifest=written(tmp_path, "")).read(ReleasePaths(tmp_path))


# Splits that are drawn

CLIPS = "path,glosses,signer\n" + "".join(f"{number}.mp4,A,signer{number % 7}\n" for number in range(40))


def splits(release: Release) -> dict[str, str]:
    return {sample.sample_id: sample.split for sample in release.samples}


def test_options_for_random_splits_are_noted_if_the_manifest_has_all_splits(tmp_path: Path) -> None:
    manifest = written(tmp_path, "path,glosses,split\na.mp4,A,train\nb.mp4,A,dev\n")
    assert read(manifest).notes == ()
    (note,) = read(manifest, drawing=SplitDrawing(seed=1)).notes
    assert "have no effect" in note


def test_a_manifest_without_splits_is_divided_with_a_note(tmp_path: Path) -> None:
    release = read(written(tmp_path, CLIPS))
    assert release.notes == ("splits drawn for 40 clips, shares 80,10,10 by clip, seed 0: 32 train, 4 dev, 4 test",)
    drawn = list(splits(release).values())
    assert [drawn.count(split) for split in ("train", "dev", "test")] == [32, 4, 4]


def test_what_is_drawn_follows_from_the_seed_and_not_from_the_order_of_lines(tmp_path: Path) -> None:
    header, *lines = CLIPS.splitlines()
    drawing = SplitDrawing(seed=3)
    first = splits(read(written(tmp_path, CLIPS), drawing))
    assert splits(read(written(tmp_path, "\n".join([header, *reversed(lines)])), drawing)) == first
    assert splits(read(written(tmp_path, CLIPS), SplitDrawing(seed=4))) != first


def test_drawn_by_signer_no_signer_is_in_two_splits(tmp_path: Path) -> None:
    release = read(written(tmp_path, CLIPS), SplitDrawing(unit="signer"))
    people = {split: {s.signer for s in release.samples if s.split == split} for split in ("train", "dev", "test")}
    assert all(people.values())
    assert sum(map(len, people.values())) == 7


def test_only_clips_without_a_split_get_one(tmp_path: Path) -> None:
    text = "path,glosses,split\na.mp4,A,test\nb.mp4,A,\nc.mp4,A,\nd.mp4,A,\n"
    drawn = splits(read(written(tmp_path, text), SplitDrawing((1, 1, 0))))
    assert drawn["a"] == "test"
    assert {drawn[name] for name in "bcd"} == {"train", "dev"}


def test_to_draw_by_signer_every_clip_needs_one(tmp_path: Path) -> None:
    text = "path,glosses,signer\na.mp4,A,anna\nb.mp4,A,\n"
    faults = refused(written(tmp_path, text), SplitDrawing(unit="signer"))
    assert faults == ["3: the clip has neither a split nor a signer; --split-by signer needs one of them"]


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)),
    st.sampled_from(["clip", "signer"]),
    st.integers(0, 5),
)
def test_every_split_gets_its_share_as_far_as_it_goes(
    signers: list[int], shares: tuple[int, int, int], unit: SplitUnit, seed: int
) -> None:
    clips: dict[str, str | None] = {f"clip{number}": f"signer{signer}" for number, signer in enumerate(signers)}
    drawn = SplitDrawing(shares, unit, seed).draw(clips)
    assert drawn.keys() == clips.keys()
    counts = {split: list(drawn.values()).count(split) for split in ("train", "dev", "test")}
    wanted = {split for split, share in zip(counts, shares, strict=True) if share}
    num_groups = len(clips) if unit == "clip" else len(set(signers))
    filled = {split for split, count in counts.items() if count}
    assert filled <= wanted
    assert len(filled) == min(len(wanted), num_groups)
    if unit == "clip":
        due = {split: len(clips) * share / sum(shares) for split, share in zip(counts, shares, strict=True)}
        assert all(abs(counts[split] - due[split]) < 2 for split in counts)
    else:
        split_of_signer = {(clips[clip], split) for clip, split in drawn.items()}
        assert len(split_of_signer) == num_groups


@pytest.mark.parametrize("text", ["80,10", "a,b,c", "80;10;10", ""])
def test_shares_that_are_invalid_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--split-shares"):
        SplitDrawing.parse_shares(text)


@pytest.mark.parametrize("shares", [(0, 1, 1), (-1, 1, 1), (float("nan"), 1, 1)])
def test_shares_that_leave_nothing_to_train_on_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match="--split-shares"):
        SplitDrawing(shares, "clip")


# Prepared


_COUNTING_BITS = 8


def write_counting_video(path: Path, num_frames: int, fps: float) -> None:
    """A video whose n-th frame has a stripe for each of n's bits, black or white whatever becomes of grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*("mp4v" if path.suffix == ".mp4" else "MJPG")), fps, (32, 32)
    )
    for number in range(num_frames):
        bits = [255 * (number >> bit & 1) for bit in range(_COUNTING_BITS)]
        writer.write(np.tile(np.repeat(np.array(bits, np.uint8), 32 // _COUNTING_BITS)[None, :, None], (32, 1, 3)))
    writer.release()


def shown(corpus: PreparedCorpus, sample: Sample) -> list[int]:
    frames = open_frames(corpus.frames_path(sample)).read()
    stripes = frames.reshape(len(frames), -1, _COUNTING_BITS, frames.shape[2] // _COUNTING_BITS, 3).mean((1, 3, 4))
    return [sum(int(white) << bit for bit, white in enumerate(frame > 127)) for frame in stripes]


def test_videos_pictures_and_parts_of_a_long_recording_become_a_corpus(tmp_path: Path) -> None:
    write_counting_video(tmp_path / "lecture.avi", 100, 25.0)
    write_counting_video(tmp_path / "fast.avi", 40, 50.0)
    write_frames(tmp_path / "pictures")
    text = """path,glosses,split,start,end
lecture.avi,A B,train,0,0.4
lecture.avi,B,train,0.4,1
lecture.avi,A,test,3.6,4
fast.avi,B,dev,,
pictures,C,train,,
"""
    reader = OwnCorpus("mine", manifest=written(tmp_path, text))
    options = PreparationOptions(frame_size=16)
    report = prepare(reader, tmp_path, tmp_path / "prepared", options, workers=1)
    assert report.faults == ()
    corpus = PreparedCorpus.open(tmp_path / "prepared")
    assert (corpus.name, corpus.fps, corpus.protocol) == ("mine", 25.0, "plain")
    first, second, pictures = corpus.samples("train")
    assert shown(corpus, first) == list(range(10))
    assert shown(corpus, second) == list(range(10, 25))
    assert pictures.num_frames == 3
    (last,) = corpus.samples("test")
    assert shown(corpus, last) == list(range(90, 100))
    (fast,) = corpus.samples("dev")
    assert shown(corpus, fast) == list(range(0, 40, 2))  # 50 frames a second, brought to 25


def test_another_frame_rate_makes_another_corpus(tmp_path: Path) -> None:
    write_counting_video(tmp_path / "a.avi", 50, 25.0)
    manifest = written(tmp_path, "path,glosses,split,id,start,end\na.avi,A,train,x,0,1\n")
    options = PreparationOptions(frame_size=16)
    prepare(OwnCorpus("mine", manifest=manifest), tmp_path, tmp_path / "prepared", options, workers=1)
    with pytest.raises(DataError, match=r"fps was 25\.0, is 50\.0 now"):
        prepare(OwnCorpus("mine", fps=50.0, manifest=manifest), tmp_path, tmp_path / "prepared", options, workers=1)


def test_a_part_after_the_end_of_its_video_is_left_out_with_a_reason(tmp_path: Path) -> None:
    write_counting_video(tmp_path / "a.avi", 50, 25.0)
    text = "path,glosses,split,id,start,end\na.avi,A,train,in,1,2.3\na.avi,A,train,out,1,9\nb.avi,A,train,gone,,\n"
    reader = OwnCorpus("mine", manifest=written(tmp_path, text))
    report = prepare(reader, tmp_path, tmp_path / "prepared", PreparationOptions(frame_size=16), workers=1)
    corpus = PreparedCorpus.open(tmp_path / "prepared")
    assert [shown(corpus, sample) for sample in corpus.samples("train")] == [list(range(25, 50))]
    reasons = {clip.sample_id: clip.reason for clip in report.faults}
    assert reasons["out"] == f"{tmp_path / 'a.avi'}: the clip ends after 2.00 s, but the segment is from 1 s to 9 s"
    assert reasons["gone"].startswith(f"{tmp_path / 'b.avi'}: there is no such file or folder")
