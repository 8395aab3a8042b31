"""Options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from cslr_cli.choices import DecoderName, ScoringTool


class PrecisionName(str, Enum):
    """What the network computes in."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


# Panels of the help.
NETWORK = "The network"
SCORING = "Scoring"
DECODING = "Decoding"

Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|N",
        help="Where to compute: a GPU by its number, or the CPU.",
        rich_help_panel=NETWORK,
    ),
]
Precision = Annotated[
    PrecisionName,
    typer.Option(
        "--precision",
        help="auto: bf16 where the device has it fast, else fp16 on a GPU and fp32 on a CPU.",
        rich_help_panel=NETWORK,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, for example optimizer.lr=5e-5. Repeatable."),
]
Vocabulary = Annotated[
    Path | None,
    typer.Option(
        "--vocabulary",
        help="Of a published checkpoint: its gloss_dict.npy, a prepared corpus, or a text file with a gloss a line.",
        rich_help_panel=NETWORK,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder of the runs.", rich_help_panel=NETWORK)]
Decoder = Annotated[
    DecoderName | None,
    typer.Option(
        "--decoder", help="In place of the checkpoint's: beam, greedy or pyctcdecode.", rich_help_panel=DECODING
    ),
]
BeamWidth = Annotated[
    int | None,
    typer.Option("--beam-width", min=1, help="Prefixes that the decoder keeps a step.", rich_help_panel=DECODING),
]
KeepRepeats = Annotated[
    bool,
    typer.Option(
        "--keep-repeats",
        help="Do not merge neighbouring equal glosses, as published systems do.",
        rich_help_panel=DECODING,
    ),
]
LanguageModel = Annotated[
    Path | None,
    typer.Option(
        "--lm",
        metavar="FILE",
        help="n-gram model of glosses, ARPA or KenLM, beside the network; decodes by pyctcdecode.",
        rich_help_panel=DECODING,
    ),
]
LmWeight = Annotated[
    float | None,
    typer.Option(
        "--lm-weight", min=0, help="How much it counts; the network counts 1.  [default: 0.5]", rich_help_panel=DECODING
    ),
]
GlossBonus = Annotated[
    float | None,
    typer.Option(
        "--gloss-bonus",
        help="With it, what each gloss adds to a score, for it prefers few.  [default: 0]",
        rich_help_panel=DECODING,
    ),
]
Tool = Annotated[
    ScoringTool,
    typer.Option(
        "--tool",
        metavar="TOOL",
        help="builtin counts like sclite; sclite runs sclite itself; jiwer aligns at unit costs; published-python "
        "gives the figure that the published code prints beside sclite's: it merges repeats once more.",
        rich_help_panel=SCORING,
    ),
]
