"""The synthetic corpus: its files read by plain code, its determinism, its truth against its pixels."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.corpora.synthetic import (
    SyntheticOptions,
    SyntheticSummary,
    make_release,
    write_clip_video,
)
from cslr_cli.corpora.synthetic.body import find_joints
from cslr_cli.corpora.synthetic.drawing import draw_clip
from cslr_cli.corpora.synthetic.lexicon import LEXICON, Sign
from cslr_cli.corpora.synthetic.motion import Performance, perform
from cslr_cli.corpora.synthetic.plan import SyntheticClip, plan_clips
from cslr_cli.corpora.synthetic.scene import make_scene
from cslr_cli.corpora.synthetic.signer import Signer, make_signers
from cslr_cli.errors import ConfigError, DataError
from cslr_cli.media.png import encode_png
from cslr_cli.progress import Progress

SMALL = SyntheticOptions(seed=3, num_train_clips=10, num_dev_clips=3, num_test_clips=5)
TINY = SyntheticOptions(num_train_clips=4, num_dev_clips=1, num_test_clips=2, num_signers=3, num_glosses=8)
PAIRS = list(zip(LEXICON[::2], LEXICON[1::2], strict=True))


@dataclasses.dataclass(frozen=True)
class Made:
    """A corpus on disk and what `make_release` said about it."""

    folder: Path
    summary: SyntheticSummary

    @property
    def release(self) -> Path:
        return self.folder / "phoenix2014-release" / "phoenix-2014-multisigner"

    def truth(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "truth.jsonl").read_text().splitlines()]

    def annotation(self, split: str) -> list[list[str]]:
        header, *lines = (self.release / f"annotations/manual/{split}.corpus.csv").read_text().splitlines()
        assert header == "id|folder|signer|annotation"
        return [line.split("|") for line in lines]

    def pictures(self, split: str, sample_id: str) -> list[Path]:
        folder = self.release / "features/fullFrame-210x260px" / split / sample_id / "1"
        return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("synthetic")
    return Made(folder, make_release(folder, SMALL, workers=1))


@pytest.fixture(scope="module")
def plan() -> list[SyntheticClip]:
    return plan_clips(SyntheticOptions())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_rgb(path: Path) -> NDArray[np.float64]:
    picture = cv2.imread(str(path))
    assert picture is not None
    return np.asarray(picture[..., ::-1], dtype=np.float64)


# What is on the disk


def test_the_release_has_the_layout_of_phoenix2014(made: Made) -> None:
    for split, count in (("train", 10), ("dev", 3), ("test", 5)):
        rows = made.annotation(split)
        assert len(rows) == count == made.summary.num_clips[split]
        num_frames = 0
        for sample_id, folder, signer, annotation in rows:
            assert folder == f"{sample_id}/1/*.png"
            assert signer in made.summary.signers
            assert 2 <= len(annotation.split()) <= 7
            pictures = made.pictures(split, sample_id)
            names = [f"{sample_id}.avi_pid0_fn{number:06d}-0.png" for number in range(len(pictures))]
            assert [picture.name for picture in pictures] == names
            assert read_rgb(pictures[0]).shape == (260, 210, 3)
            num_frames += len(pictures)
        assert num_frames == made.summary.num_frames[split]
        on_disk = made.release / "features/fullFrame-210x260px" / split
        assert sorted(path.name for path in on_disk.iterdir()) == sorted(row[0] for row in rows)


def test_the_references_say_what_the_annotation_says(made: Made) -> None:
    assert not (made.release / "evaluation/phoenix2014-groundtruth-train.stm").exists()
    for split in ("dev", "test"):
        lines = (made.release / f"evaluation/phoenix2014-groundtruth-{split}.stm").read_text().splitlines()
        fields = [line.split(" ") for line in lines]
        assert {tuple(field[3:5]) for field in fields} == {("0.0", "1.79769e+308")}
        found = {field[0]: (field[1], field[2], field[5:]) for field in fields}
        assert found == {
            sample_id: ("1", signer.lower(), annotation.split(" "))
            for sample_id, _, signer, annotation in made.annotation(split)
        }


def test_the_truth_agrees_with_annotation_and_pictures(made: Made) -> None:
    clips = {clip["sample_id"]: clip for clip in made.truth()}
    assert len(clips) == 18
    for split in ("train", "dev", "test"):
        for sample_id, _, signer, annotation in made.annotation(split):
            clip = clips[sample_id]
            assert (clip["split"], clip["signer"], clip["fps"]) == (split, signer, 25.0)
            assert [signed["gloss"] for signed in clip["glosses"]] == annotation.split()
            assert clip["num_frames"] == len(made.pictures(split, sample_id))
            assert {len(places) for places in clip["hands"].values()} == {clip["num_frames"]}


def test_true_times_are_in_order_and_inside_the_clip(made: Made) -> None:
    for clip in made.truth():
        times = [time for signed in clip["glosses"] for time in (signed["start"], signed["end"])]
        assert times == sorted(times)
        assert times[0] > 2 / 25
        assert times[-1] < clip["num_frames"] / 25 - 2 / 25
        for earlier, later in itertools.pairwise(clip["glosses"]):
            assert 3 / 25 - 1e-9 <= later["start"] - earlier["end"] <= 5 / 25 + 1e-9


def test_the_true_places_of_the_hands_show_skin(made: Made) -> None:
    skin_of = {signer.name: np.array(signer.skin) for signer in make_signers(3, 9)}
    at_hands: list[bool] = []
    elsewhere: list[bool] = []
    for clip in made.truth():
        skin = skin_of[clip["signer"]]
        for t, path in enumerate(made.pictures(clip["split"], clip["sample_id"])):
            picture = read_rgb(path)
            for x, y in (clip["hands"]["dominant"][t], clip["hands"]["other"][t]):
                at_hands.append(is_skin(picture, x, y, skin))
                elsewhere.append(is_skin(picture, 1 - x, min(y + 0.12, 0.99), skin))
    assert np.mean(at_hands) > 0.99
    assert np.mean(elsewhere) < 0.2  # so the question can be answered with no


def is_skin(picture: NDArray[np.float64], x: float, y: float, skin: NDArray[np.float64]) -> bool:
    """Whether the pixel at fractions (x, y) has the skin's hue, and its brightness but for the light."""
    pixel = picture[int(y * 260), int(x * 210)]
    shares, wanted = pixel / pixel.sum(), skin / skin.sum()
    return bool(np.abs(shares - wanted).max() < 0.04 and 0.7 < pixel.sum() / skin.sum() < 1.3)


