"""Sets of names that the command line, the configuration and the core share; importing them loads nothing else."""

from __future__ import annotations

from typing import Literal

DecoderName = Literal["beam", "greedy", "pyctcdecode"]
ScoringTool = Literal["builtin", "sclite", "jiwer", "published-python"]
# What becomes of clips without hypothesis: an error, or an empty hypothesis.
MissingHypotheses = Literal["error", "empty"]
Tracker = Literal["tensorboard"]
# The head on the LSTM, which is decoded, and the head on the temporal convolution.
Head = Literal["sequence", "conv"]
