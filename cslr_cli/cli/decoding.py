"""The decoding options of the command line, and the output of the search for a language model's weights."""

from __future__ import annotations

from dataclasses import asdict
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
    """Apply the options of the command line to a checkpoint's decoding settings.

    Args:
        decoding: the checkpoint's.
        decoder: `--decoder`; with a language model and without this option it is pyctcdecode. One that takes
            no language model leaves the checkpoint's out.
        lm: `--lm`.
        lm_weight: `--lm-weight`.
        gloss_bonus: `--gloss-bonus`.
        tune_lm: `--tune-lm`.
        beam_width: `--beam-width`.
        others: other settings by their names in the configuration; those that are None stay as they are.

    Raises:
        UsageError: a language model for a decoder that takes none, weights of none or of one whose
            weights are to be found, or a beam for a decoder that has none.
        ConfigError: a value is wrong.
    """
    from cslr_cli.config import changed_decoding

    weights = [("--lm-weight", lm_weight), ("--gloss-bonus", gloss_bonus)]
    given = [option for option, value in weights if value is not None]
    if given and lm is None and decoding.language_model is None:
        raise UsageError(f"{given[0]}: there is no language model", "name one: --lm gloss.arpa")
    if given and tune_lm:
        raise UsageError(f"{given[0]}: --tune-lm finds the weights itself", "leave one of the two out")
    if lm is not None and decoder not in (None, "pyctcdecode"):
        raise UsageError(
            f"--lm {lm}: the decoder {decoder} takes no language model",
            "leave --decoder out, or say --decoder pyctcdecode",
        )
    chosen = "pyctcdecode" if lm is not None else decoder or decoding.decoder
    if beam_width is not None and chosen == "greedy":
        raise UsageError(f"--beam-width {beam_width}: greedy decoding has no beam", "leave it out, or --decoder beam")
    if chosen != "pyctcdecode":  # the checkpoint's language model may be on somebody else's disk
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


def tuning_json(tuned: TunedLanguageModel) -> dict[str, Any]:
    """The weights that were found, and all that were tried."""
    return {**asdict(tuned.best), "trials": [asdict(trial) for trial in tuned.trials]}


def tuning_table(tuned: TunedLanguageModel, rows_shown: int = 8) -> Any:
    """The best trials, and the one without the language model."""
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
    return table(["language model's weight", "gloss bonus", "WER % on dev", ""], rows, left=(0, 3))
