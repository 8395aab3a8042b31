from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cslr_cli.config import Config
from cslr_cli.errors import CheckpointError
from cslr_cli.model.network import Network, build_network
from cslr_cli.training.averaging import MovingAverage, average_best, mean_weights
from cslr_cli.training.loop import TrainingResult
from cslr_cli.training.monitoring.epoch_record import EpochRecord
from cslr_cli.training.run.folder import RunFolder
from cslr_cli.vocabulary import Vocabulary

NAME = "classifier.weight"


@pytest.fixture
def network(tiny_config: Config) -> Network:
    torch.manual_seed(0)
    return build_network(tiny_config.model, 5)


def change(network: Network, by: float) -> None:
    """A step of an optimizer, as far as an average is concerned."""
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(by) if value.is_floating_point() else value.add_(1)


# The moving average


def test_the_moving_average_is_the_recurrence_worked_out_by_hand(network: Network) -> None:
    average = MovingAverage(network, decay=0.25)
    start = network.state_dict()[NAME][0, 0].item()
    value, weight = start, start
    # The decays of the first updates, min(0.25, (1 + n) / (10 + n)): 2/11, 3/12, and from then on 0.25.
    for step, decay in enumerate((2 / 11, 3 / 12, 0.25, 0.25), start=1):
        change(network, by=step)
        weight += step
        value = decay * value + (1 - decay) * weight
        average.update()
    assert average.updates == 4
    assert average.weights[NAME][0, 0].item() == pytest.approx(value, rel=1e-5)
    assert network.state_dict()[NAME][0, 0].item() == pytest.approx(start + 10, rel=1e-5)  # is not touched


def test_batch_norm_s_statistics_are_averaged_and_its_count_is_the_network_s(network: Network) -> None:
    average = MovingAverage(network, decay=0.9)
    change(network, by=11.0)
    average.update()
    # (1 - 2/11) of the way from 0 to 11, and from 1 to 12
    assert average.weights["backbone.bn1.running_mean"][0].item() == pytest.approx(9.0, rel=1e-5)
    assert average.weights["backbone.bn1.running_var"][0].item() == pytest.approx(10.0, rel=1e-5)
    assert average.weights["backbone.bn1.num_batches_tracked"].item() == 1


def test_the_network_has_the_average_as_long_as_the_block_lasts_and_its_own_weights_afterwards(
    network: Network,
) -> None:
    average = MovingAverage(network, decay=0.5)
    change(network, by=1.0)
    average.update()
    trained = {name: value.clone() for name, value in network.state_dict().items()}
    averaged = {name: value.clone() for name, value in average.weights.items()}
    with average.swapped_in():
        inside = network.state_dict()
        assert all(torch.equal(inside[name], averaged[name]) for name in averaged)
        assert not torch.equal(inside[NAME], trained[NAME])
    assert all(torch.equal(network.state_dict()[name], trained[name]) for name in trained)
    assert all(torch.equal(average.weights[name], averaged[name]) for name in averaged)


def test_saved_weights_do_not_depend_on_whether_the_average_is_swapped_in(network: Network) -> None:
    # A training that is asked to end while it evaluates saves at that moment.
    average = MovingAverage(network, decay=0.5)
    change(network, by=1.0)
    average.update()
    outside = average.weights[NAME].clone(), average.trained[NAME].clone()
    assert not torch.equal(*outside)
    with average.swapped_in():
        assert torch.equal(average.weights[NAME], outside[0])
        assert torch.equal(average.trained[NAME], outside[1])


def test_a_restored_average_continues_exactly(network: Network) -> None:
    whole = MovingAverage(network, decay=0.9)
    change(network, by=1.0)
    whole.update()
    saved, updates = {name: value.clone() for name, value in whole.weights.items()}, whole.updates
    resumed = MovingAverage(network, decay=0.9)
    resumed.restore(saved, updates)
    change(network, by=1.0)
    whole.update()
    resumed.update()
    assert all(torch.equal(value, resumed.weights[name]) for name, value in whole.weights.items())


# The mean of checkpoints


