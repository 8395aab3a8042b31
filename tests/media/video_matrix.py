"""The matrix of videos: codec × container × colours × depth, and the layout of pictures and times.

`video_cases()` lists the cases; `tests/media/video_making.py` makes them. To write all files into a folder:

    python -m tests.media.video_matrix FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.media.video_layout_cases import layout_cases
from tests.media.video_making import (
    AV1,
    BT601_FULL,
    BT709,
    BT709_FULL,
    BT2020,
    FCC,
    FFV1,
    H264,
    H264_NO_B,
    HEVC,
    MPEG2,
    MPEG4,
    SMPTE240M,
    VP8,
    VP9,
    VideoCase,
)


def video_cases() -> list[VideoCase]:
    """Return all cases."""
    return [
        *_container_cases(),
        *_lossless_and_old_cases(),
        *_colour_cases(),
        *_depth_cases(),
        *_alpha_cases(),
        *_transparent_web_cases(),
        *layout_cases(),
    ]


def _container_cases() -> Iterator[VideoCase]:
    """Yield the codecs of cameras and the Internet in their containers, without any description of the colours."""
    fast = ("h264.mp4", "h264.ts", "h264.avi", "hevc.mkv", "vp8.webm", "vp9.webm", "av1.mp4", "mpeg4.avi")
    even = tuple(index / 25 for index in range(10))
    for codec, encoder, suffixes in (
        ("h264", H264, (".mp4", ".mov", ".mkv", ".ts", ".m2ts", ".flv", ".nut", ".3gp")),
        ("hevc", HEVC, (".mp4", ".mov", ".mkv", ".ts")),
        ("vp8", VP8, (".webm", ".mkv", ".avi")),
        ("vp9", VP9, (".webm", ".mp4", ".mkv", ".ivf")),
        ("av1", AV1, (".mp4", ".webm", ".mkv")),
        ("mpeg2", MPEG2, (".ts", ".mkv", ".mxf")),
        ("mpeg4", MPEG4, (".mp4", ".avi", ".mkv", ".3gp")),
    ):
        for suffix in suffixes:
            yield VideoCase(f"{codec}_{suffix[1:]}", suffix, encoder, is_fast=codec + suffix in fast)
    # A program stream states the times of some frames only, a raw stream and AVI with B-frames of none.
    for suffix in (".mpg", ".vob"):
        yield VideoCase(f"mpeg2_{suffix[1:]}", suffix, MPEG2, times=even, is_fast=suffix == ".mpg")
    yield VideoCase("mpeg1_mpg", ".mpg", "-c:v mpeg1video -q:v 1", times=even)
    yield VideoCase("h264_avi", ".avi", H264, times=even, is_fast=True)
    yield VideoCase("xvid_b_frames_avi", ".avi", f"{MPEG4} -bf 2 -vtag xvid", times=even, is_fast=True)
    yield VideoCase("h264_raw", ".h264", H264, times=even)
    yield VideoCase("hevc_raw", ".hevc", HEVC, times=even)
    yield VideoCase("mpeg2_raw", ".m2v", MPEG2, times=even)
    yield VideoCase("fragmented_mp4", ".mp4", f"{H264} -g 4 -movflags +frag_keyframe+empty_moov")
    yield VideoCase("live_webm", ".webm", f"{VP9} -live 1", is_fast=True)


def _lossless_and_old_cases() -> Iterator[VideoCase]:
    """Yield codecs of editing programs, of old cameras and of screen recorders."""
    full_jpeg = VideoCase(
        "mjpeg_avi", ".avi", "-c:v mjpeg -q:v 1", pixel_format="yuvj420p", is_full_range=True, is_fast=True
    )
    yield full_jpeg
    yield replace(full_jpeg, name="mjpeg_mov_422", suffix=".mov", pixel_format="yuvj422p", is_fast=False)
    yield replace(full_jpeg, name="mjpeg_mkv_444", suffix=".mkv", pixel_format="yuvj444p", is_fast=False)
    rgb = VideoCase("", "", "", matrix=None, loss=0.5)
    for name, suffix, encoder, pixel_format in (
        ("huffyuv_rgb_avi", ".avi", "huffyuv", "rgb24"),
        ("ffvhuff_bgr0_avi", ".avi", "ffvhuff", "bgra"),
        ("utvideo_rgb_avi", ".avi", "utvideo", "gbrp"),
        ("magicyuv_rgb_avi", ".avi", "magicyuv", "gbrp"),
        ("raw_rgb_avi", ".avi", "rawvideo", "bgr24"),
        ("raw_rgb_nut", ".nut", "rawvideo", "rgb24"),
        ("png_mov", ".mov", "png", "rgb24"),
        ("qtrle_mov", ".mov", "qtrle", "rgb24"),
        ("zmbv_avi", ".avi", "zmbv", "bgr0"),
        ("ffv1_rgb_mkv", ".mkv", "ffv1", "bgr0"),
        ("h264_rgb_mp4", ".mp4", "libx264rgb -qp 0", "rgb24"),
        ("flashsv_flv", ".flv", "flashsv", "bgr24"),
        ("r210_mov", ".mov", "r210", "gbrp10"),
    ):
        yield replace(rgb, name=name, suffix=suffix, encoder=f"-c:v {encoder}", pixel_format=pixel_format)
    yield replace(rgb, name="cinepak_avi", suffix=".avi", encoder="-c:v cinepak", pixel_format="rgb24", loss=12.0)
    yield replace(rgb, name="msvideo1_avi", suffix=".avi", encoder="-c:v msvideo1", pixel_format="rgb555", loss=20.0)
    for name, suffix, encoder, pixel_format in (
        ("huffyuv_422_avi", ".avi", "huffyuv", "yuv422p"),
        ("ffv1_mkv", ".mkv", "ffv1", "yuv420p"),
        ("ffv1_avi_411", ".avi", "ffv1", "yuv411p"),
        ("raw_yuv_avi", ".avi", "rawvideo -vtag I420", "yuv420p"),
        ("raw_uyvy_mov", ".mov", "rawvideo -vtag 2vuy", "uyvy422"),
        ("y4m", ".y4m", "wrapped_avframe -f yuv4mpegpipe", "yuv420p"),
        ("v210_mov", ".mov", "v210", "yuv422p10le"),
        ("prores_mov", ".mov", "prores_ks -profile:v hq", "yuv422p10le"),
        ("cineform_mov", ".mov", "cfhd", "yuv422p10le"),
        ("jpeg2000_mov", ".mov", "jpeg2000 -q:v 1", "yuv420p"),
        ("theora_ogv", ".ogv", "libtheora -q:v 10", "yuv420p"),
        ("msmpeg4v2_avi", ".avi", "msmpeg4v2 -q:v 1", "yuv420p"),
        ("divx3_avi", ".avi", "msmpeg4 -q:v 1", "yuv420p"),
        ("wmv1_wmv", ".wmv", "wmv1 -q:v 1", "yuv420p"),
        ("wmv2_wmv", ".wmv", "wmv2 -q:v 1", "yuv420p"),
        ("flv1_flv", ".flv", "flv -q:v 1", "yuv420p"),
        ("svq1_mov", ".mov", "svq1 -q:v 1", "yuv410p"),
        ("snow_avi", ".avi", "snow -q:v 1 -strict -2", "yuv420p"),
        ("rv20_rm", ".rm", "rv20 -q:v 1", "yuv420p"),
    ):
        case = VideoCase(name, suffix, f"-c:v {encoder}", pixel_format=pixel_format, loss=5.0)
        yield replace(case, is_fast=name in ("ffv1_mkv", "prores_mov", "divx3_avi"))
    # H.263 has pixels of 12:11.
    yield VideoCase("h263_3gp", ".3gp", "-c:v h263 -q:v 1", size=(140, 96), stored="scale=128:96", scaled="140:96")
    # These two name BT.709 in their own headers, whatever the container says.
    yield VideoCase("vc2_mkv", ".mkv", "-c:v vc2 -b:v 20M", pixel_format="yuv422p", matrix="bt709")
    yield VideoCase("dnxhr_mov", ".mov", "-c:v dnxhd -profile:v dnxhr_hq", size=(256, 120), num_frames=3,
                    pixel_format="yuv422p", matrix="bt709")  # fmt: skip
    for suffix, shown in ((".gif", ""), (".apng", "-plays 0")):
        yield VideoCase(
            f"animated_{suffix[1:]}", suffix, shown, matrix=None,
            pixel_format="rgb8" if suffix == ".gif" else "rgb24",
            loss=20.0 if suffix == ".gif" else 0.5, is_fast=True,
        )  # fmt: skip


def _colour_cases() -> Iterator[VideoCase]:
    """Yield matrix and range, described by the codec, by the container, or by nobody."""
    codecs = {
        "h264_mp4": (".mp4", H264), "h264_ts": (".ts", H264), "h264_avi": (".avi", H264_NO_B),
        "hevc_mp4": (".mp4", HEVC), "vp9_webm": (".webm", VP9), "av1_mp4": (".mp4", AV1),
        "mpeg2_ts": (".ts", MPEG2), "ffv1_mkv": (".mkv", FFV1),
        "mpeg4_mov": (".mov", f"{MPEG4} -movflags +write_colr"),
        "prores_mov": (".mov", "-c:v prores_ks -profile:v hq"),
    }  # fmt: skip
    described = {
        "bt709": ("bt709", False, BT709),
        "bt709_full": ("bt709", True, BT709_FULL),
        "bt601_full": ("bt601", True, BT601_FULL),
        "smpte240m": ("smpte240m", False, SMPTE240M),
        "fcc": ("fcc", False, FCC),
        "bt2020": ("bt2020", False, BT2020),
    }
    # What a codec and its container cannot describe is left out.
    chosen = {
        "h264_mp4": ("bt709", "bt709_full", "bt601_full", "smpte240m", "fcc", "bt2020"),
        "h264_ts": ("bt709", "bt709_full"),
        "h264_avi": ("bt709", "bt601_full"),
        "hevc_mp4": ("bt709", "bt709_full", "bt601_full", "bt2020"),
        "vp9_webm": ("bt709", "bt709_full", "bt601_full", "smpte240m", "bt2020"),
        "av1_mp4": ("bt709", "bt709_full", "bt2020"),
        "mpeg2_ts": ("bt709", "smpte240m"),
        "ffv1_mkv": ("bt709", "bt709_full", "bt601_full"),
        "mpeg4_mov": ("bt709",),
        "prores_mov": ("bt709", "bt2020"),
    }
    fast = {"h264_mp4_bt709", "h264_mp4_bt601_full", "h264_ts_bt709", "hevc_mp4_bt709_full", "vp9_webm_bt709_full"}
    fast |= {"mpeg4_mov_bt709", "av1_mp4_bt2020", "mpeg2_ts_smpte240m", "prores_mov_bt709"}
    for codec, colours in chosen.items():
        suffix, encoder = codecs[codec]
        pixel_format = "yuv422p10le" if codec.startswith("prores") else "yuv420p"
        for colour in colours:
            matrix, is_full_range, tags = described[colour]
            name = f"{codec}_{colour}"
            yield VideoCase(
                name, suffix, encoder, matrix=matrix, is_full_range=is_full_range, tags=tags,
                pixel_format=pixel_format, is_fast=name in fast,
            )  # fmt: skip
    # Video that says nothing is BT.709 from 720 lines on.
    for name, size, matrix in (
        ("untagged_720_lines", (64, 720), "bt709"),
        ("untagged_1080_lines", (32, 1080), "bt709"),
        ("untagged_704_lines", (64, 704), "bt601"),
        ("untagged_wide_576_lines", (1280, 64), "bt601"),
    ):
        yield VideoCase(name, ".mp4", H264, size=size, matrix=matrix, num_frames=3, is_fast="720" in name)
    yield VideoCase("tagged_bt601_720_lines", ".mp4", H264, size=(64, 720), num_frames=3,
                    tags="colorspace=smpte170m:range=tv", is_fast=True)  # fmt: skip


def _depth_cases() -> Iterator[VideoCase]:
    """Yield 8 to 16 bits, all chroma formats, and grey."""
    fast = ("hevc_10_full", "h264_10", "vp9_444", "ffv1_gray")
    for name, suffix, encoder, pixel_format, matrix, is_full_range, tags in (
        ("h264_10", ".mp4", H264, "yuv420p10le", "bt709", False, BT709),
        ("h264_422", ".mkv", H264, "yuv422p", "bt601", False, ""),
        ("h264_422_10", ".mov", H264, "yuv422p10le", "bt709", False, BT709),
        ("h264_444", ".mp4", H264, "yuv444p", "bt601", False, ""),
        ("h264_444_full", ".mp4", H264, "yuv444p", "bt709", True, BT709_FULL),
        ("hevc_10", ".mp4", HEVC, "yuv420p10le", "bt2020", False, BT2020),
        ("hevc_10_full", ".mp4", HEVC, "yuv420p10le", "bt709", True, BT709_FULL),
        ("hevc_12", ".mkv", HEVC, "yuv420p12le", "bt709", False, BT709),
        ("hevc_422_10", ".mp4", HEVC, "yuv422p10le", "bt709", False, BT709),
        ("hevc_444", ".mkv", HEVC, "yuv444p", "bt601", False, ""),
        ("vp9_10", ".webm", VP9, "yuv420p10le", "bt709", False, BT709),
        ("vp9_12_full", ".webm", VP9, "yuv420p12le", "bt709", True, BT709_FULL),
        ("vp9_444", ".webm", VP9, "yuv444p", "bt709", False, BT709),
        ("av1_10", ".mp4", AV1, "yuv420p10le", "bt709", False, BT709),
        ("ffv1_422_10", ".mkv", FFV1, "yuv422p10le", "bt709", False, BT709),
        ("ffv1_444_16", ".mkv", FFV1, "yuv444p16le", "bt709", False, BT709),
        ("ffv1_410", ".mkv", FFV1, "yuv410p", "bt601", False, ""),
        ("ffv1_440", ".mkv", FFV1, "yuv440p", "bt601", False, ""),
    ):
        yield VideoCase(
            name, suffix, encoder, pixel_format=pixel_format, matrix=matrix, is_full_range=is_full_range,
            tags=tags, is_fast=name in fast,
        )  # fmt: skip
    yield VideoCase("ffv1_rgb_10", ".mkv", FFV1, pixel_format="gbrp10le", matrix=None, loss=0.5)
    yield VideoCase("ffv1_rgb_16", ".mkv", FFV1, pixel_format="rgb48le", matrix=None, loss=0.5)
    for name, suffix, encoder, pixel_format, is_full_range in (
        ("ffv1_gray", ".mkv", FFV1, "gray", True),
        ("ffv1_gray_10", ".mkv", FFV1, "gray10le", True),
        ("ffv1_gray_16", ".mkv", FFV1, "gray16le", True),
        ("h264_gray_full", ".mp4", H264, "gray", True),
        ("h264_gray_10_limited", ".mp4", H264, "gray10le", False),
        ("hevc_gray_limited", ".mp4", HEVC, "gray", False),
    ):
        yield VideoCase(
            name, suffix, encoder, pixel_format=pixel_format, is_full_range=is_full_range, loss=None,
            tags=f"colorspace=bt709:range={'pc' if is_full_range else 'tv'}", is_fast=name in fast,
        )  # fmt: skip


def _alpha_cases() -> Iterator[VideoCase]:
    """Yield transparent pictures, which are shown over black."""
    fade = "format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*X/(W-1)'"
    over_black = "format=gbrap,premultiply=inplace=1,format=gbrp"
    for name, suffix, encoder, pixel_format, matrix in (
        ("alpha_qtrle", ".mov", "-c:v qtrle", "argb", None),
        ("alpha_png", ".mov", "-c:v png", "rgba", None),
        ("alpha_ffv1", ".mkv", FFV1, "bgra", None),
        ("alpha_ffv1_yuv", ".mkv", FFV1, "yuva420p", "bt601"),
        ("alpha_ffv1_yuv_10", ".mkv", FFV1, "yuva444p10le", "bt601"),
        ("alpha_prores", ".mov", "-c:v prores_ks -profile:v 4444 -alpha_bits 16", "yuva444p10le", "bt601"),
        ("alpha_utvideo", ".avi", "-c:v utvideo", "gbrap", None),
        ("alpha_apng", ".apng", "-plays 0", "rgba", None),
    ):
        colours = "" if matrix is None else f"scale=in_color_matrix={matrix}:in_range=tv:out_range=pc,"
        yield VideoCase(
            name, suffix, encoder, pixel_format=pixel_format, matrix=matrix, stored=fade,
            fields=f"{colours}{over_black}", loss=None, is_fast=name in ("alpha_qtrle", "alpha_ffv1_yuv", "alpha_apng"),
        )  # fmt: skip


def _transparent_web_cases() -> Iterator[VideoCase]:
    """Yield WebM with a second picture for the transparency, which only some decoders read."""
    template = next(case for case in _alpha_cases() if case.name == "alpha_ffv1_yuv")
    for name, encoder, decoder in (("alpha_vp8", VP8, "libvpx"), ("alpha_vp9", VP9, "libvpx-vp9")):
        encoder = f"{encoder} -auto-alt-ref 0"
        yield replace(template, name=name, suffix=".webm", encoder=encoder, decoder=f"-c:v {decoder}", is_fast=False)


def main() -> None:
    """Write the files of all cases into the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for case in video_cases():
        print(case.make(folder))


if __name__ == "__main__":
    main()
