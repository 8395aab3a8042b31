from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from cslr_cli.errors import DataError, LostProcessError
from cslr_cli.training.distributed import launch as launcher
from cslr_cli.training.distributed.interruption import Interruption
from cslr_cli.training.distributed.launch import launch
from cslr_cli.training.distributed.ranks import join_process_group

# What the processes do: they import this module, so that it stands here and not in a test.


def second_rank_fails(task: None) -> None:
    with join_process_group(torch.device("cpu")) as ranks:
        if ranks.rank == 1:
            raise DataError("clip 7 is gone", "put it back")
        ranks.barrier()


def second_rank_is_killed(task: None) -> None:
    launcher.LAUNCHER_WAIT_SECONDS = 3600  # the first one waits for the launcher, which is to end it
    with join_process_group(torch.device("cpu")) as ranks:
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        ranks.barrier()  # for a rank that is gone: not for ever


def second_rank_is_killed_while_the_first_computes(has_waited: Path) -> None:
    """The first one is asked to end, as by the launcher, before it finds out that it has lost the second."""
    launcher.wait_for_launcher = has_waited.touch
    interruption = Interruption()
    with join_process_group(torch.device("cpu")) as ranks, interruption.watch_signals():
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        while not interruption.requested:
            time.sleep(0.01)
        ranks.barrier()


def test_the_error_of_one_process_ends_all_and_is_raised_by_launch() -> None:
    with pytest.raises(DataError) as caught:
        launch(second_rank_fails, None, 2)
    assert (caught.value.message, caught.value.hint) == ("clip 7 is gone", "put it back")


def test_a_killed_process_ends_all_and_the_error_names_the_signal() -> None:
    with pytest.raises(LostProcessError, match="process 1 of the training was killed by SIGKILL"):
        launch(second_rank_is_killed, None, 2)


def test_a_process_with_a_stop_request_does_not_wait_for_the_launcher(tmp_path: Path) -> None:
    with pytest.raises(LostProcessError, match="process 1 of the training was killed by SIGKILL"):
        launch(second_rank_is_killed_while_the_first_computes, tmp_path / "has waited", 2)
    assert not (tmp_path / "has waited").exists()
