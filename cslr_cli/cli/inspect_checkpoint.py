"""What `cslr inspect` says of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from cslr_cli.cli.console import print_error, print_json, print_result, table
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from cslr_cli.checkpoints.inspection import CheckpointInspection


def find_checkpoint(path: Path) -> Path | None:
    """The checkpoint that a path means: a file, or the best or else last one in a run's folder; None if none.

    Raises:
        UsageError: it is a run that has saved none yet, or a folder of runs.
    """
    if path.is_file() or path.suffix == ".pt":
        return path
    saved = [path / name for name in ("best.pt", "last.pt") if (path / name).is_file()]
    if not saved and (path / "config.yaml").is_file():
        raise UsageError(
            f"{path}: a run that has saved no checkpoint yet", f"what was said so far: {path / 'train.log'}"
        )
    if not saved and any(path.glob("*/config.yaml")):
        raise UsageError(f"{path}: a folder of runs", f"name one of them; to list them: cslr runs --runs-dir {path}")
    return saved[0] if saved else None


def print_checkpoint(path: Path, *, as_json: bool) -> None:
    """Print what a checkpoint is."""
    from cslr_cli.checkpoints.inspection import inspect_checkpoint

    inspection = inspect_checkpoint(path)
    for warning in inspection.warnings:
        print_error(warning, kind="warning")
    if as_json:
        print_json(inspection.to_dict())
        return
    rows = [*_network_rows(inspection), *_use_rows(inspection), *_training_rows(inspection)]
    print_result(table([str(path), ""], rows, left=(0, 1)))


def _network_rows(inspection: CheckpointInspection) -> list[list[str]]:
    model, parts = inspection.model, inspection.model.parts
    sharing = "shared by both heads" if parts.shared_classifier else "one for each head"
    total = sum(inspection.parameters.values())
    rows = [
        ["network", model.name],
        ["temporal layers", f"{' '.join(model.temporal_layers)}, {parts.pool} pool"],
        ["classifier", f"{parts.classifier}, {sharing}"],
        ["parameters", f"{total:,}"],
        *([f"  {part}", f"{count:,}"] for part, count in inspection.parameters.items()),
    ]
    if any("correlation" in part for part in inspection.parameters):
        rows.insert(1, ["correlation after", " ".join(model.correlation_after)])
    return rows


def _use_rows(inspection: CheckpointInspection) -> list[list[str]]:
    vocabulary, corpus, data = inspection.vocabulary, inspection.corpus, inspection.data
    if vocabulary is None or corpus is None or data is None:
        path, output = quote(str(inspection.path)), quote(f"{inspection.path.stem}-cslr.pt")
        command = f"cslr convert {path} --vocabulary gloss_dict.npy --output {output}"
        return [["glosses", f"{inspection.num_classes - 1}; which ones, the file does not say"], ["to use it", command]]
    first = " ".join(vocabulary.glosses[:5])
    frames = [f"{corpus.fps:g} a second", "all" if data.frame_interval == 1 else f"one of {data.frame_interval}"]
    pixels = [f"{corpus.frame_size} pixels, cropped to {data.crop_size}"]
    if data.image_scale != 1:
        pixels.append(f"resized to {data.input_size}")
    return [
        ["glosses", f"{len(vocabulary.glosses)}: {first} … (hash {vocabulary.hash})"],
        ["corpus", f"{corpus.name}, scored as {corpus.protocol}; prepared in {corpus.path}"],
        ["frames", ", ".join([*frames, *pixels])],
    ]


def _training_rows(inspection: CheckpointInspection) -> list[list[str]]:
    of_all = "" if inspection.num_epochs is None else f" of {inspection.num_epochs}"
    rows = [["epochs", f"{inspection.epoch}{of_all}"]]
    for title, record in (("best WER on dev", inspection.best), ("last WER on dev", _last(inspection))):
        if record is not None:
            rows.append([title, f"{record['wer']:.1f} % (epoch {record['epoch']})"])
    if inspection.converted_from is not None:
        rows.append(["converted from", inspection.converted_from])
    if inspection.averaged_epochs:
        rows.append(["mean of epochs", ", ".join(map(str, inspection.averaged_epochs))])
    if inspection.resumable:
        rows.append(["training", f"goes on with: cslr train --resume {quote(str(inspection.path.parent))}"])
    rows += [["written by", inspection.written_by], ["size", f"{inspection.num_bytes / 2**20:.1f} MiB"]]
    return rows


def _last(inspection: CheckpointInspection) -> Mapping[str, Any] | None:
    return next((record for record in reversed(inspection.history) if record.get("wer") is not None), None)
