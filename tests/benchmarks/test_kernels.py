"""The table of what the Triton kernels need."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from benchmarks import kernels

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton, which torch has on Linux only")


def test_the_roofline_of_a_kernel_is_that_of_its_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "compile_kernel", lambda *of: kernels.Resources(100, 0, 1024, 4, True))
    table = {(row["layer"], row["kernel"]): row for row in kernels.rows([90])}
    assert len(table) == 9
    # Layer 2: 784 × 784 affinities of 128 channels and as many products with them, in two directions.
    operations = 2 * (2 * 2) * 784 * 784 * 128
    assert table["layer2", "forward"]["least_ns_per_frame"] == pytest.approx(1e9 * operations / 989e12, rel=0.01)
    assert table["layer2", "forward"]["bound_by"] == "operations"
    assert table["layer4", "forward"]["bound_by"] == "memory"
