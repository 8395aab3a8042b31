"""What to do where a training needs more memory than there is."""

from __future__ import annotations

from pathlib import Path

import torch

from cslr_cli.config import Config


def memory_advice(config: Config, device: torch.device, run: Path) -> str:
    """Which settings make a training need less memory: those that are not set yet, the gentlest first.

    Args:
        config: of the training.
        device: what was too small.
        run: its folder.
    """
    settings, clips = config.training, config.training.batch_size
    measures = []
    if device.type == "cuda" and settings.precision == "fp32":
        measures.append("--precision bf16: half of the memory of fp32")
    if settings.batch_frames is None and settings.accumulation < clips:
        measures.append(f"--set training.accumulation={clips}: a batch's clips one after the other, on one device")
    if not settings.activation_checkpointing:
        measures.append("--set training.activation_checkpointing=true: less to remember, more to compute")
    if settings.batch_frames is None:
        measures.append("--set training.group_by_length=true, or --batch-frames N: less padding") if clips > 1 else None
    else:
        measures.append(f"--batch-frames, which is {settings.batch_frames}: a smaller one")
    longest = config.data.max_clip_frames
    measures.append(
        f"--set data.max_clip_frames=N: shorter clips than {'they are' if longest is None else f'{longest} frames'}"
    )
    if clips > 1:
        measures.append("--set training.batch_size=N: fewer clips a step; no longer the same recipe")
    return "\n".join(["what helps:", *measures, f"go on with it from the last save: --resume {run} --set …"])
