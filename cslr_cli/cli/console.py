"""Output of the commands: results on standard output, everything else on standard error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TextIO

from cslr_cli.documents import error_document, format_json
from cslr_cli.errors import CslrError
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.untrusted import escape_control_characters, shorten_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_PACKAGE = "cslr_cli"  # name of its logger

# Progress without a terminal (log file of a cluster): time between two lines, seconds. It grows with the elapsed time,
# so that a log shows progress soon and stays short over days.
_MIN_INTERVAL, _MAX_INTERVAL = 15.0, 300.0
_LINES_PER_ELAPSED_TIME = 20  # interval: elapsed time / 20, within the limits

_REFRESHES_PER_SECOND = 2  # of progress bars; each takes more than a millisecond of a core, and rich's default is 10
_BAR_WIDTH = 12  # characters
# Maximum length of a name in a narrow table that is never wrapped, characters.
_MAX_UNWRAPPED_NAME = 20

# Characters of tables and notes, and their replacements for encodings without them.
_PLAIN_SIGNS = {"–": "-", "…": "...", "→": "->", "×": "x", "█": "#", "▏": "|", "²": "2"}


# What the commands print on standard error. quiet: errors; normal: also warnings, notes and progress; verbose: also the
# package's debug log. Results on standard output are the same.
Verbosity = Literal["quiet", "normal", "verbose"]
_verbosity: Verbosity = "normal"


def verbosity() -> Verbosity:
    """Return what the commands print on standard error."""
    return _verbosity


@contextmanager
def use_verbosity(wanted: Verbosity) -> Iterator[None]:
    """Print on standard error what `wanted` says, inside the block."""
    global _verbosity
    logger, handler = logging.getLogger(_PACKAGE), logging.StreamHandler(sys.stderr)
    before, level = _verbosity, logger.level
    _verbosity = wanted
    if wanted == "verbose":
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        _verbosity = before
        logger.removeHandler(handler)
        logger.setLevel(level)


def stderr() -> Console:
    """Return a rich console on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_error(text: str, kind: str = "error") -> None:
    """Print `error: TEXT` on standard error, without wrapping or markup; with `--quiet`, no warnings."""
    if kind == "warning" and _verbosity == "quiet":
        return
    from rich.text import Text

    message = Text.assemble((f"{kind}: ", "bold red"), escape_control_characters(shorten_lines(text)))
    _print(stderr(), sys.stderr, message, soft_wrap=True)


def print_note(text: str) -> None:
    """Print a note on standard error; not with `--quiet`."""
    if _verbosity == "quiet":
        return
    _print(stderr(), sys.stderr, escape_control_characters(text), markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a result as one line of JSON on standard output; in ASCII unless the encoding is Unicode."""
    text = format_json(value)
    if not _has(chr(sys.maxunicode) + text, sys.stdout):  # the name of a file may not even be Unicode
        text = format_json(value, ascii_only=True)
    print(text, flush=True)


def report_error(error: CslrError, source: object = None, *, as_json: bool, kind: str = "error") -> None:
    """Print an error on standard error, and with `--json` the error object on standard output.

    Args:
        error: the error.
        source: path of the input that failed; None if the error does not belong to one input.
        as_json: value of `--json`.
        kind: first word of the message.
    """
    print_error(str(error), kind)
    if as_json:
        print_json(error_document(error, None if source is None else str(source)))


def print_line(text: str) -> None:
    """Print a line of text on standard output; a file name in it cannot control the terminal."""
    print(escape_control_characters(text), flush=True)


def print_result(renderable: RenderableType) -> None:
    """Print a table or a text on standard output; without a terminal, lines are not cut."""
    _print_wide(renderable, to_stderr=False)


def print_remarks(renderable: RenderableType, *, of_error: bool = False) -> None:
    """Print a table on standard error; without a terminal, lines are not cut. With `--quiet`, only those of errors."""
    if _verbosity == "quiet" and not of_error:
        return
    _print_wide(renderable, to_stderr=True)


def _print_wide(renderable: RenderableType, *, to_stderr: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False, stderr=to_stderr)
    if not console.is_terminal:
        console = Console(highlight=False, stderr=to_stderr, width=200)
    _print(console, sys.stderr if to_stderr else sys.stdout, renderable)


def _print(console: Console, stream: TextIO, *objects: RenderableType, **how: Any) -> None:
    """Print to the stream itself, so that the text appears above a progress bar."""
    with console.capture() as printed:
        console.print(*objects, **how)
    plain = str.maketrans({sign: text for sign, text in _PLAIN_SIGNS.items() if not _has(sign, stream)})
    print(printed.get().translate(plain), end="", file=stream, flush=True)


def _has(sign: str, stream: TextIO | None) -> bool:
    """Return whether the encoding of a stream contains a character; True for a closed stream."""
    try:
        sign.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], left: Container[int] = (0,), *, narrow: bool = False
) -> RenderableType:
    """Build a plain table; columns with an index in `left` are left-aligned, others right-aligned.

    A narrow table has less space between columns, and does not wrap short names in the first column.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    result = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=narrow)
    for index, column in enumerate(columns):
        width = (
            min(_MAX_UNWRAPPED_NAME, max((len(row[0]) for row in rows), default=0)) if narrow and index == 0 else None
        )
        result.add_column(column, justify="left" if index in left else "right", overflow="fold", min_width=width)
    for row in rows:
        result.add_row(*(Text(escape_control_characters(cell)) for cell in row))  # `Text`: no markup in brackets
    return result


