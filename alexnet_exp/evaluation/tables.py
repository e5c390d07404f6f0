"""A comparison as tables: on the terminal, as CSV, LaTeX (booktabs) or Markdown."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.text import Text

from alexnet_exp.console import headed_table, standard_output
from alexnet_exp.evaluation.compare import Comparison

DASH = "-"
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}


@dataclass(frozen=True)
class Sheet:
    """A table of texts; the first column names the arm."""

    title: str
    header: list[str]
    rows: list[list[str]]


def sheets(comparison: Comparison) -> list[Sheet]:
    """The arms, and where there is more than one their differences to the baseline."""
    arms = [
        [
            str(arm),
            f"{row['n']:.0f}",
            *map(number, row[["mean", "std"]]),
            _interval(row),
            number(row["best"]),
            seconds(row["seconds"]),
        ]
        for arm, row in comparison.arms.iterrows()
    ]
    header = ["arm", "n", "mean", "std", "95 % interval", "best", "seconds"]
    first = Sheet(f"{comparison.metric} by arm", header, arms)
    if comparison.effects.empty:
        return [first]
    several = comparison.effects["baseline"].nunique() > 1
    with_shows = bool(comparison.effects["shows"].notna().any())
    effects = [
        [
            f"{arm} to {row['baseline']}" if several else str(arm),
            f"{row['pairs']:.0f}",
            number(row["difference"], signed=True),
            _interval(row, signed=True),
            probability(row["p_holm"]),
            *([number(row["shows"])] if with_shows else []),
            row["verdict"],
        ]
        for arm, row in comparison.effects.iterrows()
    ]
    title = f"Difference to {comparison.baseline}, paired by {comparison.unit}"
    header = [
        "arm",
        "pairs",
        "diff.",
        "95 % interval",
        "p (Holm)",
        *(["shows from"] if with_shows else []),
        "verdict",
    ]
    return [first, Sheet(title, header, effects)]


def show(comparison: Comparison) -> None:
    """Prints tables and notes."""
    console = standard_output()
    for sheet in sheets(comparison):
        table = headed_table(sheet.title)
        for column in sheet.header:
            left = column in ("arm", "verdict")
            table.add_column(column, justify="left" if left else "right", overflow="fold", no_wrap="interval" in column)
        for row in sheet.rows:
            table.add_row(*map(Text, row))
        console.print(table)
    for note in comparison.notes:
        console.print(f"- {note}", markup=False, highlight=False)


def csv(comparison: Comparison) -> str:
    """All numbers in full, a line for each arm."""
    effects = comparison.effects.rename(columns={"low": "difference_low", "high": "difference_high"})
    return comparison.arms.join(effects).rename_axis("arm").to_csv()


def markdown(comparison: Comparison) -> str:
    """Tables and notes."""
    blocks = []
    for sheet in sheets(comparison):
        rule = ["---" if column in ("arm", "verdict") else "---:" for column in sheet.header]
        rows = [sheet.header, rule, *([_markdown(cell) for cell in row] for row in sheet.rows)]
        blocks.append(f"**{_markdown(sheet.title)}**\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows))
    if comparison.notes:
        blocks.append("\n".join(f"- {_markdown(note)}" for note in comparison.notes))
    return "\n\n".join(blocks) + "\n"


def latex(comparison: Comparison) -> str:
    r"""Tables for `\usepackage{booktabs}`; the notes are comments."""
    blocks = [r"% \usepackage{booktabs}", *(f"% {' '.join(note.split())}" for note in comparison.notes)]
    for sheet in sheets(comparison):
        columns = "".join("l" if column in ("arm", "verdict") else "r" for column in sheet.header)
        lines = [" & ".join(map(_latex, row)) + r" \\" for row in (sheet.header, *sheet.rows)]
        blocks += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(sheet.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return "\n".join(blocks) + "\n"


def number(value: float, signed: bool = False) -> str:
    """Four decimals, fewer for large numbers, a dash where there is none."""
    if np.isnan(value):
        return DASH
    sign = "+" if signed else ""
    decimals = 4 if abs(value) < 10 else 1 if abs(value) < 10_000 else 0
    return f"{value:{sign}.{decimals}f}"


def probability(value: float) -> str:
    """Three decimals, a dash where there is none."""
    return DASH if np.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float) -> str:
    """Tenths of seconds, a dash where there is none."""
    return DASH if np.isnan(value) else f"{value:.1f}"


def _interval(row: pd.Series, signed: bool = False) -> str:
    return DASH if np.isnan(row["low"]) else f"{number(row['low'], signed)} to {number(row['high'], signed)}"


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()))