def test_a_left_handed_signer_is_marked_and_rests_the_dominant_hand_on_the_other_side(made: Made) -> None:
    left_handed = {signer.name for signer in make_signers(3, 9) if signer.left_handed}
    assert left_handed
    for clip in made.truth():
        is_left = clip["signer"] in left_handed
        assert clip["dominant_hand"] == ("left" if is_left else "right")
        # Somebody who faces the camera has the left hand on the right of the picture.
        assert (clip["hands"]["dominant"][0][0] > clip["hands"]["other"][0][0]) == is_left


# The same pixels whoever draws, in whatever order


def test_two_workers_make_the_same_bytes_as_one(tmp_path: Path) -> None:
    alone = make_release(tmp_path / "alone", TINY, workers=1)
    together = make_release(tmp_path / "together", TINY, workers=2)
    assert alone == together
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")


def test_another_seed_makes_other_pictures(tmp_path: Path) -> None:
    pictures = []
    for seed in (1, 2):
        options = dataclasses.replace(TINY, num_train_clips=1, seed=seed)
        made = Made(tmp_path / str(seed), make_release(tmp_path / str(seed), options, workers=1))
        pictures.append(read_rgb(made.pictures("train", "synthetic_train-0001")[0]))
    assert np.abs(pictures[0] - pictures[1]).mean() > 5


