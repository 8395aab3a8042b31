from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cslr_cli.cam import CamOptions, Explanation, explain, write_correlation_sheet
from cslr_cli.cam.clip_maps import ClipMaps
from cslr_cli.cam.explanation import explanation_arrays
from cslr_cli.cam.video import map_of_each_picture
from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CslrError, MediaError, UsageError
from cslr_cli.media.options import ReadOptions
from cslr_cli.recognition import Alternative, Sentence
from cslr_cli.recognizer import Recognizer
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES, TemporalPlan
from tests.cam.conftest import SIDE, SQUARE, see_brightness
from tests.cam.networks import random_network


@pytest.fixture(scope="module")
def video(tiny_corpus: PreparedCorpus) -> Path:
    return tiny_corpus.frames_path(tiny_corpus.samples("test")[1])


def test_the_hottest_place_is_given_in_pixels_of_the_source(square_explained: Explanation) -> None:
    film = square_explained.film
    assert film.size == (210, 260)
    for gloss_map in square_explained.glosses:
        spot = film.hottest(gloss_map)
        assert spot is not None
        cell = film.box.width / 8, film.box.height / 8
        assert abs(spot.x - SQUARE[0]) < cell[0] / 2 + 1
        assert abs(spot.y - SQUARE[1]) < cell[1] / 2 + 1
        heat = film.resize_maps(gloss_map.maps)
        assert heat.shape[1:] == (260, 210)
        rows, columns = np.nonzero(heat[spot.picture - gloss_map.pictures.start] > 0.5 * heat.max())
        assert abs(columns.mean() - SQUARE[0]) < SIDE / 2
        assert abs(rows.mean() - SQUARE[1]) < SIDE / 2


def test_a_frame_with_a_blank_map_has_no_hottest_place(
    square_explained: Explanation,
) -> None:
    film, (gloss_map, _) = square_explained.film, square_explained.glosses
    cold = dataclasses.replace(gloss_map, maps=gloss_map.maps.copy())
    cold.maps[1] = 0
    first, second = gloss_map.pictures[:2]
    assert film.hottest(cold, second) is None
    assert film.hottest(cold, gloss_map.pictures.stop) is None
    spot = film.hottest(cold, first)
    assert spot is not None
    row, column = np.unravel_index(gloss_map.maps[0].argmax(), gloss_map.maps[0].shape)
    assert (spot.picture, spot.seconds) == (first, film.middle_of(first))
    assert spot.x == pytest.approx(film.box.left + (column + 0.5) / 8 * film.box.width)
    assert spot.y == pytest.approx(film.box.top + (row + 0.5) / 8 * film.box.height)


