"""The checkpoints that the page offers, each loaded when it is first chosen."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.config import Precision, changed_decoding
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.recognizer import Recognizer
from cslr_cli.training.run.folder import best_checkpoints

# Length of the n-best list that the page shows.
_NUM_BEST = 5


@dataclass(frozen=True)
class Networks:
    """Checkpoints by the name that the page shows, the first one chosen at the start.

    Only the network that was used last stays in memory: there is one device, and a large network
    may fill it.

    Attributes:
        paths: the files that can be loaded, by name.
        broken: what is wrong with those that cannot, by name; without their paths.
        device: where to compute.
        precision: what to compute in.
    """

    paths: Mapping[str, Path]
    broken: Mapping[str, str]
    device: torch.device
    precision: Precision = "auto"
    _loaded: dict[str, Recognizer] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def names(self) -> list[str]:
        """Of the checkpoints that can be chosen."""
        return list(self.paths)

    def recognizer(self, name: str) -> Recognizer:
        """The recognizer of a checkpoint.

        Raises:
            UsageError: no checkpoint has this name.
            CslrError: its file cannot be read any more, or not on this device.
        """
        if name not in self.paths:
            raise UsageError(f"{name}: no such checkpoint", f"expected one of {', '.join(self.paths)}")
        with self._lock:
            if name not in self._loaded:
                self._loaded.clear()  # before the next one is made: two may be more than the device holds
                checkpoint = load_checkpoint(self.paths[name])
                decoding = changed_decoding(checkpoint.config.decoding, num_best=_NUM_BEST)
                recognizer = Recognizer(checkpoint, device=self.device, precision=self.precision, decoding=decoding)
                self._loaded[name] = recognizer
            return self._loaded[name]


def find_networks(
    checkpoints: Sequence[Path], runs_dir: Path, *, device: torch.device, precision: Precision = "auto"
) -> Networks:
    """The checkpoints that were named, else the best one of every run, the newest first.

    Each is read once to see that it can be: a broken one should be known before somebody chooses it.

    Args:
        checkpoints: files of this project's format.
        runs_dir: where to look if there are none.
        device: where to compute.
        precision: what to compute in.

    Raises:
        UsageError: there is no checkpoint at all.
        CslrError: there is only one, and it is broken.
    """
    found = list(checkpoints) or best_checkpoints(runs_dir)
    if not found:
        raise UsageError(
            f"{runs_dir}: there is no run with a checkpoint here",
            "name one: cslr demo CHECKPOINT, or train one: cslr quickstart, or cslr train",
        )
    paths: dict[str, Path] = {}
    faults: list[CslrError] = []
    broken: dict[str, str] = {}
    for path in dict.fromkeys(found):
        name = _name(path, {*paths, *broken})
        try:
            load_checkpoint(path)
        except CslrError as error:
            faults.append(error)
            broken[name] = str(error).replace(str(path), path.name)  # the page shows it to strangers
        else:
            paths[name] = path
    if not paths:
        raise faults[0]
    return Networks(paths, broken, device, precision)


def _name(path: Path, taken: set[str]) -> str:
    """What the page calls a checkpoint: its run, or its file; never where it lies."""
    folder = path.absolute().parent.name
    plain = folder if path.name == "best.pt" and folder else path.stem
    name, count = plain, 1
    while name in taken:
        count += 1
        name = f"{plain} ({count})"
    return name
