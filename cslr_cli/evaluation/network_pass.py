"""The pass of a network over batches of frames, to log-probabilities of clips.

Axes: B clips of a batch, T' steps of the longest, V classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from cslr_cli.dataset.collate import Batch
from cslr_cli.decoding.clip_decoder import ClipLogProbs
from cslr_cli.model.device import translate_out_of_memory
from cslr_cli.model.inference import prepare_for_inference
from cslr_cli.model.network import Network

_MEMORY_ADVICE = "evaluate with a smaller training.batch_size, or --precision bf16"


@contextmanager
def evaluation_mode(network: Network) -> Iterator[None]:
    """Put the network in evaluation mode for a block, then restore its mode."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def clip_log_probs(
    network: Network, batches: Iterable[Batch], *, device: torch.device, dtype: torch.dtype
) -> Iterator[ClipLogProbs]:
    """Run a network in evaluation mode over batches, and yield the log-probabilities of each clip.

    The clips of a batch are yielded after the next batch has been sent to the device, so that a GPU computes while the
    finished clips are decoded.

    Raises:
        DeviceError: the device is out of memory.
    """
    previous: _PendingBatch | None = None
    network = prepare_for_inference(network, dtype)
    for batch in batches:
        current = _start_batch(network, batch, device)
        if previous is not None:
            yield from previous.clips()
        previous = current
    if previous is not None:
        yield from previous.clips()


@dataclass(frozen=True)
class _PendingBatch:
    """A batch whose log-probabilities the device may still compute; lengths are those of the clips, without padding.

    Attributes:
        log_probs: float32 (B, T', V) of each head, on the CPU.
        arrival: event after which `log_probs` is complete; None if it is complete already.
    """

    sample_ids: tuple[str, ...]
    frame_lengths: list[int]
    step_lengths: list[int]
    log_probs: Mapping[str, Tensor]
    arrival: torch.cuda.Event | None

    def clips(self) -> Iterator[ClipLogProbs]:
        """Wait for the log-probabilities and yield the clips without padding."""
        if self.arrival is not None:
            self.arrival.synchronize()
        arrays = {head: log_probs.numpy() for head, log_probs in self.log_probs.items()}
        for index, sample_id in enumerate(self.sample_ids):
            heads = {head: array[index, : self.step_lengths[index]] for head, array in arrays.items()}
            yield ClipLogProbs(sample_id, self.frame_lengths[index], heads)


def _start_batch(network: Network, batch: Batch, device: torch.device) -> _PendingBatch:
    """Run the network on a batch; on a GPU this returns before the result is computed."""
    with translate_out_of_memory(_MEMORY_ADVICE), torch.inference_mode():
        output = network(batch.frames.to(device, non_blocking=True), batch.frame_lengths)
        logits = {"sequence": output.sequence_logits, "conv": output.conv_logits}
        on_gpu = device.type == "cuda"
        log_probs = {
            head: values.float().log_softmax(-1).to("cpu", non_blocking=on_gpu) for head, values in logits.items()
        }
    arrival = None
    if on_gpu:
        arrival = torch.cuda.Event()
        arrival.record(torch.cuda.current_stream(device))
    return _PendingBatch(
        batch.sample_ids, batch.frame_lengths.tolist(), output.step_lengths.tolist(), log_probs, arrival
    )
