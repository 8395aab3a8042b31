"""Continuous sign language recognition: from a video of signing to glosses with times."""

__version__ = "0.1.0"
