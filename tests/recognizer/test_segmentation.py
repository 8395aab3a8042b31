from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch

import cslr_cli.recognizer
from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.errors import MediaError, UsageError
from cslr_cli.media.clip_reader import LoadedClip
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.options import ReadOptions
from cslr_cli.recognition import DivisionFacts, Sentence
from cslr_cli.recognizer import Recognizer, Segmentation, segmentation
from cslr_cli.recognizer.options import SegmentationMethod
from cslr_cli.recognizer.segmentation import SegmentFeatures, iterate_frame_features, iterate_segments

CPU = torch.device("cpu")
SIZE = 36  # of the tiny corpus' frames


@pytest.fixture(scope="module")
def recognizer(tiny_checkpoint: Checkpoint) -> Recognizer:
    return Recognizer(tiny_checkpoint, device=CPU, precision="fp32")


def recording(parts: list[float]) -> Iterator[Frame]:
    """A hand that moves and rests in turn for so many seconds each, 25 frames a second."""
    time = 0.0
    for place, seconds in enumerate(parts):
        for _ in range(round(seconds * 25)):
            time += 0.0 if place % 2 else 1 / 25
            frame = np.full((SIZE, SIZE, 3), 90, np.uint8)
            row, column = int(18 + 9 * np.sin(7 * time)), int(18 + 9 * np.cos(5 * time))
            frame[row - 4 : row + 4, column - 4 : column + 4] = (220, 170, 120)
            frame[: 4 + place % 3, :8] = 30 * (place % 7)
            yield frame


THREE_SENTENCES = [3.0, 1.6, 4.0, 1.6, 2.0]


def found(recognizer: Recognizer, parts: list[float], segmentation: Segmentation) -> list[SegmentFeatures]:
    clip = recognizer.open(recording(parts))
    return list(iterate_segments(clip, recognizer.network, CPU, segmentation, recognizer.inference))


def features_of_whole(recognizer: Recognizer, parts: list[float]) -> torch.Tensor:
    pictures = recognizer.read(recording(parts)).pictures
    return torch.cat(list(iterate_frame_features(pictures, recognizer.network, CPU, recognizer.inference)))


@pytest.mark.parametrize("segmentation", [Segmentation("rests"), Segmentation("windows", 4.0, 1.0)])
def test_a_segment_has_the_features_of_its_frames_in_the_whole_recording(
    recognizer: Recognizer, segmentation: Segmentation
) -> None:
    plan = recognizer.network.plan
    whole = features_of_whole(recognizer, THREE_SENTENCES)[plan.left_padding :]
    parts = found(recognizer, THREE_SENTENCES, segmentation)
    assert len(parts) >= 3
    for part in parts:
        length = part.frames.end - part.frames.first
        assert len(part.features) == plan.padded_length(length)
        own = part.features[plan.left_padding :][:length]
        torch.testing.assert_close(own, whole[part.frames.first : part.frames.end], atol=1e-5, rtol=1e-4)
        assert (part.features[: plan.left_padding] == own[0]).all()
        assert (part.features[plan.left_padding + length :] == own[-1]).all()


def test_a_short_clip_is_one_segment_despite_rests(recognizer: Recognizer) -> None:
    (part,) = found(recognizer, THREE_SENTENCES, Segmentation())
    assert (part.frames.first, part.frames.end) == (0, 305)
    torch.testing.assert_close(part.features, features_of_whole(recognizer, THREE_SENTENCES))


