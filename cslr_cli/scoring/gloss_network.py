"""Alternatives in a reference, and the alignment with them.

In the STM and trn files of NIST's sclite, a reference can allow several readings: `{ A / B C / @ }` is `A`, or `B C`,
or nothing (`@` is no gloss). `(A)` is an optional gloss. This module builds the network of all readings and aligns a
hypothesis with the nearest one. Costs, ties and even the rounding are those of sclite, so that the counts are equal.
"""

from __future__ import annotations

import re
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from cslr_cli.scoring.alignment import (
    DELETION_COST,
    INSERTION_COST,
    SUBSTITUTION_COST,
    AlignedPair,
    align,
    fold_case,
)

NO_GLOSS = "@"
OPTIONAL_COST = 2  # of an optional gloss that is not recognised
_NO_GLOSS_COST = 0.001
_MAX_DEPTH = 16  # of alternatives within alternatives
_WORD = re.compile(r"[^ \t\r\n\f\v]+")  # not str.split, which also splits at ideographic spaces
_PARTS = re.compile(r"[{}/]|[^{}/]+")  # of a word with alternatives


class MarkError(ValueError):
    """The marks of a reference are wrong; the message says what and what is expected."""


@dataclass(frozen=True, slots=True)
class GlossNetwork:
    """All readings of a reference, as a graph whose arcs are glosses.

    Attributes:
        glosses: gloss of each arc, in the order of the graph; arc 0 is the start and has no gloss.
        predecessors: for each arc, the arcs that can stand before it.
        ends: arcs that can stand at the end.
    """

    glosses: tuple[str, ...]
    predecessors: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]


def split_marks(text: str) -> tuple[str, ...]:
    """Split the text of a reference at white space; alternatives in braces stay together.

    Example:
        >>> split_marks("X { A / B C } (Y)")
        ('X', '{ A / B C }', '(Y)')

    Raises:
        MarkError: braces are not closed, stand inside a gloss, or contain nothing.
    """
    tokens: list[str] = []
    open_parts: list[str] = []
    depth = 0
    for word in _WORD.findall(text):
        if depth == 0 and not word.startswith("{"):
            if "{" in word:
                raise MarkError(f"{word!r} has a brace inside a gloss, expected white space before it")
            tokens.append(word)
            continue
        parts = _PARTS.findall(word)
        for place, part in enumerate(parts):
            depth += (part == "{") - (part == "}")
            open_parts.append(part)
            if depth == 0:
                tokens.append(" ".join(open_parts))
                open_parts = []
                tokens += ["".join(parts[place + 1 :])] if place + 1 < len(parts) else []
                break
    if depth:
        raise MarkError(f"alternatives {' '.join(open_parts)!r} have no end, expected '}}'")
    for token in tokens:
        if token.startswith("{"):
            _parse_alternatives(token)
    return tuple(tokens)


def has_alternatives(tokens: Sequence[str]) -> bool:
    """Return whether a reference has several readings, or `@`."""
    return any(token == NO_GLOSS or token.startswith("{") for token in tokens)


def first_reading(tokens: Sequence[str]) -> tuple[str, ...]:
    """Return the glosses of the reading that takes the first of all alternatives."""
    glosses: list[str] = []
    for token in tokens:
        if token.startswith("{"):
            glosses += first_reading(_parse_alternatives(token)[0])
        elif token != NO_GLOSS:
            glosses.append(token)
    return tuple(glosses)


def build_gloss_network(tokens: Sequence[str]) -> GlossNetwork:
    """Build the network of a reference.

    Args:
        tokens: glosses and alternatives, from `split_marks`.
    """
    builder = _Builder()
    start = builder.add_node()
    end = builder.add_node()
    first = builder.add_node()
    builder.add_arc("", start, first)
    builder.add_tokens(tokens, first, end)
    return builder.build(start, end)