def test_a_release_that_was_interrupted_is_completed_without_drawing_whole_clips_again(
    tmp_path: Path,
) -> None:
    def stop_at_the_third_clip(progress: Progress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    folder = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        make_release(folder, TINY, workers=1, progress=stop_at_the_third_clip)
    assert not list(folder.rglob("*.csv"))
    assert not (folder / "truth.jsonl").exists()
    early = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    (damaged := min(early)).unlink()
    half_drawn = damaged.parents[2] / ".synthetic_train-0004.unfinished" / "1"
    half_drawn.mkdir(parents=True)
    (half_drawn / "half.png").write_bytes(b"half a picture")

    make_release(folder, TINY, workers=1)
    make_release(tmp_path / "whole", TINY, workers=1)
    assert contents(folder) == contents(tmp_path / "whole")
    untouched = [path for path in early if path.parent != damaged.parent]
    assert len(untouched) > 40
    assert all(path.stat().st_mtime_ns == early[path] for path in untouched)


KILLED = """
import os, signal, sys
from pathlib import Path
from cslr_cli.corpora.synthetic import SyntheticOptions, make_release
make_release(
    Path(sys.argv[1]), SyntheticOptions(), workers=2, progress=lambda told: os.kill(os.getpid(), signal.SIGKILL)
)
"""


def test_the_processes_that_draw_end_with_one_that_is_killed(tmp_path: Path) -> None:
    # They hold the pipe that is read here: the call comes back when the last of them has ended.
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, timeout=600)
    assert done.returncode == -signal.SIGKILL


def test_progress_is_reported_clip_by_clip(tmp_path: Path) -> None:
    told: list[Progress] = []
    make_release(tmp_path, TINY, workers=1, progress=told.append)
    assert [(progress.done, progress.total) for progress in told] == [(n, 7) for n in range(1, 8)]


# What is refused


def test_a_release_made_with_other_options_is_refused_and_the_difference_named(made: Made) -> None:
    before = contents(made.folder)
    with pytest.raises(DataError, match=r"seed was 3, is 4 now; num_test_clips was 5, is 6 now"):
        make_release(made.folder, dataclasses.replace(SMALL, seed=4, num_test_clips=6), workers=1)
    assert contents(made.folder) == before


def test_a_release_that_is_not_synthetic_is_not_changed(tmp_path: Path) -> None:
    annotations = tmp_path / "phoenix2014-release/phoenix-2014-multisigner/annotations/manual"
    annotations.mkdir(parents=True)
    (annotations / "train.corpus.csv").write_text("somebody's work")
    with pytest.raises(DataError, match="this release is not synthetic"):
        make_release(tmp_path, TINY, workers=1)
    assert contents(tmp_path) == {
        "phoenix2014-release/phoenix-2014-multisigner/annotations/manual/train.corpus.csv": b"somebody's work"
    }


