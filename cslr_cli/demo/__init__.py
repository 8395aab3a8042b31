"""The web page that recognises videos (extra `demo`): `service` does the work, `page` shows it, `server` serves it.

Only `page` and `server` import Gradio, and only when the demo starts.
"""

from __future__ import annotations

from cslr_cli.demo.checkpoint_menu import CheckpointMenu, build_checkpoint_menu
from cslr_cli.demo.service import DemoService, Limits

__all__ = ["CheckpointMenu", "DemoService", "Limits", "build_checkpoint_menu"]