def align_network(
    network: GlossNetwork, hypothesis: Sequence[str], *, optional: bool = False
) -> tuple[AlignedPair, ...]:
    """Align a hypothesis with the nearest reading of a reference.

    Args:
        network: all readings of the reference.
        hypothesis: recognised glosses, normalised.
        optional: whether glosses in parentheses are optional, on both sides: they then are correct if the other side
            does not have them (sclite's option -D).
    """
    table = _Table(network, hypothesis, optional=optional)
    return table.trace_back()


def align_optional(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[AlignedPair, ...]:
    """Align a hypothesis with a reference without alternatives; glosses in parentheses are optional."""
    if not any(map(is_optional, (*reference, *hypothesis))):
        return align(reference, hypothesis)
    return align_network(build_gloss_network(reference), hypothesis, optional=True)


def _parse_alternatives(token: str, depth: int = 0) -> list[tuple[str, ...]]:
    """Return the alternatives of `{ A / B C }`, each with its glosses and inner alternatives, without empty ones."""
    if depth > _MAX_DEPTH:
        raise MarkError(f"alternatives are nested more than {_MAX_DEPTH} levels deep")
    alternatives: list[list[str]] = [[]]
    inner: list[str] = []
    level = 0
    for part in [part for word in token.split(" ") for part in _PARTS.findall(word)][1:-1]:
        level += (part == "{") - (part == "}")
        if level or inner:
            inner.append(part)
            if level == 0:
                alternatives[-1].append(" ".join(inner))
                _parse_alternatives(alternatives[-1][-1], depth + 1)
                inner = []
        elif part == "/":
            alternatives.append([])
        else:
            alternatives[-1].append(part)
    filled = [tuple(glosses) for glosses in alternatives if glosses]
    if not filled:
        raise MarkError(f"alternatives {token!r} contain no gloss, expected for example '{{ A / B / @ }}'")
    return filled


def is_optional(gloss: str) -> bool:
    """Return whether a gloss is in parentheses, `(A)`, which can mean that it is optional."""
    return len(gloss) > 1 and gloss[0] == "(" and gloss[-1] == ")"


class _Builder:
    """Builds a network arc by arc, and numbers the arcs in the order in which sclite visits them."""

    def __init__(self) -> None:
        self._arcs: list[tuple[str, int, int]] = []  # gloss, source and target node
        self._from: list[list[int]] = []  # arcs that leave each node, as they were added
        self._into: list[list[int]] = []  # arcs that enter each node; of several equally good ones, the first counts

    def add_node(self) -> int:
        self._from.append([])
        self._into.append([])
        return len(self._from) - 1

    def add_arc(self, gloss: str, source: int, target: int) -> None:
        self._from[source].append(len(self._arcs))
        self._into[target].append(len(self._arcs))
        self._arcs.append((gloss, source, target))

    def add_tokens(self, tokens: Sequence[str], source: int, target: int) -> None:
        for place, token in enumerate(tokens):
            node = target if place == len(tokens) - 1 else self.add_node()
            if token.startswith("{"):
                for alternative in _parse_alternatives(token):
                    self.add_tokens(alternative, source, node)
            else:
                self.add_arc(token, source, node)
            source = node

    def build(self, start: int, end: int) -> GlossNetwork:
        order: list[int] = []
        waiting = [len(arcs) for arcs in self._into]
        ready = deque([start])
        while ready:
            for arc in self._from[ready.popleft()]:
                order.append(arc)
                target = self._arcs[arc][2]
                waiting[target] -= 1
                if waiting[target] == 0:
                    ready.append(target)
        number = {arc: place for place, arc in enumerate(order)}
        into = [tuple(number[arc] for arc in arcs) for arcs in self._into]
        return GlossNetwork(
            tuple(self._arcs[arc][0] for arc in order),
            tuple(into[self._arcs[arc][1]] for arc in order),
            into[end] or (0,),  # nothing is signed
        )


class _Table:
    """The costs of aligning each prefix of the network with each prefix of the hypothesis.

    sclite adds costs in numbers of 32 bits. With `@`, whose cost is 0.001, ties depend on their rounding, so this table
    rounds in the same way: an `array("f")` rounds what is stored in it. Without `@`, all costs are whole numbers.
    """

    def __init__(self, network: GlossNetwork, hypothesis: Sequence[str], *, optional: bool) -> None:
        self.network = network
        self.hypothesis = hypothesis
        self.optional = optional
        self.signed = [self._comparable(gloss) for gloss in network.glosses]
        self.recognised = ["", *map(self._comparable, hypothesis)]
        self.insertion = [0.0, *(self._cost(gloss, INSERTION_COST) for gloss in hypothesis)]
        self.costs: list[array[float]] = []
        self.back: list[list[tuple[int, int]]] = []
        self._fill()

    def _comparable(self, gloss: str) -> str:
        folded = fold_case(gloss)
        return folded[1:-1] if self.optional and is_optional(folded) else folded

    def _cost(self, gloss: str, cost: int) -> float:
        return OPTIONAL_COST if self.optional and is_optional(gloss) else cost

    def _fill(self) -> None:
        costs, back, insertion, recognised = self.costs, self.back, self.insertion, self.recognised
        width = len(recognised)
        first = array("f", [0.0]) * width
        for b in range(1, width):
            first[b] = first[b - 1] + insertion[b]
        costs.append(first)
        back.append([(0, max(b - 1, 0)) for b in range(width)])
        rounded = array("f", [0.0, 0.0, 0.0])
        for a in range(1, len(self.signed)):
            signed = self.signed[a]
            gloss = self.network.glosses[a]
            deletion = _NO_GLOSS_COST_32 if gloss == NO_GLOSS else self._cost(gloss, DELETION_COST)
            before = self.network.predecessors[a]
            row = array("f", [0.0]) * width
            rows = [costs[each] for each in before]
            origin = min(range(len(before)), key=lambda place, rows=rows: rows[place][0])  # type: ignore[misc]
            row[0] = rows[origin][0] + deletion
            steps = [(before[origin], 0)]
            only = rows[0] if len(rows) == 1 else None
            for b in range(1, width):
                if only is not None:
                    above, diagonal = only[b], only[b - 1]
                    above_arc = diagonal_arc = before[0]
                else:
                    above, above_arc = rows[0][b], before[0]
                    diagonal, diagonal_arc = rows[0][b - 1], before[0]
                    for other, arc in zip(rows[1:], before[1:], strict=True):
                        if other[b] < above:
                            above, above_arc = other[b], arc
                        if other[b - 1] < diagonal:
                            diagonal, diagonal_arc = other[b - 1], arc
                rounded[0] = diagonal if signed == recognised[b] else diagonal + SUBSTITUTION_COST
                rounded[1] = above + deletion
                rounded[2] = row[b - 1] + insertion[b]
                substituted, deleted, inserted = rounded
                if substituted <= deleted and substituted <= inserted:
                    row[b] = substituted
                    steps.append((diagonal_arc, b - 1))
                elif deleted < inserted:
                    row[b] = deleted
                    steps.append((above_arc, b))
                else:
                    row[b] = inserted
                    steps.append((a, b - 1))
            costs.append(row)
            back.append(steps)

    def trace_back(self) -> tuple[AlignedPair, ...]:
        b = len(self.recognised) - 1
        a = min(self.network.ends, key=lambda arc: self.costs[arc][b])
        pairs: list[AlignedPair] = []
        while a or b:
            previous_a, previous_b = self.back[a][b]
            reference, hypothesis = self.network.glosses[a], self.hypothesis[b - 1] if b else ""
            if previous_a == a:
                is_free = self.optional and is_optional(hypothesis)
                pairs.append(AlignedPair("correct" if is_free else "insertion", None, hypothesis))
            elif previous_b != b:
                same = self.signed[a] == self.recognised[b]
                pairs.append(AlignedPair("correct" if same else "substitution", reference, hypothesis))
            elif reference != NO_GLOSS:
                is_free = self.optional and is_optional(reference)
                pairs.append(AlignedPair("correct" if is_free else "deletion", reference, None))
            a, b = previous_a, previous_b
        return tuple(reversed(pairs))


_NO_GLOSS_COST_32 = array("f", [_NO_GLOSS_COST])[0]
