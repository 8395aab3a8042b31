"""A network's pass over clips: log-probabilities out of batches of frames.

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
    """Have the network in evaluation mode in a block, and then in the mode that it was in."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def clip_log_probs(
    network: Network, batches: Iterable[Batch], *, device: torch.device, dtype: torch.dtype
) -> Iterator[ClipLogProbs]:
    """Run the network over batches.

    A batch's clips come out when the next one's work has been given to the device: a GPU computes
    on while the clips that are done are decoded.

    Args:
        network: on `device`, in evaluation mode.
        batches: of frames.
        device: where the network is.
        dtype: what it computes in.

    Raises:
        DeviceError: the device is out of memory.
    """
    before: _Launched | None = None
    network = prepare_for_inference(network, dtype)
    for batch in batches:
        launched = _launch(network, batch, device)
        if before is not None:
            yield from before.clips()
        before = launched
    if before is not None:
        yield from before.clips()


@dataclass(frozen=True)
class _Launched:
    """A batch whose log-probabilities are on their way.

    Attributes:
        sample_ids: the clips.
        frame_lengths: of each clip, real frames.
        step_lengths: of each clip, real steps.
        log_probs: for each head, float32 (B, T', V), in this process' memory.
        arrival: when they are there; None if they are already.
    """

    sample_ids: tuple[str, ...]
    frame_lengths: list[int]
    step_lengths: list[int]
    log_probs: Mapping[str, Tensor]
    arrival: torch.cuda.Event | None

    def clips(self) -> Iterator[ClipLogProbs]:
        """The clips, once they are there, without their padding."""
        if self.arrival is not None:
            self.arrival.synchronize()
        arrays = {head: log_probs.numpy() for head, log_probs in self.log_probs.items()}
        for index, sample_id in enumerate(self.sample_ids):
            heads = {head: array[index, : self.step_lengths[index]] for head, array in arrays.items()}
            yield ClipLogProbs(sample_id, self.frame_lengths[index], heads)


def _launch(network: Network, batch: Batch, device: torch.device) -> _Launched:
    """Give a batch to the network; on a GPU this returns before anything is computed."""
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
    return _Launched(batch.sample_ids, batch.frame_lengths.tolist(), output.step_lengths.tolist(), log_probs, arrival)
