"""The tools that a figure can come from, by the names that the command line gives them."""

from __future__ import annotations

from typing import Literal

from cslr_cli.scoring.sclite import sclite_command, sclite_score
from cslr_cli.scoring.scorer import Score, published_python_score

ToolName = Literal["builtin", "sclite", "published-python"]


def require_tool(tool: ToolName) -> None:
    """See that a tool is there, before any work is done.

    Raises:
        MissingPackageError: sclite is asked for and not installed.
    """
    if tool == "sclite":
        sclite_command()


def scored_by(tool: ToolName, scored: Score) -> Score:
    """The same hypotheses and references as another tool aligns them.

    Raises:
        MissingPackageError: sclite is asked for and not installed.
        ScoringError: sclite failed.
    """
    if tool == "sclite":
        return sclite_score(scored)
    if tool == "published-python":
        return published_python_score(scored)
    return scored
