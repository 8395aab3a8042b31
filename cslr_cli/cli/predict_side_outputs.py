"""The additional files of `cslr predict`: captioned videos, logits, previews, and film strips of the glosses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cslr_cli.cli.console import print_error, print_note, shown_progress
from cslr_cli.cli.predict_outputs import plan_files
from cslr_cli.errors import UsageError
from cslr_cli.files import atomic_file
from cslr_cli.media.options import ReadOptions
from cslr_cli.media.video_writer import check_video_name
from cslr_cli.output.captions import render_captions
from cslr_cli.output.film_strip import draw_film_strip
from cslr_cli.output.fonts import CaptionFont, find_font
from cslr_cli.progress import no_progress
from cslr_cli.recognition import Recognition, StepLogits
from cslr_cli.recognizer.preview import write_preview

if TYPE_CHECKING:
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.result_files import ResultPlan

_PROGRESS_SECONDS = 60.0  # minimum duration of a video whose captioning shows progress
_PREVIEW_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_STRIP_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".pdf", ".svg")


@dataclass(frozen=True)
class SideOutputs:
    """The paths of additional files, one per input, or None for none.

    Attributes:
        render: paths of videos with captions.
        logits: paths of logits.
        preview: paths of previews.
        strip: paths of film strips.
    """

    render: tuple[Path, ...] | None
    logits: tuple[Path, ...] | None
    preview: tuple[Path, ...] | None
    strip: tuple[Path, ...] | None

    def find_font(self, glosses: Sequence[str]) -> CaptionFont | None:
        """Return the font of captions, None without captions; print a warning about missing characters."""
        if self.render is None:
            return None
        font = find_font(glosses)
        if (warning := font.warning()) is not None:
            print_error(warning, kind="warning")
        return font

    def write(
        self,
        index: int,
        recognition: Recognition,
        recognizer: Recognizer,
        options: ReadOptions,
        font: CaptionFont | None,
    ) -> None:
        """Write the files of the input with this index; captions read it again with the same options."""
        source = Path(recognition.source)
        if self.preview is not None:
            with recognizer.open(source, options) as clip:
                write_preview(clip, self.preview[index])
            print_note(f"{source}: {self.preview[index]}")
        if self.strip is not None:
            with recognizer.open(source, options) as clip:
                draw_film_strip(clip.frames(), recognition, self.strip[index])
            print_note(f"{source}: {self.strip[index]}")
        if self.logits is not None and recognition.logits is not None:
            write_logits(recognition.logits, self.logits[index])
            print_note(f"{source}: {self.logits[index]}")
        if self.render is not None and font is not None:
            with shown_progress() as progress:
                written = render_captions(
                    source,
                    recognition,
                    self.render[index],
                    font,
                    fps=options.source_fps,
                    stream=options.stream,
                    picture_fps=recognizer.fps,
                    progress=progress if recognition.duration > _PROGRESS_SECONDS else no_progress,
                )
            for warning in written.warnings:
                print_error(f"{written.path}: {warning}", kind="warning")
            remark = "" if written.codec == "H.264" else " (this PyAV has no encoder for H.264)"
            sound = {"none": "", "copied": ", with sound", "encoded": ", with sound (as AAC)"}[written.sound]
            print_note(f"{source}: {written.path}, {written.codec}{remark}{sound}")


def plan_side_outputs(
    render: str | None,
    logits: str | None,
    preview: str | None,
    strip: str | None,
    inputs: Sequence[Path],
    plan: ResultPlan,
) -> SideOutputs:
    """Determine the paths of `--render`, `--save-logits`, `--preview` and `--strip`, and add them to the plan."""
    rendered = None if render is None else plan_files("--render", render, ".glosses.mp4", inputs, plan)
    for path in rendered or ():
        check_video_name(path)
    saved = None if logits is None else plan_files("--save-logits", logits, ".npz", inputs, plan)
    _check_suffix("--save-logits", saved, (".npz",))
    previews = None if preview is None else plan_files("--preview", preview, ".png", inputs, plan)
    _check_suffix("--preview", previews, _PREVIEW_SUFFIXES)
    strips = None if strip is None else plan_files("--strip", strip, ".strip.png", inputs, plan)
    _check_suffix("--strip", strips, _STRIP_SUFFIXES)
    return SideOutputs(rendered, saved, previews, strips)


def write_logits(logits: StepLogits, path: Path) -> None:
    """Write logits as `.npz`, readable without pickle.

    Its arrays: `sequence_logits` and `conv_logits`, float32 (T', V); `step_times`, float64 (T', 2), start
    and end of each step in seconds; `vocabulary`, text (V,), the gloss of each class, that of the blank empty.
    """
    with atomic_file(path) as unfinished:
        np.savez_compressed(
            unfinished,
            sequence_logits=logits.sequence_logits,
            conv_logits=logits.conv_logits,
            step_times=logits.step_times,
            vocabulary=np.array(logits.vocabulary, dtype=np.str_),
        )


def _check_suffix(option: str, paths: Sequence[Path] | None, suffixes: Sequence[str]) -> None:
    for path in paths or ():
        if path.suffix.lower() not in suffixes:
            raise UsageError(f"{option} {path}: wrong suffix", f"use a name with the suffix {' or '.join(suffixes)}")
