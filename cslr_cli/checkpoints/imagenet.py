"""ImageNet weights of ResNet-18 from torchvision, the start of a training."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from cslr_cli.checkpoints.checkpoint_file import read_checkpoint_file
from cslr_cli.errors import CheckpointError
from cslr_cli.model.backbone import STAGES, ResNet

_EXPECTED = "use torchvision's resnet18 .pth file"
_RESNET_LAYERS = ("conv1.", "bn1.", *(f"{stage}." for stage in STAGES))


def load_imagenet_weights(backbone: ResNet, path: Path | None) -> None:
    """Load the ImageNet weights of ResNet-18 into a backbone; tensors that a ResNet does not have stay unchanged.

    Args:
        backbone: backbone of width 64.
        path: file with the weights of torchvision's ResNet-18; by default they are downloaded once into torch's
            cache.

    Raises:
        CheckpointError: the weights cannot be downloaded or read, or are not those of a ResNet-18.
    """
    path = path if path is not None else _find_or_download()
    weights = _read_weights(path)
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
            f"{len(wrong)} of {len(own)} tensors are missing or have another shape, first {wrong[0]}\n{_EXPECTED}",
        )
    backbone.load_state_dict({name: trunk[name] for name in own}, strict=False)


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    weights = read_checkpoint_file(path, _EXPECTED)
    if not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f"{path}: contains no named weights", _EXPECTED)
    return weights


def _find_or_download() -> Path:
    """Return the weights in torch's cache; download them if they are not there."""
    from torchvision.models import ResNet18_Weights  # slow to import and rarely needed

    url = str(ResNet18_Weights.IMAGENET1K_V1.url)
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.exists():
        return path
    digest = path.stem.rpartition("-")[2]  # the file name ends with the first digits of the file's SHA-256
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: the file has another hash
        raise CheckpointError(
            f"cannot download the ImageNet weights ({error})",
            f"save torchvision's {path.name} as {path},\n"
            "use --backbone-weights FILE, or train without these weights: --set model.pretrained=false",
        ) from error
    return path
