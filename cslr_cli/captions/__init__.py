"""Captions: the recognised glosses in the picture of their video, in a font that has their characters."""

from __future__ import annotations

from cslr_cli.captions.fonts import CaptionFont, find_font
from cslr_cli.captions.rendering import CaptionBand, CaptionedVideo, render_captions

__all__ = ["CaptionBand", "CaptionFont", "CaptionedVideo", "find_font", "render_captions"]
