"""Continuous sign language recognition: from a video of signing to glosses with times.

The names below are the public interface. Each is imported at its first use, so `import cslr_cli` does not
import torch.

    >>> from cslr_cli import Recognizer
    >>> recognition = Recognizer.load("runs/quickstart/best.pt").recognize("runs/quickstart/example.mp4")
    >>> [(timed.gloss, timed.start, timed.end) for timed in recognition.glosses]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cslr_cli import renamed_modules
from cslr_cli.version import __version__

if TYPE_CHECKING:
    from cslr_cli.checkpoints.checkpoint import load_checkpoint
    from cslr_cli.corpora.preparation import prepare
    from cslr_cli.evaluation import evaluate
    from cslr_cli.recognition import Recognition
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.scoring import score
    from cslr_cli.training.loop import train

__all__ = [
    "Recognition",
    "Recognizer",
    "__version__",
    "evaluate",
    "load_checkpoint",
    "prepare",
    "score",
    "train",
]

# Module by public name.
_EXPORTS = {
    "Recognition": "cslr_cli.recognition",
    "Recognizer": "cslr_cli.recognizer",
    "evaluate": "cslr_cli.evaluation",
    "load_checkpoint": "cslr_cli.checkpoints.checkpoint",
    "prepare": "cslr_cli.corpora.preparation",
    "score": "cslr_cli.scoring",
    "train": "cslr_cli.training.loop",
}

renamed_modules.install()


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
