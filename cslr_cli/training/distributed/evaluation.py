"""Evaluates dev with all ranks: each recognises a shard of the clips, and all score all clips."""

from __future__ import annotations

from contextlib import suppress

from cslr_cli.evaluation import ClipHypotheses, Evaluator, SplitResult
from cslr_cli.model.network import Network
from cslr_cli.progress import Progress, ProgressCallback
from cslr_cli.training.distributed.interruption import Interruption, StopRequestedError
from cslr_cli.training.distributed.ranks import Ranks


def evaluate_with_all_ranks(
    evaluator: Evaluator, network: Network, ranks: Ranks, interruption: Interruption, progress: ProgressCallback
) -> SplitResult | None:
    """Recognise and score; each rank gets the result that a single process would have.

    Args:
        evaluator: evaluator of this rank; all ranks have the same clips and the same batches.
        network: network; its training mode does not change.
        ranks: processes of the training.
        interruption: stop requests to this process.
        progress: called after each clip of this rank.

    Returns:
        None, early and in all ranks, if any of them gets a stop request.

    Raises:
        RankLostError: another rank has ended.
    """

    def report(clip_progress: Progress) -> None:
        if ranks.any_stop_requested(interruption.requested):
            raise StopRequestedError
        progress(clip_progress)

    own_shard: list[ClipHypotheses] | None = None
    with suppress(StopRequestedError), interruption.raise_on_request():
        own_shard = evaluator.recognize(network, report, shard=ranks.rank, num_shards=ranks.world_size)
    if own_shard is None:
        ranks.any_stop_requested(True)  # tells the others, which have not finished their share
    # Ranks that were done before the request stop as well: none may wait here for a rank that has left.
    (stopped,) = ranks.sum([float(own_shard is None)])
    if stopped or own_shard is None:
        return None
    return evaluator.score([clip for shard in ranks.gather(own_shard) for clip in shard])
