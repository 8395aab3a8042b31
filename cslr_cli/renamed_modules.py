"""Import paths from the documentation of version 0.1, which still work with a `DeprecationWarning`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

# New name by old name; to be removed in version 1.0.
RENAMED_MODULES = {
    "cslr_cli.checkpoint": "cslr_cli.checkpoints.checkpoint",
    "cslr_cli.features": "cslr_cli.recognizer.features",
    "cslr_cli.published_checkpoint": "cslr_cli.checkpoints.published",
}


class _RenamedModuleFinder:
    """Finds modules by their old names; Python uses it only after its own finders have failed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in RENAMED_MODULES:
            return None
        # Not a subclass of importlib's Loader: importing that class would cost every start of the program time.
        return ModuleSpec(fullname, cast("Loader", self))

    def create_module(self, spec: ModuleSpec) -> None:
        return None  # an ordinary empty module

    def exec_module(self, module: ModuleType) -> None:
        new_name = RENAMED_MODULES[module.__name__]
        message = f"{module.__name__} is now {new_name}; the old name will be removed in version 1.0"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        vars(module)["__getattr__"] = partial(getattr, import_module(new_name))


def install() -> None:
    """Make the old names importable."""
    if not any(isinstance(finder, _RenamedModuleFinder) for finder in sys.meta_path):
        sys.meta_path.append(_RenamedModuleFinder())
