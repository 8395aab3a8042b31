from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint, save_checkpoint
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin
from cslr_cli.config import Config, DecodingConfig
from cslr_cli.corpora import find_reader
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.corpora.synthetic import write_clip_video
from cslr_cli.corpora.synthetic.release import clip_folder
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DeviceError, MediaError, UsageError
from cslr_cli.evaluation import evaluate
from cslr_cli.recognition import Recognition, confidence_warnings
from cslr_cli.recognizer import ReadOptions, Recognizer
from cslr_cli.scoring import TimedGloss
from cslr_cli.training.loop import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def recognizer(tiny_checkpoint: Checkpoint) -> Recognizer:
    return Recognizer(tiny_checkpoint, device=CPU, precision="fp32")


@pytest.fixture(scope="module")
def evaluated(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus) -> Mapping[str, Sequence[TimedGloss]]:
    (result,) = evaluate(tiny_checkpoint, tiny_corpus, ["test"], device=CPU, dtype=torch.float32)
    return result.hypotheses["sequence"]


@pytest.fixture(scope="module")
def sample(tiny_corpus: PreparedCorpus) -> Sample:
    return tiny_corpus.samples("test")[1]


@pytest.fixture(scope="module")
def pictures(tiny_release: Path, sample: Sample) -> list[Path]:
    """The frames of a clip as the release has them: 210×260."""
    return sorted(clip_folder(tiny_release, sample.split, sample.sample_id).glob("*.png"))


def folder_of(pictures: Sequence[Path], folder: Path) -> Path:
    """A folder with these pictures in this order."""
    folder.mkdir()
    for place, picture in enumerate(pictures):
        shutil.copy(picture, folder / f"{place:05d}.png")
    return folder


def write_video(path: Path, frames: Sequence[Any], fps: float) -> Path:
    height, width = frames[0].shape[:2]
    codec = "FFV1" if path.suffix == ".avi" else "mp4v"  # the first loses nothing
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def assert_same(glosses: Sequence[TimedGloss], expected: Sequence[TimedGloss]) -> None:
    """The same glosses at the same times, and confidences that differ by rounding only."""
    assert [(timed.gloss, timed.start, timed.end) for timed in glosses] == [
        (timed.gloss, timed.start, timed.end) for timed in expected
    ]
    assert [timed.confidence for timed in glosses] == pytest.approx([timed.confidence for timed in expected], rel=1e-4)


def assert_times_inside(recognition: Recognition) -> None:
    last_end = 0.0
    for timed in recognition.glosses:
        assert last_end <= timed.start < timed.end
        last_end = timed.end
    assert last_end <= recognition.duration


def test_a_recognition_names_the_rates_and_the_frames_of_its_source(
    recognizer: Recognizer, pictures: list[Path], tmp_path: Path
) -> None:
    frames = [cv2.imread(str(picture)) for picture in pictures]
    video = write_video(tmp_path / "talk.mp4", frames, 30.0)
    whole = recognizer.recognize(video)
    assert (whole.source_fps, whole.source_num_frames) == (30.0, len(frames))
    assert (whole.network_fps, whole.checkpoint) == (25.0, None)
    # A wrong rate in the file stays its own rate.
    assert recognizer.recognize(video, ReadOptions(source_fps=25.0)).source_fps == 30.0
    part = recognizer.recognize(video, ReadOptions(start=0.0, end=1.0))
    assert (part.source_fps, part.source_num_frames) == (30.0, None), "only this part was decoded"
    of_pictures = recognizer.recognize(pictures[0].parent)
    assert (of_pictures.source_fps, of_pictures.source_num_frames) == (None, len(frames))
    in_memory = recognizer.recognize([frame[..., ::-1] for frame in frames])
    assert (in_memory.source_fps, in_memory.source_num_frames) == (None, None)


# The same as in evaluation


def test_a_prepared_clip_is_recognised_as_in_evaluation(
    recognizer: Recognizer, tiny_corpus: PreparedCorpus, evaluated: Mapping[str, Sequence[TimedGloss]]
) -> None:
    for sample in tiny_corpus.samples("test"):
        recognition = recognizer.recognize(tiny_corpus.frames_path(sample))
        assert_same(recognition.glosses, evaluated[sample.sample_id])
        assert (recognition.num_frames, recognition.fps) == (sample.num_frames, 25.0)
        assert recognition.duration == pytest.approx((sample.num_frames or 0) / 25)
        assert_times_inside(recognition)


def test_the_pictures_of_a_release_are_recognised_as_in_evaluation(
    recognizer: Recognizer,
    tiny_release: Path,
    tiny_corpus: PreparedCorpus,
    evaluated: Mapping[str, Sequence[TimedGloss]],
) -> None:
    for sample in tiny_corpus.samples("test"):
        recognition = recognizer.recognize(clip_folder(tiny_release, "test", sample.sample_id))
        assert_same(recognition.glosses, evaluated[sample.sample_id])


