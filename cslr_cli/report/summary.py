"""The top of a section of the page: the figures, the comparison, the plots."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from cslr_cli.report.plots import Bar, bar_plot, curve_plot, rate_plot
from cslr_cli.report.score_text import (
    describe_comparison,
    describe_special_clips,
    format_interval,
    format_intervals,
    format_percent,
    format_wer,
)
from cslr_cli.report.sections import Analysis, Section
from cslr_cli.scoring import Counts, GroupScore, UnseenGlosses
from cslr_cli.scoring.gloss_counts import GLOSS_ERRORS, GlossError, most_frequent

MAX_BARS = 12  # rows of a bar plot
MAX_UNSEEN_NAMED = 60  # glosses not in train that the page lists

_SYSTEM_HEADS = ("", "WER %", "95 % interval", "sub %", "del %", "ins %", "clips with errors")

_FAULT_TITLES: dict[GlossError, str] = {
    "substituted": "Most substituted",
    "deleted": "Most deleted",
    "inserted": "Most inserted",
    "falsely_recognised": "Most falsely recognised",
}
_FAULT_NOTES: dict[GlossError, str] = {
    "substituted": "Signed, but another gloss was recognised.",
    "deleted": "Signed, but nothing was recognised.",
    "inserted": "Recognised, but nothing was signed.",
    "falsely_recognised": "Recognised, but another gloss was signed.",
}


def facts_html(facts: Mapping[str, str]) -> str:
    """Return names and values as an HTML list; empty without facts."""
    if not facts:
        return ""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{items}</dl>'


def section_html(analysis: Analysis, index: int) -> str:
    """Return a section of the page; the page's script adds tables and alignments to it."""
    section = analysis.section
    protocol = section.systems[0].score.protocol
    facts = {
        **section.facts,
        **{
            f"WER of {each.name}": f"{format_wer(each.counts)} %, {format_intervals(each)}"
            for each in analysis.further_scores
        },
        "protocol": f"{protocol.name}: {protocol.description}",
        "comparable with published results": protocol.comparable_when,
        **describe_special_clips(section.systems[0].score),
    }
    return f"""<section class="split" id="s{index}" data-section="{index}">
<h2>{escape(section.name)}</h2>
{_figures(analysis.totals[0])}
{facts_html(facts)}
{_comparison(analysis)}
<h3>{escape(_errors_heading(section))}</h3>
<div class="cards">{_plots(analysis)}</div>
{_unseen(analysis.breakdown.unseen)}
<div class="tables" data-tables></div>
<div class="explorer" data-clips></div>
</section>"""


def _errors_heading(section: Section) -> str:
    """Return the heading of plots and tables; with two systems, they are of the first one."""
    return "Errors" if len(section.systems) == 1 else f"Errors of {section.systems[0].name}"


def _figures(total: GroupScore) -> str:
    counts = total.counts
    share = 100 * total.clips_with_errors / total.clips
    figures = [
        _figure("wer", f"{format_wer(counts)} %", "word error rate", format_intervals(total)),
        _figure(
            "sub", f"{format_percent(counts, counts.substitutions)} %", "substitutions", f"{counts.substitutions:,}"
        ),
        _figure("del", f"{format_percent(counts, counts.deletions)} %", "deletions", f"{counts.deletions:,}"),
        _figure("ins", f"{format_percent(counts, counts.insertions)} %", "insertions", f"{counts.insertions:,}"),
        _figure("", f"{share:.1f} %", "clips with errors", f"{total.clips_with_errors:,} of {total.clips:,}"),
        _figure(
            "",
            f"{format_percent(counts, counts.correct)} %",
            "correct",
            f"{counts.correct:,} of {counts.references:,} glosses",
        ),
    ]
    return f'<div class="figures">{"".join(figures)}</div>{_count_bar(counts)}'


def _figure(kind: str, value: str, name: str, note: str) -> str:
    return f'<div class="figure {kind}"><b>{value}</b><span>{name}</span><small>{note}</small></div>'


def _count_bar(counts: Counts) -> str:
    """Draw the parts of the references, correct, substituted and deleted, and after them the insertions."""
    kinds = (
        ("ok", "correct", counts.correct),
        ("sub", "substitutions", counts.substitutions),
        ("del", "deletions", counts.deletions),
        ("ins", "insertions", counts.insertions),
    )
    parts = "".join(
        f'<i class="{kind}" style="flex-grow:{number}" title="{name}: {number:,}"></i>'
        for kind, name, number in kinds
        if number
    )
    return f'<div class="shares" aria-hidden="true">{parts}</div>'


