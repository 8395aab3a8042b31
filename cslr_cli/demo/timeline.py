"""A recognition as a piece of HTML: the glosses on a time line, and a table below."""

from __future__ import annotations

from html import escape

from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss


def timeline(recognition: Recognition) -> str:
    """The glosses over time, a table of them, and the other hypotheses.

    Blocks and rows carry `data-start`, the second at which a gloss begins: `timeline.js` moves the
    player there. What is unsure is paler, and its confidence stands beside it.
    """
    end = recognition.start + recognition.duration
    parts = [
        '<section class="cslr-answer" aria-label="What was recognised">',
        f'<p class="cslr-glosses">{escape(recognition.text) or "No gloss was recognised."}</p>',
        *(f'<p class="cslr-warning" role="note">{escape(warning)}</p>' for warning in recognition.warnings),
    ]
    if recognition.glosses:
        blocks = "".join(_block(timed, recognition.start, end) for timed in recognition.glosses)
        rows = "".join(_row(number, timed) for number, timed in enumerate(recognition.glosses, start=1))
        parts += [
            f'<div class="cslr-track" data-begin="{recognition.start:.3f}" data-end="{end:.3f}">',
            f'{blocks}<div class="cslr-playhead"></div></div>',
            f'<div class="cslr-scale"><span>{recognition.start:.1f} s</span><span>{end:.1f} s</span></div>',
            "<table><thead><tr><th>#</th><th>gloss</th><th>from</th><th>to</th><th>confidence</th></tr></thead>",
            f"<tbody>{rows}</tbody></table>",
        ]
    if len(recognition.nbest) > 1:
        others = "".join(
            f"<li><span>{escape(' '.join(timed.gloss for timed in other.glosses)) or '(nothing)'}</span>"
            f" <small>log probability {other.score:.2f}</small></li>"
            for other in recognition.nbest
        )
        parts.append(
            f"<details><summary>the {len(recognition.nbest)} best hypotheses</summary><ol>{others}</ol></details>"
        )
    return "".join([*parts, "</section>"])


def fault(message: str) -> str:
    """What went wrong, as HTML."""
    first, *rest = message.splitlines() or [""]
    details = "".join(f"<br>{escape(line.strip())}" for line in rest)
    return f'<section class="cslr-fault" role="alert"><strong>{escape(first)}</strong>{details}</section>'


def _block(timed: TimedGloss, begin: float, end: float) -> str:
    length = max(end - begin, 1e-6)
    left = 100 * (timed.start - begin) / length
    width = 100 * (timed.end - timed.start) / length
    name = escape(timed.gloss)
    return (
        f'<button type="button" class="cslr-block" data-start="{timed.start:.3f}" data-end="{timed.end:.3f}" '
        f'style="left:{left:.2f}%;width:{width:.2f}%;--sure:{_sure(timed):.2f}" '
        f'title="{name}, {timed.start:.2f} to {timed.end:.2f} s">{name}</button>'
    )


def _row(number: int, timed: TimedGloss) -> str:
    sure = "–" if timed.confidence is None else f"{100 * timed.confidence:.0f} %"
    return (
        f'<tr data-start="{timed.start:.3f}" data-end="{timed.end:.3f}"><td>{number}</td>'
        f"<th>{escape(timed.gloss)}</th><td>{timed.start:.2f} s</td><td>{timed.end:.2f} s</td>"
        f'<td><meter min="0" max="1" value="{_sure(timed):.2f}"></meter> {sure}</td></tr>'
    )


def _sure(timed: TimedGloss) -> float:
    return 1.0 if timed.confidence is None else timed.confidence
