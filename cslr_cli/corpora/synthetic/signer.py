"""The signers of the corpus: they differ in build, colours, clothes and way of signing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cslr_cli.corpora.synthetic.lexicon import Array
from cslr_cli.corpora.synthetic.options import named_generator

Colour = tuple[float, float, float]
"""Red, green, blue, each 0 to 255."""

HAIR_STYLES = ("short", "long", "cropped", "bun")
_HAIR_COLOURS: tuple[Colour, ...] = (
    (28, 24, 24),
    (74, 48, 32),
    (172, 132, 76),
    (120, 58, 30),
    (150, 148, 146),
    (52, 34, 28),
)
_LIGHTEST_SKIN, _DARKEST_SKIN = np.array([240.0, 200.0, 178.0]), np.array([128.0, 82.0, 60.0])
_GARMENT_COLOURS: tuple[Colour, ...] = (
    (34, 36, 42),
    (30, 48, 96),
    (28, 84, 62),
    (96, 28, 48),
    (74, 86, 110),
    (20, 96, 110),
    (82, 52, 120),
    (52, 58, 34),
    (58, 104, 168),
    (60, 60, 64),
)
_GARMENTS_EACH = 3
_LEAST_CONTRAST = 95.0  # RGB distance between skin and clothes: a hand in front of the chest must be visible


@dataclass(frozen=True)
class Garment:
    """Clothes of a signer in a clip."""

    colour: Colour
    long_sleeves: bool
    v_neck: bool


@dataclass(frozen=True)
class Signer:
    """A person. Lengths are in units of `size`; factors are 1 for the average signer.

    Attributes:
        name: name in the annotation, such as `Signer03`.
        left_handed: whether the left hand is the dominant one.
        size: pixels of one unit of the body frame, about half the width of the shoulders.
        shoulders: half the width of the shoulders.
        upper_arm: length from shoulder to elbow.
        forearm: length from elbow to wrist.
        hand: factor on the size of the hands.
        head: factor on the size of the head.
        face_width: factor on the width of the face.
        pace: factor on the duration of signs.
        amplitude: factor on the size of movements.
        habit: constant displacement of all signs: outwards, down.
        pointing: constant rotation of the hands outwards, degrees.
        smoothness: 0 (even speed within a sign) to 1 (slow at its ends).
        skin: colour of the skin.
        hair: colour of the hair.
        hair_style: one of `HAIR_STYLES`.
        wardrobe: garments, one of which is drawn for each clip.
    """

    name: str
    left_handed: bool
    size: float
    shoulders: float
    upper_arm: float
    forearm: float
    hand: float
    head: float
    face_width: float
    pace: float
    amplitude: float
    habit: tuple[float, float]
    pointing: float
    smoothness: float
    skin: Colour
    hair: Colour
    hair_style: str
    wardrobe: tuple[Garment, ...]


# Lowest and highest value of each trait.
_TRAITS: dict[str, tuple[float, float]] = {
    "size": (38.0, 43.0),
    "shoulders": (0.94, 1.08),
    "upper_arm": (1.26, 1.40),
    "forearm": (1.14, 1.28),
    "hand": (0.92, 1.10),
    "head": (0.92, 1.07),
    "face_width": (0.92, 1.08),
    "pace": (0.88, 1.12),
    "amplitude": (0.88, 1.10),
    "habit_outwards": (-0.08, 0.10),
    "habit_down": (-0.10, 0.10),
    "pointing": (-10.0, 10.0),
    "smoothness": (0.2, 0.8),
    "skin": (0.0, 1.0),
}


def make_signers(seed: int, num_signers: int) -> list[Signer]:
    """Make the signers of a corpus; the last one is the unseen signer.

    The known signers are spread evenly over the range of each trait, independently for each trait. The traits of the
    unseen signer are well inside the same ranges, between those of the others.
    """
    rng = named_generator(seed, "signers")
    num_known = num_signers - 1
    shares = {trait: _shares_of_range(num_known, rng) for trait in _TRAITS}
    # Every third of the known signers is left-handed, whatever the seed.
    left_handed = np.append(rng.permutation(np.arange(num_known) % 3 == 2), False)
    looks = [(style, colour) for style in HAIR_STYLES for colour in _HAIR_COLOURS]
    look_order = rng.permutation(len(looks))
    signers = []
    for number in range(num_signers):
        values = {trait: low + shares[trait][number] * (high - low) for trait, (low, high) in _TRAITS.items()}
        look = looks[look_order[number % len(looks)]]
        signers.append(_signer(f"Signer{number + 1:02d}", bool(left_handed[number]), values, look, rng))
    return signers


def _shares_of_range(num_known: int, rng: np.random.Generator) -> Array:
    """Draw the position of each signer in the range of one trait, 0 to 1; the last one is near the middle."""
    known = (rng.permutation(num_known) + rng.uniform(0.2, 0.8, num_known)) / num_known
    return np.append(known, rng.uniform(0.3, 0.7))


def _signer(
    name: str,
    left_handed: bool,
    values: dict[str, float],
    look: tuple[str, Colour],
    rng: np.random.Generator,
) -> Signer:
    hair_style, hair = look
    darkness = values.pop("skin")
    skin = (1 - darkness) * _LIGHTEST_SKIN + darkness * _DARKEST_SKIN + rng.normal(0, 4, 3)
    habit = (values.pop("habit_outwards"), values.pop("habit_down"))
    return Signer(
        name=name,
        left_handed=left_handed,
        habit=habit,
        skin=_colour(skin),
        hair=_colour(np.array(hair) + rng.normal(0, 5, 3)),
        hair_style=hair_style,
        wardrobe=_wardrobe(skin, rng),
        **values,
    )


def _wardrobe(skin: Array, rng: np.random.Generator) -> tuple[Garment, ...]:
    """Choose garments with enough contrast to the skin; if there are too few, those with most contrast."""
    colours = np.array(_GARMENT_COLOURS) + rng.normal(0, 6, (len(_GARMENT_COLOURS), 3))
    contrast = np.linalg.norm(colours - skin, axis=1)
    wanted = rng.permutation(np.flatnonzero(contrast >= _LEAST_CONTRAST))
    if len(wanted) < _GARMENTS_EACH:
        wanted = np.argsort(-contrast)
    return tuple(
        Garment(_colour(colours[index]), bool(rng.random() < 0.75), bool(rng.random() < 0.5))
        for index in wanted[:_GARMENTS_EACH]
    )


def _colour(values: Array) -> Colour:
    red, green, blue = np.clip(values, 0, 255)
    return float(red), float(green), float(blue)
