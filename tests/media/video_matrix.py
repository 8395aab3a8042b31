"""The matrix of videos: codec × container × colours × depth × orientation × fields × times × pixel shape × tracks.

`video_cases()` lists the cases; `tests/media/video_making.py` makes them. To write all files into a folder:

    python -m tests.media.video_matrix FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.media.video_making import (
    DISPLAY_MATRICES,
    VideoCase,
    encode,
    join_streams,
    remux_with_display_matrix,
    run_program,
    set_display_matrix,
)

H264 = "-c:v libx264 -preset veryfast -crf 8"
H264_NO_B = f"{H264} -bf 0"
HEVC = "-c:v libx265 -preset ultrafast -x265-params log-level=none:crf=8"
VP8 = "-c:v libvpx -deadline realtime -cpu-used 8 -crf 4 -b:v 4M"
VP9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 4 -b:v 0"
AV1 = "-c:v libaom-av1 -usage realtime -cpu-used 8 -crf 8 -b:v 0"
MPEG2 = "-c:v mpeg2video -q:v 1 -bf 2"
MPEG4 = "-c:v mpeg4 -q:v 1"
FFV1 = "-c:v ffv1 -level 3"

# Tags of the filter setparams.
BT709 = "colorspace=bt709:range=tv:color_primaries=bt709:color_trc=bt709"
BT601_FULL = "colorspace=smpte170m:range=pc"
BT709_FULL = "colorspace=bt709:range=pc"
BT2020 = "colorspace=bt2020nc:range=tv:color_primaries=bt2020:color_trc=bt2020-10"
SMPTE240M = "colorspace=smpte240m:range=tv"
FCC = "colorspace=fcc:range=tv"


def video_cases() -> list[VideoCase]:
    """Return all cases."""
    return [
        *_container_cases(),
        *_lossless_and_old_cases(),
        *_colour_cases(),
        *_depth_cases(),
        *_orientation_cases(),
        *_field_cases(),
        *_time_cases(),
        *_pixel_shape_cases(),
        *_alpha_cases(),
        *_transparent_web_cases(),
        *_track_cases(),
        *_size_change_cases(),
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


def _orientation_cases() -> Iterator[VideoCase]:
    """Yield turned and mirrored recordings; a phone stores what its sensor sees, and how to turn it."""
    turned = {"clockwise", "counterclockwise", "transposed", "transverse"}
    for name, (matrix, stored, upright) in DISPLAY_MATRICES.items():
        size = (64, 96) if name in turned else (96, 64)
        case = VideoCase(f"{name}_mp4", ".mp4", H264, size=size, stored=stored, upright=upright)
        yield replace(case, edit=set_display_matrix(matrix), is_fast=name in ("clockwise", "mirror", "transposed"))
        if name in ("counterclockwise", "mirror", "half_turn"):
            yield replace(case, name=f"{name}_mov", suffix=".mov", encoder=HEVC, edit=set_display_matrix(matrix))
        edit = remux_with_display_matrix(matrix)
        yield replace(
            case,
            name=f"{name}_mkv",
            suffix=".mkv",
            encoder=H264_NO_B,
            edit=edit,
            is_fast=name in ("flip", "counterclockwise"),
        )
    clockwise, stored, upright = DISPLAY_MATRICES["clockwise"]
    portrait = VideoCase("", ".mp4", H264, size=(64, 96), stored=stored, upright=upright)
    portrait = replace(portrait, edit=set_display_matrix(clockwise))
    yield replace(portrait, name="clockwise_odd", size=(49, 67), pixel_format="yuv444p")
    yield replace(
        portrait, name="clockwise_bt709_full_10", encoder=HEVC, pixel_format="yuv420p10le", matrix="bt709",
        is_full_range=True, tags=BT709_FULL,
    )  # fmt: skip
    # The stored pictures have 720 lines, the upright ones 64: the stored ones decide about the colours.
    yield replace(portrait, name="clockwise_720_lines", size=(720, 64), matrix="bt709", num_frames=3)
    # Pixels of 4:3 in the stored picture, whose width becomes the height of the upright one.
    yield replace(
        portrait, name="clockwise_wide_pixels", size=(64, 128), stored=f"{stored},scale=96:64,setsar=4/3",
        scaled="128:64", upright=upright,
    )  # fmt: skip
    slanted = VideoCase("slanted_mp4", ".mp4", H264, is_fast=True, warning="30")
    yield replace(slanted, edit=set_display_matrix((0.866025, 0.5, -0.5, 0.866025)))
    # Players ignore the orientation that H.264 itself can state.
    yield VideoCase("orientation_sei", ".mkv", f"{H264} -bsf:v h264_metadata=display_orientation=insert:rotate=90")


def _field_cases() -> Iterator[VideoCase]:
    """Yield interlaced recordings: the two fields of a frame are of different times."""
    top, bottom = "tinterlace=interleave_top:flags=vlpf", "tinterlace=interleave_bottom:flags=vlpf"
    flags = "-flags +ildct+ilme"
    fast = ("h264_tff_mp4", "h264_bff_mkv", "mpeg2_tff_ts", "prores_tff_mov")
    base = VideoCase("", "", "", num_frames=16, rate="50", loss=None)
    for name, suffix, encoder, pixel_format, is_top in (
        ("h264_tff_mp4", ".mp4", f"{H264} {flags} -x264-params tff=1", "yuv420p", True),
        ("h264_bff_mkv", ".mkv", f"{H264} {flags} -x264-params bff=1", "yuv420p", False),
        ("h264_avchd", ".m2ts", f"{H264} {flags} -x264-params tff=1", "yuv420p", True),
        ("h264_tff_422_10", ".mov", f"{H264} {flags} -x264-params tff=1", "yuv422p10le", True),
        ("mpeg2_tff_ts", ".ts", f"{MPEG2} {flags} -top 1", "yuv420p", True),
        ("mpeg2_bff_mpg", ".mpg", f"{MPEG2} {flags} -top 0", "yuv420p", False),
        ("mpeg2_422_mxf", ".mxf", f"{MPEG2} {flags} -top 1", "yuv422p", True),
        ("mpeg4_tff_avi", ".avi", f"{MPEG4} {flags} -top 1", "yuv420p", True),
        ("prores_tff_mov", ".mov", "-c:v prores_ks -flags +ildct", "yuv422p10le", True),
    ):
        stored, order = (top, "tff") if is_top else (bottom, "bff")
        yield replace(
            base, name=name, suffix=suffix, encoder=encoder, pixel_format=pixel_format,
            stored=f"{stored},setfield={order}", fields=f"bwdif=send_frame:{order}:all",
            is_fast=name in fast,
        )  # fmt: skip
    for name, suffix, height, shown_width, rate, pixel_format in (
        ("dv_ntsc_mov", ".mov", 480, 640, "60000/1001", "yuv411p"),
        ("dv_pal_avi", ".avi", 576, 768, "50", "yuv420p"),
        ("dv_pal_raw", ".dv", 576, 768, "50", "yuv420p"),
    ):
        yield replace(
            base, name=name, suffix=suffix, encoder="-c:v dvvideo", size=(shown_width, height), num_frames=4, rate=rate,
            pixel_format=pixel_format, stored=f"scale=720:{height},{bottom},setfield=bff",
            fields="bwdif=send_frame:bff:all", scaled=f"{shown_width}:{height}",
        )  # fmt: skip
    mirror, stored, upright = DISPLAY_MATRICES["clockwise"]
    yield replace(
        base, name="h264_tff_clockwise", suffix=".mp4", encoder=f"{H264} {flags} -x264-params tff=1", size=(64, 96),
        stored=f"{stored},{top},setfield=tff", fields="bwdif=send_frame:tff:all", upright=upright,
        edit=set_display_matrix(mirror),
    )  # fmt: skip
    yield replace(
        base, name="h264_tff_bt709", suffix=".mp4", encoder=f"{H264} {flags} -x264-params tff=1", size=(64, 720),
        num_frames=6, matrix="bt709", stored=f"{top},setfield=tff", fields="bwdif=send_frame:tff:all",
    )  # fmt: skip
    # Progressive video that is encoded by fields, but not flagged, stays as it is.
    yield VideoCase("h264_fake_interlaced", ".mp4", f"{H264} -x264-params fake-interlaced=1")
    yield replace(base, name="h264_mixed_fields", suffix=".ts", encoder=H264, build=_build_mixed_fields,
                  fields="bwdif=send_frame:auto:interlaced", is_fast=True)  # fmt: skip


def _time_cases() -> Iterator[VideoCase]:
    """Yield rates, uneven times, start offsets, edit lists and wrapped clocks."""
    for name, rate in (
        ("ntsc_film", "24000/1001"), ("ntsc", "30000/1001"), ("rate_5", "5"), ("rate_50", "50"), ("rate_60", "60"),
        ("rate_120", "120"), ("rate_12_5", "12.5"),
    ):  # fmt: skip
        yield VideoCase(f"{name}_mp4", ".mp4", H264, rate=rate, is_fast=name == "ntsc")
        yield VideoCase(f"{name}_webm", ".webm", VP9, rate=rate)
    yield VideoCase("ntsc_avi", ".avi", "-c:v mjpeg -q:v 1", rate="30000/1001", pixel_format="yuvj420p",
                    is_full_range=True)  # fmt: skip
    yield VideoCase("ntsc_ts", ".ts", MPEG2, rate="30000/1001")
    uneven = "settb=1/1000,setpts='40*N+15*mod(N\\,3)+200*gte(N\\,6)'"
    for suffix, encoder in (
        (".mp4", H264),
        (".mkv", H264),
        (".webm", VP9),
        (".ts", H264),
        (".mov", "-c:v mjpeg -q:v 1"),
    ):
        motion_jpeg = "mjpeg" in encoder
        yield VideoCase(
            f"uneven_{suffix[1:]}", suffix, f"-vsync vfr -enc_time_base 1/1000 {encoder}", stored=uneven,
            times=tuple((40 * n + 15 * (n % 3) + 200 * (n >= 6)) / 1000 for n in range(10)),
            pixel_format="yuvj420p" if motion_jpeg else "yuv420p", is_full_range=motion_jpeg,
            is_fast=suffix in (".mp4", ".webm"),
        )  # fmt: skip
    even = tuple(index / 25 for index in range(10))
    for suffix, encoder in ((".mp4", H264), (".mkv", H264), (".ts", MPEG2), (".webm", VP9)):
        offset = VideoCase(f"offset_{suffix[1:]}", suffix, f"{encoder} -output_ts_offset 10.5", times=even)
        yield replace(offset, is_fast=suffix == ".ts")
    # The clock of a transport stream has 33 bits, and starts anew after 26.5 hours.
    wrapped = f"{H264} -muxpreload 0 -muxdelay 0 -output_ts_offset 95443.5"
    yield VideoCase(
        "wrapped_clock_ts", ".ts", wrapped, num_frames=20, times=tuple(n / 25 for n in range(20)), is_fast=True
    )
    sound = "-f lavfi -i sine=duration=1.5"
    both = f"-map 0:v -map 1:a {H264} -c:a aac"
    for suffix in (".mp4", ".mkv"):
        yield VideoCase(f"late_video_{suffix[1:]}", suffix, f"-vsync passthrough {both}", inputs=sound, times=even,
                        stored="setpts=PTS+0.4/TB", is_fast=suffix == ".mp4")  # fmt: skip
    yield VideoCase("longer_sound_mkv", ".mkv", both, inputs=sound, times=even, is_fast=True)
    yield VideoCase("longer_sound_ts", ".ts", both, inputs=sound, times=even)
    yield VideoCase("trimmed_mp4", ".mp4", H264, num_frames=14, first_frame=6, build=_build_trimmed, is_fast=True)
    yield VideoCase("trimmed_mov", ".mov", HEVC, num_frames=14, first_frame=6, build=_build_trimmed)
    yield VideoCase("deep_b_frames_mp4", ".mp4", f"{H264} -bf 6 -b_strategy 0 -x264-params b-pyramid=normal",
                    num_frames=25, times=tuple(n / 25 for n in range(25)), is_fast=True)  # fmt: skip
    yield VideoCase("open_gops_ts", ".ts", f"{H264} -bf 3 -g 5 -x264-params open-gop=1:keyint=5", num_frames=20,
                    times=tuple(n / 25 for n in range(20)))  # fmt: skip
    yield VideoCase("one_frame_mp4", ".mp4", H264, num_frames=1)
    yield VideoCase("two_frames_webm", ".webm", VP9, num_frames=2)


def _pixel_shape_cases() -> Iterator[VideoCase]:
    """Yield pixels that are not square, and odd sizes."""
    for name, suffix, encoder, stored_width, aspect, shown_width in (
        ("wide_pixels_mp4", ".mp4", H264, 96, "4/3", 128),
        ("wide_pixels_mkv", ".mkv", f"{FFV1}", 96, "16/11", 140),
        ("narrow_pixels_mp4", ".mp4", H264, 128, "8/9", 114),
        ("narrow_pixels_ts", ".ts", H264, 128, "1/2", 64),
        ("wide_pixels_vp9", ".webm", VP9, 64, "2/1", 128),
        ("wide_pixels_mpeg4", ".avi", MPEG4, 96, "12/11", 105),
        ("almost_square_pixels", ".ts", H264, 96, "128/127", 96),
        ("absurd_pixels", ".mp4", H264, 96, "8/1", 96),
    ):
        yield VideoCase(
            name, suffix, encoder, size=(shown_width, 64), stored=f"scale={stored_width}:64,setsar={aspect}:max=1000",
            scaled=f"{shown_width}:64", is_fast=name in ("wide_pixels_mp4", "wide_pixels_mkv"),
        )  # fmt: skip
    for name, suffix, encoder, size, pixel_format in (
        ("odd_h264", ".mp4", H264, (97, 65), "yuv444p"),
        ("odd_vp9", ".webm", VP9, (97, 65), "yuv420p"),
        ("odd_vp8", ".webm", VP8, (97, 65), "yuv420p"),
        ("odd_av1", ".mp4", AV1, (97, 65), "yuv420p"),
        ("odd_ffv1", ".mkv", FFV1, (97, 65), "yuv420p"),
        ("odd_mpeg4", ".avi", MPEG4, (97, 65), "yuv420p"),
        ("odd_mpeg2", ".ts", MPEG2, (97, 65), "yuv420p"),
        ("cropped_h264", ".mp4", H264, (70, 54), "yuv420p"),
        ("cropped_hevc", ".mp4", HEVC, (70, 54), "yuv420p"),
    ):
        case = VideoCase(name, suffix, encoder, size=size, pixel_format=pixel_format)
        yield replace(case, is_fast=name in ("odd_vp9", "cropped_hevc"))
    yield VideoCase(
        "odd_mjpeg", ".avi", "-c:v mjpeg -q:v 1", size=(97, 65), pixel_format="yuvj420p", is_full_range=True
    )
    yield VideoCase("odd_png", ".mov", "-c:v png", size=(97, 65), pixel_format="rgb24", matrix=None)
    yield VideoCase("tiny_ffv1", ".mkv", FFV1, size=(2, 2), pixel_format="yuv444p", loss=None)


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


def _track_cases() -> Iterator[VideoCase]:
    """Yield several tracks: the default one is shown, otherwise the largest; cover art never."""
    still = "-f lavfi -i color=red:size=64x64:duration=0.4"
    larger = "-f lavfi -i color=red:size=160x120:duration=0.4"
    two = f"-map 1:v -map 0:v {H264}"
    yield VideoCase("second_track_default_mp4", ".mp4", f"{two} -disposition:v:0 0 -disposition:v:1 default",
                    build=_build_second_track, inputs=still, stream=1, is_fast=True)  # fmt: skip
    yield VideoCase("second_track_default_mkv", ".mkv", f"{two} -disposition:v:0 0 -disposition:v:1 default",
                    build=_build_second_track, inputs=larger, stream=1)  # fmt: skip
    plain = f"{two} -disposition:v:0 0 -disposition:v:1 0 -default_mode passthrough"
    yield VideoCase("no_default_track_mkv", ".mkv", plain, build=_build_second_track, inputs=still, stream=1)
    yield VideoCase("cover_art_mp4", ".mp4", f"{two} -c:v:0 png -disposition:v:0 attached_pic",
                    build=_build_second_track, inputs="-f lavfi -i color=red:size=160x120:duration=0.04",
                    is_fast=True)  # fmt: skip
    sound = "-f lavfi -i sine=duration=0.4"
    yield VideoCase("sound_first_mp4", ".mp4", f"-map 1:a -map 0:v {H264} -c:a aac", inputs=sound)
    yield VideoCase("timecode_track_mov", ".mov", f"{H264} -timecode 01:00:00:00")
    yield VideoCase("two_sounds_ts", ".ts", f"-map 1:a -map 0:v -map 1:a {H264} -c:a mp2", inputs=sound)


def _size_change_cases() -> Iterator[VideoCase]:
    """Yield recordings whose picture size changes; a telephone call does so when the line gets worse."""
    for name, suffix, encoder in (
        ("size_change_h264_ts", ".ts", H264),
        ("size_change_vp8_webm", ".webm", VP8),
        ("size_change_vp9_mkv", ".mkv", VP9),
        ("size_change_hevc_ts", ".ts", HEVC),
    ):
        yield VideoCase(name, suffix, encoder, num_frames=14, build=_build_shrinking, scaled="96:64",
                        warning="size", is_fast=name.endswith(("h264_ts", "vp8_webm")))  # fmt: skip
    yield VideoCase("size_grows_vp8_webm", ".webm", VP8, num_frames=14, build=_build_growing, scaled="96:64",
                    warning="size", is_fast=True)  # fmt: skip


def _build_mixed_fields(case: VideoCase, path: Path) -> None:
    """Join interlaced and progressive pictures of H.264; each frame is flagged for itself."""
    scene = case.scene()
    fields = replace(
        case, build=None, stored="tinterlace=interleave_top:flags=vlpf,setfield=tff",
        encoder=f"{H264} -flags +ildct+ilme -x264-params tff=1",
    )  # fmt: skip
    parts = [path.with_name(f"{number}{path.name}") for number in range(2)]
    encode(fields, parts[0], scene)
    lined = scene[:6].clip(20, 235)  # fine lines, which a filter for fields would blur
    lined[:, ::2] -= 20
    lined[:, 1::2] += 20
    encode(replace(case, build=None), parts[1], lined)
    join_streams(parts, path)


def _build_trimmed(case: VideoCase, path: Path) -> None:
    """Cut off the first frames without encoding anew: the edit list tells players to begin within the group."""
    whole = path.with_name(f"whole_{path.name}")
    whole_case = replace(case, num_frames=case.num_frames + case.first_frame, first_frame=0)
    encode(whole_case, whole, whole_case.scene())
    run_program("ffmpeg -v error -y -ss 0.24", ["-i", str(whole), "-c", "copy", str(path)])


def _build_second_track(case: VideoCase, path: Path) -> None:
    """Encode the scene as the second video track."""
    first = path.with_name(f"scene_{path.name}.mkv")
    encode(replace(case, encoder=FFV1, inputs="", build=None), first, case.scene())
    run_program("ffmpeg -v error -y -i", [str(first), *case.inputs.split(), *case.encoder.split(), str(path)])


def _build_shrinking(case: VideoCase, path: Path) -> None:
    """Let the last five pictures be smaller than the others."""
    _build_two_sizes(case, path, 9, ("", "scale=64:48:flags=area"))


def _build_growing(case: VideoCase, path: Path) -> None:
    """Let the first five pictures be smaller than the others."""
    _build_two_sizes(case, path, 5, ("scale=64:48:flags=area", ""))


def _build_two_sizes(case: VideoCase, path: Path, change: int, stored: tuple[str, str]) -> None:
    parts = [path.with_name(f"{number}{path.name}") for number in range(2)]
    for part, filters, scene in zip(parts, stored, (case.scene()[:change], case.scene()[change:]), strict=True):
        encode(replace(case, build=None, stored=filters), part, scene)
    join_streams(parts, path)


def main() -> None:
    """Write the files of all cases into the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for case in video_cases():
        print(case.make(folder))


if __name__ == "__main__":
    main()
