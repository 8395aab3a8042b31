"""The Triton kernels against the plain formula, in Triton's interpreter: no GPU is needed.

The interpreter is chosen by a variable that Triton reads as it is imported, so that all cases run in one
process of their own, which tells how far off each was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import product

import pytest
import torch

from cslr_cli.model.clips import ClipLayout
from tests.model.test_correlation import gradients, inputs, plain_formula

# A frame is its own neighbour on both sides, the clips are of uneven lengths.
LENGTHS = (3, 1, 2)
# Places that fill no tile or several and a rest, channels from a sixteenth of a tile to the widest.
SHAPES = ((49, 16), (36, 24), (70, 128), (5, 512))
# Largest allowed error of each dtype, relative to the norm: that of its rounding, a few times over.
LIMITS = {"float32": 1e-5, "float16": 3e-3, "bfloat16": 2e-2}
# Bytes that one program may have on every GPU that Triton supports, of the smaller cards too.
SHARED_MEMORY = 99 * 1024
# The interpreter multiplies bf16 as if its bits were whole numbers: only a GPU can show that.
INTERPRETED = ("float32", "float16")


def measured_errors(dtypes: Sequence[str], device: str = "cpu") -> dict[str, float]:
    """Relative errors of output and gradients in every case."""
    from cslr_cli.model.correlation_kernels import correlate_fused, correlate_fused_backward

    clips, errors = ClipLayout.from_lengths(LENGTHS, torch.device(device)), {}
    for places, channels in SHAPES:
        query, keys, weights = inputs(places, channels, LENGTHS)
        query = (query.detach() / channels**0.5).requires_grad_()  # affinities of a size that gates can follow
        exact = plain_formula(query, keys, weights, LENGTHS)
        expected = [exact, *gradients(exact, query, keys, weights)]
        generator = torch.Generator().manual_seed(1)
        towards = torch.randn(exact.shape, generator=generator, dtype=torch.float64)
        for name in dtypes:
            dtype = getattr(torch, name)
            given = (
                query.detach().to(device, dtype),
                keys.detach().to(device, dtype),
                weights.detach().to(device).float(),
            )
            neighbours = clips.following, clips.preceding
            found = [
                correlate_fused(*given, *neighbours),
                *correlate_fused_backward(towards.to(device, dtype), *given, *neighbours),
            ]
            for what, ours, theirs in zip(("output", "query", "keys", "weights"), found, expected, strict=True):
                assert ours.dtype == (torch.float32 if what == "weights" else dtype)
                error = (ours.cpu().double() - theirs).norm() / theirs.norm()
                errors[f"{places}×{channels} {name} {what}"] = error.item()
    return errors


def compile_for_gpu(capability: int, dtypes: Sequence[str]) -> None:
    """Compile all kernels, in the form in which they are launched; they must fit a processor of the GPU."""
    from benchmarks.kernels import KERNELS, LAYERS, compile_kernel

    widths = sorted({channels for _, channels in LAYERS.values()})
    for (dtype, channels), name in product(product(dtypes, widths), KERNELS):
        found = compile_kernel(name, channels, dtype, capability)
        assert found.uses_matrix_units, (name, dtype, channels)
        assert found.shared_bytes <= SHARED_MEMORY, (name, dtype, channels, found)
        assert found.spilled_bytes == 0, (name, dtype, channels, found)


def assert_small(errors: Mapping[str, float], dtypes: Sequence[str]) -> None:
    assert len(errors) == 4 * len(SHAPES) * len(dtypes)
    assert not {case: error for case, error in errors.items() if not error < LIMITS[case.split()[1]]}


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton, which torch has on Linux only")
def test_the_kernels_are_the_plain_formula_and_its_gradients() -> None:
    program = (
        "import json; from tests.model.test_correlation_kernels import *; "
        "print(json.dumps(measured_errors(INTERPRETED)))"
    )
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_small(json.loads(done.stdout), INTERPRETED)


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton, which torch has on Linux only")
@pytest.mark.parametrize(
    ("capability", "dtypes"),
    [
        (90, ["bf16"]),
        pytest.param(80, ["bf16", "fp16"], marks=pytest.mark.slow),
        pytest.param(90, ["fp16"], marks=pytest.mark.slow),
        pytest.param(100, ["bf16", "fp16"], marks=pytest.mark.slow),
    ],
)
def test_the_kernels_compile_for_gpus_of_which_none_need_be_here(capability: int, dtypes: list[str]) -> None:
    """The interpreter runs them as Python; what a GPU is given must pass Triton's compiler and NVIDIA's assembler."""
    program = f"from tests.model.test_correlation_kernels import *; compile_for_gpu({capability}, {dtypes})"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_kernels_are_the_plain_formula_and_its_gradients_on_a_gpu() -> None:
    assert_small(measured_errors(list(LIMITS), "cuda"), list(LIMITS))
