"""What goes to the screen: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from cslr_cli.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# Where standard error is no terminal (a cluster's log file): seconds from one line to the next. At first
# one wants to see that it works; in a training of days, lines come as rarely as one looks.
_FIRST_INTERVAL, _LAST_INTERVAL = 15.0, 300.0
_INTERVALS_SO_FAR = 20  # and in between, a twentieth of the time that has passed

# Times a second that bars are drawn anew: each takes more than a millisecond of a core, and rich would do ten.
_REFRESHES = 2

# Characters of a bar; in a narrow terminal the figures behind it give way first.
_BAR_WIDTH = 12

# Characters of the names in a narrow table that are not broken.
_NAMES_KEPT = 20

# Signs of our own tables, and what stands for them where the encoding of the output has none.
_PLAIN_SIGNS = {"–": "-", "…": "...", "→": "->", "×": "x", "█": "#", "▏": "|", "²": "2"}


def stderr() -> Console:
    """Rich's view of standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_error(text: str, kind: str = "error") -> None:
    """`error: …` on standard error, as it stands: no wrapping, no markup."""
    from rich.text import Text

    _print(stderr(), sys.stderr, Text.assemble((f"{kind}: ", "bold red"), text), soft_wrap=True)


def print_note(text: str) -> None:
    """A remark on standard error."""
    _print(stderr(), sys.stderr, text, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """A result as JSON, on standard output, a line an object; all of ASCII where the output may not have more."""
    print(json.dumps(value, ensure_ascii=not _has(chr(sys.maxunicode), sys.stdout)))


def print_result(renderable: RenderableType) -> None:
    """A table or a text on standard output; wide enough not to be cut where that is no terminal."""
    _print_wide(renderable, to_stderr=False)


def print_remarks(renderable: RenderableType) -> None:
    """A table on standard error; wide enough not to be cut where that is no terminal."""
    _print_wide(renderable, to_stderr=True)


def _print_wide(renderable: RenderableType, *, to_stderr: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False, stderr=to_stderr)
    if not console.is_terminal:
        console = Console(highlight=False, stderr=to_stderr, width=200)
    _print(console, sys.stderr if to_stderr else sys.stdout, renderable)


def _print(console: Console, stream: TextIO, *objects: RenderableType, **how: Any) -> None:
    """Print as a console would, through the stream: where a bar stands on it, above that."""
    with console.capture() as printed:
        console.print(*objects, **how)
    plain = str.maketrans({sign: text for sign, text in _PLAIN_SIGNS.items() if not _has(sign, stream)})
    print(printed.get().translate(plain), end="", file=stream, flush=True)


def _has(sign: str, stream: TextIO | None) -> bool:
    """Whether the encoding of a stream has a sign; one that is closed takes any."""
    try:
        sign.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], left: Container[int] = (0,), *, narrow: bool = False
) -> RenderableType:
    """A plain table; the columns whose places are in `left` are aligned left, the others right.

    A narrow one has less space between columns, and does not break the names in the first of them.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    result = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=narrow)
    for index, column in enumerate(columns):
        width = min(_NAMES_KEPT, max((len(row[0]) for row in rows), default=0)) if narrow and index == 0 else None
        result.add_column(column, justify="left" if index in left else "right", overflow="fold", min_width=width)
    for row in rows:
        result.add_row(*map(Text, row))  # as it stands: a bracket in a path is no markup
    return result


@contextmanager
def shown_progress() -> Iterator[ProgressCallback]:
    """A callback that shows how far the work is, with the time left: a bar, or lines in a log file."""
    if not sys.stderr.isatty():
        yield _ProgressLines()
        return
    from rich import progress as rich_progress
    from rich.table import Column
    from rich.text import Text

    class Figures(rich_progress.ProgressColumn):
        """What a narrow terminal cuts off."""

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
        *columns, console=stderr(), transient=True, speed_estimate_period=60, refresh_per_second=_REFRESHES
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
    """Progress as plain lines: one at the end of each stage, and one now and then before."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[float, int]] = {}
        self._last_line = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        started, first = self._started.setdefault(progress.stage, (now, progress.done - 1))
        finished = progress.done >= progress.total
        elapsed = now - started
        interval = min(max(elapsed / _INTERVALS_SO_FAR, _FIRST_INTERVAL), _LAST_INTERVAL)
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
    """`epoch 3, loss 1.92`: names with their underscores as spaces."""
    return ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in figures.items())


def _number(value: float) -> str:
    """Four digits, and all of them before the point: `1.923`, `11,330`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
