"""The losses against formulas written out: CTC as the sum over all its paths, the distillation in loops."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cslr_cli.model.losses import Targets, conv_ctc, distillation, sequence_ctc, weighted_loss
from cslr_cli.model.network import NetworkOutput

V = 4  # classes, with the blank


def output_of(sequence: Tensor, conv: Tensor, steps: Sequence[int]) -> NetworkOutput:
    return NetworkOutput(sequence, conv, torch.tensor(steps))


def random_output(steps: Sequence[int], seed: int = 0, dtype: torch.dtype = torch.float64) -> NetworkOutput:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, len(steps), max(steps), V, generator=generator, dtype=torch.float64).mul(2).to(dtype)
    return output_of(logits[0].requires_grad_(), logits[1].requires_grad_(), steps)


def targets_of(*sentences: Sequence[int]) -> Targets:
    flat = [gloss for sentence in sentences for gloss in sentence]
    return Targets(torch.tensor(flat, dtype=torch.int64), torch.tensor([len(sentence) for sentence in sentences]))


def collapsed(path: Sequence[int]) -> tuple[int, ...]:
    """What a path of classes says: repeats become one, then blanks go."""
    return tuple(label for label, _ in itertools.groupby(path) if label != 0)


def ctc_over_all_paths(logits: Tensor, target: Sequence[int]) -> float:
    """-log of the summed probability of every path (T', V) that says the target."""
    probabilities = logits.detach().softmax(-1).tolist()
    paths = itertools.product(range(V), repeat=len(probabilities))
    saying = (path for path in paths if collapsed(path) == tuple(target))
    total = sum(math.prod(step[label] for step, label in zip(probabilities, path, strict=True)) for path in saying)
    return -math.log(total) if total else math.inf


def distillation_in_loops(output: NetworkOutput) -> float:
    """Σ_v p·log(p/q), p and q softmax of logits / 8 without the blank, mean over rows, times 64."""
    rows = zip(
        output.sequence_logits.detach().flatten(0, 1).tolist(),
        output.conv_logits.detach().flatten(0, 1).tolist(),
        strict=True,
    )
    divergences = []
    for sequence, conv in rows:
        p, q = (np.exp(np.array(logits[1:]) / 8) for logits in (sequence, conv))
        p, q = p / p.sum(), q / q.sum()
        divergences.append(float((p * np.log(p / q)).sum()))
    return float(np.mean(divergences) * 8**2)


@settings(deadline=None, max_examples=30)
@given(
    steps=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    sentences=st.lists(st.lists(st.integers(1, V - 1), max_size=2), min_size=3, max_size=3),
    seed=st.integers(0, 1000),
)
def test_ctc_is_the_sum_over_all_paths_averaged_over_clips(
    steps: list[int], sentences: list[list[int]], seed: int
) -> None:
    output, sentences = random_output(steps, seed), sentences[: len(steps)]
    for loss, logits in ((sequence_ctc, output.sequence_logits), (conv_ctc, output.conv_logits)):
        clips = zip(logits, steps, sentences, strict=True)
        expected = [ctc_over_all_paths(clip[:length], target) for clip, length, target in clips]
        assert loss(output, targets_of(*sentences)).item() == pytest.approx(np.mean(expected), rel=1e-9)


def test_ctc_is_not_divided_by_the_length_of_the_target() -> None:
    # Two steps of equal classes: each of the V·V paths has one chance in 16, and one of them says (1, 2).
    output = output_of(torch.zeros(1, 2, V), torch.zeros(1, 2, V), [2])
    assert sequence_ctc(output, targets_of([1, 2])).item() == pytest.approx(math.log(16))
    # Three say (1): 1 1, 1 blank, blank 1.
    assert sequence_ctc(output, targets_of([1])).item() == pytest.approx(math.log(16 / 3))


@pytest.mark.parametrize("target", [[1, 2, 3], [1, 1]])
def test_a_target_that_does_not_fit_its_steps_has_an_infinite_loss(target: list[int]) -> None:
    output = random_output([2, 2])
    assert sequence_ctc(output, targets_of(target, [1])).item() == math.inf


def test_what_lies_beyond_a_clip_s_steps_does_not_count_in_ctc() -> None:
    output, targets = random_output([4, 2]), targets_of([1, 2], [3])
    changed = output.sequence_logits.detach().clone()
    changed[1, 2:] = 100 * torch.randn(2, V, dtype=torch.float64)
    expected = sequence_ctc(output, targets)
    torch.testing.assert_close(sequence_ctc(output_of(changed, changed, [4, 2]), targets), expected)


@pytest.mark.parametrize("steps", [[1], [3], [4, 2], [2, 2, 5]])
def test_distillation_is_the_divergence_of_the_softened_glosses_over_all_rows(steps: list[int]) -> None:
    output = random_output(steps)
    expected = distillation_in_loops(output)
    assert expected > 0
    assert distillation(output, targets_of([])).item() == pytest.approx(expected, rel=1e-9)


def test_distillation_is_zero_where_both_heads_say_the_same_of_the_glosses() -> None:
    logits = torch.randn(2, 3, V)
    other_blank = logits.clone()
    other_blank[..., 0] += 5
    assert distillation(output_of(logits, other_blank, [3, 3]), targets_of([])).item() == pytest.approx(0, abs=1e-6)


def test_only_the_convolution_learns_from_the_distillation() -> None:
    output = random_output([3, 3])
    distillation(output, targets_of([])).backward()
    assert output.sequence_logits.grad is None
    assert output.conv_logits.grad is not None
    gradient = output.conv_logits.grad
    assert gradient[..., 1:].abs().min() > 0
    assert gradient[..., 0].abs().max() == 0


def test_the_total_is_the_weighted_sum_and_the_parts_are_unweighted() -> None:
    output, targets = random_output([4, 3]), targets_of([1, 2], [3])
    loss = weighted_loss(output, targets, {"sequence_ctc": 1.0, "conv_ctc": 0.5, "distillation": 25.0})
    parts = {
        "sequence_ctc": sequence_ctc(output, targets).item(),
        "conv_ctc": conv_ctc(output, targets).item(),
        "distillation": distillation(output, targets).item(),
    }
    assert {name: value.item() for name, value in loss.parts.items()} == pytest.approx(parts)
    assert loss.total.item() == pytest.approx(
        parts["sequence_ctc"] + 0.5 * parts["conv_ctc"] + 25 * parts["distillation"]
    )
    assert loss.total.requires_grad
    assert not any(value.requires_grad for value in loss.parts.values())


def test_a_loss_of_weight_zero_is_not_computed() -> None:
    output = random_output([4, 3])
    broken = output_of(output.sequence_logits, torch.full_like(output.conv_logits, math.nan), [4, 3])
    weights = {"sequence_ctc": 2.0, "conv_ctc": 0.0, "distillation": 0.0}
    loss = weighted_loss(broken, targets_of([1], [2]), weights)
    assert set(loss.parts) == {"sequence_ctc"}
    assert loss.total.item() == pytest.approx(2 * loss.parts["sequence_ctc"].item())


def test_losses_that_the_network_itself_has_are_weighted_by_their_names() -> None:
    output, targets = random_output([4, 3]), targets_of([1, 2], [3])
    own = {"lifting_update": torch.tensor(200.0).requires_grad_(), "lifting_prediction": torch.tensor(math.nan)}
    output = dataclasses.replace(output, losses=own)
    weights = {"sequence_ctc": 1.0, "lifting_update": 5e-4, "lifting_prediction": 0.0}
    loss = weighted_loss(output, targets, weights)
    assert loss.parts.keys() == {"sequence_ctc", "lifting_update"}
    assert loss.parts["lifting_update"].item() == 200
    assert loss.total.item() == pytest.approx(loss.parts["sequence_ctc"].item() + 0.1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_16_bits_are_taken_to_32_before_anything_is_computed(dtype: torch.dtype) -> None:
    output, targets = random_output([4, 3], dtype=dtype), targets_of([1, 2], [3])
    wide = output_of(output.sequence_logits.float(), output.conv_logits.float(), [4, 3])
    weights = {"sequence_ctc": 1.0, "conv_ctc": 1.0, "distillation": 25.0}
    total = weighted_loss(output, targets, weights).total
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, weighted_loss(wide, targets, weights).total, rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_the_same_losses_and_gradients() -> None:
    weights = {"sequence_ctc": 1.0, "conv_ctc": 1.0, "distillation": 25.0}
    targets = targets_of([1, 2], [3, 3])
    output = random_output([6, 4])
    logits = [value.detach().cuda().requires_grad_() for value in (output.sequence_logits, output.conv_logits)]
    expected = weighted_loss(output, targets, weights).total
    total = weighted_loss(output_of(logits[0], logits[1], [6, 4]), targets, weights).total
    torch.testing.assert_close(total.cpu(), expected)
    ours = torch.autograd.grad(total, logits)
    theirs = torch.autograd.grad(expected, [output.sequence_logits, output.conv_logits])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.cpu(), other)