def test_a_file_of_options_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for text in ("{", "[1]", '"seed"'):
        (tmp_path / "synthetic.json").write_text(text)
        with pytest.raises(DataError, match=r"synthetic\.json: not the options"):
            make_release(tmp_path, TINY, workers=1)


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file: cannot be written"):
        make_release(tmp_path / "file", TINY, workers=1)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("seed", -1, "0 to 4294967295"),
        ("num_train_clips", 0, "1 to 99999"),
        ("num_dev_clips", 0, "1 to 99999"),
        ("num_test_clips", 1, "2 to 99999"),
        ("num_signers", 1, "2 to 99"),
        ("num_glosses", 6, "8 to 24"),
        ("num_glosses", 26, "8 to 24"),
        ("num_glosses", 9, "even"),
    ],
)
def test_an_option_out_of_its_range_is_named_with_the_range(name: str, value: int, expected: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is {value}\b.*{expected}"):
        SyntheticOptions(**{name: value})


def test_all_options_out_of_range_are_reported_together() -> None:
    with pytest.raises(ConfigError, match=r"(?s)num_dev_clips is -2.*num_signers is 1"):
        SyntheticOptions(num_dev_clips=-2, num_signers=1)


def test_less_than_one_worker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers is 0"):
        make_release(tmp_path, TINY, workers=0)


# Who signs what


def test_the_defaults_are_what_the_corpus_promises(plan: list[SyntheticClip]) -> None:
    glosses = {gloss for clip in plan for gloss in clip.glosses}
    assert len(glosses) >= 16
    assert sum({first.gloss, second.gloss} <= glosses for first, second in PAIRS) >= 6
    assert len({clip.signer.name for clip in plan}) >= 8
    test_signers = [clip.signer.name for clip in plan if clip.split == "test"]
    assert len(test_signers) >= 60
    assert test_signers.count("Signer09") * 2 == len(test_signers)


@pytest.mark.parametrize("options", [SyntheticOptions(), TINY, SyntheticOptions(seed=7, num_glosses=24)])
def test_the_unseen_signer_is_only_in_test_and_no_held_out_sentence_is_in_train(
    options: SyntheticOptions,
) -> None:
    clips = plan_clips(options)
    signers = {split: {c.signer.name for c in clips if c.split == split} for split in ("train", "dev", "test")}
    unseen = f"Signer{options.num_signers:02d}"
    assert unseen not in signers["train"] | signers["dev"]
    assert unseen in signers["test"]
    assert (signers["dev"] | signers["test"]) - {unseen} <= signers["train"]
    sentences = {split: {c.glosses for c in clips if c.split == split} for split in ("train", "dev", "test")}
    assert not sentences["train"] & (sentences["dev"] | sentences["test"])
    assert len({clip.sample_id for clip in clips}) == len(clips)


def test_sentences_are_varied_and_glosses_equally_frequent(plan: list[SyntheticClip]) -> None:
    train = [clip.glosses for clip in plan if clip.split == "train"]
    frequency = collections.Counter(gloss for sentence in train for gloss in sentence)
    assert max(frequency.values()) < 1.4 * min(frequency.values())
    neighbours = {pair for sentence in train for pair in itertools.pairwise(sentence)}
    assert len(neighbours) > 120
    assert all(first != second for first, second in neighbours)
    assert len(set(train)) > 0.9 * len(train)


def test_every_split_has_the_same_mixture_of_lengths(plan: list[SyntheticClip]) -> None:
    def shares(split: str) -> NDArray[np.float64]:
        lengths = [len(clip.glosses) for clip in plan if clip.split == split]
        assert set(lengths) == {2, 3, 4, 5, 6, 7}
        return np.bincount(lengths, minlength=8) / len(lengths)

    assert shares("train")[2:4].sum() > 0.4  # short ones get the training started
    for split in ("dev", "test"):
        np.testing.assert_allclose(shares(split), shares("train"), atol=0.05)


def test_the_unseen_signer_lies_within_the_population_and_is_nobody_else() -> None:
    for seed in range(5):
        *known, unseen = make_signers(seed, 9)
        for trait in ("size", "shoulders", "upper_arm", "forearm", "hand", "head", "pace", "amplitude"):
            values = [getattr(signer, trait) for signer in known]
            assert min(values) < getattr(unseen, trait) < max(values)
        others = np.array([[*signer.skin, *signer.hair] for signer in known])
        assert np.abs(others - [*unseen.skin, *unseen.hair]).max(axis=1).min() > 5
        assert all((signer.hair_style, signer.hair) != (unseen.hair_style, unseen.hair) for signer in known)
        assert {signer.left_handed for signer in known} == {True, False}


# How it is signed


def sign_alone(sign: Sign, signer: Signer) -> tuple[Performance, slice]:
    """A performance of one sign, always with the same chance, and the frames in which it is signed."""
    performance = perform([sign], signer, np.random.default_rng(5))
    (signed,) = performance.glosses
    return performance, slice(signed.first_frame, signed.end_frame)


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda sign: sign.gloss)
def test_the_signs_of_a_pair_are_each_other_played_backwards(first: Sign, second: Sign) -> None:
    (signer, _) = make_signers(0, 2)
    forwards, there = sign_alone(first, signer)
    backwards, back = sign_alone(second, signer)
    places, reversed_places = forwards.places[there, 0], backwards.places[back, 0][::-1]
    # The hands tremble by up to 0.025 units in each.
    np.testing.assert_allclose(places, reversed_places, atol=0.051)
    np.testing.assert_allclose(forwards.pointing[there], backwards.pointing[back][::-1])
    np.testing.assert_allclose(forwards.fingers[there], backwards.fingers[back][::-1])
    # And playing backwards makes a difference.
    assert np.abs(places - reversed_places[::-1]).max() > 0.5


