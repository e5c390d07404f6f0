"""A comparison as one HTML page that needs no other file and no network."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from alexnet_exp.evaluation import comparison_figures as figures
from alexnet_exp.evaluation.arms import Arms, by_images, config_differences, listed
from alexnet_exp.evaluation.compare import BETTER, WORSE, Comparison
from alexnet_exp.evaluation.examples import missed_by_all, summed_confusion
from alexnet_exp.evaluation.figures.style import colors_of
from alexnet_exp.evaluation.tables import Sheet, number, seconds, sheets

STYLE = Path(__file__).with_name("report.css")
MOST_EXAMPLES = 24
MOST_RUNS = 300  # in the list at the end
MOST_EFFECTS = 60  # arms in one forest plot or table of parameters
FEWEST_SIZES = 3  # of the data to learn from, in a curve over them
BANDS = "Lines are means over the runs, bands reach from the lowest to the highest run."
IS_TEXT = (True, False, False, False)  # of the columns in the list of runs


@dataclass(frozen=True)
class Evidence:
    """What was read of the runs beyond their last metrics.

    Attributes:
      arms: those that it was read for, the baseline among them.
      runs_an_arm: of how many runs of an arm at the most.
      curves: `arm`, `run_id`, `metric`, `step`, `value`; may be empty.
      predictions: by arm the tables of its runs, as `Report.predictions`; arms without any are missing.
      class_names: by arm, of those with predictions.
      images: uint8 `[H, W, 3]` by the id of a test example, where the dataset could be opened.
      addresses: of the runs in the MLflow UI, by id.
    """

    arms: list[str]
    runs_an_arm: int
    curves: pd.DataFrame
    predictions: Mapping[str, list[pd.DataFrame]]
    class_names: Mapping[str, list[str]]
    images: Mapping[str, np.ndarray]
    addresses: Mapping[str, str]


def drawings(comparison: Comparison, arms: Arms, evidence: Evidence) -> dict[str, str]:
    """The figures of the page that stand alone, as SVG: `effects`, `learning_curves`, `curves`, where there are any."""
    drawn = {}
    if not (shown := _effects_shown(comparison)).empty:
        drawn["effects"] = _svg(figures.forest(comparison, shown, colors_of(evidence.arms)))
    if (sized := by_images(arms))["images"].nunique() >= FEWEST_SIZES:
        drawn["learning_curves"] = _svg(figures.learning_curves(sized, arms.metric))
    if not evidence.curves.empty:
        drawn["curves"] = _svg(figures.bands(evidence.curves, colors_of(evidence.arms)))
    return drawn


def html_report(
    comparison: Comparison, arms: Arms, evidence: Evidence, drawn: Mapping[str, str], title: str, subtitle: str
) -> str:
    """The page: verdict, tables, effects, learning curves, parameters that differ, curves, confusion, examples, runs.

    Args:
      comparison: of the arms.
      arms: what was compared.
      evidence: what was read of the runs.
      drawn: `drawings` of the same.
      title: of the page.
      subtitle: a line below it.
    """
    read = f"Read from up to {evidence.runs_an_arm} runs of each of {len(evidence.arms)} arms."
    if len(evidence.arms) < len(comparison.arms):
        read = f"{read[:-1]} of {len(comparison.arms)}: the baseline and the best."
    sections = [
        _section("Result", _summary(comparison) + _tables(comparison) + _notes(comparison)),
        _section("Effects", _effects(comparison, drawn)),
        _section("Images to learn from", _learning_curves(drawn)),
        _section("What differs", _differences(arms)),
        _section("Curves", _curves(evidence, read, drawn)),
        _section("Confusion", _confusions(evidence, read)),
        _section("Examples that every arm misses", _examples(evidence, read)),
        _section("Runs", _runs(arms, evidence, comparison)),
    ]
    head = f"<h1>{escape(title)}</h1><p class=soft>{escape(subtitle)}</p>"
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text()}</style></head>\n"
        f"<body><main><header>{head}</header>\n{''.join(sections)}</main></body></html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>\n" if content else ""


def _summary(comparison: Comparison) -> str:
    effects = comparison.effects
    best = comparison.arms.index[0]
    text = f"Best mean {comparison.metric}: {best}, {number(comparison.arms['mean'].iloc[0])}."
    if not effects.empty:
        told = {word: listed(effects.index[effects["verdict"] == word], 4) for word in (BETTER, WORSE)}
        shown = "; ".join(f"{word}: {names}" for word, names in told.items() if names)
        count = int((~effects["verdict"].isin([BETTER, WORSE])).sum())
        text += f" Against {comparison.baseline}: {shown or 'no arm is shown to be better or worse'}."
        if shown and count:
            text += f" {count} not told apart."
    return f"<p class=verdict>{escape(text)}</p>"


def _tables(comparison: Comparison) -> str:
    return "".join(_table(sheet, comparison.baseline) for sheet in sheets(comparison))


def _table(sheet: Sheet, baseline: str | None = None, texts: tuple[str, ...] = ("arm", "verdict")) -> str:
    is_text = [column in texts for column in sheet.header]
    head = "".join(map(_cell, ["th"] * len(is_text), sheet.header, is_text))
    lines = [
        f"<tr{' class=baseline' if row[0] == baseline else ''}>{''.join(map(_cell, ['td'] * len(row), row, is_text))}"
        for row in sheet.rows
    ]
    caption = f"<caption>{escape(sheet.title)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</thead><tbody>{''.join(lines)}</tbody></table>"


def _cell(tag: str, text: str, is_text: bool) -> str:
    kind = f"text {text}" if text in (BETTER, WORSE) else "text" if is_text else "number"
    return f'<{tag} class="{kind}">{escape(text)}'


def _notes(comparison: Comparison) -> str:
    over_examples = comparison.unit == "test example"
    effect = (
        "Differences: McNemar's exact test and a paired bootstrap interval over the test examples"
        if over_examples
        else f"Means: Student's t interval over {comparison.unit}s. Differences: paired t test by {comparison.unit}; "
        "“shows from” is the smallest difference that would have been significant with these pairs and their spread"
    )
    method = f"{effect}. Intervals 95 %, p corrected by Holm over the arms, verdicts at 5 %."
    items = "".join(f"<li>{escape(note)}" for note in comparison.notes)
    return f"<p class=soft>{escape(method)}</p>" + (f"<ul>{items}</ul>" if items else "")


def _effects(comparison: Comparison, drawn: Mapping[str, str]) -> str:
    if "effects" not in drawn:
        return ""
    count = int(comparison.effects["difference"].notna().sum())
    cut = f"<p class=soft>The first {MOST_EFFECTS} of {count} arms.</p>" if count > MOST_EFFECTS else ""
    return cut + _figure(drawn["effects"], "difference of each arm to the baseline with its interval")


def _effects_shown(comparison: Comparison) -> pd.DataFrame:
    return comparison.effects[comparison.effects["difference"].notna()].head(MOST_EFFECTS)


def _learning_curves(drawn: Mapping[str, str]) -> str:
    if "learning_curves" not in drawn:
        return ""
    figure = _figure(drawn["learning_curves"], "each strategy over the images a class to learn from")
    return f"<p class=soft>{BANDS}</p>{figure}"


def _differences(arms: Arms) -> str:
    table = config_differences(arms)
    if table.empty:
        return "<p>No parameter differs between the arms.</p>"
    table = table.iloc[:, :MOST_EFFECTS]
    corner = "parameter"
    if table.shape[1] > len(table):  # the shorter side across the page
        table, corner = table.T, "arm"
    header = [corner, *map(str, table)]
    rows = [[str(name), *row.tolist()] for name, row in table.iterrows()]
    return _table(Sheet("Parameters that are not the same in all arms", header, rows), texts=tuple(header))


def _curves(evidence: Evidence, read: str, drawn: Mapping[str, str]) -> str:
    if "curves" not in drawn:
        return ""
    text = f"{read} {BANDS}"
    if without := [arm for arm in evidence.arms if arm not in set(evidence.curves["arm"])]:
        text += f" Without epochs: {listed(without)}."
    return f"<p class=soft>{escape(text)}</p>{_figure(drawn['curves'], 'curves of each arm over the epochs')}"


def _confusions(evidence: Evidence, read: str) -> str:
    if not evidence.predictions:
        return ""
    images = []
    for arm, tables in evidence.predictions.items():
        names = evidence.class_names[arm]
        matrix = summed_confusion(tables, len(names))
        images.append(_figure(_svg(figures.confusion(matrix, names, arm)), f"confusion matrix of {arm}"))
    text = f"{read} Per cent of each true class (rows), from 1 %."
    return f"<p class=soft>{escape(text)}</p><div class=side>{''.join(images)}</div>"


def _examples(evidence: Evidence, read: str) -> str:
    if not evidence.predictions:
        return ""
    missed = missed_by_all(evidence.predictions)
    names = next(iter(evidence.class_names.values()))
    count = f"{len(missed)} test examples are wrong in every run that tested them" + (
        f"; the {MOST_EXAMPLES} with the least probable true class:" if len(missed) > MOST_EXAMPLES else "."
    )
    cards = []
    for row in missed.head(MOST_EXAMPLES).to_dict("records"):
        name = str(row["id"])
        image = _png(evidence.images[name], f"test example {name}") if name in evidence.images else ""
        text = f"is {names[row['label']]} (p {row['probability']:.3f}), predicted {names[row['prediction']]}"
        cards.append(f"<figure>{image}<figcaption>{escape(text)}<br><code>{escape(name)}</code></figcaption></figure>")
    return f"<p class=soft>{escape(read)} {escape(count)}</p><div class=grid>{''.join(cards)}</div>"


def _runs(arms: Arms, evidence: Evidence, comparison: Comparison) -> str:
    order = {arm: place for place, arm in enumerate(comparison.arms.index)}
    runs = arms.runs.assign(place=arms.runs["arm"].map(order)).sort_values(["place", "seed"], kind="stable")
    lines = []
    for row in runs.head(MOST_RUNS).to_dict("records"):
        cells = [row["arm"], row["seed"], number(row["value"]), seconds(row["seconds"])]
        link = f'<a href="{escape(evidence.addresses[row["run_id"]])}"><code>{escape(row["run_id"])}</code></a>'
        lines.append(f"<tr>{''.join(map(_cell, ['td'] * 4, cells, IS_TEXT))}<td class=text>{link}")
    head = "".join(map(_cell, ["th"] * 5, ["arm", arms.unit, arms.metric, "seconds", "run"], (*IS_TEXT, True)))
    cut = f"<p class=soft>The first {MOST_RUNS} of {len(runs)} runs.</p>" if len(runs) > MOST_RUNS else ""
    return f"{cut}<table><thead><tr>{head}</thead><tbody>{''.join(lines)}</tbody></table>"


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _figure(svg: str, text: str) -> str:
    return f"<figure>{_image(svg.encode(), 'image/svg+xml', text)}</figure>"


def _png(pixels: np.ndarray, text: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return _image(buffer.getvalue(), "image/png", text)


def _image(content: bytes, kind: str, text: str) -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{escape(text)}" src="data:{kind};base64,{data}">'
