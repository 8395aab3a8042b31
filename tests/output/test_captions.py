from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.errors import MediaError, UsageError
from cslr_cli.media import video_writer
from cslr_cli.media.frames import open_frames
from cslr_cli.output import fonts
from cslr_cli.output.captions import render_captions
from cslr_cli.output.fonts import CaptionFont, find_font
from cslr_cli.progress import Progress
from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss

WIDTH, HEIGHT, FPS, NUM_FRAMES = 160, 120, 20.0, 40
GREY = 120


def write_video(
    path: Path, num_frames: int = NUM_FRAMES, fps: float = FPS, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    for _ in range(num_frames):
        writer.write(np.full((size[1], size[0], 3), GREY, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of grey."""
    return write_video(tmp_path_factory.mktemp("grey") / "talk.mp4")


@pytest.fixture(scope="module")
def font() -> CaptionFont:
    return find_font(["GLOSS"])


def recognised(*glosses: TimedGloss, start: float = 0.0, duration: float = NUM_FRAMES / FPS) -> Recognition:
    return Recognition("talk", glosses, -1.0, round(25 * duration), 25.0, duration, (), start=start)


def rendered(
    video: Path, output: Path, recognition: Recognition, font: CaptionFont, **others: Any
) -> NDArray[np.uint8]:
    """The frames of the captioned video, uint8 (T, H, W, 3)."""
    render_captions(video, recognition, output, font, **others)
    return open_frames(output).read()


def caption_is_shown(frames: NDArray[np.uint8]) -> list[bool]:
    """For each frame whether there is white text above the time line, in the middle of the picture's width."""
    region = frames[:, HEIGHT - 24 : HEIGHT - 13, WIDTH // 4 : -WIDTH // 4]
    return [bool(value) for value in (region.min(axis=3) > 170).sum(axis=(1, 2)) > 10]


def test_a_gloss_is_shown_only_while_it_is_signed(video: Path, tmp_path: Path, font: CaptionFont) -> None:
    glosses = (TimedGloss("HELLO", 0.3, 0.7), TimedGloss("WORLD", 1.4, 1.75))
    shown = caption_is_shown(rendered(video, tmp_path / "out.mp4", recognised(*glosses), font))
    assert [place for place, is_shown in enumerate(shown) if is_shown] == [*range(6, 14), *range(28, 35)]


def test_the_frame_above_the_band_is_unchanged(video: Path, tmp_path: Path, font: CaptionFont) -> None:
    frames = rendered(video, tmp_path / "out.mp4", recognised(TimedGloss("HELLO", 0.0, 2.0)), font)
    assert frames.shape == (NUM_FRAMES, HEIGHT, WIDTH, 3)
    above = frames[:, : HEIGHT // 2].astype(int)
    assert np.abs(above - GREY).max() < 12
    assert frames[:, -3:].mean() < GREY - 20  # the band is darker


def test_the_time_line_shows_glosses_at_their_times_and_a_moving_mark(
    video: Path, tmp_path: Path, font: CaptionFont
) -> None:
    frames = rendered(video, tmp_path / "out.mp4", recognised(TimedGloss("X", 0.5, 1.0)), font)
    line = frames[:, HEIGHT - 4].astype(int)  # (T, W, 3)
    colourful = (line.max(axis=2) - line.min(axis=2)) > 40
    columns = np.flatnonzero(colourful[30])
    assert columns.min() / WIDTH == pytest.approx(0.25, abs=0.03)
    assert columns.max() / WIDTH == pytest.approx(0.5, abs=0.03)
    brightest = line[:, 80:].min(axis=2).argmax(axis=1) + 80  # where there is no gloss
    assert np.abs(brightest[22:] - (np.arange(22, NUM_FRAMES) + 0.5) / NUM_FRAMES * WIDTH).max() <= 2


def probe(path: Path) -> dict[str, Any]:
    asked = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v",
        "-count_frames",
        "-show_streams",
        "-of",
        "json",
        str(path),
    ]
    streams = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)["streams"]
    assert len(streams) == 1
    return dict(streams[0])


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize(("fps", "size"), [(20.0, (160, 120)), (29.97, (120, 160)), (12.5, (97, 71))])
def test_the_video_has_the_rate_size_and_codec_that_are_reported(
    tmp_path: Path, font: CaptionFont, fps: float, size: tuple[int, int]
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(8):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((size[1], size[0], 3), 50, np.uint8))
    result = render_captions(pictures, recognised(duration=8 / fps), tmp_path / "out.mp4", font, fps=fps)
    stream = probe(tmp_path / "out.mp4")
    assert (stream["width"], stream["height"]) == tuple(side + side % 2 for side in size)
    numerator, denominator = map(int, stream["avg_frame_rate"].split("/"))
    assert numerator / denominator == pytest.approx(fps, rel=1e-3)
    assert int(stream["nb_read_frames"]) == result.num_frames == 8
    assert stream["pix_fmt"] == "yuv420p"  # what browsers show
    assert stream["codec_name"] == {"H.264": "h264", "VP9": "vp9"}[result.codec]


def test_without_an_h264_encoder_the_video_has_another_browser_codec(
    video: Path, tmp_path: Path, font: CaptionFont, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_writer, "_ENCODERS", video_writer._ENCODERS[1:])
    result = render_captions(video, recognised(), tmp_path / "out.mp4", font)
    assert result.codec == "VP9"
    assert open_frames(result.path).num_frames == NUM_FRAMES


def test_a_failing_encoder_is_an_error_and_leaves_no_file(
    video: Path, tmp_path: Path, font: CaptionFont, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def push(self, frame: object) -> None:
            raise av.error.ExternalError(1, "no more memory on the card")

    monkeypatch.setattr(video_writer, "make_graph", lambda *_: Broken())
    (tmp_path / "out").mkdir()
    with pytest.raises(MediaError, match=r"out\.mp4: the video could not be written completely") as caught:
        render_captions(video, recognised(), tmp_path / "out" / "out.mp4", font)
    assert "no more memory on the card" in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_only_the_part_that_was_recognised_is_written(tmp_path: Path, font: CaptionFont) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(20):
        cv2.imwrite(str(pictures / f"{number:02d}.png"), np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8))
    recognition = recognised(TimedGloss("HELLO", 1.2, 1.4), start=1.0, duration=0.6)
    frames = rendered(pictures, tmp_path / "out.mp4", recognition, font, fps=10.0)
    assert [round(float(frame[:50].mean()) / 10) for frame in frames] == [10, 11, 12, 13, 14, 15]
    assert caption_is_shown(frames) == [False, False, True, True, False, False]


def make_recording(path: Path, *options: str) -> Path:
    """Six seconds of film with a variable frame rate, and a rising tone, of which no two moments are alike."""
    picture = "testsrc=size=64x48:rate=25:duration=6,select='lt(mod(n,7),3)+gt(t,4)'"
    tone = "aevalsrc=0.5*sin(2*PI*(200+150*t)*t):s=16000:d=6"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-fps_mode", "vfr", *options, str(path)], check=True)
    return path


def frame_times(path: Path) -> NDArray[np.float64]:
    asked = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0"]
    printed = subprocess.run([*asked, str(path)], capture_output=True, text=True, check=True).stdout
    return np.array([float(line.strip(",")) for line in printed.split()])


def sound_of(path: Path) -> NDArray[np.float32]:
    asked = ["ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-map", "0:a:0", "-ac", "1"]
    asked += ["-af", "aresample=16000:async=1:first_pts=0", "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(asked, capture_output=True, check=True).stdout, np.float32)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize(("start", "end"), [(0.0, 6.0), (1.0, 3.5), (4.2, 6.0)])
@pytest.mark.parametrize(("codec", "sound"), [("aac", "copied"), ("pcm_s16le", "encoded")])
def test_frames_keep_their_times_and_their_sound(
    tmp_path: Path, font: CaptionFont, start: float, end: float, codec: str, sound: str
) -> None:
    source = make_recording(tmp_path / "talk.mov", "-c:v", "libx264", "-c:a", codec)
    recognition = recognised(TimedGloss("A", start + 0.2, start + 0.6), start=start, duration=end - start)
    result = render_captions(source, recognition, tmp_path / "out.mp4", font)
    assert (result.sound, result.warnings) == (sound, ())
    times, written = frame_times(source), frame_times(tmp_path / "out.mp4")
    shown = times - times[0]  # the frame before the start may be shown after it
    later = shown[(shown > start + 0.01) & (shown < end - 1e-6)]
    assert written == pytest.approx(np.append(0.0, later - start), abs=1e-3)
    found = sound_of(tmp_path / "out.mp4")
    expected = sound_of(source)[round((times[0] + start) * 16000) :][: len(found)]
    assert len(found) / 16000 == pytest.approx(end - start, abs=0.1)
    length = min(len(found), len(expected)) - 2000
    assert np.corrcoef(expected[1000:length], found[1000:length])[0, 1] > 0.98


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_sound_that_cannot_be_kept_is_reported(
    tmp_path: Path, font: CaptionFont, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_recording(tmp_path / "talk.mkv", "-c:v", "libx264", "-c:a", "aac")
    monkeypatch.setattr("cslr_cli.media.video.VideoFrames.clock_origin", None)
    result = render_captions(source, recognised(duration=6.0), tmp_path / "out.mp4", font)
    assert result.sound == "none"
    assert "the sound is left out" in result.warnings[0]


def test_progress_ends_with_the_last_frame(video: Path, tmp_path: Path, font: CaptionFont) -> None:
    reports: list[Progress] = []
    result = render_captions(video, recognised(), tmp_path / "out.mp4", font, progress=reports.append)
    assert [progress.done for progress in reports] == [20, 40]
    assert {progress.total for progress in reports} == {result.num_frames}


def test_other_video_formats_are_refused(video: Path, tmp_path: Path, font: CaptionFont) -> None:
    with pytest.raises(UsageError, match="MP4"):
        render_captions(video, recognised(), tmp_path / "out.avi", font)
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_source_leaves_no_file(tmp_path: Path, font: CaptionFont) -> None:
    with pytest.raises(MediaError):
        render_captions(tmp_path / "missing.mp4", recognised(), tmp_path / "out.mp4", font)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(16, 16), (40, 300), (300, 40)])
def test_pictures_of_any_shape_can_be_captioned(tmp_path: Path, font: CaptionFont, size: tuple[int, int]) -> None:
    video = write_video(tmp_path / "odd.mp4", 3, size=size)
    glosses = (TimedGloss("A-VERY-LONG-GLOSS" * 4, 0.0, 0.06), TimedGloss("B", 0.06, 0.15))
    result = render_captions(video, recognised(*glosses, duration=0.15), tmp_path / "out.mp4", font)
    assert (result.path, result.num_frames) == (tmp_path / "out.mp4", 3)
    assert result.fps == pytest.approx(FPS)


# Fonts


def test_the_font_of_matplotlib_has_german_glosses() -> None:
    found = find_font(["MORGEN", "ÄÖÜß", "poss-EUCH"])
    assert (found.path.name, found.missing, found.warning()) == ("DejaVuSans.ttf", "", None)


def test_missing_characters_are_reported_with_a_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoFonts:
        ttflist: tuple[()] = ()

    monkeypatch.setattr("matplotlib.font_manager.fontManager", NoFonts())
    found = find_font(["今天 MORGEN"])
    assert found.missing == "今天"
    assert "今 天" in str(found.warning())
    assert "fonts-noto-cjk" in str(found.warning())


def test_an_installed_font_with_the_characters_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def has(path: Path, wanted: set[str]) -> CaptionFont:
        missing = "" if path.name == "chinese.ttf" else "今" if path.name == "half.ttf" else "今天"
        return CaptionFont(path, missing)

    @dataclasses.dataclass
    class Font:
        name: str
        fname: str
        style: str = "normal"

    class Fonts:
        ttflist = (
            Font("Last Resort High-Efficiency", "chinese.ttf"),
            Font("Serif", "serif.ttf"),
            Font("Half", "half.ttf"),
            Font("Kai", "folder/chinese.ttf"),
        )

    monkeypatch.setattr("matplotlib.font_manager.fontManager", Fonts())
    monkeypatch.setattr(fonts, "_check_font", has)
    assert find_font(["今天"]) == CaptionFont(Path("folder/chinese.ttf"))
