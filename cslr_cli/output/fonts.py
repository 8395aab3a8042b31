"""Fonts with the characters of the glosses: every font has the German ones, few have Chinese ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# The font that comes with matplotlib: pictures look alike on all machines where it is enough.
_DEFAULT_FONT = "DejaVu Sans"
# Common fonts, those with simplified characters (as in CSL's glosses) first.
_CHINESE_FONTS = (
    *("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "PingFang SC"),
    *("Heiti SC", "Microsoft YaHei", "SimHei", "Noto Sans CJK JP", "Arial Unicode MS", "Droid Sans Fallback"),
)
# This font has a box for every character of Unicode, and no letters.
_BOXES_ONLY = "Last Resort"


@dataclass(frozen=True)
class CaptionFont:
    """A font file for captions.

    Attributes:
        path: TrueType or OpenType file.
        missing: needed characters that the font does not have, in order; they are drawn as boxes.
    """

    path: Path
    missing: str = ""

    def warning(self) -> str | None:
        """Describe the missing characters and the fix; None if none are missing."""
        if not self.missing:
            return None
        shown = " ".join(self.missing[:8]) + (" …" if len(self.missing) > 8 else "")
        return (
            f"no installed font has the characters {shown}: captions show boxes instead; "
            "install a font, for example the package fonts-noto-cjk"
        )


def find_font(texts: Iterable[str]) -> CaptionFont:
    """Choose a font file that has all characters of the texts, or else the one that has most of them."""
    # Imported here because it takes a while.
    from matplotlib.font_manager import findfont, fontManager

    needed = {character for text in texts for character in text if not character.isspace()}
    best = _check_font(Path(findfont(_DEFAULT_FONT)), needed)
    if not best.missing:
        return best
    preference = {name: rank for rank, name in enumerate(_CHINESE_FONTS)}
    installed = sorted(
        (font for font in fontManager.ttflist if not font.name.startswith(_BOXES_ONLY)),
        key=lambda font: (preference.get(font.name, len(preference)), font.style, font.fname),
    )
    for font in installed:
        candidate = _check_font(Path(font.fname), needed)
        if len(candidate.missing) < len(best.missing):
            best = candidate
        if not best.missing:
            break
    return best


def _check_font(path: Path, needed: set[str]) -> CaptionFont:
    from matplotlib.ft2font import FT2Font

    try:
        available = FT2Font(str(path)).get_charmap()
    except (OSError, RuntimeError):  # the font file cannot be read
        available = {}
    return CaptionFont(path, "".join(sorted(character for character in needed if ord(character) not in available)))


def plot_font_families() -> list[str]:
    """Return the font families for plots: matplotlib's default, then the installed Chinese ones."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [_DEFAULT_FONT, *(name for name in _CHINESE_FONTS if name in installed)]


@contextmanager
def hide_missing_glyph_warnings() -> Iterator[None]:
    """Silence matplotlib's warning for each character that no font has; a box is drawn in its place."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        yield
