"""Recordings of all kinds on the command line: names, streams, pipes, animations, and what `inspect` says of them."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cslr_cli.corpora.synthetic import write_clip_video
from cslr_cli.dataset.manifest import PreparedCorpus
from tests.cli.conftest import Command
from tests.documents import check_document

VIDEOS = Path(__file__).parents[1] / "data" / "videos"


@pytest.fixture
def talk(trained: Path, tiny_release: Path, tiny_corpus: PreparedCorpus) -> Path:
    """A test clip as a video in the user's folder."""
    write_clip_video(tiny_release, tiny_corpus.samples("test")[0].sample_id, Path("talk.mp4"))
    return Path("talk.mp4")


def glosses(cslr: Command, *arguments: object) -> str:
    outcome = cslr("predict", *arguments, "--precision", "fp32", "--format", "glosses")
    assert outcome.status == 0, outcome.stderr
    return outcome.stdout


NAMES = ["take-12:30.mp4", "data:x.mp4", "concat:a|b.mp4", "%d-%05d.mp4", "-x.mp4", "a\nb.mp4", "ü" * 120 + ".mp4"]


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"caf\xe9.mp4"), "n" * 246 + ".mp4"])
def test_a_local_name_is_a_file_whatever_characters_it_has(talk: Path, cslr: Command, name: str) -> None:
    expected = glosses(cslr, talk)
    try:
        shutil.copy(talk, name)
    except OSError:
        pytest.skip("the file system does not take this name")
    path = f"./{name}" if name.startswith("-") else name
    assert glosses(cslr, path) == expected
    outcome = cslr("predict", path, "--precision", "fp32", "--output", "results/", "--format", "json")
    assert outcome.status == 0, outcome.stderr
    (written,) = (file for file in Path("results").iterdir() if file.suffix == ".json" and file.name[0] != ".")
    document = json.loads(written.read_text(encoding="utf-8"))
    assert " ".join(gloss["gloss"] for gloss in document["glosses"]) + "\n" == expected


def test_an_output_may_have_the_longest_name_that_the_file_system_takes(talk: Path, cslr: Command) -> None:
    for option, suffix in (("--output", ".csv"), ("--render", ".mp4")):
        name = "o" * (255 - len(suffix)) + suffix
        outcome = cslr("predict", talk, option, name)
        assert outcome.status == 0, outcome.stderr
        assert Path(name).is_file()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_video_may_come_through_a_pipe(talk: Path, cslr: Command) -> None:
    expected = glosses(cslr, talk)
    read, write = os.pipe()
    os.set_blocking(write, False)
    assert os.write(write, talk.read_bytes()) == talk.stat().st_size
    os.close(write)
    try:
        assert glosses(cslr, f"/dev/fd/{read}") == expected
    finally:
        os.close(read)


def test_a_folder_of_animated_pictures_is_several_clips(trained: Path, cslr: Command) -> None:
    Path("clips").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
    pictures = [Image.fromarray(picture) for picture in noise]
    for suffix in ("gif", "png", "webp"):
        first, *others = pictures
        first.save(f"clips/{suffix}.{suffix}", save_all=True, append_images=others, duration=40)
    outcome = cslr("predict", "clips", "--json")
    documents = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [Path(document["source"]).name for document in documents] == ["gif.gif", "png.png", "webp.webp"]
    assert {document["num_frames"] for document in documents} == {12}


def test_inspect_describes_a_video(talk: Path, cslr: Command) -> None:
    outcome = cslr("inspect", talk)
    assert outcome.status == 0
    assert re.search(r"size as shown +210×260, upright", outcome.stdout)
    document = json.loads(cslr("inspect", talk, "--json").stdout)
    check_document("video", document)
    assert (document["width"], document["height"], document["damage"]) == (210, 260, None)
    assert [stream["is_chosen"] for stream in document["streams"]] == [True]


def test_inspect_says_what_predict_does_with_a_video(cslr: Command) -> None:
    document = json.loads(cslr("inspect", VIDEOS / "wide_pixels.mp4", "--json").stdout)
    assert (document["width"], document["shown_width"]) == (96, 128)
    assert "the pixels become square" in document["steps"]
    assert (document["matrix"], document["matrix_is_stated"]) != ("BT.709", False)


def test_inspect_and_predict_name_the_streams_of_a_file(talk: Path, cslr: Command) -> None:
    outcome = cslr("predict", talk, "--stream", 7)
    assert outcome.status == 1
    assert "stream 7 is not a video" in outcome.stderr
    assert "numbers of its video streams: 0" in outcome.stderr


@pytest.mark.parametrize("name", ["notes.mp4", "empty.mkv", "sound.avi"])
def test_inspect_of_a_file_that_is_no_video_is_an_error_that_names_it(cslr: Command, tmp_path: Path, name: str) -> None:
    contents = {"notes.mp4": b"Dear all,\n" * 100, "empty.mkv": b"", "sound.avi": bytes(range(256)) * 9}
    path = tmp_path / name
    path.write_bytes(contents[name])
    outcome = cslr("inspect", path)
    assert outcome.status == 1
    assert outcome.stderr.startswith(f"error: {path}")
    assert "Traceback" not in outcome.stderr
