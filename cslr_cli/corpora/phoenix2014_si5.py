"""PHOENIX2014's signer-independent half: signer 5 is in no training clip, and in every other one."""

from __future__ import annotations

from dataclasses import dataclass

from cslr_cli.corpora.phoenix2014 import FRAMES_DIR, Phoenix2014

_SI5 = "phoenix-2014-signerindependent-SI5"
_MULTISIGNER = "phoenix-2014-multisigner"

_LAYOUT = f"""\
phoenix2014-release/
├── {_SI5}/annotations/manual/{{train,dev,test}}.SI5.corpus.csv
└── {_MULTISIGNER}/
    ├── {FRAMES_DIR}/{{train,dev,test}}/ID/1/*.png   (or in {_SI5})
    └── evaluation/phoenix2014-groundtruth-{{dev,test}}.stm   (where there)"""


@dataclass(frozen=True)
class Phoenix2014SI5(Phoenix2014):
    """Reads the SI5 half: it has annotations of its own, its frames and references are those of the other half."""

    name: str = "phoenix2014-si5"
    title: str = "PHOENIX2014's signer-independent half (SI5)"
    layout: str = _LAYOUT
    release_folders: tuple[str, ...] = ("phoenix2014-release", _SI5)
    annotation_name: str = "annotations/manual/{split}.SI5.corpus.csv"
    frame_homes: tuple[str, ...] = (".", f"../{_MULTISIGNER}", _MULTISIGNER)
