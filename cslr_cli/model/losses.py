"""The losses: CTC on both heads, and distillation from the LSTM's head to the convolution's.

Axes: B clips, T' steps, V classes with the blank. All losses are computed in fp32 or better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cslr_cli.model.network import NetworkOutput
from cslr_cli.vocabulary import BLANK_ID

DISTILLATION_TEMPERATURE = 8.0


@dataclass(frozen=True)
class Targets:
    """Reference glosses of a batch.

    Attributes:
        targets: int64 (sum of target_lengths,), concatenated gloss ids of the clips.
        target_lengths: int64 (B,), number of glosses of each clip.
    """

    targets: Tensor
    target_lengths: Tensor


def _ctc(logits: Tensor, step_lengths: Tensor, targets: Targets) -> Tensor:
    # (B, T', V) -> (T', B, V)
    log_probs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1).transpose(0, 1)
    per_clip = functional.ctc_loss(
        log_probs,
        targets.targets.cpu(),
        step_lengths.cpu(),
        targets.target_lengths.cpu(),
        blank=BLANK_ID,
        reduction="none",
        zero_infinity=False,
    )
    return per_clip.mean()


def sequence_ctc(output: NetworkOutput, targets: Targets) -> Tensor:
    """CTC on the LSTM's logits, mean over clips, not divided by target length (`SeqCTC`)."""
    return _ctc(output.sequence_logits, output.step_lengths, targets)


def conv_ctc(output: NetworkOutput, targets: Targets) -> Tensor:
    """CTC on the temporal convolution's logits (`ConvCTC`; the visual enhancement loss of VAC)."""
    return _ctc(output.conv_logits, output.step_lengths, targets)


def distillation(output: NetworkOutput, targets: Targets) -> Tensor:
    """Distillation from the LSTM's logits to the convolution's (`Dist`; the visual alignment loss of VAC, SMKD).

    `KL(softmax(sequence/8) ‖ softmax(conv/8)) · 8²` without the blank; the sequence logits are detached. The sum
    over classes is averaged over all B·T' rows, including padding, as published.
    """
    temperature = DISTILLATION_TEMPERATURE
    glosses = slice(BLANK_ID + 1, None)
    dtype = torch.promote_types(output.conv_logits.dtype, torch.float32)
    student = (output.conv_logits[..., glosses].to(dtype) / temperature).log_softmax(-1).flatten(0, 1)
    teacher = output.sequence_logits.detach()[..., glosses].to(dtype) / temperature
    teacher = teacher.log_softmax(-1).flatten(0, 1)
    divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


Loss = Callable[[NetworkOutput, Targets], Tensor]

LOSSES: Mapping[str, Loss] = {
    "sequence_ctc": sequence_ctc,
    "conv_ctc": conv_ctc,
    "distillation": distillation,
}


@dataclass(frozen=True)
class LossValues:
    """The losses of a batch.

    Attributes:
        total: scalar, weighted sum of the losses.
        parts: scalar losses by name, unweighted and detached.
    """

    total: Tensor
    parts: Mapping[str, Tensor]


def weighted_loss(output: NetworkOutput, targets: Targets, weights: Mapping[str, float]) -> LossValues:
    """Compute the weighted sum of the named losses; losses of weight 0 are skipped.

    Args:
        output: output of the network.
        targets: reference glosses.
        weights: weight of each loss by its name in `LOSSES` or `output.losses`.
    """
    parts = {
        name: LOSSES[name](output, targets) if name in LOSSES else output.losses[name]
        for name, weight in weights.items()
        if weight
    }
    total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
    return LossValues(total, {name: part.detach() for name, part in parts.items()})
