"""Make small videos with the `ffmpeg` program, and find out independently what they show.

A scene is drawn as it would be filmed. `VideoCase` describes how it is stored in a file: codec, colours, orientation,
fields, times. It also names the conversion back to upright RGB pictures, as filters of the `ffmpeg` program, so that
nothing depends on the tags that `ffmpeg` reads from the file.
"""

from __future__ import annotations

import shlex
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The tests are skipped where the program is not installed.
HAS_FFMPEG = shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None

# Encoders of `ffmpeg` with little loss.
H264 = "-c:v libx264 -preset veryfast -crf 8"
H264_NO_B = f"{H264} -bf 0"
HEVC = "-c:v libx265 -preset ultrafast -x265-params log-level=none:crf=8"
VP8 = "-c:v libvpx -deadline realtime -cpu-used 8 -crf 4 -b:v 4M"
VP9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 4 -b:v 0"
AV1 = "-c:v libaom-av1 -usage realtime -cpu-used 8 -crf 8 -b:v 0"
MPEG2 = "-c:v mpeg2video -q:v 1 -bf 2"
MPEG4 = "-c:v mpeg4 -q:v 1"
FFV1 = "-c:v ffv1 -level 3"

# Options of the filter `setparams`, which describe the colours.
BT709 = "colorspace=bt709:range=tv:color_primaries=bt709:color_trc=bt709"
BT601_FULL = "colorspace=smpte170m:range=pc"
BT709_FULL = "colorspace=bt709:range=pc"
BT2020 = "colorspace=bt2020nc:range=tv:color_primaries=bt2020:color_trc=bt2020-10"
SMPTE240M = "colorspace=smpte240m:range=tv"
FCC = "colorspace=fcc:range=tv"

# Exact arithmetic, and chroma at full resolution, for what is stored. It takes ten times as long as the usual way.
_PRECISE = "flags=accurate_rnd+full_chroma_int+full_chroma_inp+bicubic"
_RAW_OUTPUT = ("-pix_fmt", "rgb24", "-f", "rawvideo", "-")
_PROGRAM_SECONDS = 120


@dataclass(frozen=True)
class VideoCase:
    """A video file, and what it must show.

    Attributes:
        name: name of the case, unique.
        suffix: suffix of the file; selects the container.
        encoder: arguments of `ffmpeg` that select and configure the encoder and the container.
        size: width and height of the upright pictures, pixels.
        num_frames: number of frames.
        first_frame: number of the first frame that is shown, in the scene.
        rate: frames per second, as `ffmpeg` writes it.
        pixel_format: stored pixel format.
        matrix: colour matrix of the stored values, a name of `ffmpeg`'s filter `scale`; None for RGB.
        is_full_range: whether black and white are stored as 0 and the highest value.
        tags: options of the filter `setparams` that describe the colours in the file; empty for no description.
        stored: filters from upright RGB pictures to stored ones; empty if they are the same.
        fields: filter that makes full pictures of the decoded fields; empty for progressive video.
        scaled: size of the decoded pictures with square pixels, `WIDTH:HEIGHT`; empty if they have that size.
        upright: filters from decoded RGB pictures to upright ones.
        inputs: arguments of `ffmpeg` for further inputs.
        edit: change of the finished file.
        build: function that makes the file in place of a single call of `ffmpeg`.
        stream: number of the video stream to show.
        times: expected times, seconds; None for the times that `ffprobe` reads.
        loss: largest mean difference between the frames and the scene, of 255; None if they cannot be compared.
        warning: part of the expected warning; None for no warning.
        decoder: input arguments with which `ffmpeg` decodes the file.
        is_fast: whether the case belongs to the fast tests.
    """

    name: str
    suffix: str
    encoder: str
    size: tuple[int, int] = (96, 64)
    num_frames: int = 10
    first_frame: int = 0
    rate: str = "25"
    pixel_format: str = "yuv420p"
    matrix: str | None = "bt601"
    is_full_range: bool = False
    tags: str = ""
    stored: str = ""
    fields: str = ""
    scaled: str = ""
    upright: str = ""
    inputs: str = ""
    edit: Callable[[Path], None] | None = None
    build: Callable[[VideoCase, Path], None] | None = None
    stream: int = 0
    times: tuple[float, ...] | None = None
    loss: float | None = 4.0
    warning: str | None = None
    decoder: str = ""
    is_fast: bool = False

    def make(self, folder: Path) -> Path:
        """Write the video into a folder and return its path."""
        path = folder / f"{self.name}{self.suffix}"
        if self.build is None:
            encode(self, path, self.scene())
        else:
            self.build(self, path)
        if self.edit is not None:
            self.edit(path)
        return path

    def scene(self) -> NDArray[np.uint8]:
        """Return the upright pictures, uint8 (T, H, W, 3), RGB."""
        return draw_scene(self.first_frame + self.num_frames, *self.size)[self.first_frame :]


