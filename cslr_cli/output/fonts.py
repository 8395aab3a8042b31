"""Fonts that have the characters of the glosses: German ones are in every font, Chinese ones are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Those that many machines have, the first ones made for simplified characters, as CSL's glosses are written.
_CHINESE_FONTS = (
    *("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "PingFang SC"),
    *("Heiti SC", "Microsoft YaHei", "SimHei", "Noto Sans CJK JP", "Arial Unicode MS", "Droid Sans Fallback"),
)
# It has a box for every character of Unicode, and no letter for any.
_BOXES_ONLY = "Last Resort"


@dataclass(frozen=True)
class CaptionFont:
    """A font file for captions.

    Attributes:
        path: of a TrueType or OpenType font.
        missing: characters that it was wanted for and does not have, in order; drawn as boxes.
    """

    path: Path
    missing: str = ""

    def warning(self) -> str | None:
        """What to tell the user if characters are missing; None if none are."""
        if not self.missing:
            return None
        shown = " ".join(self.missing[:8]) + (" …" if len(self.missing) > 8 else "")
        return (
            f"no font of this machine has {shown}: captions show boxes in their place; "
            "install one, for example the package fonts-noto-cjk"
        )


def find_font(texts: Iterable[str]) -> CaptionFont:
    """Choose the font that has all characters of the texts, or else the one that has most of them.

    The font that comes with matplotlib is taken where it is enough, so that pictures look alike on all machines.
    """
    # Only here: it takes a while to import.
    from matplotlib.font_manager import findfont, fontManager

    wanted = {character for text in texts for character in text if not character.isspace()}
    best = _with_missing(Path(findfont("DejaVu Sans")), wanted)
    if not best.missing:
        return best
    preferred = {name: place for place, name in enumerate(_CHINESE_FONTS)}
    installed = sorted(
        (font for font in fontManager.ttflist if not font.name.startswith(_BOXES_ONLY)),
        key=lambda font: (preferred.get(font.name, len(preferred)), font.style, font.fname),
    )
    for font in installed:
        candidate = _with_missing(Path(font.fname), wanted)
        if len(candidate.missing) < len(best.missing):
            best = candidate
        if not best.missing:
            break
    return best


def _with_missing(path: Path, wanted: set[str]) -> CaptionFont:
    from matplotlib.ft2font import FT2Font

    try:
        has = FT2Font(str(path)).get_charmap()
    except (OSError, RuntimeError):  # a font file that cannot be read has nothing
        has = {}
    return CaptionFont(path, "".join(sorted(character for character in wanted if ord(character) not in has)))
