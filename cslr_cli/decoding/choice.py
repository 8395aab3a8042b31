"""The decoders by the names that the command line gives them."""

from __future__ import annotations

from collections.abc import Sequence

from cslr_cli.decoding.greedy import GreedyDecoder
from cslr_cli.decoding.hypothesis import Decoder
from cslr_cli.decoding.language_model import LanguageModel
from cslr_cli.decoding.prefix_beam import PrefixBeamDecoder
from cslr_cli.errors import UsageError, did_you_mean

DECODERS = ("beam", "greedy", "pyctcdecode")


def make_decoder(
    name: str,
    *,
    glosses: Sequence[str],
    beam_width: int = 10,
    max_classes: int = 40,
    num_best: int = 1,
    keep_repeats: bool = False,
    language_model: LanguageModel | None = None,
) -> Decoder:
    """Build a decoder.

    Args:
        name: `beam` (exact prefix beam search, what published figures rest on), `greedy`, or
            `pyctcdecode`.
        glosses: the vocabulary without the blank: `glosses[i]` is class i + 1.
        beam_width: prefixes kept after each step; greedy has no beam.
        max_classes: classes that `beam` looks at in a step, the most probable ones.
        num_best: hypotheses returned at most; greedy knows one only.
        keep_repeats: leave neighbouring equal glosses as they are, instead of merging them.
        language_model: of glosses, for `pyctcdecode`.

    Raises:
        UsageError: no such decoder, or the settings make no sense.
        DataError: the language model cannot be read, or knows none of the glosses.
        MissingPackageError: pyctcdecode is asked for and not installed, or kenlm for a language model.
    """
    if language_model is not None and name != "pyctcdecode":
        raise UsageError(
            f"{language_model.path}: the decoder {name} takes no language model", "the decoder pyctcdecode does"
        )
    if name == "beam":
        return PrefixBeamDecoder(beam_width, max_classes, num_best, keep_repeats)
    if name == "greedy":
        if num_best > 1:
            raise UsageError(
                f"{num_best} hypotheses are asked for of greedy decoding, which knows one",
                "use the decoder beam or pyctcdecode",
            )
        return GreedyDecoder(keep_repeats=keep_repeats)
    if name == "pyctcdecode":
        from cslr_cli.decoding.with_pyctcdecode import PyctcdecodeDecoder

        return PyctcdecodeDecoder(tuple(glosses), beam_width, num_best, keep_repeats, language_model)
    hint = f"{did_you_mean(name, DECODERS)} the decoders are {', '.join(DECODERS)}".lstrip()
    raise UsageError(f"there is no decoder named {name!r}", hint)
