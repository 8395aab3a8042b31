"""What `cslr_cli` exports, and the import paths of version 0.1 that still work."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import cslr_cli
from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.renamed_modules import RENAMED_MODULES

PUBLIC = {"Recognizer", "Recognition", "load_checkpoint", "prepare", "train", "evaluate", "score", "__version__"}


def test_the_public_names_are_the_documented_ones() -> None:
    assert set(cslr_cli.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(cslr_cli, name) is not None
    assert set(dir(cslr_cli)) >= PUBLIC


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        cslr_cli.no_such_name  # noqa: B018
    with pytest.raises(ImportError, match="no_such_name"):
        from cslr_cli import no_such_name  # noqa: F401


def test_importing_the_package_imports_neither_torch_nor_its_own_modules() -> None:
    program = (
        "import sys, cslr_cli; print(sorted(m for m in sys.modules if m in ('torch', 'numpy', 'cslr_cli.training')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("cslr_cli.checkpoint", "load_checkpoint"),
        ("cslr_cli.features", "extract_features"),
        ("cslr_cli.published_checkpoint", "open_checkpoint"),
    ],
)
def test_a_path_of_version_0_1_gives_the_same_object_and_a_warning(module: str, name: str) -> None:
    sys.modules.pop(module, None)
    with pytest.warns(DeprecationWarning, match=f"{module} is now {RENAMED_MODULES[module]}"):
        old = importlib.import_module(module)
    assert getattr(old, name) is getattr(importlib.import_module(RENAMED_MODULES[module]), name)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = old.no_such_name


def test_the_warning_points_at_the_line_that_imports_the_old_path() -> None:
    sys.modules.pop("cslr_cli.checkpoint", None)
    program = compile("from cslr_cli.checkpoint import load_checkpoint", "old_program.py", "exec")
    names: dict[str, object] = {}
    with pytest.warns(DeprecationWarning, match="cslr_cli.checkpoint is now") as caught:
        exec(program, names)
    assert names["load_checkpoint"] is cslr_cli.load_checkpoint
    assert caught[0].filename == "old_program.py"


def test_the_network_of_a_checkpoint_has_its_old_name(tiny_checkpoint: Checkpoint) -> None:
    with pytest.warns(DeprecationWarning, match="is now `build_network`"):
        network = tiny_checkpoint.network()
    assert network.state_dict().keys() == tiny_checkpoint.build_network().state_dict().keys()
