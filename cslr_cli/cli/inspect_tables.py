"""Tables of `cslr inspect CORPUS`: gloss frequencies, seconds per gloss, and signers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cslr_cli.cli.console import table

if TYPE_CHECKING:
    from cslr_cli.corpora.inspection import CorpusInspection

_MAX_SIGNERS = 20  # rows of the table
_EXAMPLES = 3  # most frequent glosses that are named


def frequency_table(inspection: CorpusInspection) -> Any:
    """Build a table of the number of glosses by how often they occur, one column per split."""
    splits = list(inspection.splits)
    rows = []
    for bin_ in inspection.gloss_frequencies():
        first, last = bin_["first"], bin_["last"]
        times = f"{first} or more" if last is None else str(first) if first == last else f"{first} – {last}"
        rows.append([times, *(str(bin_["glosses"][split]) for split in splits)])
    return table(["occurrences\nof a gloss", *(f"glosses\nin {split}" for split in splits)], rows)


def describe_frequent_glosses(inspection: CorpusInspection) -> str:
    """Return the most frequent glosses of train; empty without glosses."""
    contents = inspection.splits.get("train")
    counts = {} if contents is None else contents.gloss_counts
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_EXAMPLES]
    if not ordered:
        return ""
    return "most frequent in train: " + ", ".join(f"{gloss} ({count})" for gloss, count in ordered)


def describe_gloss_lengths(inspection: CorpusInspection) -> str:
    """Return the seconds per gloss of each split; empty if frames have not been counted."""
    parts = []
    for split, values in inspection.to_dict()["splits"].items():
        seconds = values["seconds_per_gloss"]
        if seconds is not None:
            parts.append(f"{split} {seconds['min']:.2f}–{seconds['median']:.2f}–{seconds['max']:.2f}")
    return f"seconds per gloss (min–med–max): {', '.join(parts)}" if parts else ""


def signer_table(inspection: CorpusInspection) -> Any | None:
    """Build a table of the number of clips of each signer, one column per split; None if signers are not named."""
    splits = {split: contents.signers for split, contents in inspection.splits.items()}
    totals: dict[str, int] = {}
    for signers in splits.values():
        for signer, count in signers.items():
            totals[signer] = totals.get(signer, 0) + count
    if not totals:
        return None
    ordered = sorted(totals, key=lambda signer: (-totals[signer], signer))
    rows = [
        [signer, *(str(signers.get(signer, 0) or "–") for signers in splits.values())]
        for signer in sorted(ordered[:_MAX_SIGNERS])
    ]
    if len(ordered) > _MAX_SIGNERS:
        rest = ordered[_MAX_SIGNERS:]
        counts = [str(sum(signers.get(signer, 0) for signer in rest)) for signers in splits.values()]
        rows.append([f"{len(rest)} others", *counts])
    return table(["signer", *(f"clips of\n{split}" for split in splits)], rows)
