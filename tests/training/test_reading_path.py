"""A newcomer can read how a training works: `train` and all that it calls in this package are few modules."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType

import torch

import cslr_cli
from cslr_cli.config import Config
from cslr_cli.training import loop

PACKAGE = Path(cslr_cli.__file__).parent
MOST_MODULES = 20


def module_name(path: Path) -> str:
    return ".".join(("cslr_cli", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def imports_of_loop() -> set[str]:
    """Modules of the project that `training/loop.py` imports, wherever the import stands."""
    tree = ast.parse(Path(loop.__file__).read_text(encoding="utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    names |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    return {name for name in names if name.startswith("cslr_cli.")}


def executed_training_modules(config: Config, run: Path) -> set[str]:
    """Modules of the package `training` of which a function runs in a training in one process."""
    executed = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE / "training")):
            executed.add(module_name(Path(frame.f_code.co_filename)))

    sys.setprofile(note)
    try:
        loop.train(config, run, device=torch.device("cpu"))
    finally:
        sys.setprofile(None)
    return executed


def test_a_training_passes_through_few_modules(tiny_config: Config, tmp_path: Path) -> None:
    training = tiny_config.training.model_copy(update={"epochs": 1})
    config = tiny_config.model_copy(update={"training": training})
    executed = executed_training_modules(config, tmp_path / "run")
    assert {"cslr_cli.training.loop", "cslr_cli.training.step", "cslr_cli.training.run.saving"} <= executed
    modules = executed | imports_of_loop()
    assert len(modules) <= MOST_MODULES, sorted(modules)
