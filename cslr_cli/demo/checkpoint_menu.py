"""The checkpoints that the page offers; each is loaded when it is first chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.choices import Precision
from cslr_cli.config import DecodingConfig, changed_decoding
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.recognizer import Recognizer
from cslr_cli.training.run.runs import (
    describe_checkpoint,
    find_checkpoint,
    find_default_checkpoints,
    wer_warning,
)

# Default length of the n-best list on the page.
NUM_BEST = 5

# Returns the decoding settings of a network on the page, from those of its checkpoint.
ChangeDecoding = Callable[[DecodingConfig], DecodingConfig]


def show_more_hypotheses(decoding: DecodingConfig) -> DecodingConfig:
    """Set the length of the n-best list for the page."""
    return changed_decoding(decoding, num_best=NUM_BEST)


@dataclass(frozen=True)
class CheckpointMenu:
    """Checkpoints by their names on the page; the first one is selected at the start.

    Only the network that was used last stays in memory, because a large network may fill the device.

    Attributes:
        paths: the loadable checkpoint files by name.
        broken: the errors of the other checkpoints by name; the messages hold no folders.
        device: device of the networks.
        precision: precision of the networks.
        change_decoding: changes the decoding settings of each checkpoint.
        descriptions: run, corpus, epoch and WER on dev of each loadable checkpoint, for the terminal.
        warnings: why some of them may give bad results, for the terminal.
    """

    paths: Mapping[str, Path]
    broken: Mapping[str, str]
    device: torch.device
    precision: Precision = "auto"
    change_decoding: ChangeDecoding = show_more_hypotheses
    descriptions: Sequence[str] = ()
    warnings: Sequence[str] = ()
    _loaded: dict[str, Recognizer] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def names(self) -> list[str]:
        """Names of the loadable checkpoints."""
        return list(self.paths)

    def recognizer(self, name: str) -> Recognizer:
        """Return the recognizer of a checkpoint; load it if it is not in memory."""
        if name not in self.paths:
            raise UsageError(f"{name}: unknown checkpoint", f"use one of {', '.join(self.paths)}")
        with self._lock:
            if name not in self._loaded:
                self._loaded.clear()  # first, because two networks may not fit on the device
                checkpoint = load_checkpoint(self.paths[name])
                decoding = self.change_decoding(checkpoint.config.decoding)
                recognizer = Recognizer(
                    checkpoint, device=self.device, precision=self.precision, decoding=decoding, name=name
                )
                self._loaded[name] = recognizer
            return self._loaded[name]


def build_checkpoint_menu(
    checkpoints: Sequence[Path],
    runs_dir: Path,
    *,
    device: torch.device,
    precision: Precision = "auto",
    change_decoding: ChangeDecoding = show_more_hypotheses,
) -> CheckpointMenu:
    """Make a menu of the given checkpoints, or without any of the best one of every finished run, the newest first.

    If no run is finished, the menu has the best checkpoint of the newest run.

    Each checkpoint is read once, so that broken ones are reported at the start.

    Raises:
        UsageError: there is no checkpoint.
        CslrError: no checkpoint can be read.
    """
    references: Sequence[Path | None] = checkpoints or find_default_checkpoints(runs_dir) or [None]
    found = [find_checkpoint(reference, runs_dir) for reference in references]
    warnings = [warning for each in found for warning in each.warnings]
    descriptions: list[str] = []
    paths: dict[str, Path] = {}
    faults: list[CslrError] = []
    broken: dict[str, str] = {}
    for path in dict.fromkeys(each.path for each in found):
        name = _choose_name(path, {*paths, *broken})
        try:
            checkpoint = load_checkpoint(path)
        except CslrError as error:
            faults.append(error)
            broken[name] = str(error).replace(str(path), path.name)  # the page shows it to strangers
        else:
            change_decoding(checkpoint.config.decoding)  # reports wrong settings now, not to a visitor
            paths[name] = path
            descriptions.append(describe_checkpoint(path, checkpoint))
            warnings += [f"{path}: {warning}" for warning in checkpoint.warnings]
            warnings += filter(None, [wer_warning(path, checkpoint)])
    if not paths:
        raise faults[0]
    return CheckpointMenu(paths, broken, device, precision, change_decoding, descriptions, warnings)


def _choose_name(path: Path, taken: set[str]) -> str:
    """Name a checkpoint after its run or its file, without its folder."""
    folder = path.absolute().parent.name
    base_name = folder if path.name == "best.pt" and folder else path.stem
    name, count = base_name, 1
    while name in taken:
        count += 1
        name = f"{base_name} ({count})"
    return name