def test_a_frame_without_heat_needs_the_place_option(
    recognizer: Recognizer, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heat = ClipMaps.heat_maps

    def cold_at_first(clip: ClipMaps, gradient: Tensor, frames: range, *rest: Any) -> Any:
        maps = heat(clip, gradient, frames, *rest)
        maps[[frame < 5 for frame in frames]] = 0
        return maps

    monkeypatch.setattr(ClipMaps, "heat_maps", cold_at_first)
    with pytest.raises(UsageError, match=r"--at 0\.1: all heat maps of this frame are blank(.|\n)*--place X,Y"):
        explain(recognizer, video, CamOptions(at=0.1))


def test_the_explained_sentence_is_the_recognised_one(recognizer: Recognizer, video: Path) -> None:
    explanation = explain(recognizer, video)
    recognised = recognizer.recognize(video).glosses
    assert [(t.gloss, t.start, t.end) for t in explanation.sentence] == [(t.gloss, t.start, t.end) for t in recognised]
    assert [gloss_map.timed for gloss_map in explanation.glosses] == list(explanation.sentence)
    for gloss_map in explanation.glosses:
        assert len(gloss_map.maps) == len(gloss_map.pictures)


def test_glosses_are_chosen_by_name_and_a_reference_replaces_the_recognised_sentence(
    recognizer: Recognizer, video: Path
) -> None:
    first = explain(recognizer, video).sentence[0].gloss
    chosen = explain(recognizer, video, CamOptions(glosses=(first,)))
    assert {gloss_map.timed.gloss for gloss_map in chosen.glosses} == {first}
    other = [gloss for gloss in recognizer.checkpoint.vocabulary.glosses if gloss != first][:2]
    asked = explain(recognizer, video, CamOptions(reference=tuple(other)))
    assert [timed.gloss for timed in asked.sentence] == other


def test_part_of_a_video_is_explained_with_times_of_the_whole_video(recognizer: Recognizer, video: Path) -> None:
    gloss = recognizer.checkpoint.vocabulary.glosses[0]
    part = explain(recognizer, video, CamOptions(reference=(gloss,)), reading=ReadOptions(start=0.4, end=1.2))
    assert part.film.edges[0] == pytest.approx(0.4)
    assert part.film.edges[-1] == pytest.approx(1.2)
    assert sum(1 for _ in part.film.frames()) == part.film.num_pictures == 20
    assert 0.4 <= part.sentence[0].start < part.sentence[0].end <= 1.2


def test_maps_are_deterministic(recognizer: Recognizer, video: Path) -> None:
    first, second = (explain(recognizer, video).glosses[0].maps for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("layers", PUBLISHED_SCHEDULES)
def test_frames_seen_by_steps_match_the_temporal_convolution(layers: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    plan, steps, num_frames = TemporalPlan.parse(layers), (2, 4), 40
    padded = torch.zeros(1, 1, plan.padded_length(num_frames), requires_grad=True)
    x = padded
    for layer in plan.layers:
        if layer.kind == "K":
            x = torch.nn.functional.conv1d(x, torch.ones(1, 1, layer.size))
        else:
            x = torch.nn.functional.avg_pool1d(x, layer.size)
    x[0, 0, steps[0] : steps[1]].sum().backward()
    assert padded.grad is not None
    (seen,) = np.nonzero(padded.grad[0, 0].numpy())
    expected = plan.frames_seen(steps, num_frames)
    assert (seen[0] - plan.left_padding, seen[-1] - plan.left_padding + 1) == (
        steps[0] * plan.stride - plan.left_padding,
        expected.stop,
    )
    assert expected.start == max(0, steps[0] * plan.stride - plan.left_padding)


def test_a_picture_shows_the_map_of_its_gloss(square_explained: Explanation) -> None:
    owners = map_of_each_picture(square_explained)
    for gloss_map in square_explained.glosses:
        first = square_explained.film.picture_at(gloss_map.timed.middle)
        assert owners[first] is gloss_map


def test_correlations_are_of_the_place_in_the_options(recognizer: Recognizer, video: Path) -> None:
    correlations = explain(recognizer, video, CamOptions(place=(30.0, 5.0), at=0.5)).correlations
    assert correlations is not None
    assert correlations.place == (30.0, 5.0)
    assert correlations.picture == 12  # at 25 a second
    # Of 36 pixels the network sees 32, from 2 on: 28/32 and 3/32 of 4 × 4, 2 × 2 and 1 × 1 places.
    assert [around.cell for around in correlations.correlation_maps] == [(0, 3), (0, 1), (0, 0)]
    assert {stage: maps.shape[1:] for stage, maps in correlations.identification_maps.items()} == {
        "layer2": (4, 4),
        "layer3": (2, 2),
        "layer4": (1, 1),
    }


# What is refused


def test_an_unknown_gloss_is_refused_with_suggestions(recognizer: Recognizer, video: Path) -> None:
    known = recognizer.checkpoint.vocabulary.glosses[0]
    for options in (CamOptions(glosses=(known.lower() + "x",)), CamOptions(reference=(known.lower() + "x",))):
        with pytest.raises(UsageError, match=rf"not in the vocabulary; did you mean .*{known}"):
            explain(recognizer, video, options)


def test_a_gloss_that_was_not_recognised_is_refused_with_the_recognised_ones(
    recognizer: Recognizer, video: Path
) -> None:
    recognised = [timed.gloss for timed in recognizer.recognize(video).glosses]
    absent = next(gloss for gloss in recognizer.checkpoint.vocabulary.glosses if gloss not in recognised)
    with pytest.raises(CslrError, match=rf"--gloss {absent}: not in (.|\n)*{' '.join(recognised)}(.|\n)*--reference"):
        explain(recognizer, video, CamOptions(glosses=(absent,)))


def test_a_video_without_recognised_glosses_is_an_error(
    recognizer: Recognizer, square_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence = Sentence(0.0, 0.48, (Alternative((), -1.0),))
    monkeypatch.setattr(Recognizer, "recognize_features", lambda recognizer, features, edges: silence)
    with pytest.raises(CslrError, match=r"no gloss was recognised(.|\n)*--reference"):
        explain(recognizer, square_clip)


def test_a_blank_map_is_reported_with_its_reason(recognizer: Recognizer, video: Path) -> None:
    gloss = recognizer.checkpoint.vocabulary.glosses[0]
    deaf = {key: value * 0 if "lstm" in key else value for key, value in recognizer.checkpoint.weights.items()}
    checkpoint = dataclasses.replace(recognizer.checkpoint, weights=deaf)
    without_gradient = Recognizer(checkpoint, device=torch.device("cpu"), precision="fp32")
    with pytest.raises(
        CslrError, match=rf"the map of {gloss} \(\d\.\d\d s\) is blank: all gradients of the sequence head are zero"
    ):
        explain(without_gradient, video, CamOptions(reference=(gloss,)))


def test_a_low_mean_confidence_is_a_warning_unless_the_sentence_is_given(
    recognizer: Recognizer, square_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cslr_cli.recognition.LOW_CONFIDENCE", 1.01)  # nothing is as confident
    explanation = explain(recognizer, square_clip)
    confidences = [timed.confidence for timed in explanation.sentence if timed.confidence is not None]
    expected = f"confidence of the glosses is only {sum(confidences) / len(confidences):.2f}"
    assert [expected in warning for warning in explanation.warnings] == [True]
    reference = tuple(timed.gloss for timed in explanation.sentence)
    assert explain(recognizer, square_clip, CamOptions(reference=reference)).warnings == ()


def test_other_maps_are_made_when_some_are_blank(
    recognizer: Recognizer, square_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see_brightness(monkeypatch)
    glosses = recognizer.checkpoint.vocabulary.glosses[:2]
    original = Checkpoint.build_network

    def half(checkpoint: Checkpoint) -> object:
        network = original(checkpoint)
        with torch.no_grad():
            network.get_parameter("classifier.weight")[:, 1] *= -1  # darkness increases the score of the first gloss
        return network

    monkeypatch.setattr(Checkpoint, "build_network", half)
    explanation = explain(recognizer, square_clip, CamOptions(reference=glosses, layer="layer2"))
    assert [gloss_map.blank_reason is None for gloss_map in explanation.glosses] == [False, True]
    assert any(glosses[0] in warning and "nowhere above zero" in warning for warning in explanation.warnings)
    assert explanation.film.hottest(explanation.glosses[0]) is None


def test_a_long_video_is_refused_without_start_and_end(
    recognizer: Recognizer, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cslr_cli.cam.explain_video.MAX_UNDIVIDED_SECONDS", 0.5)
    with pytest.raises(MediaError, match=r"longer than 0.5 s(.|\n)*--start and --end"):
        explain(recognizer, video)


def test_places_and_times_outside_the_film_are_refused(recognizer: Recognizer, video: Path) -> None:
    with pytest.raises(UsageError, match=r"--place 1,1: outside the part of a frame(.|\n)*x from 2 to 34"):
        explain(recognizer, video, CamOptions(place=(1, 1)))
    with pytest.raises(UsageError, match="--at 99: outside the video"):
        explain(recognizer, video, CamOptions(at=99))


def test_a_place_is_refused_without_correlation_blocks(
    recognizer: Recognizer, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "build_network", lambda checkpoint: random_network("vac").float())
    with pytest.raises(UsageError, match="no correlation blocks"):
        explain(recognizer, video, CamOptions(place=(10, 10)))


def test_corrnet_plus_accepts_a_time_but_no_place(
    recognizer: Recognizer, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = recognizer.checkpoint.vocabulary
    network = random_network("corrnet-plus", num_classes=vocabulary.num_classes).float()
    monkeypatch.setattr(Checkpoint, "build_network", lambda checkpoint: network)
    sentence = vocabulary.glosses[:1]
    with pytest.raises(UsageError, match=r"correlates summaries of frames(.|\n)*remove --place"):
        explain(recognizer, video, CamOptions(reference=sentence, place=(10, 10), at=0.5))
    explanation = explain(recognizer, video, CamOptions(reference=sentence, at=0.5))
    correlations = explanation.correlations
    assert correlations is not None
    assert (correlations.picture, correlations.place) == (12, None)
    assert [maps.offsets[-1] for maps in correlations.correlation_maps] == [1, 3, 5]
    assert write_correlation_sheet(explanation, tmp_path / "correlation.png")
    arrays = explanation_arrays(explanation)
    assert int(arrays["place_picture"]) == 12
    assert "place" not in arrays


def test_a_reference_too_long_for_the_clip_is_refused(recognizer: Recognizer, video: Path) -> None:
    gloss = recognizer.checkpoint.vocabulary.glosses[0]
    with pytest.raises(UsageError, match="200 glosses, more than fit"):
        explain(recognizer, video, CamOptions(reference=(gloss,) * 200))
    with pytest.raises(UsageError, match="the reference has no gloss"):
        explain(recognizer, video, CamOptions(reference=()))
