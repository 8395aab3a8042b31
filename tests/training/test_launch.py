from __future__ import annotations

import os
import signal
import time

import pytest
import torch

from cslr_cli.errors import DataError, TrainingError
from cslr_cli.training.distributed import joined
from cslr_cli.training.launch import launch

# What the processes do: they import this module, so that it stands here and not in a test.


def second_rank_ends(how: str) -> None:
    with joined(torch.device("cpu")) as ranks:
        if ranks.rank == 1 and how == "fail":
            raise DataError("clip 7 is gone", "put it back")
        if ranks.rank == 1 and how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        ranks.wait()  # for a rank that is gone: not for ever


def test_the_error_of_a_process_ends_all_of_them_and_is_the_launchers() -> None:
    with pytest.raises(DataError) as caught:
        launch(second_rank_ends, "fail", 2)
    assert (caught.value.message, caught.value.hint) == ("clip 7 is gone", "put it back")


def test_a_process_that_is_killed_ends_all_of_them_and_says_how() -> None:
    started = time.monotonic()
    with pytest.raises(TrainingError, match="process 1 of the training was ended by SIGKILL"):
        launch(second_rank_ends, "die", 2)
    assert time.monotonic() - started < 60
