"""Sets of names that the command line, the configuration and the core share; importing them loads nothing else."""

from __future__ import annotations

from typing import Literal

DecoderName = Literal["beam", "greedy", "pyctcdecode"]
ScoringTool = Literal["builtin", "sclite", "jiwer", "published-python"]
# Treatment of clips without a hypothesis: an error, or an empty hypothesis.
MissingHypotheses = Literal["error", "empty"]
# Form of a file of references or hypotheses.
TranscriptForm = Literal["stm", "ctm", "trn", "text", "bar", "csv", "tsv", "jsonl", "json"]
# Meaning of the fourth field of a CTM line: a duration (NIST), an end (published systems for sign language), or found
# out from the times of the whole file.
CtmTimes = Literal["auto", "duration", "end"]
Tracker = Literal["tensorboard"]
# The head on the LSTM, which is decoded, and the head on the temporal convolution.
Head = Literal["sequence", "conv"]
# Number format of the network.
Precision = Literal["auto", "fp32", "bf16", "fp16"]
# Form of a clip's prepared frames: one uncompressed zip file, or one folder, of pictures.
Layout = Literal["zip", "folder"]
ImageFormat = Literal["png", "jpeg"]
# Unit that is drawn into a split.
SplitUnit = Literal["clip", "signer"]
# Where an annotation document has the name of a signer: the participant or the name of a tier, the name of the document
# or of its folder, or nowhere.
SignerOrigin = Literal["participant", "tier", "file", "folder", "none"]
# Code that a checkpoint is for.
CheckpointFormat = Literal["cslr", "published"]
# Treatment of files that exist: an error; replaced; or kept, so that only missing results are made.
ExistingFiles = Literal["refuse", "overwrite", "skip"]
# What one cue of a subtitle file shows.
CueUnit = Literal["gloss", "sentence"]
