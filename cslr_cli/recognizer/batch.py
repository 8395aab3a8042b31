"""Many recordings, one after the other: while one is recognised, the frames of the next are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cslr_cli.errors import CslrError, MediaError, UsageError
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.options import ReadOptions

if TYPE_CHECKING:
    from cslr_cli.recognition import Recognition
    from cslr_cli.recognizer import Recognizer


@dataclass(frozen=True)
class Outcome:
    """What became of one recording.

    Attributes:
        path: of the recording.
        recognition: what was recognised; None where that failed.
        error: what is wrong with the recording; None where it was recognised.
    """

    path: Path
    recognition: Recognition | None = None
    error: CslrError | None = None


def recognize_in_turn(
    recognizer: Recognizer,
    paths: Sequence[Path],
    reading: ReadOptions,
    recognize: Callable[[int, ClipReader], Recognition],
) -> Iterator[Outcome]:
    """Recognise recordings, and go on past those that cannot be read.

    Args:
        recognizer: opens them.
        paths: in the order of the outcomes.
        reading: how all of them are read.
        recognize: recognises one that is open, given its place among all.

    Yields:
        An outcome for each, as soon as it is there.

    Raises:
        UsageError: what is wrong would be so with every recording.
    """
    following = _begun(recognizer, paths[0], reading) if paths else None
    try:
        for place, path in enumerate(paths):
            current, following = following, None
            if place + 1 < len(paths):
                following = _begun(recognizer, paths[place + 1], reading)
            yield _outcome(place, path, current, recognize)
    finally:
        if isinstance(following, ClipReader):
            following.close()


def _begun(recognizer: Recognizer, path: Path, reading: ReadOptions) -> ClipReader | CslrError:
    """A recording whose frames are being read, up to a few ahead; or why that cannot be."""
    try:
        return recognizer.open(path, reading).read_ahead()
    except UsageError:
        raise
    except CslrError as error:
        return error
    except OSError as error:
        return cannot_be_read(path, error)


def _outcome(
    place: int,
    path: Path,
    clip: ClipReader | CslrError | None,
    recognize: Callable[[int, ClipReader], Recognition],
) -> Outcome:
    if not isinstance(clip, ClipReader):
        return Outcome(path, error=clip)
    with clip:
        try:
            return Outcome(path, recognize(place, clip))
        except (UsageError, BrokenPipeError):  # the latter is not the recording's: nobody listens to `recognize`
            raise
        except CslrError as error:
            return Outcome(path, error=error)
        except OSError as error:
            return Outcome(path, error=cannot_be_read(path, error))


def cannot_be_read(path: Path, error: OSError) -> MediaError:
    """What the operating system says against a recording, as an error that is the recording's."""
    return MediaError(f"{error.filename or path}: {error.strerror or error}")
