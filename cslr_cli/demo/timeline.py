"""A recognition as HTML: the glosses on a time line, and a table below."""

from __future__ import annotations

from html import escape

from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss


def render_timeline(recognition: Recognition) -> str:
    """Render the glosses over time, a table of them, and the other hypotheses.

    Blocks and rows have `data-start`, the start of a gloss in seconds, to which `timeline.js` moves the player. The
    block of a gloss is paler the lower its confidence is.
    """
    end = recognition.start + recognition.duration
    parts = [
        '<section class="cslr-answer" aria-label="Recognised glosses">',
        f'<p class="cslr-glosses">{escape(recognition.text) or "No gloss was recognised."}</p>',
        *(f'<p class="cslr-warning" role="note">{escape(warning)}</p>' for warning in recognition.warnings),
    ]
    if recognition.glosses:
        blocks = "".join(_render_block(timed, recognition.start, end) for timed in recognition.glosses)
        rows = "".join(_render_row(number, timed) for number, timed in enumerate(recognition.glosses, start=1))
        parts += [
            f'<div class="cslr-track" data-begin="{recognition.start:.3f}" data-end="{end:.3f}">',
            f'{blocks}<div class="cslr-playhead"></div></div>',
            f'<div class="cslr-scale"><span>{recognition.start:.1f} s</span><span>{end:.1f} s</span></div>',
            "<table><thead><tr><th>#</th><th>gloss</th><th>start</th><th>end</th><th>confidence</th></tr></thead>",
            f"<tbody>{rows}</tbody></table>",
        ]
    if len(recognition.nbest) > 1:
        others = "".join(
            f"<li><span>{escape(' '.join(timed.gloss for timed in other.glosses)) or '(no gloss)'}</span>"
            f" <small>log probability {other.score:.2f}</small></li>"
            for other in recognition.nbest
        )
        parts.append(f"<details><summary>{len(recognition.nbest)} best hypotheses</summary><ol>{others}</ol></details>")
    return "".join([*parts, "</section>"])


def render_error(message: str) -> str:
    """Render an error message."""
    first, *rest = message.splitlines() or [""]
    details = "".join(f"<br>{escape(line.strip())}" for line in rest)
    return f'<section class="cslr-fault" role="alert"><strong>{escape(first)}</strong>{details}</section>'


def _render_block(timed: TimedGloss, start: float, end: float) -> str:
    duration = max(end - start, 1e-6)
    left = 100 * (timed.start - start) / duration
    width = 100 * (timed.end - timed.start) / duration
    name = escape(timed.gloss)
    return (
        f'<button type="button" class="cslr-block" data-start="{timed.start:.3f}" data-end="{timed.end:.3f}" '
        f'style="left:{left:.2f}%;width:{width:.2f}%;--sure:{_known_confidence(timed):.2f}" '
        f'title="{name}, {timed.start:.2f} to {timed.end:.2f} s">{name}</button>'
    )


def _render_row(number: int, timed: TimedGloss) -> str:
    confidence = "–" if timed.confidence is None else f"{100 * timed.confidence:.0f} %"
    return (
        f'<tr data-start="{timed.start:.3f}" data-end="{timed.end:.3f}"><td>{number}</td>'
        f"<th>{escape(timed.gloss)}</th><td>{timed.start:.2f} s</td><td>{timed.end:.2f} s</td>"
        f'<td><meter min="0" max="1" value="{_known_confidence(timed):.2f}"></meter> {confidence}</td></tr>'
    )


def _known_confidence(timed: TimedGloss) -> float:
    """Return the confidence; 1 if it is unknown."""
    return 1.0 if timed.confidence is None else timed.confidence
