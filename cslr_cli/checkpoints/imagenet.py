"""ImageNet weights to start a training from; nothing here is used when a checkpoint is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cslr_cli.errors import CheckpointError
from cslr_cli.model.backbone import STAGES, ResNet

# Torchvision's ResNet18_Weights.IMAGENET1K_V1; the name ends with the beginning of the file's SHA-256.
_WEIGHTS_FILE = "resnet18-f37072fd.pth"
_WEIGHTS_URL = f"https://download.pytorch.org/models/{_WEIGHTS_FILE}"
_EXPECTED = "expected torchvision's resnet18 .pth"
_RESNET_LAYERS = ("conv1.", "bn1.", *(f"{stage}." for stage in STAGES))


def load_imagenet_weights(backbone: ResNet, path: Path | None) -> None:
    """Put ResNet-18's ImageNet weights into a backbone; what a ResNet has not stays as it is.

    Args:
        backbone: of width 64.
        path: a file with torchvision's ResNet-18; None fetches it, once, into torch's cache.

    Raises:
        CheckpointError: it cannot be fetched or read, or is no ResNet-18.
    """
    path = path if path is not None else _fetched()
    weights = _read(path)
    trunk = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    own = {
        name: value
        for name, value in backbone.state_dict().items()
        if name.startswith(_RESNET_LAYERS) and not name.endswith("num_batches_tracked")
    }
    wrong = sorted(name for name in own if name not in trunk or trunk[name].shape != own[name].shape)
    if wrong:
        raise CheckpointError(
            f"{path}: not torchvision's ResNet-18",
            f"{len(wrong)} of {len(own)} tensors are missing or of another shape, first {wrong[0]}",
        )
    backbone.load_state_dict({name: trunk[name] for name in own}, strict=False)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        weights: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})", _EXPECTED) from error
    except Exception as error:  # torch raises a dozen kinds over a file that is none of its own
        raise CheckpointError(f"{path}: cannot be read as weights", _EXPECTED) from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f"{path}: holds no weights by name", _EXPECTED)
    return weights


def _fetched() -> Path:
    """The weights in torch's cache, fetched if they are not there yet."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / _WEIGHTS_FILE
    if path.exists():
        return path
    digest = path.stem.rpartition("-")[2]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(_WEIGHTS_URL, str(path), hash_prefix=digest, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: another file came than was asked for
        raise CheckpointError(
            f"the ImageNet weights could not be fetched ({error})",
            f"put torchvision's {_WEIGHTS_FILE} at {path},\n"
            "or name it by --backbone-weights FILE, or train without by --set model.pretrained=false",
        ) from error
    return path
