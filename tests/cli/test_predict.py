"""`cslr predict` as its users meet it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import cv2
import numpy as np
import pytest

from cslr_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from cslr_cli.cli.predict import predict
from cslr_cli.corpora.synthetic import write_clip_video
from cslr_cli.corpora.synthetic.release import clip_folder
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.media.frames import open_frames
from cslr_cli.media.options import FitMode
from cslr_cli.output.formats import FORMATS, OutputFormat
from cslr_cli.recognizer import Recognizer
from cslr_cli.recognizer.options import SegmentationMethod
from cslr_cli.result_files import LEDGER_FILE, MARKER_FILE
from cslr_cli.scoring import read_ctm
from cslr_cli.training.loop import TrainingResult
from tests.cli.conftest import Command, Outcome, started, without_checkpoint_lines
from tests.documents import check_document


def clip(corpus: PreparedCorpus, number: int = 0) -> Path:
    """A test clip, as it lies in the prepared corpus."""
    return corpus.frames_path(corpus.samples("test")[number])


@pytest.fixture
def videos(trained: Path, tiny_release: Path, tiny_corpus: PreparedCorpus) -> list[Path]:
    """Three test clips as videos in the user's folder, two of them with one name."""
    paths = [Path("monday/talk.mp4"), Path("tuesday/talk.mp4"), Path("other.mp4")]
    for path, sample in zip(paths, tiny_corpus.samples("test"), strict=False):
        path.parent.mkdir(exist_ok=True)
        write_clip_video(tiny_release, sample.sample_id, path)
    return paths


def results_in(folder: str) -> list[str]:
    """The names of the results in a folder, without the files that describe them."""
    return sorted(path.name for path in Path(folder).iterdir() if path.name not in (LEDGER_FILE, MARKER_FILE))


def glosses_of(outcome: Outcome) -> list[str]:
    """The glosses in text output."""
    return [line.split()[2] for line in outcome.stdout.splitlines() if line.startswith(" ")]


# What is printed


def test_the_glosses_of_a_video_are_printed_with_their_times_and_nothing_else(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus
) -> None:
    outcome = cslr("predict", clip(tiny_corpus), "--precision", "fp32")
    assert outcome.status == 0
    assert without_checkpoint_lines(outcome.stderr) == []
    source, *lines = outcome.stdout.splitlines()
    assert source == str(clip(tiny_corpus))
    expected = Recognizer.load(trained, device="cpu", precision="fp32").recognize(clip(tiny_corpus)).glosses
    assert [tuple(line.split()) for line in lines] == [
        (f"{timed.start:.2f}", f"{timed.end:.2f}", timed.gloss) for timed in expected
    ]
    alone = cslr("predict", clip(tiny_corpus), "--precision", "fp32", "--format", "glosses")
    assert alone.stdout == " ".join(timed.gloss for timed in expected) + "\n"
    sure = cslr("predict", clip(tiny_corpus), "--precision", "fp32", "--confidence")
    assert [line.split()[-1] for line in sure.stdout.splitlines()[1:]] == [f"({t.confidence:.0%})" for t in expected]


def test_options_take_the_shared_choices() -> None:
    options = get_type_hints(predict, include_extras=True)
    assert ", ".join(FORMATS) in get_args(options["format_name"])[1].help
    assert get_args(options["frame_fit"])[0] == FitMode
    assert get_args(options["segment"])[0] == SegmentationMethod


def test_several_videos_are_printed_in_order_each_as_alone(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus
) -> None:
    inputs = [clip(tiny_corpus, number) for number in (2, 0, 1)]
    alone = [cslr("predict", path).stdout for path in inputs]
    assert cslr("predict", *inputs).stdout == "\n".join(alone)


def test_times_and_alternatives_are_in_the_json(cslr: Command, trained: Path, tiny_corpus: PreparedCorpus) -> None:
    inputs = [clip(tiny_corpus, number) for number in range(2)]
    outcome = cslr("predict", *inputs, "--json", "--nbest", 3, "--precision", "fp32")
    results = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [result["source"] for result in results] == [str(path) for path in inputs]
    for result, sample in zip(results, tiny_corpus.samples("test"), strict=False):
        assert result["num_frames"] == sample.num_frames
        assert result["fps"] == 25
        assert len(result["nbest"]) == 3
        assert result["nbest"][0]["glosses"] == result["glosses"]
        assert all(0 <= timed["start"] < timed["end"] <= result["duration"] for timed in result["glosses"])
        assert all(0 < timed["confidence"] <= 1 for timed in result["glosses"])


