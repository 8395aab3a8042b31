"""What a training ran on: versions, hardware, and the state of the source code."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
import torch

from cslr_cli.processes import available_cores
from cslr_cli.version import __version__


def environment() -> dict[str, Any]:
    """Versions, hardware and the state of the source code, for the record."""
    return {
        "cslr": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": metadata.version("torchvision"),  # importing it would take longer than all of this
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "platform": platform.platform(),
        "gpus": _gpus(),
        "cores": available_cores(),
        "threads": torch.get_num_threads(),
        "command": sys.argv,
        "git": _git_state(),
    }


def _gpus() -> list[dict[str, Any]]:
    """Name and memory (GiB) of each GPU that torch sees."""
    if not torch.cuda.is_available():
        return []
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [{"name": gpu.name, "memory_gib": round(gpu.total_memory / 2**30, 1)} for gpu in found]


def _git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this package runs from; None where it was installed."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit.strip(), "changed_files": changes.split("\n")[:-1]}
