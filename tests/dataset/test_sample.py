from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from cslr_cli.config import DataConfig
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError
from cslr_cli.temporal_plan import TemporalPlan

PLAN = TemporalPlan.parse(["K5", "P2", "K5", "P2"])


def sample_of(num_frames: int | None, glosses: Sequence[str] = (), sample_id: str = "x") -> Sample:
    return Sample(sample_id, "train", "x.zip", num_frames, None, tuple(glosses))


@pytest.mark.parametrize(
    ("num_frames", "glosses", "interval", "shortfall"),
    [
        (8, "A B", 1, 0),  # two steps for two glosses
        (9, "A B C", 1, 0),
        (8, "A B C", 1, 1),
        (8, "A A", 1, 1),  # a blank must stand between them
        (8, "A A A B", 1, 4),
        (8, "A B", 2, 1),  # four frames are left: one step
        (1, "", 1, 0),
        (None, "A B C", 1, 0),
    ],
)
def test_a_clip_needs_a_step_for_each_gloss_and_one_between_equal_ones(
    num_frames: int | None, glosses: str, interval: int, shortfall: int
) -> None:
    config = DataConfig(frame_interval=interval)
    assert sample_of(num_frames, glosses.split()).missing_steps(PLAN, config.frame_interval) == shortfall


@pytest.mark.parametrize("key", ["sample_id", "glosses", "translation"])
def test_a_text_that_is_no_unicode_is_an_error_that_names_the_line(key: str) -> None:
    values = json.loads(sample_of(8, "A B").to_json())
    values[key] = ["A\ud800"] if key == "glosses" else "A\ud800"
    with pytest.raises(DataError, match=r"dev\.jsonl:3: a text that is no Unicode"):
        Sample.from_json(json.dumps(values), "dev.jsonl:3")