def _plots(analysis: Analysis) -> str:
    breakdown, views = analysis.breakdown, analysis.views
    if not breakdown.worst:
        return '<p class="note">No errors.</p>'
    cards = [
        _card(f"Word error rate by {what}", note, rate_plot(parts, what))
        for parts, what, note in (
            (breakdown.by_signer, "signer", "Dots with 95 % bootstrap intervals over clips."),
            (breakdown.by_label, "category", "Categories of the references; a clip can be in several."),
            (breakdown.by_clip_length, "clip length", "Length of the clips in seconds."),
            (breakdown.by_reference_length, "reference length", "Number of signed glosses per clip."),
            (views.by_frequency, "frequency in train", "Number of times that the gloss occurs in train."),
            (views.by_position, "position in the sentence", "Insertions count for the gloss that follows."),
        )
        if len(parts) > 1
    ]
    if len(views.confidence_curve) > 1:
        note = "The most confident clips on the left, all clips on the right."
        cards.append(_card("Word error rate against confidence", note, curve_plot(views.confidence_curve)))
    if breakdown.confusions:
        bars = [Bar((each.reference, each.hypothesis), each.count) for each in breakdown.confusions[:MAX_BARS]]
        cards.append(_card("Confusions", "Signed → recognised.", bar_plot(bars, "Most frequent confusions", "sub")))
    suffixes = views.suffix_confusions
    if suffixes.pairs:
        bars = [Bar((each.reference, each.hypothesis), each.count) for each in suffixes.pairs[:MAX_BARS]]
        share = 100 * suffixes.substitutions / breakdown.total.counts.substitutions
        note = (
            f"Only a suffix differs: {suffixes.substitutions:,} substitutions, {share:.0f} % of all. If they were "
            f"correct, the WER would be {format_wer(suffixes.counts_without)} %."
        )
        cards.append(_card("Confusions of suffixes", note, bar_plot(bars, "Confusions of suffixes", "sub")))
    for fault in GLOSS_ERRORS:
        rows = most_frequent(breakdown.glosses, fault, MAX_BARS)
        if rows:
            bars = [Bar((row.gloss,), getattr(row, fault)) for row in rows]
            title = _FAULT_TITLES[fault]
            cards.append(_card(title, _FAULT_NOTES[fault], bar_plot(bars, f"Glosses: {title.lower()}", fault)))
    return "".join(cards)


def _card(title: str, note: str, plot: str) -> str:
    return f'<figure class="card"><figcaption>{escape(title)}<small>{escape(note)}</small></figcaption>{plot}</figure>'


def _unseen(unseen: UnseenGlosses | None) -> str:
    if unseen is None:
        return ""
    if not unseen.glosses:
        return '<p class="note">Every gloss of the references occurs in train.</p>'
    number = unseen.counts.references
    listed = ", ".join(
        f"{gloss} ({count})" if count > 1 else gloss for gloss, count in unseen.glosses[:MAX_UNSEEN_NAMED]
    )
    rest = len(unseen.glosses) - MAX_UNSEEN_NAMED
    more = f" and {rest} more" if rest > 0 else ""
    seen = unseen.seen
    return f"""<h3>Glosses not in train</h3>
<p><b>{len(unseen.glosses):,}</b> glosses of the references do not occur in train. They were signed
<b>{number:,}</b> times, in {unseen.clips:,} clips, and cause <b>{unseen.counts.errors:,}</b> of the substitutions and
deletions. Of the other {seen.references:,} signed glosses, {format_percent(seen, seen.errors)} % were substituted or
deleted.</p>
<p class="glosses">{escape(listed + more)}</p>"""


def _comparison(analysis: Analysis) -> str:
    if analysis.comparison is None:
        return ""
    names = [system.name for system in analysis.section.systems]
    heads = "".join(f"<th>{head}</th>" for head in _SYSTEM_HEADS)
    rows = "".join(_system_row(name, total) for name, total in zip(names, analysis.totals, strict=True))
    lines = "".join(f"<li>{escape(line)}</li>" for line in describe_comparison(analysis.comparison, names))
    return f"""<h3>{escape(names[0])} and {escape(names[1])}</h3>
<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>
<ul>{lines}</ul>"""


def _system_row(name: str, total: GroupScore) -> str:
    counts = total.counts
    numbers = (counts.substitutions, counts.deletions, counts.insertions)
    cells = [
        format_wer(counts),
        format_interval(total.by_clip),
        *(format_percent(counts, number) for number in numbers),
        f"{total.clips_with_errors:,}",
    ]
    return f"<tr><td>{escape(name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