@contextmanager
def shown_progress() -> Iterator[ProgressCallback]:
    """Return a callback that shows progress and remaining time, as bars or as lines of a log file."""
    if _verbosity == "quiet":
        yield no_progress
        return
    if not sys.stderr.isatty():
        yield _ProgressLines()
        return
    from rich import progress as rich_progress
    from rich.table import Column
    from rich.text import Text

    class Figures(rich_progress.ProgressColumn):
        """Figures at the end of a bar; cut in a narrow terminal."""

        def render(self, task: rich_progress.Task) -> Text:
            return Text(task.fields["figures"], no_wrap=True, overflow="ellipsis")

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(_BAR_WIDTH),
        rich_progress.MofNCompleteColumn(table_column=Column(no_wrap=True)),
        rich_progress.TimeElapsedColumn(table_column=Column(no_wrap=True)),
        rich_progress.TextColumn("left"),
        rich_progress.TimeRemainingColumn(table_column=Column(no_wrap=True)),
        Figures(),
    )
    with rich_progress.Progress(
        *columns, console=stderr(), transient=True, speed_estimate_period=60, refresh_per_second=_REFRESHES_PER_SECOND
    ) as bars:
        tasks: dict[str, rich_progress.TaskID] = {}

        def show(progress: Progress) -> None:
            figures = figures_text(progress.figures)
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total, figures=figures)
            task = tasks[progress.stage]
            bars.update(task, completed=progress.done, total=progress.total, figures=figures)
            if progress.done >= progress.total:
                bars.remove_task(tasks.pop(progress.stage))

        yield show


class _ProgressLines:
    """Prints progress as plain lines: at intervals, and at the end of each stage."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[float, int]] = {}
        self._last_line = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        started, first = self._started.setdefault(progress.stage, (now, progress.done - 1))
        finished = progress.done >= progress.total
        elapsed = now - started
        interval = min(max(elapsed / _LINES_PER_ELAPSED_TIME, _MIN_INTERVAL), _MAX_INTERVAL)
        if not finished and now - self._last_line < interval:
            return
        self._last_line = now
        left = elapsed * (progress.total - progress.done) / max(1, progress.done - first)
        times = f"{duration(elapsed)} elapsed" + ("" if finished else f", {duration(left)} left")
        parts = [f"{progress.stage} {progress.done}/{progress.total}", figures_text(progress.figures), times]
        print(", ".join(part for part in parts if part), file=sys.stderr, flush=True)
        if finished:
            del self._started[progress.stage]


def figures_text(figures: Mapping[str, float]) -> str:
    """Format figures as text: `epoch 3, loss 1.92`; underscores in names become spaces."""
    return ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in figures.items())


def _number(value: float) -> str:
    """Format a number with four digits, and all digits before the point: `1.923`, `11,330`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Format seconds as `1:02:03` or `2:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
