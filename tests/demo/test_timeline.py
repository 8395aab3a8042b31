"""The answer as HTML."""

from __future__ import annotations

import re

from cslr_cli.demo.timeline import render_error, render_timeline
from cslr_cli.recognition import Alternative, Recognition
from cslr_cli.scoring import TimedGloss


def recognition(*glosses: TimedGloss, nbest: tuple[Alternative, ...] = (), start: float = 0.0) -> Recognition:
    return Recognition(
        source="clip.mp4",
        glosses=glosses,
        score=-1.0,
        num_frames=100,
        fps=25.0,
        duration=4.0,
        nbest=nbest or (Alternative(glosses, -1.0),),
        start=start,
    )


def test_a_block_is_placed_at_the_time_of_its_gloss() -> None:
    html = render_timeline(recognition(TimedGloss("REGEN", 11.0, 13.0, 0.5), start=10.0))
    assert re.search(r'class="cslr-block" data-start="11.000" data-end="13.000" style="left:25.00%;width:50.00%', html)


def test_glosses_are_escaped() -> None:
    html = render_timeline(recognition(TimedGloss("<script>alert(1)</script>", 0, 1, 1.0)))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>" not in render_error("a <b>bold</b> name")


def test_the_nbest_list_is_shown_only_with_several_hypotheses() -> None:
    one, other = TimedGloss("A", 0, 1, 0.9), TimedGloss("B", 0, 1, 0.1)
    several = (Alternative((one,), -0.1), Alternative((other,), -2.3))
    assert "2 best hypotheses" in render_timeline(recognition(one, nbest=several))
    assert "best hypotheses" not in render_timeline(recognition(one))


def test_an_empty_recognition_says_so() -> None:
    assert "No gloss was recognised." in render_timeline(recognition())
