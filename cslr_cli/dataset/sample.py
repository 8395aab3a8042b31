"""`Sample`: one clip of a corpus, as a line of a manifest has it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from cslr_cli.errors import DataError

SPLITS = ("train", "dev", "test")

# The keys of a manifest's line, and what their values are.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "sample_id": str,
    "split": str,
    "frames": str,
    "num_frames": (int, type(None)),
    "signer": (str, type(None)),
    "glosses": list,
    "translation": (str, type(None)),
}


@dataclass(frozen=True)
class Sample:
    """One clip with what was signed in it.

    Attributes:
        sample_id: the name of the clip, unique in its corpus.
        split: `train`, `dev` or `test`.
        frames: where its pictures are, relative to the corpus (or release) folder: a folder, a
            `.zip` or a video file, with `/` between parts.
        num_frames: how many pictures it has; None where they have not been counted.
        signer: who signs; None where the corpus does not say.
        glosses: what was signed, in order, as the annotation writes it.
        translation: the sentence in the spoken language; None where the corpus has none.
    """

    sample_id: str
    split: str
    frames: str
    num_frames: int | None
    signer: str | None
    glosses: tuple[str, ...]
    translation: str | None = None

    @property
    def steps_needed(self) -> int:
        """The fewest network steps for CTC to spell the glosses in: one each, and one between equal neighbours."""
        return len(self.glosses) + sum(a == b for a, b in zip(self.glosses, self.glosses[1:], strict=False))

    def to_json(self) -> str:
        """The sample as one line of JSON, without the line end."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str, where: str) -> Sample:
        """Read a manifest's line.

        Args:
            line: one JSON object.
            where: file and line number, for the error message.

        Raises:
            DataError: the line is no JSON object or its keys are not those of a sample.
        """
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not a line of JSON ({error})") from error
        if not isinstance(values, dict) or set(values) != set(_KINDS):
            raise DataError(f"{where}: not a sample", f"expected an object with the keys {', '.join(_KINDS)}")
        wrong = [f"{key} is {values[key]!r}" for key, kind in _KINDS.items() if not isinstance(values[key], kind)]
        if not wrong and not all(isinstance(gloss, str) for gloss in values["glosses"]):
            wrong = [f"glosses is {values['glosses']!r}"]
        if wrong:
            raise DataError(
                f"{where}: not a sample: {', '.join(wrong)}", "expected a line that cslr prepare has written"
            )
        values["glosses"] = tuple(values["glosses"])
        return cls(**values)
