"""The sheet, the video and the archive of maps, read back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cslr_cli.cam import CamOptions, Explanation, explain, write_correlation_sheet, write_maps, write_sheet, write_video
from cslr_cli.cam.overlay import SIGNED_COLOURS, normalise_maps, overlay_map
from cslr_cli.cam.sheet import Sheet, TextStyle, choose_evenly
from cslr_cli.cam.video import map_of_each_picture
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import UsageError
from cslr_cli.media.frames import open_frames
from cslr_cli.recognizer import Recognizer
from tests.cam.conftest import SQUARE


@pytest.fixture(scope="module")
def explanation(recognizer: Recognizer, tiny_corpus: PreparedCorpus) -> Explanation:
    return explain(recognizer, tiny_corpus.frames_path(tiny_corpus.samples("test")[1]))


def colour(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How far each pixel is from grey: (H, W)."""
    return np.asarray(np.ptp(picture.astype(np.int64), axis=-1))


def test_the_sheet_has_colour_where_the_maps_are_hot(square_explained: Explanation, tmp_path: Path) -> None:
    write_sheet(square_explained, tmp_path / "cam.png")
    picture = cv2.imread(str(tmp_path / "cam.png"))
    assert picture is not None
    gloss_map = square_explained.glosses[0]
    shown = choose_evenly(gloss_map.pictures, 8)
    hottest = max(range(len(shown)), key=lambda column: gloss_map.maps[shown[column] - gloss_map.pictures.start].max())
    # A frame of the first row, as `drawing` lays it out: 200 pixels an inch, a frame an inch wide.
    left, top, scale = round((1.32 + hottest * 1.06) * 200), round(0.40 * 200), 200 / 210
    frame = colour(np.asarray(picture, np.uint8)[top : top + round(260 * scale), left : left + 200])
    frame = frame[: round(250 * scale)]  # the line that marks the gloss' time is below
    rows, columns = np.nonzero(frame > 60)
    assert abs(columns.mean() / scale - SQUARE[0]) < 8
    assert abs(rows.mean() / scale - SQUARE[1]) < 8


def test_the_video_has_the_frames_with_their_maps(square_explained: Explanation, tmp_path: Path) -> None:
    write_video(square_explained, tmp_path / "cam.mp4")
    video = open_frames(tmp_path / "cam.mp4")
    film = square_explained.film
    assert video.num_frames == film.num_pictures
    assert video.fps == pytest.approx(25, rel=0.01)
    owners = map_of_each_picture(square_explained)
    spots = [film.hottest(gloss_map) for gloss_map in square_explained.glosses]
    spot = next(spot for spot in spots if spot is not None and owners[spot.picture] is not None)
    (frame,) = video.read([spot.picture])
    assert frame.shape[1] == 420  # twice as large, for room to write
    assert frame.shape[0] > 520  # and the glosses below
    rows, columns = np.nonzero(colour(frame[60:500]) > 60)  # below the name of the map
    assert abs(columns.mean() / 2 - SQUARE[0]) < 10
    assert abs((rows.mean() + 60) / 2 - SQUARE[1]) < 10