def draw_scene(num_frames: int, width: int, height: int) -> NDArray[np.uint8]:
    """Draw smooth, strong colours without symmetry; each picture differs from its neighbours.

    Returns:
        uint8 (T, H, W, 3), RGB.
    """
    x = np.linspace(0, 1, width)[None, None, :]
    y = np.linspace(0, 1, height)[None, :, None]
    time = np.arange(num_frames)[:, None, None]
    red = 30 + 200 * x + 0 * y + 0 * time
    green = 40 + 150 * y * (1 - 0.6 * x) + 0 * time
    blue = 120 + 90 * np.sin(2.1 * time + 3 * x + 2 * y)
    # A soft spot that moves through the upper left part.
    spot = np.exp(-(((x - 0.2 - 0.02 * time) / 0.12) ** 2 + ((y - 0.25) / 0.15) ** 2))
    colours = np.stack([red, green, blue], axis=-1)
    colours += spot[..., None] * (np.array([240, 220, 60]) - colours)
    return np.asarray(colours.round(), dtype=np.uint8)


def encode(case: VideoCase, path: Path, scene: NDArray[np.uint8]) -> None:
    """Encode upright pictures, uint8 (T, H, W, 3), RGB, as a case describes it."""
    colours = []
    if case.matrix is not None:
        limits = "pc" if case.is_full_range else "tv"
        colours.append(f"scale=out_color_matrix={case.matrix}:out_range={limits}:{_PRECISE}")
    colours.append(f"format={case.pixel_format}")
    colours.append(f"setparams={case.tags or 'range=unknown:colorspace=unknown'}")
    filters = ",".join(([case.stored] if case.stored else []) + colours)
    run_program(
        f"ffmpeg -v error -y {_raw_input(scene, case.rate)} {case.inputs}",
        ["-filter:v:0", filters, *shlex.split(case.encoder), str(path)],
        stdin=scene.tobytes(),
    )


def encode_values(
    values: NDArray[np.uint8] | NDArray[np.uint16], pixel_format: str, arguments: str, path: Path, tags: str
) -> None:
    """Encode stored values as they are, at 25 frames per second.

    Args:
        values: values (T, 3, H, W) of a planar pixel format without subsampling.
        pixel_format: the pixel format.
        arguments: arguments of `ffmpeg` that select the encoder.
        path: path of the video.
        tags: options of the filter `setparams`.
    """
    frames = values.transpose(0, 2, 3, 1)  # only for the size
    run_program(
        f"ffmpeg -v error -y {_raw_input(frames, '25', pixel_format)}",
        ["-vf", f"setparams={tags}", *shlex.split(arguments), str(path)],
        stdin=values.tobytes(),
    )


def _raw_input(pictures: NDArray[Any], rate: str, pixel_format: str = "rgb24") -> str:
    height, width = pictures.shape[1:3]
    return f"-f rawvideo -pix_fmt {pixel_format} -video_size {width}x{height} -framerate {rate} -i -"


def decode_truth(case: VideoCase, path: Path) -> NDArray[np.uint8]:
    """Decode a video by the conversions that its case names, with the `ffmpeg` program.

    Returns:
        uint8 (T, H, W, 3), RGB, upright.
    """
    filters = [case.fields] if case.fields else []
    if case.matrix is not None:
        limits = "pc" if case.is_full_range else "tv"
        options = f"in_color_matrix={case.matrix}:in_range={limits}:out_range=pc"
        filters.append(f"scale={case.scaled}:{options}" if case.scaled else f"scale={options}")
    filters.append("format=rgb24")
    filters += [case.upright] if case.upright else []
    return decode(path, ",".join(filters), case.size, stream=case.stream, decoder=case.decoder)


