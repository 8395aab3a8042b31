"""The web page over the recognizer (extra `demo`): `service` does the work, `page` shows it, `server` serves it.

Only `page` and `server` know Gradio; they are imported when the demo starts.
"""

from __future__ import annotations

from cslr_cli.demo.networks import Networks, find_networks
from cslr_cli.demo.service import DemoService, Limits

__all__ = ["DemoService", "Limits", "Networks", "find_networks"]