def test_each_sentence_of_a_long_recording_is_printed_at_once(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus
) -> None:
    pictures = [frame for number in range(4) for frame in open_frames(clip(tiny_corpus, number)).iterate()]
    Path("long").mkdir()
    for number, picture in enumerate(pictures):
        cv2.imwrite(f"long/{number:04d}.png", picture[..., ::-1])
    windows = ["--window", 3, "--overlap", 1, "--precision", "fp32"]
    streamed = cslr("predict", "long", clip(tiny_corpus), "long", *windows)
    assert streamed.status == 0
    assert cslr("predict", "long", clip(tiny_corpus), *windows, "--output", "at-once.txt").status == 0
    at_once = Path("at-once.txt").read_text()
    again = at_once[: at_once.index(f"{clip(tiny_corpus)}\n")]
    assert streamed.stdout == f"{at_once}\n{again.rstrip()}\n"
    result = json.loads(cslr("predict", "long", *windows, "--json").stdout)
    assert len(result["sentences"]) > 2
    assert "skipped" not in streamed.stderr


def test_skipped_rests_are_reported(cslr: Command, trained: Path, tiny_corpus: PreparedCorpus) -> None:
    pictures = list(open_frames(clip(tiny_corpus)).iterate())
    Path("rests").mkdir()
    for number, picture in enumerate([*pictures, *[pictures[-1]] * 50, *pictures]):
        cv2.imwrite(f"rests/{number:04d}.png", picture[..., ::-1])
    outcome = cslr("predict", "rests", "--segment", "rests")
    assert re.search(r"rests: skipped \d\.\d s of pauses, the longest from \d", outcome.stderr)


def test_sentences_are_not_printed_under_the_name_of_a_failed_input(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus
) -> None:
    pictures = [frame for number in range(4) for frame in open_frames(clip(tiny_corpus, number)).iterate()]
    for folder in ("broken", "whole"):
        Path(folder).mkdir()
        for number, picture in enumerate(pictures):
            cv2.imwrite(f"{folder}/{number:04d}.png", picture[..., ::-1])
    Path(f"broken/{len(pictures) - 1:04d}.png").write_bytes(b"no picture")
    windows = ["--window", 1, "--overlap", 0.2, "--precision", "fp32"]
    outcome = cslr("predict", "broken", "whole", *windows)
    assert outcome.status == 1
    assert outcome.stdout.startswith("broken\n")
    assert outcome.stdout.endswith("\n\n" + cslr("predict", "whole", *windows).stdout)


# What is read


def test_predict_takes_the_best_checkpoint_of_the_newest_run_or_the_one_named(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus
) -> None:
    shutil.copytree("runs/tiny", "runs/older")
    os.utime("runs/older/best.pt", (0, 0))
    shutil.copytree("runs/tiny", "elsewhere/other")
    assert "checkpoint: runs/tiny/best.pt" in cslr("predict", clip(tiny_corpus)).stderr
    assert "elsewhere/other/best.pt" in cslr("predict", clip(tiny_corpus), "--runs-dir", "elsewhere").stderr
    for reference, path in {"runs/older/last.pt": "runs/older/last.pt", "runs/older": "runs/older/best.pt"}.items():
        named = cslr("predict", clip(tiny_corpus), "--checkpoint", reference)
        assert named.status == 0
        assert f"checkpoint: {path} (run older, corpus synthetic, epoch " in named.stderr
    unknown = cslr("predict", clip(tiny_corpus), "--checkpoint", "older")
    assert unknown.status == 2
    assert "error: older: no checkpoint file, run folder or model of this name" in unknown.stderr
    assert "runs/tiny, runs/older" in unknown.stderr


