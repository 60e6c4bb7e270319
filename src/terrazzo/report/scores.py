"""How well the model does: scores by class, confusion matrix and worst samples of each evaluated split."""

from collections.abc import Mapping, Sequence
from typing import Any

from terrazzo.report.blocks import embedded, missing, section
from terrazzo.report.contents import Evaluated, RunContents, number
from terrazzo.report.figures import bar, confusion_table, swatch
from terrazzo.report.html import Markup, tag
from terrazzo.report.words import quantity, score, short

__all__ = ["scores_section"]

MOST_SAMPLES = 12
"""Pictures of samples that a page embeds for each split."""


def scores_section(run: RunContents) -> Markup:
    """Return scores, confusion matrix and samples of each evaluated split."""
    if not run.evaluated:
        return section(
            "Scores", missing("No split has been evaluated; `terrazzo evaluate` on this run adds its scores.")
        )
    return section("Scores", *(_split(evaluated) for evaluated in run.evaluated))


def _split(evaluated: Evaluated) -> Markup:
    summary = evaluated.summary
    facts = [
        f"mIoU {score(number(summary.get('miou')))}",
        f"mean accuracy {score(number(summary.get('mean_accuracy')))}",
        f"frequency-weighted IoU {score(number(summary.get('frequency_weighted_iou')))}",
        f"{quantity(number(summary.get('pixels')))} labelled pixels, each counted once",
    ]
    if number(summary.get("loss")) is not None:
        facts.insert(3, f"loss {short(float(summary['loss']))}")
    absent = [str(name) for name in summary.get("absent", [])]
    classes = summary.get("classes", [])
    parts = [tag("h3", evaluated.split), tag("p", " · ".join(facts), class_="note")]
    if absent:
        parts.append(
            tag("p", f"Neither labelled nor predicted, so left out of means: {', '.join(absent)}.", class_="note")
        )
    if not classes:
        return tag("div", *parts, missing("The summary names no classes."))
    parts.append(tag("div", _class_table(classes), class_="scroll"))
    counts = summary.get("confusion")
    if counts and len(counts) == len(classes):
        parts += [
            tag("h4", "Confusion: of each label's pixels, how many became what"),
            confusion_table(counts, classes),
        ]
    else:
        parts.append(missing("No confusion matrix was written."))
    parts += _samples(evaluated)
    return tag("div", *parts, class_="split")


def _class_table(classes: Sequence[Mapping[str, Any]]) -> Markup:
    rows = []
    for entry in classes:
        iou = number(entry.get("iou"))
        cells = [tag("td", score(number(entry.get(key)))) for key in ("f1", "precision", "recall")]
        name = tag("th", swatch(entry.get("colour", (128, 128, 128))), str(entry["name"]), scope="row")
        rows.append(
            tag(
                "tr",
                name,
                tag("td", score(iou)),
                tag("td", bar(iou)),
                *cells,
                tag("td", quantity(number(entry.get("pixels")))),
            )
        )
    titles = [tag("th", title, scope="col") for title in ("class", "IoU", "", "F1", "precision", "recall", "pixels")]
    return tag("table", tag("thead", tag("tr", *titles)), tag("tbody", *rows), class_="figures")


def _samples(evaluated: Evaluated) -> list[Markup]:
    if not evaluated.samples:
        return [missing("No pictures of samples were written.")]
    shown, left = embedded(evaluated.samples[:MOST_SAMPLES])
    left += len(evaluated.samples[MOST_SAMPLES:])
    note = "Image, label, prediction, and where they differ (wrong: orange; hatched: ignored)."
    if left:
        note += f" {left} more in {evaluated.samples[0].parent}."
    return [tag("h4", "Worst samples"), tag("p", note, class_="note"), tag("div", *shown, class_="pictures")]
