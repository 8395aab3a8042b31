"""The decoding options of the command line, and the output of the search for a language model's weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cslr_cli.choices import DecoderName
from cslr_cli.cli.console import table
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from cslr_cli.config import DecodingConfig
    from cslr_cli.evaluation import TunedLanguageModel


def apply_decoding_options(
    decoding: DecodingConfig,
    *,
    decoder: DecoderName | None,
    lm: Path | None = None,
    lm_weight: float | None = None,
    gloss_bonus: float | None = None,
    tune_lm: bool = False,
    beam_width: int | None = None,
    **others: Any,
) -> DecodingConfig:
    """Apply the options of the command line to the decoding settings of a checkpoint.

    Args:
        decoding: settings of the checkpoint.
        decoder: value of `--decoder`; by default pyctcdecode if there is a language model. Other decoders drop the
            language model of the checkpoint.
        lm: value of `--lm`.
        lm_weight: value of `--lm-weight`.
        gloss_bonus: value of `--gloss-bonus`.
        tune_lm: value of `--tune-lm`.
        beam_width: value of `--beam-width`.
        others: other settings by their names in the configuration; None keeps a setting.
    """
    from cslr_cli.config import changed_decoding

    weights = [("--lm-weight", lm_weight), ("--gloss-bonus", gloss_bonus)]
    given = [option for option, value in weights if value is not None]
    if given and lm is None and decoding.language_model is None:
        raise UsageError(f"{given[0]} without a language model", "add --lm FILE")
    if given and tune_lm:
        raise UsageError(f"{given[0]} with --tune-lm, which searches the weights", "remove one of the two options")
    if lm is not None and decoder not in (None, "pyctcdecode"):
        raise UsageError(
            f"--lm {lm}: the decoder {decoder} does not support language models",
            "remove --decoder, or use --decoder pyctcdecode",
        )
    chosen = "pyctcdecode" if lm is not None else decoder or decoding.decoder
    if beam_width is not None and chosen == "greedy":
        raise UsageError(
            f"--beam-width {beam_width}: greedy decoding has no beam", "remove --beam-width, or use --decoder beam"
        )
    if chosen != "pyctcdecode":  # drop the checkpoint's language model, whose file may be on another computer
        decoding = decoding.model_copy(update={"language_model": None})
    return changed_decoding(
        decoding,
        decoder=chosen,
        beam_width=beam_width,
        language_model=lm,
        lm_weight=lm_weight,
        gloss_bonus=gloss_bonus,
        **others,
    )


def tuning_table(tuned: TunedLanguageModel, rows_shown: int = 8) -> Any:
    """Build a table of the best trials and the trial without the language model."""
    without_lm = tuned.trials[0]
    ordered = sorted(tuned.trials, key=lambda trial: (trial.wer, trial != tuned.best))
    shown = ordered[:rows_shown]
    if without_lm not in shown:
        shown.append(without_lm)
    rows = [
        [
            "without the language model" if trial == without_lm else f"{trial.lm_weight:g}",
            f"{trial.gloss_bonus:g}",
            f"{trial.wer:.2f}",
            "chosen" if trial == tuned.best else "",
        ]
        for trial in shown
    ]
    return table(["language model weight", "gloss bonus", "WER % on dev", ""], rows, left=(0, 3))
