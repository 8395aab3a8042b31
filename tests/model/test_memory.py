"""Out of memory is told, with what to do about it."""

from __future__ import annotations

import pytest
import torch

from cslr_cli.errors import DeviceError
from cslr_cli.model.device import translate_out_of_memory, use_cpu_threads


def test_running_out_of_memory_is_an_error_with_advice() -> None:
    with pytest.raises(DeviceError, match="out of memory") as raised, translate_out_of_memory("give a shorter video"):
        torch.empty(2**60)  # more than any machine has
    assert raised.value.hint == "give a shorter video"


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="size of tensor") as raised, translate_out_of_memory("give a shorter video"):
        torch.zeros(2) + torch.zeros(3)
    assert not isinstance(raised.value, DeviceError)


def test_the_number_of_threads_is_what_it_was_after_a_block_that_set_it() -> None:
    before = torch.get_num_threads()
    with use_cpu_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with use_cpu_threads(None):
        assert torch.get_num_threads() == before
