"""Videos that are not stored as they are shown: turned, by fields, at uneven times, in several sizes or tracks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.media.video_making import (
    AV1,
    BT709_FULL,
    DISPLAY_MATRICES,
    FFV1,
    H264,
    H264_NO_B,
    HEVC,
    MPEG2,
    MPEG4,
    VP8,
    VP9,
    VideoCase,
    encode,
    join_streams,
    remux_with_display_matrix,
    run_program,
    set_display_matrix,
)


def layout_cases() -> Iterator[VideoCase]:
    """Yield all cases of this module."""
    yield from _orientation_cases()
    yield from _field_cases()
    yield from _time_cases()
    yield from _pixel_shape_cases()
    yield from _track_cases()
    yield from _size_change_cases()


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
    yield VideoCase("no_edit_list_mp4", ".mp4", f"{H264} -use_editlist 0", times=even)
    # AVI has an empty packet for each frame that the camera has dropped.
    gap = tuple((n + 3 * (n >= 6)) / 25 for n in range(10))
    yield VideoCase("dropped_frames_avi", ".avi", f"-vsync vfr {MPEG4}", stored="setpts=N+3*gte(N\\,6)", times=gap,
                    is_fast=True)  # fmt: skip
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