def test_mean_weights_equal_the_mean_of_stacked_tensors() -> None:
    torch.manual_seed(0)
    checkpoints = [
        {"weight": torch.randn(3, 4), "half": torch.randn(2).half(), "seen": torch.tensor(7 + index)}
        for index in range(3)
    ]
    before = [{name: value.clone() for name, value in weights.items()} for weights in checkpoints]
    mean = mean_weights(iter(checkpoints))
    stacked = torch.stack([weights["weight"] for weights in checkpoints]).double()
    torch.testing.assert_close(mean["weight"], stacked.mean(0).float(), rtol=0, atol=0)
    assert mean["half"].dtype == torch.float16
    assert mean["seen"] == 9
    for weights, then in zip(checkpoints, before, strict=True):
        assert all(torch.equal(weights[name], then[name]) for name in then)


@pytest.fixture
def run(tmp_path: Path, tiny_checkpoint: Checkpoint) -> RunFolder:
    """A run of five epochs; of the second one no weights were kept. By WER: 4, 2, 5, 3; the first was not scored."""
    folder = RunFolder(tmp_path / "run")
    wers = {1: None, 2: 20.0, 3: 40.0, 4: 10.0, 5: 30.0}
    for epoch in (1, 3, 4, 5):
        checkpoint = dataclasses.replace(tiny_checkpoint, weights=weights_of(tiny_checkpoint, epoch), epoch=epoch)
        save_checkpoint(checkpoint, folder.epoch_file(epoch))
    folder.write_metrics([EpochRecord(epoch=epoch, wer=wer) for epoch, wer in wers.items()])
    return folder


def weights_of(checkpoint: Checkpoint, epoch: int) -> dict[str, Tensor]:
    """Weights that say by themselves of which epoch they are."""
    return {name: value + epoch for name, value in checkpoint.weights.items()}


def test_the_best_epochs_are_averaged_and_no_others(run: RunFolder, tiny_checkpoint: Checkpoint) -> None:
    average = average_best(run, 3)  # the best are 4, 2 and 5, and those of 2 are not there
    assert average.checkpoint.averaged_epochs == (4, 5)
    assert (average.missing, average.evaluated) == ((2,), 4)
    for name, value in tiny_checkpoint.weights.items():
        expected = value + 4.5 if value.is_floating_point() else value + 5
        torch.testing.assert_close(average.checkpoint.weights[name], expected)


def test_an_average_is_a_checkpoint_like_any_other(run: RunFolder, tmp_path: Path) -> None:
    average = average_best(run, 5).checkpoint
    save_checkpoint(average, tmp_path / "average.pt")
    loaded = load_checkpoint(tmp_path / "average.pt")
    assert loaded.averaged_epochs == (4, 5, 3)
    assert loaded.epoch == 5
    assert loaded.history == ()  # its WER is none of the run's
    loaded.build_network()


def test_fewer_than_two_checkpoints_are_no_average(run: RunFolder) -> None:
    with pytest.raises(CheckpointError) as caught:
        average_best(run, 2)
    assert "has the weights of 1 of the 2 best epochs; an average needs at least 2" in str(caught.value)
    assert "training.keep_best" in str(caught.value)
    empty = RunFolder(run.path.parent / "empty")
    with pytest.raises(CheckpointError, match="the weights of 0 of 0 evaluated epochs"):
        average_best(empty, 5)


def test_a_checkpoint_of_another_run_is_not_averaged(run: RunFolder) -> None:
    stray = load_checkpoint(run.epoch_file(5))
    other = Vocabulary(stray.vocabulary.glosses[::-1], stray.vocabulary.counts[::-1])
    save_checkpoint(dataclasses.replace(stray, vocabulary=other), run.epoch_file(5))
    with pytest.raises(CheckpointError, match=r"epoch-5\.pt: has another network or vocabulary"):
        average_best(run, 3)


def test_the_state_of_a_training_is_not_in_an_average(run: RunFolder, tiny_training: TrainingResult) -> None:
    last = load_checkpoint(tiny_training.run.last)
    assert last.training is not None
    for epoch in (4, 5):
        save_checkpoint(last, run.epoch_file(epoch))
    assert average_best(run, 3).checkpoint.training is None