def test_predict_prints_the_wer_of_its_network_and_warns_if_it_is_high(
    cslr: Command, trained: Path, tiny_training: TrainingResult, tiny_corpus: PreparedCorpus
) -> None:
    wer = tiny_training.best.wer
    assert wer is not None
    assert wer > 50
    line, warning = cslr("predict", clip(tiny_corpus)).stderr.splitlines()[:2]
    assert line == (
        f"checkpoint: runs/tiny/best.pt (run tiny, corpus synthetic, epoch {tiny_training.best.epoch}, "
        f"dev WER {wer:.1f} %)"
    )
    assert warning.startswith(f"warning: runs/tiny/best.pt: the network has a WER of {wer:.1f} % on dev")
    checkpoint = load_checkpoint(trained)
    history = [{**record, "wer": 50.0} for record in checkpoint.history]
    save_checkpoint(dataclasses.replace(checkpoint, history=tuple(history)), Path("good.pt"))
    good = cslr("predict", clip(tiny_corpus), "--checkpoint", "good.pt").stderr
    assert f"checkpoint: good.pt (corpus synthetic, epoch {checkpoint.epoch}, dev WER 50.0 %)" in good
    assert "has a WER of" not in good
    save_checkpoint(dataclasses.replace(checkpoint, history=()), Path("converted.pt"))
    assert "dev WER unknown)" in cslr("predict", clip(tiny_corpus), "--checkpoint", "converted.pt").stderr


def test_predict_reads_videos_and_folders_at_the_given_rate(
    cslr: Command, trained: Path, tiny_release: Path, tiny_corpus: PreparedCorpus
) -> None:
    sample = tiny_corpus.samples("test")[0]
    write_clip_video(tiny_release, sample.sample_id, Path("clip.mp4"))
    folder = clip_folder(tiny_release, "test", sample.sample_id)
    outcome = cslr("predict", "clip.mp4", folder, "--json")
    assert [json.loads(line)["num_frames"] for line in outcome.stdout.splitlines()] == [sample.num_frames] * 2
    outcome = cslr("predict", folder, "--source-fps", 12.5, "--json")
    assert json.loads(outcome.stdout)["num_frames"] == 2 * (sample.num_frames or 0)