def decode(path: Path, filters: str, size: tuple[int, int], *, stream: int = 0, decoder: str = "") -> NDArray[np.uint8]:
    """Decode a video stream with the `ffmpeg` program and the given filters; return uint8 (T, H, W, 3), RGB."""
    data = run_program(
        f"ffmpeg -v error -noautorotate {decoder} -i",
        [f"file:{path}", "-map", f"0:v:{stream}", "-vsync", "passthrough", "-vf", filters, *_RAW_OUTPUT],
    )
    return np.frombuffer(data, np.uint8).reshape(-1, size[1], size[0], 3)


def probe_times(path: Path, *, stream: int = 0) -> NDArray[np.float64]:
    """Return the times of the frames of a video stream after its first one, seconds, as `ffprobe` reads them."""
    command = f"ffprobe -v error -select_streams v:{stream} -show_entries frame=best_effort_timestamp_time"
    text = run_program(command, ["-of", "csv=p=0", f"file:{path}"]).decode()
    times = np.array([float(line.strip(",")) for line in text.split() if line.strip(",")])
    return np.asarray(times - times[0])


def run_program(command: str, arguments: Sequence[str] = (), stdin: bytes = b"") -> bytes:
    """Run a program; return its standard output, and raise with its messages if it fails."""
    finished = subprocess.run(
        [*shlex.split(command), *arguments], input=stdin, capture_output=True, timeout=_PROGRAM_SECONDS, check=False
    )
    if finished.returncode != 0:
        raise RuntimeError(f"{command}: {finished.stderr.decode(errors='replace')[-2000:]}")
    return finished.stdout


# Orientation: (a, b, c, d) of the display matrix of ISO/IEC 14496-12: the stored point (x, y) is shown at
# (a x + c y, b x + d y), with y downward; and the filters that turn upright pictures to stored ones and back.
DISPLAY_MATRICES = {
    "clockwise": ((0, 1, -1, 0), "transpose=cclock", "transpose=clock"),
    "counterclockwise": ((0, -1, 1, 0), "transpose=clock", "transpose=cclock"),
    "half_turn": ((-1, 0, 0, -1), "hflip,vflip", "hflip,vflip"),
    "mirror": ((-1, 0, 0, 1), "hflip", "hflip"),
    "flip": ((1, 0, 0, -1), "vflip", "vflip"),
    "transposed": ((0, 1, 1, 0), "transpose=cclock_flip", "transpose=cclock_flip"),
    "transverse": ((0, -1, -1, 0), "transpose=clock_flip", "transpose=clock_flip"),
}


def set_display_matrix(matrix: tuple[float, float, float, float]) -> Callable[[Path], None]:
    """Return a change that writes a display matrix into the first track header of an MP4 or MOV file."""

    def edit(path: Path) -> None:
        data = bytearray(path.read_bytes())
        place = data.index(b"tkhd") + 4 + 40
        a, b, c, d = (round(value * 65536) for value in matrix)
        struct.pack_into(">9i", data, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(data)

    return edit


def remux_with_display_matrix(matrix: tuple[float, float, float, float]) -> Callable[[Path], None]:
    """Return a change that writes a display matrix into a file of any container, with PyAV."""

    def edit(path: Path) -> None:
        import av

        original = path.rename(path.with_name(f"original_{path.name}"))
        a, b, c, d = (round(value * 65536) for value in matrix)
        with av.open(str(original)) as source, av.open(str(path), "w") as target:
            copied = target.add_stream_from_template(source.streams.video[0])
            copied.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
            for packet in source.demux(source.streams.video[0]):
                if packet.size:
                    packet.stream = copied
                    target.mux(packet)
        original.unlink()

    return edit


def join_streams(parts: Sequence[Path], path: Path) -> None:
    """Join videos, one after another, without encoding them anew."""
    listing = path.with_suffix(".txt")
    listing.write_text("".join(f"file '{part}'\n" for part in parts))
    run_program("ffmpeg -v error -y -f concat -safe 0", ["-i", str(listing), "-c", "copy", str(path)])
    listing.unlink()
