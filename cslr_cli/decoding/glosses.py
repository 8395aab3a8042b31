"""Between the decoders, which know class numbers and steps, and people, who know glosses and seconds."""

from __future__ import annotations

from collections.abc import Sequence

from cslr_cli.config import DecodingConfig
from cslr_cli.decoding.choice import make_decoder
from cslr_cli.decoding.hypothesis import Decoder, Hypothesis
from cslr_cli.decoding.language_model import LanguageModel
from cslr_cli.scoring.transcripts import TimedGloss
from cslr_cli.vocabulary import Vocabulary


def decoder_for(config: DecodingConfig, vocabulary: Vocabulary) -> Decoder:
    """The decoder that a configuration names, for the classes of a vocabulary."""
    return make_decoder(
        config.decoder,
        glosses=vocabulary.glosses,
        beam_width=config.beam_width,
        max_classes=config.max_classes,
        num_best=config.num_best,
        keep_repeats=config.keep_repeats,
        language_model=language_model_of(config),
    )


def language_model_of(config: DecodingConfig) -> LanguageModel | None:
    """The language model that a configuration names, if it names one."""
    if config.language_model is None:
        return None
    return LanguageModel(config.language_model, config.lm_weight, config.gloss_bonus)


def timed_glosses(
    hypothesis: Hypothesis, vocabulary: Vocabulary, step_times: Sequence[tuple[float, float]]
) -> tuple[TimedGloss, ...]:
    """A hypothesis' glosses with start and end in seconds.

    Args:
        hypothesis: of one clip.
        vocabulary: of the network.
        step_times: start and end of each step of the clip, seconds.
    """
    return tuple(
        TimedGloss(gloss, step_times[first][0], step_times[last - 1][1], confidence)
        for gloss, (first, last), confidence in zip(
            vocabulary.decode(hypothesis.gloss_ids), hypothesis.steps, hypothesis.confidences, strict=True
        )
    )