def test_frame_interval_and_image_scale_hold_from_training_to_prediction(
    cslr: Command, workplace: Path, tiny_corpus: PreparedCorpus
) -> None:
    settings = ["data.frame_interval=2", "data.image_scale=2", "training.epochs=1"]
    given = [part for setting in settings for part in ("--set", setting)]
    assert cslr("train", "--config", "tiny.yaml", *given).status == 0
    assert cslr("evaluate", "runs/tiny/best.pt", "--precision", "fp32").status == 0
    evaluated = read_ctm(Path("runs/tiny/evaluation/best/test.ctm"))
    for number, sample in enumerate(tiny_corpus.samples("test")):
        outcome = cslr("predict", clip(tiny_corpus, number), "--json", "--precision", "fp32")
        result = json.loads(outcome.stdout)
        assert (result["num_frames"], result["fps"]) == (-(-(sample.num_frames or 0) // 2), 12.5)
        expected = [(timed.gloss, timed.start, timed.end) for timed in evaluated[sample.sample_id]]
        assert [(t["gloss"], round(t["start"], 3), round(t["end"], 3)) for t in result["glosses"]] == expected


def test_folders_patterns_and_standard_input_are_followed(
    cslr: Command, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sources(*arguments: str) -> list[str]:
        outcome = cslr("predict", *arguments, "--json")
        assert outcome.status == 0, outcome
        return [json.loads(line)["source"] for line in outcome.stdout.splitlines()]

    assert sources("monday", "*.mp4") == ["monday/talk.mp4", "other.mp4"]
    assert sources("*day/*.mp4") == ["monday/talk.mp4", "tuesday/talk.mp4"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("other.mp4\nmonday\n"))
    assert sources("-") == ["other.mp4", "monday/talk.mp4"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    outcome = cslr("predict", "-")
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "standard input: no paths" in outcome.stderr
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff.mp4\nother.mp4\n"), "utf-8"))
    outcome = cslr("predict", "-", "--json")
    failed, recognised = map(json.loads, outcome.stdout.splitlines())
    assert (outcome.status, recognised["source"]) == (1, "other.mp4")
    assert failed["error"]["message"].startswith(os.fsdecode(b"\xff.mp4: "))
    assert "\\xff.mp4: there is no such file or folder" in outcome.stderr


def test_an_output_encoding_without_a_character_is_an_error(
    cslr: Command, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    videos[2].rename("手.mp4")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "latin-1"))
    outcome = cslr("predict", "手.mp4")
    assert outcome.status == 1
    assert "the encoding of the output, latin-1, has no '\\u624b'" in outcome.stderr
    assert "PYTHONIOENCODING" in outcome.stderr


def test_a_segment_of_a_video_has_times_in_the_whole_video(cslr: Command, videos: list[Path]) -> None:
    part = json.loads(cslr("predict", videos[0], "--start", 0.4, "--end", 1.2, "--json").stdout)
    assert (part["start"], part["num_frames"]) == (pytest.approx(0.4), 20)
    assert all(0.4 <= timed["start"] < timed["end"] <= 1.2 + 1e-9 for timed in part["glosses"])
    thinned = json.loads(cslr("predict", videos[0], "--max-frames", 10, "--json").stdout)
    assert thinned["num_frames"] == 10


def test_fit_changes_the_visible_part_of_a_wide_frame(cslr: Command, videos: list[Path]) -> None:
    writer = cv2.VideoWriter("wide.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, (480, 260))
    for frame in open_frames(videos[0]).iterate():
        writer.write(cv2.copyMakeBorder(frame[..., ::-1], 0, 0, 135, 135, cv2.BORDER_CONSTANT, value=(90, 90, 90)))
    writer.release()
    scores = {
        fit: json.loads(cslr("predict", "wide.mp4", "--frame-fit", fit, "--json").stdout)["score"]
        for fit in ("crop", "stretch", "pad")
    }
    assert len(set(scores.values())) == 3
    whole = json.loads(cslr("predict", videos[0], "--json").stdout)["score"]
    assert scores["crop"] == pytest.approx(whole, rel=0.05)  # the middle of it is the video as it was, compressed anew


# What is written


@pytest.mark.parametrize("form", ["srt", "vtt", "json", "csv", "ctm", "text"])
def test_each_input_gets_a_file_and_standard_output_nothing(cslr: Command, videos: list[Path], form: str) -> None:
    outcome = cslr("predict", *videos, "--format", form, "--output", "out/")
    assert (outcome.status, outcome.stdout) == (0, "")
    suffix = FORMATS[form].suffix
    names = [f"{name}{suffix}" for name in ("monday_talk", "tuesday_talk", "other")]
    assert results_in("out") == sorted(names)
    assert [line.split(": ")[1] for line in without_checkpoint_lines(outcome.stderr)] == [
        f"out/{name}" for name in names
    ]


def test_the_suffix_of_the_output_determines_the_format(cslr: Command, videos: list[Path]) -> None:
    assert cslr("predict", videos[0], "--output", "new/talk.vtt").status == 0
    assert Path("new/talk.vtt").read_text().startswith("WEBVTT\n")
    assert cslr("predict", videos[0], "--output", "talk.txt", "--format", "csv").status == 0
    rows = list(csv.DictReader(Path("talk.txt").read_text().splitlines()))
    assert {row["source"] for row in rows} == {str(videos[0])}


def test_formats_that_hold_several_recordings_go_into_one_file(cslr: Command, videos: list[Path]) -> None:
    assert cslr("predict", *videos, "--output", "all.ctm").status == 0
    assert list(read_ctm(Path("all.ctm"))) == ["monday_talk", "tuesday_talk", "other"]
    assert cslr("predict", *videos, "--output", "all.csv").status == 0
    rows = list(csv.DictReader(Path("all.csv").read_text().splitlines()))
    assert list(dict.fromkeys(row["source"] for row in rows)) == [str(path) for path in videos]


def test_an_elan_document_links_to_its_video_by_a_relative_path(cslr: Command, videos: list[Path]) -> None:
    elan = pytest.importorskip("pympi.Elan")
    outcome = cslr("predict", videos[0], "--format", "eaf", "--nbest", 2, "--output", "notes/")
    assert outcome.status == 0, outcome
    document = elan.Eaf("notes/talk.eaf")
    (media,) = document.media_descriptors
    assert media["MEDIA_URL"] == f"file://{videos[0].resolve().as_posix()}"
    assert (Path("notes") / media["RELATIVE_MEDIA_URL"]).resolve() == videos[0].resolve()
    assert {"glosses", "glosses 2"} <= set(document.tiers)
    assert "convolution head" not in document.tiers


def test_a_printed_elan_document_links_to_its_video_from_the_current_folder(cslr: Command, videos: list[Path]) -> None:
    pytest.importorskip("pympi.Elan")
    outcome = cslr("predict", videos[0], "--format", "eaf", "--all-heads")
    assert outcome.status == 0, outcome
    assert f'RELATIVE_MEDIA_URL="./{videos[0]}"' in outcome.stdout
    assert 'TIER_ID="convolution head"' in outcome.stdout


def test_subtitles_have_one_cue_per_gloss_or_per_sentence(
    cslr: Command, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cslr_cli.output.subtitles.MIN_CUE_SECONDS", 0.001)  # the clip is too short for two cues
    by_gloss, same, by_sentence = (
        cslr("predict", videos[0], "--format", "srt", *given).stdout.split("\n\n")
        for given in ([], ["--cues", "gloss"], ["--cues", "sentence"])
    )
    assert by_gloss == same
    assert len(by_gloss) == len(glosses_of(cslr("predict", videos[0]))) > len(by_sentence) == 1
    words = [[word for cue in cues for word in cue.split("\n", 2)[2].split()] for cues in (by_gloss, by_sentence)]
    assert words[0] == words[1]


def test_options_of_one_format_are_refused_with_another(cslr: Command, videos: list[Path]) -> None:
    assert_refused(cslr("predict", videos[0], "--cues", "gloss"), 2, "--cues with --format text", "srt or vtt")
    given = ["--all-heads", "--output", "talk.csv"]
    assert_refused(cslr("predict", videos[0], *given), 2, "--all-heads with --format csv", "eaf or textgrid")
    assert_refused(cslr("predict", "0", "--cues", "sentence"), 2, "--cues: not supported with a live camera")


def test_logits_are_saved(cslr: Command, videos: list[Path], tiny_corpus: PreparedCorpus) -> None:
    given = ["--decoder", "greedy", "--keep-repeats", "--precision", "fp32"]
    outcome = cslr("predict", videos[0], "--save-logits", "talk.npz", "--json", *given)
    glosses = json.loads(outcome.stdout)["glosses"]
    with np.load("talk.npz") as saved:  # without pickle
        arrays = {name: saved[name] for name in saved.files}
    assert set(arrays) == {"sequence_logits", "conv_logits", "step_times", "vocabulary"}
    num_steps = len(arrays["step_times"])
    assert arrays["vocabulary"].tolist() == ["", *tiny_corpus.vocabulary.glosses]
    for name in ("sequence_logits", "conv_logits"):
        assert (arrays[name].shape, arrays[name].dtype) == ((num_steps, len(arrays["vocabulary"])), np.float32)
    # A decoder of one's own, the simplest there is, gives the same glosses.
    best = arrays["sequence_logits"].argmax(axis=1)
    changes = [step for step in range(num_steps) if best[step] and (step == 0 or best[step] != best[step - 1])]
    assert [arrays["vocabulary"][best[step]] for step in changes] == [timed["gloss"] for timed in glosses]
    assert cslr("predict", *videos, "--save-logits", "logits").status == 0
    assert len(list(Path("logits").glob("*.npz"))) == 3


def test_captions_are_burned_into_the_video(cslr: Command, videos: list[Path]) -> None:
    outcome = cslr("predict", videos[0], "--render", "talk.glosses.mp4")
    assert outcome.status == 0, outcome
    assert glosses_of(outcome)  # they are printed all the same
    assert "talk.glosses.mp4" in outcome.stderr
    before, after = open_frames(videos[0]).read(), open_frames("talk.glosses.mp4").read()
    assert before.shape == after.shape
    lower = int(0.85 * before.shape[1])
    change = np.abs(before.astype(int) - after)
    assert change[:, lower:].mean() > 5 * change[:, :lower].mean()
    assert cslr("predict", *videos, "--render", "captioned").status == 0
    assert results_in("captioned") == [
        "monday_talk.glosses.mp4",
        "other.glosses.mp4",
        "tuesday_talk.glosses.mp4",
    ]


def test_a_preview_shows_what_the_network_sees(cslr: Command, videos: list[Path]) -> None:
    outcome = cslr("predict", videos[0], "--preview", "seen.png")
    assert outcome.status == 0, outcome
    assert cv2.imread("seen.png") is not None


def test_a_strip_shows_frames_above_the_glosses_of_each_input(cslr: Command, videos: list[Path]) -> None:
    outcome = cslr("predict", videos[0], "--strip", "strip.png", "--start", 0.4, "--end", 1.2)
    assert outcome.status == 0, outcome
    assert "monday/talk.mp4: strip.png" in outcome.stderr
    part = cv2.imread("strip.png")
    assert part is not None
    assert part.shape[1] > 4 * part.shape[0]
    assert cslr("predict", *videos, "--strip", "strips/").status == 0
    names = ["monday_talk.strip.png", "other.strip.png", "tuesday_talk.strip.png"]
    assert results_in("strips") == names
    assert not np.array_equal(cv2.imread("strips/monday_talk.strip.png"), part)


# Mistakes


def assert_refused(outcome: Outcome, status: int, *words: str) -> None:
    assert (outcome.status, outcome.stdout) == (status, ""), outcome
    assert "Traceback" not in outcome.stderr
    assert "checkpoint:" not in outcome.stderr  # refused before the work
    for word in words:
        assert word in outcome.stderr


def test_invalid_outputs_are_refused_before_the_work(cslr: Command, videos: list[Path]) -> None:
    Path("file").touch()
    Path("out/talk.srt").mkdir(parents=True)
    assert_refused(cslr("predict", videos[0], "--format", "srt", "--output", "out/"), 2, "out/talk.srt is a folder")
    both = (videos[0], videos[2])
    assert_refused(cslr("predict", videos[0], "--output", "file/"), 1, "cannot write to file", "another folder")
    assert_refused(cslr("predict", *both, "--output", "talk.srt"), 2, "2 inputs need one file each")
    assert_refused(cslr("predict", *both, "--format", "srt"), 2, "--output FOLDER")
    assert_refused(cslr("predict", *both, "--render", "talk.mp4"), 2, "one file for 2 inputs", "--render talk/")
    assert_refused(cslr("predict", *both, "--save-logits", "talk.npz"), 2, "one file for 2 inputs")
    assert_refused(cslr("predict", videos[0], "--output", "talk.odt"), 2, "unknown suffix", ".srt")
    assert_refused(cslr("predict", videos[0], "--render", "talk.avi"), 2, ".mp4")
    assert_refused(cslr("predict", videos[0], "--save-logits", "talk.txt"), 2, ".npz")
    assert_refused(cslr("predict", videos[0], "--preview", "seen.doc"), 2, ".png")
    assert_refused(cslr("predict", videos[0], "--strip", "strip.doc"), 2, ".png")
    assert_refused(cslr("predict", *both, "--strip", "strip.png"), 2, "one file for 2 inputs", "--strip strip/")
    outcome = cslr("predict", videos[0], "--json", "--format", "srt")
    assert (outcome.status, json.loads(outcome.stdout)["error"]["message"]) == (2, "--json with --format srt")
    assert_refused(cslr("predict", videos[2], "--render", videos[2]), 2, "would be overwritten")
    assert_refused(
        cslr("predict", videos[2], "--segment", "rests", "--window", 5), 2, "--window or --overlap with --segment rests"
    )


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_an_error_before_the_work(cslr: Command, videos: list[Path]) -> None:
    Path("locked").mkdir(mode=0o555)
    assert_refused(cslr("predict", videos[0], "--output", "locked/"), 1, "locked", "cannot write to")


def test_a_format_added_by_one_function_and_one_line_is_written(
    cslr: Command, videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_format.py").write_text("def format_toy(recognition, options):\n    return 'toy\\n'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(FORMATS, "toy", OutputFormat("toy", ".toy", "toy_format:format_toy"))
    assert cslr("predict", videos[0], "--format", "toy").stdout == "toy\n"
    assert cslr("predict", videos[0], "--output", "talk.toy").status == 0
    assert Path("talk.toy").read_text() == "toy\n"


def test_an_unknown_format_is_refused_with_a_suggestion(cslr: Command, videos: list[Path]) -> None:
    assert_refused(cslr("predict", videos[0], "--format", "strt"), 2, "unknown format; did you mean srt?", "textgrid")


def test_a_missing_package_is_an_error_before_the_work(
    cslr: Command, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "cslr_cli.output.elan_praat", raising=False)
    for module in ("pympi", "pympi.Elan", "pympi.Praat"):
        monkeypatch.setitem(sys.modules, module, None)
    assert_refused(cslr("predict", videos[0], "--output", "talk.eaf"), 1, "pip install '.[elan]'")


def test_a_bad_input_among_many_is_named_and_the_others_get_their_files(cslr: Command, videos: list[Path]) -> None:
    Path("text.mp4").write_text("This is no video.\n")
    Path("huge").mkdir()
    cv2.imwrite("huge/1.png", np.zeros((2, 2, 3), np.uint8))
    cv2.imwrite("huge/2.png", np.zeros((4, 4, 3), np.uint8))
    too_long = "l" * 300 + ".mp4"
    bad = ["text.mp4", "huge", "missing.mp4", too_long]
    outcome = cslr("predict", videos[0], *bad, videos[2], "--output", "out/")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert results_in("out") == ["other.txt", "talk.txt"]
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 4
    names = ("text.mp4", "huge/2.png", "missing.mp4", too_long)
    for name, error in zip(names, errors, strict=True):
        assert name in error


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_reported_and_skipped(cslr: Command, videos: list[Path]) -> None:
    videos[0].chmod(0)
    outcome = cslr("predict", *videos, "--json")
    assert outcome.status == 1
    failed, *recognised = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert failed["input"] == str(videos[0])
    assert [document["source"] for document in recognised] == [str(path) for path in videos[1:]]
    assert str(videos[0]) in outcome.stderr


# Live


def test_a_video_is_recognised_live_and_each_gloss_is_printed_once(cslr: Command, videos: list[Path]) -> None:
    outcome = cslr("predict", videos[0], "--live", "--json", "--precision", "fp32")
    for line in outcome.stdout.splitlines():
        check_document("live-gloss", json.loads(line))
    assert outcome.status == 0, outcome
    printed = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert all(gloss.keys() == {"schema_version", "gloss", "start", "end", "confidence", "delay"} for gloss in printed)
    ends = [gloss["end"] for gloss in printed]
    assert ends == sorted(ends)
    num_frames = open_frames(videos[0]).num_frames
    summary = outcome.stderr.splitlines()[-1]
    assert f"{num_frames} frames" in summary
    assert f"; {len(printed)} gloss" in summary


def test_a_missing_camera_and_options_that_do_not_apply_are_refused(cslr: Command, videos: list[Path]) -> None:
    outcome = cslr("predict", "97")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert "camera 97" in outcome.stderr
    assert "--live" in outcome.stderr
    assert_refused(cslr("predict", "0", videos[0]), 2, "a single camera")
    assert_refused(cslr("predict", "0", "--output", "talk.srt", "--start", 0), 2, "--output, --start")
    assert_refused(cslr("predict", "0", "--segment", "rests"), 2, "--segment: not supported with a live camera")
    assert cslr("predict", "0", "--window", "0.5").status == 2
    shutil.copy(videos[0], "0")  # a file of that name is a file
    assert cslr("predict", "0").status == 0


@pytest.fixture
def endless(videos: list[Path]) -> Iterator[subprocess.Popen[str]]:
    """The command, watching a video that goes on for minutes."""
    writer = cv2.VideoWriter("endless.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, (36, 36))
    frames = [frame[..., ::-1] for frame in open_frames(videos[0]).iterate()]
    for number in range(5000):
        writer.write(cv2.resize(frames[number % len(frames)], (36, 36)))
    writer.release()
    process = started("predict", "endless.mp4", "--live", "--json", cwd=Path.cwd())
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate()


def test_ctrl_c_stops_live_recognition_with_a_summary(endless: subprocess.Popen[str]) -> None:
    assert endless.stderr is not None
    for line in endless.stderr:
        if "watching" in line:
            break
    os.killpg(endless.pid, signal.SIGINT)
    stdout, stderr = endless.communicate()
    assert endless.returncode == 0, stderr
    for line in stdout.splitlines():
        assert json.loads(line)["delay"] >= 0
    assert stderr.splitlines()[-1].startswith("watched ")  # perhaps behind frames that a busy machine has dropped
    assert "Traceback" not in stderr


# Settings of the checkpoint


def test_settings_of_data_and_decoding_can_change_and_others_cannot(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus
) -> None:
    video = clip(tiny_corpus)
    by_option = cslr("predict", video, "--decoder", "greedy", "--json")
    by_key = cslr("predict", video, "--set", "decoding.decoder=greedy", "--json")
    assert by_key.stdout == by_option.stdout != cslr("predict", video, "--nbest", 3, "--json").stdout
    every_second = cslr("predict", video, "--set", "data.frame_interval=2", "--json")
    assert json.loads(every_second.stdout)["num_frames"] < json.loads(by_key.stdout)["num_frames"]
    for wrong in ("model.width=12", "training.epochs=3"):
        outcome = cslr("predict", video, "--set", wrong)
        assert outcome.status == 2
        assert f"--set {wrong}: fixed by the training" in outcome.stderr
    assert "decoding.beam_widht" in cslr("predict", video, "--set", "decoding.beam_widht=3").stderr