def test_frames_become_squares_in_the_way_that_the_corpus_was_prepared(
    tiny_checkpoint: Checkpoint, tiny_release: Path, sample: Sample, tmp_path: Path
) -> None:
    options = PreparationOptions(frame_size=36, interpolation="area", fit="pad")
    prepare(find_reader("synthetic"), tiny_release, tmp_path, options, workers=1)
    corpus = PreparedCorpus.open(tmp_path)
    checkpoint = dataclasses.replace(tiny_checkpoint, corpus=CorpusOrigin.from_corpus(corpus))
    padding = Recognizer(checkpoint, device=CPU, precision="fp32")
    prepared = padding.recognize(corpus.frames_path(sample))
    original = padding.recognize(clip_folder(tiny_release, "test", sample.sample_id))
    assert original.score == pytest.approx(prepared.score, rel=1e-5)
    stretching = Recognizer(tiny_checkpoint, device=CPU, precision="fp32")
    other = stretching.recognize(clip_folder(tiny_release, "test", sample.sample_id))
    assert other.score != pytest.approx(prepared.score, rel=1e-3)


def test_colours_order_and_orientation_change_the_result(
    recognizer: Recognizer, pictures: list[Path], tmp_path: Path
) -> None:
    original = recognizer.recognize(folder_of(pictures, tmp_path / "original"))
    wrong = {
        "swapped": [cv2.imread(str(path))[..., ::-1] for path in pictures],
        "mirrored": [cv2.imread(str(path))[:, ::-1] for path in pictures],
        "reversed": [cv2.imread(str(path)) for path in pictures[::-1]],
    }
    for name, frames in wrong.items():
        folder = tmp_path / name
        folder.mkdir()
        for place, frame in enumerate(frames):
            cv2.imwrite(str(folder / f"{place:05d}.png"), frame)
        recognition = recognizer.recognize(folder)
        assert recognition.text != original.text
        assert recognition.score != pytest.approx(original.score, rel=1e-3)


# Frame rates


def test_a_folder_at_twice_the_rate_gives_the_same_as_the_original(
    recognizer: Recognizer, pictures: list[Path], tmp_path: Path
) -> None:
    original = recognizer.recognize(folder_of(pictures, tmp_path / "original"))
    doubled = folder_of([picture for picture in pictures for _ in range(2)], tmp_path / "doubled")
    assert recognizer.recognize(doubled, ReadOptions(source_fps=50)) == dataclasses.replace(
        original, source=str(doubled)
    )
    # Pictures have no rate of their own: without a word they are taken to have the corpus'.
    assert recognizer.recognize(doubled).num_frames == 2 * len(pictures)


def test_a_folder_at_half_the_rate_keeps_its_length_in_seconds(
    recognizer: Recognizer, pictures: list[Path], tmp_path: Path
) -> None:
    half = recognizer.recognize(folder_of(pictures[::2], tmp_path / "half"), ReadOptions(source_fps=12.5))
    assert half.fps == 25
    assert half.num_frames == len(pictures) + len(pictures) % 2
    assert half.duration == pytest.approx(len(pictures) / 25, abs=0.05)


def test_videos_of_any_rate_are_resampled_to_the_corpus_rate(
    recognizer: Recognizer, pictures: list[Path], tmp_path: Path
) -> None:
    frames = [cv2.imread(str(path)) for path in pictures]
    at_25 = recognizer.recognize(write_video(tmp_path / "25.avi", frames, 25))
    at_50 = recognizer.recognize(write_video(tmp_path / "50.avi", [f for f in frames for _ in range(2)], 50))
    assert at_25.num_frames == at_50.num_frames == len(pictures)
    assert at_25.duration == at_50.duration == pytest.approx(len(pictures) / 25)
    assert at_25.score == pytest.approx(at_50.score, rel=1e-6)
    # What the user says goes before what the file says.
    assert recognizer.recognize(tmp_path / "50.avi", ReadOptions(source_fps=25)).num_frames == 2 * len(pictures)


@pytest.mark.parametrize("fps", [0.0, -25.0, 0.001, 1e9, float("nan"), float("inf")])
def test_an_implausible_rate_is_refused(recognizer: Recognizer, pictures: list[Path], fps: float) -> None:
    with pytest.raises(UsageError, match="frames per second; expected 1 to 1000"):
        recognizer.recognize(pictures[0].parent, ReadOptions(source_fps=fps))


# Sources


