"""Every kind of video is seen as it was filmed, at its times.

The truth is independent of the package: the `ffmpeg` program decodes each file by conversions that the case names, the
scene itself was drawn here, times are read by `ffprobe` or worked out by hand, and flat colours come from the
equations of ITU-T H.273 and ITU-R BT.2100.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.media.frames import open_frames
from cslr_cli.media.options import Segment
from tests.media.video_making import HAS_FFMPEG, VideoCase, decode_truth, encode_values, probe_times
from tests.media.video_matrix import video_cases

pytestmark = pytest.mark.skipif(not HAS_FFMPEG, reason="needs the programs ffmpeg and ffprobe")

# Largest mean difference of a frame, of 255, and largest difference of a time, seconds.
TOLERANCE, TIME_TOLERANCE = 1.5, 0.001

CASES = video_cases()
BY_NAME = {case.name: case for case in CASES}
# Cases of which parts are read.
FAST_PARTS = ("h264_mp4", "h264_ts", "h264_tff_mp4", "vp9_webm", "offset_ts")
SLOW_PARTS = ("h264_mkv", "hevc_mov", "mpeg2_mpg", "xvid_b_frames_avi", "mirror_mp4", "wide_pixels_mkv", "open_gops_ts",
              "wrapped_clock_ts", "fragmented_mp4", "h264_avi", "mpeg2_bff_mpg", "theora_ogv")  # fmt: skip


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Callable[[VideoCase], Path]:
    """Return a function that makes the file of a case once per session."""
    folder = tmp_path_factory.mktemp("videos")
    made: dict[str, Path] = {}

    def make(case: VideoCase) -> Path:
        if case.name not in made:
            try:
                made[case.name] = case.make(folder)
            except RuntimeError as error:
                if "Unknown encoder" not in str(error):
                    raise
                pytest.skip("this ffmpeg lacks the encoder")
        return made[case.name]

    return make


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=() if case.is_fast else pytest.mark.slow) for case in CASES]
)
def test_a_video_is_seen_as_it_was_filmed(case: VideoCase, videos: Callable[[VideoCase], Path]) -> None:
    path = videos(case)
    source = open_frames(path)
    frames = np.stack(list(source.iterate()))
    expected = decode_truth(case, path)
    assert frames.shape == expected.shape
    assert largest_difference(frames, expected) <= TOLERANCE
    if case.loss is not None:
        assert largest_difference(frames, case.scene()) <= case.loss + TOLERANCE
    assert source.timestamps is not None
    times = probe_times(path, stream=case.stream) if case.times is None else np.array(case.times)
    np.testing.assert_allclose(source.timestamps, times, atol=TIME_TOLERANCE)
    assert source.missing is None
    warnings = " ".join(source.warnings)
    assert warnings == "" if case.warning is None else case.warning in warnings


def largest_difference(frames: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    """Return the largest mean difference of a frame."""
    return float(np.abs(frames.astype(np.int16) - expected).mean(axis=(1, 2, 3)).max())


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FAST_PARTS else pytest.mark.slow) for name in (*FAST_PARTS, *SLOW_PARTS)],
)
def test_a_part_of_a_video_has_the_same_frames_as_the_whole(name: str, tmp_path: Path) -> None:
    long = replace(BY_NAME[name], num_frames=100 if BY_NAME[name].rate == "25" else 200, is_fast=False)
    source = open_frames(long.make(tmp_path))
    frames = source.read()
    assert len(frames) == 100
    for start, end in ((0.0, 0.4), (1.0, 1.6), (2.52, 3.0), (3.6, 4.0)):
        part = list(source.read_segment(Segment(start, end), 25.0).frames)
        expected = frames[round(25 * start) : round(25 * end)]
        assert len(part) == len(expected)
        assert largest_difference(np.stack(part), expected) <= TOLERANCE


def test_the_matrix_is_wide() -> None:
    assert len(BY_NAME) == len(CASES) >= 120
    assert sum(case.is_fast for case in CASES) >= 40
    assert len({case.suffix for case in CASES}) >= 20


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("h264_mp4_bt709", {"matrix": "bt601"}),
        ("untagged_720_lines", {"matrix": "bt601"}),
        ("mpeg4_mov_bt709", {"matrix": "bt601"}),
        ("prores_mov_bt709", {"matrix": "bt601"}),
        ("mpeg2_ts_smpte240m", {"matrix": "bt601"}),
        ("vp9_webm_bt709_full", {"is_full_range": False}),
        ("hevc_10_full", {"is_full_range": False}),
        ("mirror_mp4", {"upright": "hflip,vflip,hflip"}),
        ("transposed_mp4", {"upright": "transpose=clock"}),
        ("h264_tff_mp4", {"fields": ""}),
        ("h264_tff_mp4", {"fields": "bwdif=send_frame:bff:all"}),
        ("h264_mixed_fields", {"fields": "bwdif=send_frame:auto:all"}),
        ("alpha_ffv1_yuv", {"fields": ""}),
        ("wide_pixels_mp4", {"scaled": "96:64", "upright": "pad=128:64"}),
    ],
)
def test_a_wrong_conversion_would_be_noticed(
    name: str, wrong: dict[str, Any], videos: Callable[[VideoCase], Path]
) -> None:
    case = BY_NAME[name]
    path = videos(case)
    difference = largest_difference(decode_truth(replace(case, **wrong), path), decode_truth(case, path))
    assert difference > 2 * TOLERANCE


# Flat colours, by hand

COLOURS = np.array([(251, 10, 20), (20, 230, 40), (30, 40, 240), (224, 172, 105), (128, 128, 128), (235, 240, 60)])
_SIDE = 16
# Weights of red and blue in luma, ITU-T H.273, table 4.
LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}


def to_yuv(colours: NDArray[Any], matrix: str, *, is_full_range: bool, bits: int) -> NDArray[np.int64]:
    """Convert RGB, 0 to 255, to stored values by ITU-T H.273, equations 20 to 40."""
    kr, kb = LUMA_WEIGHTS[matrix]
    red, green, blue = colours.T / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    differences = np.stack([(blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))])
    unit = 2 ** (bits - 8)
    if is_full_range:
        stored = [(2**bits - 1) * luma, *((2**bits - 1) * differences + 128 * unit)]
    else:
        stored = [unit * (219 * luma + 16), *(unit * (224 * differences + 128))]
    return np.asarray(np.stack(stored).round().clip(0, 2**bits - 1), dtype=np.int64)


def write_stripes(stored: NDArray[np.int64], bits: int, path: Path, encoder: str, tags: str) -> None:
    """Write three frames of stripes of stored values, (3, N): each stripe one of the N colours."""
    stripes = np.repeat(stored, _SIDE, axis=1)
    values = np.broadcast_to(stripes[None, :, None], (3, 3, _SIDE, stripes.shape[1]))
    if bits == 8:
        encode_values(values.astype(np.uint8), "yuv444p", encoder, path, tags)
    else:
        encode_values(values.astype("<u2"), f"yuv444p{bits}le", encoder, path, tags)


def read_stripes(path: Path) -> NDArray[np.float64]:
    """Return the mean colour of the middle of each stripe over all frames, (N, 3)."""
    frames = open_frames(path).read().astype(np.float64)
    middles = frames.reshape(len(frames), _SIDE, -1, _SIDE, 3)[:, 2:-2, :, 4:-4]
    return np.asarray(middles.mean(axis=(0, 1, 3)))


@pytest.mark.parametrize("is_full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("matrix", LUMA_WEIGHTS)
def test_flat_colours_follow_the_equations_of_the_standard(
    tmp_path: Path, matrix: str, bits: int, is_full_range: bool
) -> None:
    path = tmp_path / "stripes.mkv"
    stored = to_yuv(COLOURS, matrix, is_full_range=is_full_range, bits=bits)
    tags = f"colorspace={matrix}:range={'pc' if is_full_range else 'tv'}"
    write_stripes(stored, bits, path, "-c:v ffv1 -level 3", tags)
    assert np.abs(read_stripes(path) - COLOURS).max() <= 2


@pytest.mark.parametrize(
    ("suffix", "encoder"), [(".mp4", "-c:v libx264 -qp 0"), (".webm", "-c:v libvpx-vp9 -lossless 1")]
)
def test_grey_64_of_full_range_stays_grey_64(tmp_path: Path, suffix: str, encoder: str) -> None:
    path = tmp_path / f"grey{suffix}"
    grey = np.full((1, 3), 64)
    write_stripes(to_yuv(grey, "bt709", is_full_range=True, bits=8), 8, path, encoder, "colorspace=bt709:range=pc")
    assert np.abs(read_stripes(path) - 64).max() <= 1


# HDR, by the numbers of ITU-R BT.2408, table 1: a grey card of 18 % has 26 cd/m² and ordinary white 203 cd/m²

PQ_SIGNALS, HLG_SIGNALS = (0.38, 0.58), (0.38, 0.75)
_HDR_TAGS = "colorspace=bt2020nc:color_primaries=bt2020:range=tv:color_trc="
_HDR_ENCODER = "-c:v libx265 -preset ultrafast -x265-params lossless=1:log-level=none"


def read_hdr_greys(path: Path, signals: NDArray[np.float64], transfer: str) -> NDArray[np.float64]:
    """Write greys of an HDR signal, 0 to 1, as 10-bit HEVC, and return the grey levels that are read."""
    greys = np.repeat(255 * signals[:, None], 3, axis=1)
    stored = to_yuv(greys, "bt2020nc", is_full_range=False, bits=10)
    write_stripes(stored, 10, path, _HDR_ENCODER, f"{_HDR_TAGS}{transfer}")
    read = read_stripes(path)
    assert np.ptp(read, axis=1).max() <= 1  # a grey stays grey
    return np.asarray(read.mean(axis=1))


@pytest.mark.parametrize(
    ("transfer", "grey_card", "white"), [("smpte2084", 0.38, 0.58), ("arib-std-b67", 0.38, 0.75)], ids=["pq", "hlg"]
)
def test_hdr_video_is_shown_on_the_scale_of_ordinary_video(
    tmp_path: Path, transfer: str, grey_card: float, white: float
) -> None:
    path = tmp_path / "hdr.mp4"
    signals = np.append(np.linspace(0, 1, 14), [grey_card, white])
    greys = read_hdr_greys(path, signals, transfer)
    assert greys[0] == 0
    assert (np.diff(greys[:14]) >= 0).all()
    # On a display of gamma 2.4 (ITU-R BT.1886) whose white has 203 cd/m², the grey card has its own brightness.
    assert greys[14] == pytest.approx(255 * (26 / 203) ** (1 / 2.4), abs=4)
    assert 210 <= greys[15] < 255  # ordinary white leaves room for highlights
    assert greys[13] >= 254
    assert any("HDR" in warning for warning in open_frames(path).warnings)


def test_ordinary_video_of_the_same_values_is_not_tone_mapped(tmp_path: Path) -> None:
    path = tmp_path / "wide_gamut.mp4"
    signals = np.linspace(0, 1, 16)
    np.testing.assert_allclose(read_hdr_greys(path, signals, "bt2020-10"), 255 * signals, atol=2)
    assert open_frames(path).warnings == ()