def test_signs_of_different_pairs_differ_by_more_than_people_do() -> None:
    progress = np.linspace(0, 1, 9)
    for (one, _), (another, _) in itertools.combinations(PAIRS, 2):
        apart = [
            np.linalg.norm(one.places(progress) - other.places(progress), axis=1).mean()
            for other in (another, dataclasses.replace(another, backwards=True))
        ]
        assert min(apart) > 0.5 or (one.handshape, one.both_hands) != (another.handshape, another.both_hands)


def test_signs_take_7_to_11_frames_and_clips_about_50(plan: list[SyntheticClip]) -> None:
    sign_of = {sign.gloss: sign for sign in LEXICON}
    durations, lengths = [], []
    for number, clip in enumerate(plan):
        rng = np.random.default_rng(number)
        performance = perform([sign_of[gloss] for gloss in clip.glosses], clip.signer, rng)
        durations += [signed.end_frame - signed.first_frame for signed in performance.glosses]
        lengths.append(performance.num_frames)
    assert min(durations) >= 7
    assert max(durations) <= 11
    assert 45 < np.mean(lengths) < 56


def test_hands_stay_in_the_picture_and_arms_keep_their_length() -> None:
    for number, signer in enumerate(make_signers(1, 9)):
        rng = np.random.default_rng(number)
        performance = perform(LEXICON, signer, rng)
        scene = make_scene(signer, performance.num_frames, rng)
        joints = find_joints(performance, signer, scene.sway)
        hands = scene.projection.pixels(joints.hands)
        assert hands.min() > 8
        assert (hands < (202, 252)).all()
        # Seen from the front, a bone is never longer than it is.
        for near, far, length in (
            (joints.shoulders, joints.elbows, signer.upper_arm),
            (joints.elbows, joints.wrists, signer.forearm),
        ):
            assert np.linalg.norm(far - near, axis=-1).max() <= length + 1e-6


def test_a_left_handed_signer_is_the_mirror_image_of_a_right_handed_one() -> None:
    (signer, _) = make_signers(2, 2)
    rng = np.random.default_rng(0)
    performance = perform([LEXICON[4], LEXICON[0]], signer, rng)
    scene = make_scene(signer, performance.num_frames, rng)
    scene = dataclasses.replace(
        scene,
        projection=dataclasses.replace(scene.projection, origin=(105.0, 116.0)),
        background=np.full_like(scene.background, 150),
        sensor_fields=np.zeros_like(scene.sensor_fields),
        sway=np.zeros_like(scene.sway),
        head_motion=np.zeros_like(scene.head_motion),
    )
    pictures = []
    for left_handed in (False, True):
        person = dataclasses.replace(signer, left_handed=left_handed)
        joints = find_joints(performance, person, scene.sway)
        pictures.append(np.stack(list(draw_clip(performance, joints, person, scene))).astype(np.float64))
    right, left = pictures
    assert np.abs(right - left).mean() > 3
    # The nose leans to one side for everybody; and lines are rasterised to one side.
    assert np.abs(right[:, :, ::-1] - left).mean() < 0.6


# Files for others


def test_a_clip_becomes_a_video_of_the_same_pictures(made: Made, tmp_path: Path) -> None:
    sample_id = made.annotation("test")[0][0]
    write_clip_video(made.folder, sample_id, tmp_path / "clip.mp4")
    video = cv2.VideoCapture(str(tmp_path / "clip.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == 25
    for path in made.pictures("test", sample_id):
        found, frame = video.read()
        assert found
        assert np.abs(frame[..., ::-1] - read_rgb(path)).mean() < 6
    assert not video.read()[0]


def test_a_video_of_a_clip_that_does_not_exist_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no clip 'nobody'"):
        write_clip_video(made.folder, "nobody", tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())


def test_pictures_are_written_without_loss(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    (tmp_path / "picture.png").write_bytes(encode_png(picture))
    np.testing.assert_array_equal(read_rgb(tmp_path / "picture.png"), picture)