def test_a_video_made_of_a_clip_is_recognised(
    recognizer: Recognizer, tiny_release: Path, sample: Sample, tmp_path: Path
) -> None:
    video = tmp_path / "clip.mp4"
    write_clip_video(tiny_release, sample.sample_id, video)
    recognition = recognizer.recognize(video)
    assert recognition.source == str(video)
    assert recognition.num_frames == sample.num_frames
    assert recognition.glosses
    assert recognition.text == " ".join(timed.gloss for timed in recognition.glosses)
    assert_times_inside(recognition)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 5, 9])
def test_the_shortest_clips_are_recognised(
    recognizer: Recognizer, pictures: list[Path], tmp_path: Path, num_frames: int
) -> None:
    recognition = recognizer.recognize(folder_of(pictures[:num_frames], tmp_path / "short"))
    assert recognition.num_frames == num_frames
    assert recognition.duration == pytest.approx(num_frames / 25)
    assert_times_inside(recognition)


def test_a_video_of_one_frame_is_recognised(recognizer: Recognizer, pictures: list[Path], tmp_path: Path) -> None:
    video = write_video(tmp_path / "one.mp4", [cv2.imread(str(pictures[0]))], 30)
    assert recognizer.recognize(video).num_frames == 1


def test_frames_of_any_shape_are_resized_as_the_corpus_was(recognizer: Recognizer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for width, height in [(640, 360), (36, 36), (20, 500)]:
        folder = tmp_path / f"{width}x{height}"
        folder.mkdir()
        for place in range(6):
            cv2.imwrite(str(folder / f"{place}.png"), rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        assert recognizer.recognize(folder).num_frames == 6


def test_an_unreadable_source_is_an_error_and_the_recognizer_still_works(
    recognizer: Recognizer, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "missing.mp4", tmp_path / "text.mp4", tmp_path / "empty"):
        with pytest.raises(MediaError) as caught:
            recognizer.recognize(path)
        assert str(path) in str(caught.value)
    assert recognizer.recognize(pictures[0].parent).num_frames == len(pictures)


def test_arrays_lists_and_iterators_are_recognised_as_the_folder_is(
    recognizer: Recognizer, pictures: list[Path]
) -> None:
    expected = recognizer.recognize(pictures[0].parent)
    frames = np.stack([cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in pictures])
    for source in (frames, list(frames), iter(frames)):
        assert_same(recognizer.recognize(source).glosses, expected.glosses)


def test_pictures_and_features_are_recognised_like_their_clip(recognizer: Recognizer, pictures: list[Path]) -> None:
    expected = recognizer.recognize(pictures[0].parent, keep_logits=True)
    clip = recognizer.read(pictures[0].parent)
    recognition = recognizer.recognize_pictures(clip.pictures, keep_logits=True)
    assert_same(recognition.glosses, expected.glosses)
    assert expected.logits is not None
    assert recognition.logits is not None
    np.testing.assert_allclose(
        recognition.logits.sequence_logits, expected.logits.sequence_logits, atol=1e-5, rtol=1e-4
    )
    np.testing.assert_array_equal(recognition.logits.step_times, expected.logits.step_times)


def test_a_segment_of_a_clip_has_times_in_the_whole_clip(recognizer: Recognizer, pictures: list[Path]) -> None:
    part = recognizer.recognize(pictures[0].parent, ReadOptions(start=0.4, end=1.2))
    assert [part.start, part.duration, part.num_frames] == pytest.approx([0.4, 0.8, 20])
    assert all(0.4 <= timed.start < timed.end <= 1.2 + 1e-9 for timed in part.glosses)
    alone = recognizer.recognize_pictures(recognizer.read(pictures[0].parent).pictures[10:30])
    assert part.text == alone.text


def test_a_truncated_video_is_recognised_as_far_as_possible_with_a_warning(
    recognizer: Recognizer, pictures: list[Path], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 255, (96, 96, 3), dtype=np.uint8) for _ in range(60)]
    video = write_video(tmp_path / "whole.avi", noisy, 25)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    recognition = recognizer.recognize(cut)
    assert 15 < recognition.num_frames < 45
    assert f"{recognition.num_frames} frames" in recognition.warnings[0]
    assert not any("frames" in warning for warning in recognizer.recognize(video).warnings)


def test_a_low_mean_confidence_is_a_warning(recognizer: Recognizer, pictures: list[Path]) -> None:
    recognition = recognizer.recognize(pictures[0].parent)
    mean = np.mean([timed.confidence for timed in recognition.glosses if timed.confidence is not None])
    expected = [f"the mean confidence of the glosses is only {mean:.2f}"] if mean < 0.5 else []
    assert [warning.split(";")[0] for warning in recognition.warnings] == expected


@pytest.mark.parametrize(
    ("confidences", "warned"),
    [([0.2, 0.79], True), ([0.2, 0.81], False), ([0.5], False), ([], False), ([None, 0.4], True), ([None], False)],
)
def test_the_mean_decides_and_unknown_confidences_do_not_count(confidences: list[float | None], warned: bool) -> None:
    glosses = [TimedGloss("WIND", 0.0, 1.0, confidence) for confidence in confidences]
    assert bool(confidence_warnings(glosses)) == warned


def test_the_shape_of_the_corpus_comes_from_its_preparation_or_from_its_name(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus
) -> None:
    assert tiny_corpus.info.original_size == (210, 260)
    assert tiny_checkpoint.corpus.original_size == (210, 260)
    named = dataclasses.replace(tiny_checkpoint.corpus, name="csl", original_size=None)
    assert named.frame_fit(tiny_checkpoint.config.data).original_size == (1280, 720)
    unknown = dataclasses.replace(tiny_checkpoint.corpus, name="mine", original_size=None)
    assert unknown.frame_fit(tiny_checkpoint.config.data).original_size is None


# Hypotheses


def test_the_n_best_list_begins_with_the_result_and_has_decreasing_scores(
    tiny_checkpoint: Checkpoint, pictures: list[Path]
) -> None:
    decoding = DecodingConfig(num_best=4)
    recognizer = Recognizer(tiny_checkpoint, device=CPU, precision="fp32", decoding=decoding)
    recognition = recognizer.recognize(pictures[0].parent)
    assert len(recognition.nbest) == 4
    assert (recognition.nbest[0].glosses, recognition.nbest[0].score) == (recognition.glosses, recognition.score)
    scores = [alternative.score for alternative in recognition.nbest]
    assert scores == sorted(scores, reverse=True)
    labellings = [tuple(timed.gloss for timed in alternative.glosses) for alternative in recognition.nbest]
    assert len(set(labellings)) == 4


def test_glosses_are_those_of_the_vocabulary_with_confidences(
    recognizer: Recognizer, tiny_corpus: PreparedCorpus, pictures: list[Path]
) -> None:
    glosses = recognizer.recognize(pictures[0].parent).glosses
    assert glosses
    assert all(timed.gloss in tiny_corpus.vocabulary for timed in glosses)
    assert all(timed.confidence is not None and 0 < timed.confidence <= 1 for timed in glosses)


# Making one


def test_a_recognizer_is_loaded_from_a_file(tiny_checkpoint: Checkpoint, pictures: list[Path], tmp_path: Path) -> None:
    save_checkpoint(tiny_checkpoint, tmp_path / "best.pt")
    loaded = Recognizer.load(tmp_path / "best.pt", device="cpu", precision="fp32")
    expected = Recognizer(tiny_checkpoint, device=CPU, precision="fp32")
    assert loaded.recognize(pictures[0].parent) == expected.recognize(pictures[0].parent)


def test_bf16_on_a_cpu_works_and_fp16_is_refused(tiny_checkpoint: Checkpoint, pictures: list[Path]) -> None:
    assert Recognizer(tiny_checkpoint, device=CPU, precision="bf16").recognize(pictures[0].parent).num_frames
    with pytest.raises(DeviceError, match="fp16"):
        Recognizer(tiny_checkpoint, device=CPU, precision="fp16")


# Settings that change what the network sees


@pytest.mark.parametrize(
    "settings", [{"frame_interval": 2}, {"frame_interval": 3, "image_scale": 2.0}, {"image_scale": 2.0}]
)
def test_frame_interval_and_image_scale_hold_from_training_to_recognition(
    tiny_config: Config,
    tiny_corpus: PreparedCorpus,
    pictures: list[Path],
    sample: Sample,
    tmp_path: Path,
    settings: dict[str, Any],
) -> None:
    values = tiny_config.to_dict()
    values = {**values, "data": {**values["data"], **settings}, "training": {**values["training"], "epochs": 1}}
    config = Config.from_dict(values, "changed")
    run = train(config, tmp_path / "run", device=CPU).run
    recognizer = Recognizer.load(run.last, device="cpu", precision="fp32")
    assert recognizer.checkpoint.config.data.input_size == 32 * settings.get("image_scale", 1)
    (result,) = evaluate(recognizer.checkpoint, tiny_corpus, ["test"], device=CPU, dtype=torch.float32)
    recognition = recognizer.recognize(pictures[0].parent)
    assert_same(recognition.glosses, result.hypotheses["sequence"][sample.sample_id])
    interval = settings.get("frame_interval", 1)
    assert recognition.num_frames == -(-len(pictures) // interval)
    assert recognition.fps == 25 / interval
    assert recognition.duration == pytest.approx(len(pictures) / 25)
    assert_times_inside(recognition)
