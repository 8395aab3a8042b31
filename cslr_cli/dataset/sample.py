"""`Sample`: one clip of a corpus, one line of a manifest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cslr_cli.errors import DataError
from cslr_cli.temporal_plan import TemporalPlan, ctc_steps_needed
from cslr_cli.untrusted import UntrustedDataError, abbreviate, is_unicode, parse_json

SPLITS = ("train", "dev", "test")

# Type of each key of a manifest line.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "sample_id": str,
    "split": str,
    "frames": str,
    "num_frames": (int, type(None)),
    "signer": (str, type(None)),
    "glosses": list,
    "translation": (str, type(None)),
}
_OPTIONAL_KEY = "fields"  # only in lines of clips that have further fields


@dataclass(frozen=True)
class Sample:
    """One clip and the glosses signed in it.

    Attributes:
        sample_id: name of the clip, unique in its corpus.
        split: `train`, `dev` or `test`.
        frames: path of a folder of pictures, a `.zip` or a video file, relative to the folder of the corpus or
            release, with `/` between parts.
        num_frames: number of frames; None if they have not been counted.
        signer: name of the signer; None if unknown.
        glosses: signed glosses, in order, as written in the annotation.
        translation: sentence in the spoken language; None if unknown.
        fields: further fields of the annotation by name, such as the parts of speech of CSL-Daily.
    """

    sample_id: str
    split: str
    frames: str
    num_frames: int | None
    signer: str | None
    glosses: tuple[str, ...]
    translation: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict, hash=False)

    def missing_steps(self, plan: TemporalPlan, frame_interval: int) -> int:
        """Return how many steps the clip has too few for CTC to output its glosses; 0 if it has enough.

        Args:
            plan: temporal plan of the network.
            frame_interval: every n-th frame is read.
        """
        if self.num_frames is None:
            return 0
        num_steps = plan.num_steps(math.ceil(self.num_frames / frame_interval))
        return max(0, ctc_steps_needed(self.glosses) - num_steps)

    def to_json(self) -> str:
        """Format the sample as one line of JSON, without the line end."""
        values = {
            key: getattr(self, key) for key in _KINDS
        }  # not asdict, which copies deeply and takes ten times as long
        if self.fields:
            values[_OPTIONAL_KEY] = dict(self.fields)
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str, where: str) -> Sample:
        """Parse a line of a manifest; `where`, file and line number, is for the message of a DataError."""
        try:
            values = parse_json(line)
        except UntrustedDataError as error:
            raise DataError(f"{where}: {error.message}") from error
        if not isinstance(values, dict) or set(values) - {_OPTIONAL_KEY} != set(_KINDS):
            raise DataError(f"{where}: not a sample", f"expected an object with the keys {', '.join(_KINDS)}")
        wrong = [
            f"{key} is {abbreviate(values[key])}" for key, kind in _KINDS.items() if not isinstance(values[key], kind)
        ]
        if not wrong and not all(isinstance(gloss, str) for gloss in values["glosses"]):
            wrong = [f"glosses is {abbreviate(values['glosses'])}"]
        if not wrong and not _is_text_mapping(values.get(_OPTIONAL_KEY, {})):
            wrong = [f"{_OPTIONAL_KEY} is {abbreviate(values[_OPTIONAL_KEY])}"]
        if wrong:
            raise DataError(
                f"{where}: not a sample: {', '.join(wrong)}", "expected a line that cslr prepare has written"
            )
        texts = [*values["glosses"], *values.get(_OPTIONAL_KEY, {}).values()]
        texts += [value for key in _KINDS if isinstance(value := values[key], str) and key != "frames"]
        if not all(map(is_unicode, texts)):
            raise DataError(f"{where}: a text that is no Unicode", "expected a line that cslr prepare has written")
        values["glosses"] = tuple(values["glosses"])
        return cls(**values)


def _is_text_mapping(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
