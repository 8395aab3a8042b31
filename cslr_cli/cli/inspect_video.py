"""`cslr inspect VIDEO`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cslr_cli.cli.console import print_error, print_json, print_result, table

if TYPE_CHECKING:
    from cslr_cli.media.video_description import VideoDocument

# Beginnings of checkpoints: a zip, or a pickle.
_CHECKPOINT_BEGINNINGS = (b"PK", b"\x80")
_CHECKPOINT_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".npy", ".yaml", ".json", ".jsonl", ".zip")


def is_video(path: Path) -> bool:
    """Return whether a path of `cslr inspect` is that of a video: a file or pipe that is no checkpoint."""
    if path.is_fifo():
        return True
    if not path.is_file() or path.suffix.lower() in _CHECKPOINT_SUFFIXES:
        return False
    try:
        with open(path, "rb") as file:
            return not file.read(2).startswith(_CHECKPOINT_BEGINNINGS)
    except OSError:
        return False


def print_video(path: Path, stream: int | None, *, as_json: bool) -> None:
    """Print the description of a video."""
    from cslr_cli.media.video_description import describe_video

    video = describe_video(path, stream)
    for warning in filter(None, (video["damage"], *video["warnings"])):
        print_error(f"{path}: {warning}", kind="warning")
    if as_json:
        print_json(video)
        return
    print_result(table(["", str(path)], _rows(video), left=(0, 1)))


def _rows(video: VideoDocument) -> list[list[str]]:
    size, shown = (f"{video[f'{of}width']}×{video[f'{of}height']}" for of in ("", "shown_"))  # type: ignore[literal-required]
    stated = "" if video["matrix_is_stated"] else ", assumed by the number of lines"
    transfer = "" if video["transfer"] == "sdr" else f", HDR ({video['transfer'].upper()})"
    declared = video["declared_seconds"]
    differs = declared is not None and abs(declared - video["seconds"]) > 0.5
    length = f"{video['seconds']:.2f} s" + (f"; the file states {declared:.2f} s" if differs else "")
    rate = "not stated" if video["fps"] is None else f"{video['fps']:.3f} frames per second"
    aspect = "" if video["pixel_aspect"] == 1 else f", pixels {video['pixel_aspect']:g} times as wide as high"
    rows = [
        ["container", video["container"]],
        ["video", f"{video['codec']}, {video['pixel_format']}"],
        ["frames", f"{video['num_frames']:,}"],
        ["length", length],
        ["rate", rate + ", variable" * video["rate_is_variable"]],
        ["size in the file", f"{size}{aspect}"],
        ["size as shown", f"{shown}, {video['orientation']}"],
        ["colours", f"{video['matrix']}{stated}, {video['range']} range{transfer}"],
        ["interlaced", f"{video['num_interlaced']:,} frames" if video["num_interlaced"] else "no"],
        ["damage", video["damage"] or "none found"],
    ]
    for stream in video["streams"]:
        marks = ", ".join(
            filter(
                None,
                [
                    stream["codec"] or "unknown codec",
                    stream["details"],
                    "default" * stream["is_default"],
                    "read by predict" * stream["is_chosen"],
                ],
            )
        )
        rows.append([f"stream {stream['number']}", f"{stream['kind']}: {marks}"])
    return [*rows, *(["predict" if not number else "", step] for number, step in enumerate(video["steps"]))]
