"""Evaluates dev with all ranks: each recognises a shard of the clips, and all score all clips."""

from __future__ import annotations

from contextlib import suppress

from cslr_cli.evaluation import ClipHypotheses, Evaluator, SplitResult
from cslr_cli.model.network import Network
from cslr_cli.progress import Progress, ProgressCallback
from cslr_cli.training.distributed.interruption import Interruption
from cslr_cli.training.distributed.ranks import Ranks


class _StopRequestedError(Exception):
    """Some rank has been asked to stop."""


class DistributedEvaluator:
    """Gives each rank the scores that a single process would have.

    Args:
        evaluator: evaluator of this rank; all ranks have the same clips and the same batches.
        ranks: processes of the training.
        interruption: stop requests to this process.
    """

    def __init__(self, evaluator: Evaluator, ranks: Ranks, interruption: Interruption) -> None:
        self._evaluator = evaluator
        self._ranks = ranks
        self._interruption = interruption

    def __call__(self, network: Network, progress: ProgressCallback) -> SplitResult | None:
        """Recognise and score; returns None early, in all ranks, if any of them is asked to stop.

        Args:
            network: network; its training mode is restored.
            progress: called after each clip of this rank.

        Raises:
            RankLostError: another rank has ended.
        """
        shards = self._recognise_all(network, progress)
        return None if shards is None else self._evaluator.score([clip for shard in shards for clip in shard])

    def _recognise_all(self, network: Network, progress: ProgressCallback) -> list[list[ClipHypotheses]] | None:
        ranks = self._ranks

        def report(clip_progress: Progress) -> None:
            if ranks.any_stop_requested(self._interruption.requested):
                raise _StopRequestedError
            progress(clip_progress)

        own_shard: list[ClipHypotheses] | None = None
        with suppress(_StopRequestedError):
            own_shard = self._evaluator.recognise(network, report, shard=ranks.rank, num_shards=ranks.world_size)
        # Ranks that were done before the request stop as well: none may wait here for a rank that has left.
        (stopped,) = ranks.sum([float(own_shard is None)])
        return None if stopped or own_shard is None else ranks.gather(own_shard)