def test_a_video_name_without_mp4_is_refused(square_explained: Explanation, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.mp4"):
        write_video(square_explained, tmp_path / "cam.avi")
    assert not list(tmp_path.iterdir())


def test_the_archive_has_the_documented_arrays(explanation: Explanation, tmp_path: Path) -> None:
    write_maps(explanation, tmp_path / "cam.npz")
    arrays: Any = np.load(tmp_path / "cam.npz")  # without pickles
    table = (Path(__file__).parents[2] / "docs" / "cam.md").read_text(encoding="utf-8")
    for name in arrays.files:
        assert f"`{name.replace('layer2', 'STAGE').replace('layer3', 'STAGE').replace('layer4', 'STAGE')}`" in table
    assert arrays["gloss"].tolist() == [gloss_map.timed.gloss for gloss_map in explanation.glosses]
    for place, gloss_map in enumerate(explanation.glosses):
        own = arrays["map_gloss"] == place
        np.testing.assert_array_equal(arrays["maps"][own], gloss_map.maps)
        assert arrays["map_picture"][own].tolist() == list(gloss_map.pictures)
    assert len(arrays["edges"]) == explanation.film.num_pictures + 1
    assert arrays["identification_layer2"].shape == (explanation.film.num_pictures, 4, 4)
    assert arrays["affinity_layer2"].shape == (len(arrays["offsets_layer2"]), 4, 4)


def test_the_correlation_sheet_is_written_only_for_networks_with_correlation_blocks(
    explanation: Explanation, square_explained: Explanation, tmp_path: Path
) -> None:
    assert write_correlation_sheet(explanation, tmp_path / "correlation.png")
    assert cv2.imread(str(tmp_path / "correlation.png")) is not None
    assert not write_correlation_sheet(square_explained, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize("at", [0.0, 99.0])
def test_a_frame_is_its_own_neighbour_at_the_ends_of_a_clip(
    recognizer: Recognizer, explanation: Explanation, tiny_corpus: PreparedCorpus, tmp_path: Path, at: float
) -> None:
    end = float(explanation.film.edges[-1])
    options = CamOptions(place=(18, 18), at=min(at, end))
    at_the_end = explain(recognizer, tiny_corpus.frames_path(tiny_corpus.samples("test")[1]), options)
    assert at_the_end.correlations is not None
    assert at_the_end.correlations.picture == (0 if at == 0 else explanation.film.num_pictures - 1)
    assert write_correlation_sheet(at_the_end, tmp_path / "correlation.png")


def test_zero_stays_grey_and_signs_differ_in_colour() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    assert (colour(overlay_map(frame, np.zeros((4, 6), np.float32))) == 0).all()
    both = np.array([[1.0, -1.0]], np.float32)
    red, blue = overlay_map(frame[:1, :2], both, SIGNED_COLOURS)[0].astype(int)
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_maps_are_normalised_by_their_largest_value() -> None:
    assert normalise_maps(np.array([[[0.0, -4.0, 2.0]]], np.float32)).tolist() == [[[0.0, -1.0, 0.5]]]
    assert not normalise_maps(np.zeros((1, 2, 2), np.float32)).any()


def test_pictures_are_chosen_evenly() -> None:
    assert choose_evenly(range(10, 30), 4) == [12, 17, 22, 27]
    assert choose_evenly(range(3), 8) == [0, 1, 2]


@given(st.integers(0, 50), st.integers(1, 100), st.data())
def test_an_included_picture_replaces_the_nearest_chosen_one(first: int, number: int, data: st.DataObject) -> None:
    pictures = range(first, first + number)
    wanted = data.draw(st.sampled_from(pictures))
    plain, chosen = choose_evenly(pictures, 8), choose_evenly(pictures, 8, including=wanted)
    assert wanted in chosen
    assert chosen == sorted(set(chosen))
    assert len(chosen) == len(plain)
    assert len(set(chosen) - set(plain)) <= 1


def test_the_hottest_frame_of_a_gloss_is_on_the_sheet(
    square_explained: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cslr_cli.cam.sheet._MAX_COLUMNS", 2)  # so that others are left out
    gloss_map = square_explained.glosses[0]
    for hottest in (0, len(gloss_map.maps) - 1):
        maps = np.zeros_like(gloss_map.maps)
        maps[hottest] = gloss_map.maps.max(axis=0)
        lone = dataclasses.replace(square_explained, glosses=(dataclasses.replace(gloss_map, maps=maps),))
        write_sheet(lone, tmp_path / "cam.png")
        picture = cv2.imread(str(tmp_path / "cam.png"))
        assert picture is not None
        assert (colour(np.asarray(picture, np.uint8))[80:300] > 60).any()


def test_text_fits_on_a_sheet_with_one_frame(explanation: Explanation, tmp_path: Path) -> None:
    gloss_map = explanation.glosses[0]
    short = dataclasses.replace(gloss_map, pictures=gloss_map.pictures[:1], maps=gloss_map.maps[:1])
    assert explanation.correlations is not None
    correlations = dataclasses.replace(explanation.correlations, picture=gloss_map.pictures.start)
    one = dataclasses.replace(explanation, glosses=(short,), correlations=correlations)
    write_sheet(one, tmp_path / "cam.png")
    write_correlation_sheet(one, tmp_path / "correlation.png")
    for name in ("cam.png", "correlation.png"):
        picture = cv2.imread(str(tmp_path / name))
        assert picture is not None
        assert (picture[:, -8:] == 255).all(), f"{name}: something is cut off at its right edge"


def test_a_sheet_of_any_height_can_be_drawn(tmp_path: Path) -> None:
    sheet = Sheet(7, 500)
    sheet.text(0.1, 1, "A-GLOSS-WITH-A-LONG-NAME", TextStyle(7, bold=True), max_width=1)
    sheet.save(tmp_path / "high.png")
    picture = cv2.imread(str(tmp_path / "high.png"))
    assert picture is not None
    assert picture.shape[0] < 2**16, "more pixels than matplotlib of all versions can draw"
    assert picture.shape[0] / picture.shape[1] == pytest.approx(500 / 7, rel=0.01)
    assert not (picture[:, picture.shape[1] // 5 :] < 255).any(), "the name should be as wide as it may be"


def test_glosses_without_a_font_are_drawn_without_a_warning(explanation: Explanation, tmp_path: Path) -> None:
    gloss_map = explanation.glosses[0]
    strange = dataclasses.replace(gloss_map, timed=dataclasses.replace(gloss_map.timed, gloss="\U00013000\U00013001"))
    write_sheet(dataclasses.replace(explanation, glosses=(strange,)), tmp_path / "cam.png")
    assert (tmp_path / "cam.png").is_file()
