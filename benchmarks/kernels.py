"""Resources of the Triton kernels on GPUs of which none need be here, and their roofline on paper.

    python -m benchmarks.kernels
    python -m benchmarks.kernels --capability 90 --json

Triton compiles each kernel as it is launched for layers 2 to 4 of CorrNet at 224 pixels, and NVIDIA's assembler
`ptxas`, which comes with Triton, says what a thread and a program need. Spilled registers go through the memory.

The roofline compares two times per frame: operations divided by the dense bf16 rate, and bytes that must be moved
divided by the rate of the memory. The larger one is the least time that the kernel can take.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.measuring import report

CAPABILITIES: Final = (80, 90, 100)
# Positions and channels of the correlations after layers 2 to 4, frames of 224 pixels.
LAYERS: Final = {"layer2": (28 * 28, 128), "layer3": (14 * 14, 256), "layer4": (7 * 7, 512)}
KERNELS: Final = ("forward", "query", "keys")
# Products of a tile of positions by a tile of positions, by C channels, in each direction.
_PRODUCTS: Final = {"forward": 2, "query": 3, "keys": 4}
# Arrays of (P, C) that a frame reads and writes: its own, and those of both neighbours.
_ARRAYS: Final = {"forward": 4, "query": 5, "keys": 6}
# Dense bf16 operations and bytes of memory per second, from the data sheets of A100, H100 SXM and B200.
RATES: Final = {80: (312e12, 2.04e12), 90: (989e12, 3.35e12), 100: (2250e12, 8.0e12)}
_REGISTERS = re.compile(r"Used (\d+) registers")
_SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")


@dataclass(frozen=True)
class Resources:
    """What a compiled kernel needs.

    Attributes:
        registers: registers of a thread, of at most 255.
        spilled_bytes: bytes of registers that a thread stores in memory and loads again.
        shared_bytes: shared memory of a program, bytes.
        warps: warps of a program.
        uses_matrix_units: whether products run on the matrix units.
    """

    registers: int
    spilled_bytes: int
    shared_bytes: int
    warps: int
    uses_matrix_units: bool


def compile_kernel(name: str, channels: int, dtype: str, capability: int) -> Resources:
    """Compile a kernel of `correlation_kernels` as it is launched.

    Args:
        name: name of the kernel: `forward`, `query` or `keys`.
        channels: number of channels.
        dtype: `bf16` or `fp16`.
        capability: compute capability of the GPU, 10 × major + minor.
    """
    triton = import_module("triton")
    kernels = import_module("cslr_cli.model.correlation_kernels")
    target = import_module("triton.backends.compiler").GPUTarget("cuda", capability, 32)
    kernel = getattr(kernels, f"_{name}_kernel")
    _, sizes = kernels._launch(torch.empty(1, 49, channels), name, capability)
    constants = {key: sizes.pop(key) for key in ("C", "C_TILE", "TILE")}
    types = dict.fromkeys(("query", "keys", "output", "grad_output", "grad_query", "grad_keys"), f"*{dtype}")
    types |= {"weights": "*fp32", "grad_weights": "*fp32", "neighbours": "*i64", "N": "i32", "P": "i32"}
    signature = {argument: types.get(argument, "constexpr") for argument in kernel.arg_names}
    source = import_module("triton.compiler").ASTSource(fn=kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=target, options=sizes)
    registers, spilled = _assemble(compiled.asm["ptx"])
    on_matrix_units = re.search(r"\b(mma|wgmma|tcgen05)", compiled.asm["ptx"]) is not None
    return Resources(
        registers, spilled, compiled.metadata.shared, compiled.metadata.num_warps, uses_matrix_units=on_matrix_units
    )


def _assemble(ptx: str) -> tuple[int, int]:
    """Return the registers and the spilled bytes that NVIDIA's assembler reports for a program."""
    folder = Path(import_module("triton").__file__ or "").parent / "backends" / "nvidia" / "bin"
    architecture = re.findall(r"\.target (sm_\w+)", ptx)[0]
    # Newer GPUs have an assembler of their own.
    program = next(path for path in (folder / "ptxas-blackwell", folder / "ptxas") if path.exists())
    if not architecture.startswith("sm_10"):
        program = folder / "ptxas"
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "kernel.ptx"
        source.write_text(ptx, encoding="utf-8")
        done = subprocess.run(
            [program, "-v", f"--gpu-name={architecture}", source, "-o", source.with_suffix(".cubin")],
            capture_output=True,
            text=True,
            check=True,
        )
    (registers,), (spills,) = _REGISTERS.findall(done.stderr), _SPILLS.findall(done.stderr)
    return int(registers), sum(map(int, spills))


def rows(capabilities: Sequence[int], dtypes: Sequence[str] = ("bf16",)) -> Iterator[Mapping[str, Any]]:
    """Yield one row per GPU, layer and kernel."""
    for capability, (layer, (positions, channels)), dtype, name in product(
        capabilities, LAYERS.items(), dtypes, KERNELS
    ):
        found = compile_kernel(name, channels, dtype, capability)
        operations = 2 * _PRODUCTS[name] * 2 * positions**2 * channels  # two per multiplication, two directions
        moved = _ARRAYS[name] * positions * channels * 2
        by_operations, by_memory = operations / RATES[capability][0], moved / RATES[capability][1]
        yield {
            "gpu": f"sm_{capability}",
            "layer": layer,
            "kernel": name,
            "dtype": dtype,
            "registers": found.registers,
            "spilled_bytes": found.spilled_bytes,
            "shared_kib": round(found.shared_bytes / 1024, 1),
            "warps": found.warps,
            "operations_per_byte": round(operations / moved),
            "least_ns_per_frame": round(1e9 * max(by_operations, by_memory), 1),
            "bound_by": "operations" if by_operations > by_memory else "memory",
        }


def main() -> None:
    """Compile the kernels and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capability", type=int, nargs="*", default=CAPABILITIES, choices=CAPABILITIES)
    parser.add_argument("--dtype", nargs="*", default=["bf16"], choices=["bf16", "fp16"])
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    report("Triton kernels", list(rows(given.capability, given.dtype)), as_json=given.json)


if __name__ == "__main__":
    main()
