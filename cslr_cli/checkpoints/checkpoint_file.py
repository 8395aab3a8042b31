"""What is in a checkpoint file, of whatever origin: read with no code run and no damage overlooked."""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from cslr_cli.checkpoints.plain_pickle import PLAIN_GLOBALS
from cslr_cli.errors import CheckpointError

EXPECTED = "expected a file that `cslr train` or `cslr convert` wrote"

# How files begin that torch wrote before version 1.6: a number, pickled.
_OLD_FORMAT = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


def read_checkpoint_file(path: Path) -> dict[str, Any]:
    """The dictionary in a file that `torch.save` wrote.

    Nothing in the file is run: it may hold tensors, plain values, and numpy's numbers and arrays.

    Raises:
        CheckpointError: no such file, one that torch did not write, a damaged one, or one that
            holds anything else; with what to do about it.
    """
    _check_is_file(path)
    if not _is_old_format(path):
        _check_is_whole(path)
    try:
        with torch.serialization.safe_globals([(value, name) for name, value in PLAIN_GLOBALS.items()]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds other things than tensors and plain values; it was not opened, and nothing in it was run",
            EXPECTED,
        ) from error
    except Exception as error:  # a zip of something else makes the unpickler raise anything
        raise CheckpointError(f"{path}: not a checkpoint", EXPECTED) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a checkpoint of cslr", EXPECTED)
    return content


def _check_is_file(path: Path) -> None:
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint", "`cslr train` writes them to runs/NAME/best.pt")
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a checkpoint", f"perhaps {path / 'best.pt'}")
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"{path}: may not be read", "check the rights of the file")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: an empty file", EXPECTED)


def _is_old_format(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_OLD_FORMAT)) == _OLD_FORMAT


def _check_is_whole(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: not a checkpoint, or one that was cut off", f"{EXPECTED}, whole")
    if _is_damaged(path):
        raise CheckpointError(f"{path}: the file is damaged", "take another copy of it, or `last.pt` of the same run")


def _is_damaged(path: Path) -> bool:
    """Whether the file's own checksums say so; torch does not look at them."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is not None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):
        return True  # headers that contradict each other; RuntimeError: an unknown packing
