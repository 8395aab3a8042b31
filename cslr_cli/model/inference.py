"""Preparation of a network for inference: batch norms are folded into the convolutions before them."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cslr_cli.model.network import Network


def prepare_for_inference(network: Network, dtype: torch.dtype) -> Network:
    """Copy a network for inference: fewer operations, and weights in the dtype of the computation.

    Modules keep their names and support hooks; batch norms become identities. Call the copy under
    `torch.inference_mode()` and without autocast; its logits have `dtype`. It does not support gradients.

    Args:
        network: network, which stays unchanged.
        dtype: dtype of the computation: float32, bfloat16 or float16.

    Returns:
        A copy on the same device, in evaluation mode.
    """
    copied = deepcopy(network).eval().requires_grad_(False)
    for parent in list(copied.modules()):
        _fold_norms(parent)
    return copied.to(dtype)


def _fold_norms(parent: nn.Module) -> None:
    """Fold each batch norm of a module into the convolution directly before it."""
    before: nn.Module | None = None
    before_name = ""
    for name, module in list(parent.named_children()):
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and isinstance(before, (nn.Conv1d, nn.Conv2d)):
            setattr(parent, before_name, fuse_conv_bn_eval(before, module))
            setattr(parent, name, nn.Identity())
        before, before_name = module, name