def test_a_long_recording_is_split_at_rests_from_its_beginning(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rests = [part.frames for part in found(recognizer, THREE_SENTENCES, Segmentation("rests"))]
    assert len(at_rests) == 3
    monkeypatch.setattr(segmentation, "MAX_UNDIVIDED_SECONDS", 12.1)  # the recording has 12.2 s
    assert [part.frames for part in found(recognizer, THREE_SENTENCES, Segmentation())] == at_rests
    monkeypatch.setattr(segmentation, "MAX_UNDIVIDED_SECONDS", 12.2)
    assert len(found(recognizer, THREE_SENTENCES, Segmentation())) == 1
    assert len(found(recognizer, THREE_SENTENCES * 3, Segmentation("none"))) == 1


def test_a_recognition_names_the_division_that_was_used(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {"rests": DivisionFacts("rests"), "none": DivisionFacts("none"), "windows": DivisionFacts("windows", 4, 1)}
    for method, facts in named.items():
        asked = Segmentation(cast("SegmentationMethod", method), 4.0, 1.0)
        assert recognizer.recognize(recording([2.0]), segmentation=asked).segmentation == facts
    for limit, method in ((12.1, "rests"), (12.2, "none")):  # the recording has 12.2 s
        monkeypatch.setattr(segmentation, "MAX_UNDIVIDED_SECONDS", limit)
        recognition = recognizer.recognize(recording(THREE_SENTENCES))
        assert recognition.segmentation == named[method]
        assert len(recognition.sentences) == (3 if method == "rests" else 1)


@pytest.mark.parametrize("seconds", [0.4, 3.9, 4.0, 4.04, 7.0, 11.3])
def test_windows_have_one_length_overlap_and_cover_the_recording(recognizer: Recognizer, seconds: float) -> None:
    windows = [part.frames for part in found(recognizer, [seconds], Segmentation("windows", 4.0, 1.0))]
    num_frames = round(seconds * 25)
    assert (windows[0].first, windows[-1].end) == (0, num_frames)
    for window in windows:
        assert window.end - window.first == min(100, num_frames)
    for left, right in pairwise(windows):
        assert left.first < right.first <= left.end - 25


def test_skipped_rests_lie_between_the_sentences(recognizer: Recognizer) -> None:
    rests = recognizer.recognize(recording(THREE_SENTENCES), segmentation=Segmentation("rests")).rests
    # From 0.3 s behind the movement to 0.3 s before it, each a little blurred.
    assert len(rests) == 2
    for (start, end), (still, moves) in zip(rests, [(3.0, 4.6), (8.6, 10.2)], strict=True):
        assert start == pytest.approx(still + 0.3, abs=0.25)
        assert end == pytest.approx(moves - 0.3, abs=0.25)
    for other in (Segmentation("windows", 4.0, 1.0), Segmentation("none")):
        assert recognizer.recognize(recording(THREE_SENTENCES), segmentation=other).rests == ()
    part = recognizer.recognize(recording([0.04, 2.0]), ReadOptions(start=0.4), segmentation=Segmentation("rests"))
    assert part.sentences == ()
    assert np.array(part.rests) == pytest.approx(np.array([[0.4, 2.04]]))


@pytest.mark.parametrize("split", ["rests", "windows"])
def test_sentences_come_in_order_with_glosses_and_logits_inside_them(recognizer: Recognizer, split: Any) -> None:
    reported: list[Sentence] = []
    recognition = recognizer.recognize(
        recording(THREE_SENTENCES),
        segmentation=Segmentation(split, 4.0, 1.0),
        keep_logits=True,
        on_sentence=reported.append,
    )
    assert tuple(reported) == recognition.sentences
    assert len(reported) >= 3
    last_end = 0.0
    for sentence in reported:
        assert last_end <= sentence.start + 1e-9 < sentence.end
        last_end = sentence.end
        # Of windows each ends where the next one begins; before and after a rest, half a step may reach into it.
        beyond = 0.08 if split == "rests" else 0.0
        first, last = sentence.start - beyond, sentence.end + beyond
        assert all(first <= timed.start < timed.end <= last for timed in sentence.glosses)
    assert recognition.glosses == tuple(timed for sentence in reported for timed in sentence.glosses)
    assert recognition.duration == 12.2
    logits = recognition.logits
    assert logits is not None
    assert len(logits.sequence_logits) == len(logits.conv_logits) == len(logits.step_times)
    assert (np.diff(logits.step_times[:, 0]) > 0).all()
    assert len(logits.vocabulary) == logits.sequence_logits.shape[1]


def test_a_still_recording_has_no_glosses(recognizer: Recognizer) -> None:
    still = [np.full((SIZE, SIZE, 3), 90, np.uint8)] * 100
    recognition = recognizer.recognize(still, segmentation=Segmentation("rests"), keep_logits=True)
    assert (recognition.glosses, recognition.sentences, recognition.text) == ((), (), "")
    assert recognition.logits is not None
    assert recognition.logits.sequence_logits.shape == (0, recognizer.vocabulary.num_classes)


def test_memory_does_not_grow_with_the_recording(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    most_features = 0
    read = segmentation._FeatureBuffer.read

    def noting(self: Any) -> bool:
        nonlocal most_features
        goes_on = read(self)
        most_features = max(most_features, len(self._kept))
        return goes_on

    monkeypatch.setattr(segmentation._FeatureBuffer, "read", noting)
    peaks, kept = [], []
    for repeats in (2, 8):
        most_features = 0
        tracemalloc.start()
        recognizer.recognize(recording([2.0, 1.2] * repeats), segmentation=Segmentation("rests"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        kept.append(most_features)
    more_pictures = 6 * 3.2 * 25 * 32 * 32 * 3
    assert peaks[1] - peaks[0] < 0.2 * more_pictures  # features are torch's, and not counted here
    assert max(kept) < 150  # of 480 frames: a sentence, a rest and a chunk


def test_a_recording_that_cannot_be_read_to_its_end_is_an_error_that_names_the_frame(recognizer: Recognizer) -> None:
    def broken() -> Iterator[Frame]:
        yield from recording([2.0])
        yield np.zeros((5, 5, 3), np.uint8)

    with pytest.raises(MediaError, match="frame 50: 5×5 pixels"):
        recognizer.recognize(broken(), segmentation=Segmentation("rests"))


@pytest.mark.parametrize(
    "values", [("sometimes", 10.0, 2.0), ("windows", 0.1, 0.05), ("windows", 10.0, 6.0), ("windows", 10.0, 0.0)]
)
def test_invalid_segmentations_are_refused(values: Any) -> None:
    with pytest.raises(UsageError, match="expected"):
        Segmentation(*values)


@pytest.mark.parametrize("name", ["LongVideo", "PreparedClip", "Reading"])
def test_a_name_of_version_0_1_gives_the_renamed_class_and_a_warning(name: str) -> None:
    renamed = {"LongVideo": Segmentation, "PreparedClip": LoadedClip, "Reading": ReadOptions}
    with pytest.warns(DeprecationWarning, match=f"{name} is now {renamed[name].__name__}"):
        assert getattr(cslr_cli.recognizer, name) is renamed[name]


def test_the_old_name_of_the_segmentation_argument_works_with_a_warning(recognizer: Recognizer) -> None:
    with pytest.warns(DeprecationWarning, match="`long` is now `segmentation`"):
        old = recognizer.recognize(recording(THREE_SENTENCES), long=Segmentation("rests"))
    assert old == recognizer.recognize(recording(THREE_SENTENCES), segmentation=Segmentation("rests"))
