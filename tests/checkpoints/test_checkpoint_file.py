"""Pickles read as data: what is plain comes out, and what would run does not."""

from __future__ import annotations

import functools
import os
import pickle
import socket
import subprocess
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from cslr_cli.checkpoints.checkpoint_file import non_finite_warnings, read_checkpoint_file
from cslr_cli.errors import CheckpointError
from cslr_cli.plain_pickle import ForbiddenContentError, load_plain_pickle


def loaded(value: object, protocol: int = 4) -> Any:
    return load_plain_pickle(pickle.dumps(value, protocol=protocol))


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(3, dtype=">i8"),
        np.array(["HAUS", "ÜBER"]),
        np.array({"HAUS": [1, 20]}, dtype=object),
        np.array([[True, False]]),
    ],
)
def test_arrays_come_back_as_they_were(array: np.ndarray[Any, Any], protocol: int) -> None:
    found = loaded(array, protocol)
    assert found.dtype == pickle.loads(pickle.dumps(array)).dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("protocol", [2, 4])
def test_plain_values_come_back_as_they_were(protocol: int) -> None:
    value = {"HAUS": [1, 2.5, None, True], (1, 2): b"\x00\xff", "numbers": {3, 4}}
    assert loaded({key: value[key] for key in ("HAUS", (1, 2))}, protocol) == {
        "HAUS": [1, 2.5, None, True],
        (1, 2): b"\x00\xff",
    }


def test_single_numbers_of_numpy_become_python_s() -> None:
    found = loaded([np.int64(3), np.float32(0.5), np.bool_(True)])
    assert found == [3, 0.5, True]
    assert [type(number) for number in found] == [int, float, bool]


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_it_does_not_matter_which_numpy_wrote_it(core: bytes) -> None:
    content = pickle.dumps(np.arange(3), protocol=2)
    renamed = content.replace(b"cnumpy._core.", b"cnumpy.core.").replace(b"cnumpy.core.", b"c" + core + b".")
    assert load_plain_pickle(renamed).tolist() == [0, 1, 2]


