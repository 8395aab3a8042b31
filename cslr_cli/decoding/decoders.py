"""The choice of a decoder, by its name or by a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from cslr_cli.choices import DecoderName
from cslr_cli.decoding.greedy import GreedyDecoder
from cslr_cli.decoding.hypothesis import Decoder
from cslr_cli.decoding.language_model import LanguageModel
from cslr_cli.decoding.prefix_beam import PrefixBeamDecoder
from cslr_cli.errors import UsageError, did_you_mean
from cslr_cli.vocabulary import Vocabulary

if TYPE_CHECKING:  # imports pydantic, which a worker process does without
    from cslr_cli.config import DecodingConfig

DECODERS: tuple[DecoderName, ...] = get_args(DecoderName)


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
        name: `beam` (exact prefix beam search, as in published systems), `greedy` or `pyctcdecode`.
        glosses: the vocabulary without the blank: `glosses[i]` is class i + 1.
        beam_width: number of prefixes kept after each step; `greedy` has no beam.
        max_classes: number of most probable classes that `beam` considers per step.
        num_best: maximum number of hypotheses returned; `greedy` has only one.
        keep_repeats: whether adjacent equal glosses stay separate; by default they are merged.
        language_model: language model of glosses, for `pyctcdecode` only.

    Raises:
        UsageError: the decoder is unknown, or the settings contradict each other.
        DataError: the language model cannot be read, or has none of the glosses.
        MissingPackageError: pyctcdecode, or kenlm for a language model, is not installed.
    """
    if language_model is not None and name != "pyctcdecode":
        raise UsageError(
            f"{language_model.path}: the decoder {name} cannot use a language model", "use the decoder pyctcdecode"
        )
    if name == "beam":
        return PrefixBeamDecoder(beam_width, max_classes, num_best, keep_repeats)
    if name == "greedy":
        if num_best > 1:
            raise UsageError(
                f"num_best is {num_best}, but greedy decoding gives one hypothesis",
                "use the decoder beam or pyctcdecode",
            )
        return GreedyDecoder(keep_repeats=keep_repeats)
    if name == "pyctcdecode":
        from cslr_cli.decoding.pyctcdecode_decoder import PyctcdecodeDecoder

        return PyctcdecodeDecoder(tuple(glosses), beam_width, num_best, keep_repeats, language_model)
    hint = f"{did_you_mean(name, DECODERS)} use one of: {', '.join(DECODERS)}".lstrip()
    raise UsageError(f"unknown decoder {name!r}", hint)


def decoder_from_config(config: DecodingConfig, vocabulary: Vocabulary) -> Decoder:
    """Build the decoder of a configuration for the classes of a vocabulary."""
    return make_decoder(
        config.decoder,
        glosses=vocabulary.glosses,
        beam_width=config.beam_width,
        max_classes=config.max_classes,
        num_best=config.num_best,
        keep_repeats=config.keep_repeats,
        language_model=language_model_from_config(config),
    )


def language_model_from_config(config: DecodingConfig) -> LanguageModel | None:
    """Return the language model of a configuration, if it has one."""
    if config.language_model is None:
        return None
    return LanguageModel(config.language_model, config.lm_weight, config.gloss_bonus)
