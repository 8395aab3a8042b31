"""Continuous sign language recognition: from a video of signing to glosses with times."""

from cslr_cli.version import __version__

__all__ = ["__version__"]
