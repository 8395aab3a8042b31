"""What `cslr predict` writes beside its results: captioned videos, logits, and pictures of what the network sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cslr_cli.cli.console import print_error, print_note, shown_progress
from cslr_cli.cli.predict_outputs import places
from cslr_cli.errors import UsageError
from cslr_cli.files import whole_file
from cslr_cli.media.options import ReadOptions
from cslr_cli.media.video_writer import check_video_name
from cslr_cli.output.captions import render_captions
from cslr_cli.output.fonts import CaptionFont, find_font
from cslr_cli.progress import no_progress
from cslr_cli.recognition import Recognition, StepLogits
from cslr_cli.recognizer.preview import write_preview

if TYPE_CHECKING:
    from cslr_cli.recognizer import Recognizer

_LONG = 60.0  # seconds of a video from which on the writing of its captions takes a while
_PREVIEW_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class Extras:
    """Files beside the results; each is a file an input, or None for none.

    Attributes:
        render: of videos with captions.
        logits: of logits.
        preview: of pictures of what the network sees.
    """

    render: tuple[Path, ...] | None
    logits: tuple[Path, ...] | None
    preview: tuple[Path, ...] | None

    def font(self, glosses: Sequence[str]) -> CaptionFont | None:
        """The font for the captions, if there are to be any; what it lacks is told."""
        if self.render is None:
            return None
        font = find_font(glosses)
        if (warning := font.warning()) is not None:
            print_error(warning, kind="warning")
        return font

    def write(
        self,
        place: int,
        recognition: Recognition,
        recognizer: Recognizer,
        reading: ReadOptions,
        font: CaptionFont | None,
    ) -> None:
        """Write the files of one input.

        Args:
            place: of the input among all.
            recognition: of it.
            recognizer: that it comes from.
            reading: how the input was read.
            font: for captions.

        Raises:
            MediaError: the video cannot be read once more, or not be written.
        """
        source = Path(recognition.source)
        if self.preview is not None:
            with recognizer.open(source, reading) as clip:
                write_preview(clip, self.preview[place])
            print_note(f"{source}: {self.preview[place]}")
        if self.logits is not None and recognition.logits is not None:
            write_logits(recognition.logits, self.logits[place])
            print_note(f"{source}: {self.logits[place]}")
        if self.render is not None and font is not None:
            with shown_progress() as progress:
                written = render_captions(
                    source,
                    recognition,
                    self.render[place],
                    font,
                    fps=reading.fps,
                    picture_fps=recognizer.fps,
                    progress=progress if recognition.duration > _LONG else no_progress,
                )
            remark = (
                "" if written.codec == "H.264" else " (no H.264 encoder here; with ffmpeg installed it would be that)"
            )
            print_note(f"{source}: {written.path}, {written.codec}{remark}")


def plan_extras(render: str | None, logits: str | None, preview: str | None, inputs: Sequence[Path]) -> Extras:
    """Decide where the files go, and make sure that they can be written there.

    Args:
        render: the value of `--render`.
        logits: the value of `--save-logits`.
        preview: the value of `--preview`.
        inputs: what will be recognised.

    Raises:
        UsageError: a name has the wrong suffix, there are several inputs for one file, or an input would be
            overwritten.
        CslrError: nothing can be written there.
    """
    rendered = None if render is None else places("--render", render, ".glosses.mp4", inputs)
    for path in rendered or ():
        check_video_name(path)
    saved = None if logits is None else places("--save-logits", logits, ".npz", inputs)
    _check_suffix("--save-logits", saved, (".npz",))
    previews = None if preview is None else places("--preview", preview, ".png", inputs)
    _check_suffix("--preview", previews, _PREVIEW_SUFFIXES)
    return Extras(rendered, saved, previews)


def write_logits(logits: StepLogits, path: Path) -> None:
    """Write logits as `.npz`, readable without pickle.

    Its arrays: `sequence_logits` and `conv_logits`, float32 (T', V); `step_times`, float64 (T', 2), start
    and end of each step in seconds; `vocabulary`, text (V,), the gloss of each class, that of the blank empty.
    """
    with whole_file(path) as unfinished:
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
            raise UsageError(
                f"{option} {path}: not a name for this", f"expected one that ends in {', '.join(suffixes)}"
            )
