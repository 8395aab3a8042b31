"""Options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class PrecisionName(str, Enum):
    """What the network computes in."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class DecoderName(str, Enum):
    """How logits become glosses."""

    beam = "beam"
    greedy = "greedy"
    pyctcdecode = "pyctcdecode"


Device = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|N", help="Where to compute: a GPU by its number, or the CPU.")
]
Precision = Annotated[
    PrecisionName,
    typer.Option("--precision", help="auto: bf16 where the device has it fast, else fp16 on a GPU and fp32 on a CPU."),
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
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder of the runs.")]
Decoder = Annotated[
    DecoderName | None, typer.Option("--decoder", help="In place of the checkpoint's: beam, greedy or pyctcdecode.")
]
BeamWidth = Annotated[int | None, typer.Option("--beam-width", min=1, help="Prefixes that the decoder keeps a step.")]
KeepRepeats = Annotated[
    bool, typer.Option("--keep-repeats", help="Do not merge neighbouring equal glosses, as published systems do.")
]
