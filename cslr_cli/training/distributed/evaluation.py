"""Evaluating dev with all ranks together: each recognises a share of the clips, and all of them score the whole."""

from __future__ import annotations

from contextlib import suppress

from cslr_cli.evaluation import ClipHypotheses, Evaluator, SplitResult
from cslr_cli.model.network import Network
from cslr_cli.progress import Progress, ProgressCallback
from cslr_cli.training.distributed.interruption import Interruption
from cslr_cli.training.distributed.ranks import Ranks


class _AbandonedError(Exception):
    """Some rank has been asked to end: what is recognised so far is of no use."""


class SpreadEvaluator:
    """Gives each rank the scores that one process alone would have.

    Args:
        evaluator: of this rank; all have the same clips and the same batches.
        ranks: the processes.
        interruption: whether this one has been asked to end.
    """

    def __init__(self, evaluator: Evaluator, ranks: Ranks, interruption: Interruption) -> None:
        self._evaluator = evaluator
        self._ranks = ranks
        self._interruption = interruption

    def __call__(self, network: Network, progress: ProgressCallback) -> SplitResult | None:
        """Recognise and score; None in all ranks, and soon, once any of them has been asked to end.

        Args:
            network: is left in the mode that it was in.
            progress: is told of each clip of this rank.

        Raises:
            RankLostError: another rank has ended.
        """
        shares = self._shares(network, progress)
        return None if shares is None else self._evaluator.score([clip for share in shares for clip in share])

    def _shares(self, network: Network, progress: ProgressCallback) -> list[list[ClipHypotheses]] | None:
        ranks = self._ranks

        def told(told_of: Progress) -> None:
            if ranks.any_asked(self._interruption.came):
                raise _AbandonedError
            progress(told_of)

        mine: list[ClipHypotheses] | None = None
        with suppress(_AbandonedError):
            mine = self._evaluator.recognise(network, told, shard=ranks.rank, num_shards=ranks.world_size)
        # Also those that were done before they heard of it: nobody may wait here for a rank that has left.
        (abandoned,) = ranks.sum([float(mine is None)])
        return None if abandoned or mine is None else ranks.gather(mine)
