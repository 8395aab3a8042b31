"""Recognize many recordings; the frames of the next recording are read while one is recognized."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cslr_cli.errors import CslrError, MediaError, UsageError
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.options import ReadOptions

if TYPE_CHECKING:
    from cslr_cli.recognition import Recognition
    from cslr_cli.recognizer.recognizer import Recognizer


@dataclass(frozen=True)
class Outcome:
    """The result of one recording.

    Attributes:
        path: path of the recording.
        recognition: recognition of the recording; None after an error.
        error: error that prevented the recognition, or None.
    """

    path: Path
    recognition: Recognition | None = None
    error: CslrError | None = None


def recognize_files(
    recognizer: Recognizer,
    paths: Sequence[Path],
    options: ReadOptions,
    recognize: Callable[[int, ClipReader], Recognition],
) -> Iterator[Outcome]:
    """Recognize recordings, continuing after those that cannot be read; yield each outcome, in order.

    Args:
        recognizer: recognizer that opens the recordings.
        paths: paths of the recordings.
        options: how they are read.
        recognize: function that recognizes an opened recording, given its index in `paths`.
    """
    next_clip = _open_ahead(recognizer, paths[0], options) if paths else None
    try:
        for index, path in enumerate(paths):
            current, next_clip = next_clip, None
            with ExitStack() as opened:
                if isinstance(current, ClipReader):  # opening the next one may fail
                    opened.enter_context(current)
                if index + 1 < len(paths):
                    next_clip = _open_ahead(recognizer, paths[index + 1], options)
                outcome = _recognize_file(index, path, current, recognize)
            yield outcome
    finally:
        if isinstance(next_clip, ClipReader):
            next_clip.close()


def _open_ahead(recognizer: Recognizer, path: Path, options: ReadOptions) -> ClipReader | CslrError:
    """Open a recording and start to read its frames; return the error if that fails."""
    try:
        return recognizer.open(path, options).read_ahead()
    except UsageError:
        raise
    except CslrError as error:
        return error
    except OSError as error:
        return translate_read_error(path, error)


def _recognize_file(
    index: int,
    path: Path,
    clip: ClipReader | CslrError | None,
    recognize: Callable[[int, ClipReader], Recognition],
) -> Outcome:
    if not isinstance(clip, ClipReader):
        return Outcome(path, error=clip)
    with clip:
        try:
            return Outcome(path, recognize(index, clip))
        except (UsageError, BrokenPipeError):  # a broken pipe is an error of the output, not of the recording
            raise
        except CslrError as error:
            return Outcome(path, error=error)
        except OSError as error:
            return Outcome(path, error=translate_read_error(path, error))


def translate_read_error(path: Path, error: OSError) -> MediaError:
    """Translate an error of the operating system into one of the recording."""
    return MediaError(f"{error.filename or path}: {error.strerror or error}")