class Intruder:
    """Whoever unpickles this calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_that_would_make_a_file_is_not_run(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "intruder was here"
    for content in (
        Intruder(os.mkdir, str(target)),
        Intruder(open, str(target), "w"),
        Intruder(subprocess.check_call, ["touch", str(target)]),
        Intruder(eval, f"open({str(target)!r}, 'w')"),
        Intruder(functools.partial, os.mkdir, str(target)),
    ):
        with pytest.raises(ForbiddenContentError):
            loaded({"HAUS": [1, content]}, protocol)
        assert not target.exists()


def test_code_that_would_open_a_socket_is_not_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        with pytest.raises(ForbiddenContentError):
            loaded(Intruder(socket.create_connection, server.getsockname()))
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("value", [print, os.system, np.frombuffer, np.random.default_rng, Path("x"), ValueError("x")])
def test_anything_that_is_not_plain_is_refused_by_name(value: object) -> None:
    with pytest.raises(ForbiddenContentError):
        loaded(value)


def test_a_place_for_more_values_than_there_are_bytes_makes_no_room_for_them() -> None:
    with pytest.raises(ForbiddenContentError, match="value number 4294967295"):
        load_plain_pickle(b"\x80\x02]r\xff\xff\xff\xff.")


def test_a_number_type_with_fields_is_refused() -> None:
    with pytest.raises(ForbiddenContentError, match="an array of"):
        loaded(np.zeros(2, dtype=[("a", "i4"), ("b", "O")]))


class Stated:
    """Pickled as an object of numpy with a chosen state."""

    def __init__(self, make: Callable[..., object], arguments: tuple[Any, ...], state: object) -> None:
        self.reduced = make, arguments, state

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def array_with(shape: object, dtype: object, values: object) -> Stated:
    make, arguments, _ = cast("tuple[Any, Any, Any]", np.zeros(1).__reduce__())
    return Stated(make, arguments, (1, shape, dtype, False, values))


@pytest.mark.parametrize(
    "array",
    [
        array_with((), np.dtype("O"), []),  # numpy reads the first value of this list: a segmentation fault
        array_with((3,), np.dtype("O"), [1, 2]),
        array_with((2**62,), np.dtype("O"), [1]),
        array_with((-1,), np.dtype("O"), []),
        array_with((2.0,), np.dtype("i4"), b"12345678"),
        array_with((3,), np.dtype("i4"), b"12345678"),
        array_with((2**40,), np.dtype("U0"), b""),
        array_with((1,), np.dtype("O"), b"12345678"),  # numbers as addresses of objects
        array_with((1,), np.dtype("i8"), [1]),
    ],
)
@pytest.mark.parametrize("protocol", [3, 4])
def test_an_array_without_all_of_its_values_is_refused(array: Stated, protocol: int) -> None:
    with pytest.raises(ForbiddenContentError, match="an array of"):
        loaded(array, protocol)


def test_a_pickle_cannot_change_the_size_of_a_number_type() -> None:
    lying = Stated(np.dtype, ("O", False, True), (3, "|", None, None, None, 1, 1, 0))
    found = loaded(array_with((2,), lying, ["a", "b"]))
    assert found.dtype == np.dtype("O")
    assert found.tolist() == ["a", "b"]


def test_arrays_in_a_checkpoint_come_back_as_they_were(tmp_path: Path) -> None:
    torch.save({"array": np.arange(6.0).reshape(2, 3), "number": np.float32(0.5)}, tmp_path / "a.pt")
    found = read_checkpoint_file(tmp_path / "a.pt")
    np.testing.assert_array_equal(found["array"], np.arange(6.0).reshape(2, 3))
    assert found["number"] == 0.5


# Tensors of a network


def test_exactly_the_weights_that_are_not_finite_are_named() -> None:
    weights = {
        "good": torch.randn(5, 5),
        "steps": torch.tensor([7]),
        "large": torch.full((1000,), 3e38),  # each is finite, their sum is not
        "small.half": torch.full((1000,), 6e4, dtype=torch.float16),
        "nan": torch.tensor([1.0, float("nan")]),
        "infinite": torch.tensor([[float("inf"), 0.0]]),
        "cancelling": torch.tensor([float("inf"), float("-inf")]),
    }
    (warning,) = non_finite_warnings(weights)
    assert warning.endswith("meaningless: nan, infinite, cancelling")
    assert non_finite_warnings({name: weights[name] for name in ("good", "steps", "large", "small.half")}) == []


# Files that are made to exhaust the memory


def refused_file(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint_file(path)
    assert str(path) in caught.value.message
    return caught.value


def test_a_compressed_checkpoint_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("archive/data.pkl", "w") as entry:
        for _ in range(64):
            entry.write(bytes(2**20))
    tracemalloc.start()
    assert "compressed" in refused_file(path).message
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def doubled(levels: int) -> Any:
    value: Any = [1]
    for _ in range(levels):
        value = [value, value]
    return value


def containing_itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (nested(100), "levels deep"),
        (doubled(40), "values after replacing references"),
        (containing_itself(), "contains itself"),
        (2**1000, "a number of 1001 bits"),
        (torch.empty(3, device="meta"), "meta"),
        (torch.zeros(3).to(torch.float8_e4m3fn), "float8"),
        (torch.zeros(1).expand(2**40), "without the memory"),
    ],
)
def test_values_that_later_steps_could_not_handle_are_refused(value: object, problem: str, tmp_path: Path) -> None:
    torch.save({"value": value}, tmp_path / "a.pt")
    assert problem in refused_file(tmp_path / "a.pt").message


def test_parameters_and_views_are_read(tmp_path: Path) -> None:
    """The published code may save parameters; a view of a larger tensor is saved with all of its memory."""
    content = {"a": torch.nn.Parameter(torch.ones(2)), "b": torch.arange(6).view(2, 3).T, "c": torch.zeros(0, 3)}
    torch.save(content, tmp_path / "a.pt")
    found = read_checkpoint_file(tmp_path / "a.pt")
    assert all(torch.equal(found[name], value) for name, value in content.items())
