"""How well the model does: scores by class, confusion matrix and worst samples of each evaluated split."""

from collections.abc import Sequence
from pathlib import Path

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.confusion import confusion_table
from terrazzo.report.contents import Evaluated, RunContents
from terrazzo.report.facts import ClassFacts, SplitFacts
from terrazzo.report.figures import bar, swatch
from terrazzo.report.html import Markup, tag
from terrazzo.report.judged import JudgedFacts, boundaries, images, interval_words, notes, regions
from terrazzo.report.pictures import embedded
from terrazzo.report.words import quantity, score, short

__all__ = ["MOST_SAMPLES", "samples", "scores_section"]

MOST_SAMPLES = 12
"""Pictures of samples that a page embeds for each split."""
PANELS = (
    "From left to right: the image, its label, the prediction, and the errors (wrong pixels orange, right ones grey). "
    "Hatched pixels are ignored."
)


def scores_section(run: RunContents) -> Markup:
    """Return scores, confusion matrix and samples of each evaluated split."""
    if not run.evaluated:
        return section(
            "Scores", missing("No split has been evaluated; `terrazzo evaluate` on this run adds its scores.")
        )
    return section("Scores", *(_split(evaluated) for evaluated in run.evaluated))


def _split(evaluated: Evaluated) -> Markup:
    facts, judged = evaluated.facts, evaluated.judged
    parts = [tag("h3", facts.split), tag("p", _sentence(facts, judged), class_="note"), *notes(judged)]
    if facts.miou_by_step:
        parts.append(tag("p", _steps(facts), class_="note"))
    if facts.absent:
        parts.append(
            tag("p", f"Neither labelled nor predicted, so left out of means: {', '.join(facts.absent)}.", class_="note")
        )
    if not facts.classes:
        return tag("div", *parts, missing("The summary names no classes."), class_="split")
    parts.append(_class_table(facts, judged))
    parts.append(tag("h4", "Confusion: what became of each label's pixels, in per cent"))
    if facts.confusion is None:
        parts.append(missing("The summary holds no confusion matrix of these classes."))
    else:
        parts.append(confusion_table(facts.confusion, facts.classes))
    parts += boundaries(judged, facts.split) + regions(judged, facts.split) + images(judged, facts.split)
    parts.append(tag("h4", "Worst samples"))
    parts += samples(evaluated.samples, f"Sample of {facts.split}")
    return tag("div", *parts, class_="split")


def _sentence(facts: SplitFacts, judged: JudgedFacts) -> str:
    """Return the split's figures in a line."""
    figures = facts.figures
    told = [f"mIoU {score(figures.get('miou'))}{interval_words(judged.intervals.get('miou'))}"]
    if figures.get("foreground_iou") is not None:
        told.append(f"foreground IoU {score(figures.get('foreground_iou'))}")
    told += [
        f"pixel accuracy {score(figures.get('accuracy'))}{interval_words(judged.intervals.get('accuracy'))}",
        f"mean accuracy {score(figures.get('mean_accuracy'))}",
        f"frequency-weighted IoU {score(figures.get('frequency_weighted_iou'))}",
    ]
    loss = figures.get("loss")
    if loss is not None:
        told.append(f"loss {short(loss)}")
    if figures.get("images") is not None:
        told.append(f"{quantity(figures.get('images'))} image{'' if figures.get('images') == 1 else 's'}")
    told.append(f"{quantity(figures.get('pixels'))} labelled pixels, each counted once")
    return " · ".join(told)


def _steps(facts: SplitFacts) -> str:
    """Return what each step of a network that answers in steps reached, in a line."""
    told = f"mIoU of each step: {', '.join(score(value) for value in facts.miou_by_step)}"
    needed = facts.figures.get("avg_steps")
    return told if needed is None else f"{told} · the halting rule needs {needed:.2f} steps on average"


def _class_table(facts: SplitFacts, judged: JudgedFacts) -> Markup:
    known = judged.class_intervals
    heads = ("class", "IoU", tag("td"), *(("95 % interval",) if known else ()), "F1", "precision", "recall", "pixels")
    rows = [_class_row(entry, _ends(entry, judged) if known else None) for entry in facts.classes]
    return table(f"Scores by class on {facts.split}", heads, rows)


def _ends(entry: ClassFacts, judged: JudgedFacts) -> str:
    """Return the ends of a class's interval in a cell."""
    found = judged.class_intervals.get(entry.name)
    return "–" if found is None else f"{found[0]:.3f} to {found[1]:.3f}"


def _class_row(entry: ClassFacts, interval: str | None) -> Markup:
    return tag(
        "tr",
        tag("th", swatch(entry.colour), entry.name, scope="row"),
        tag("td", score(entry.iou)),
        tag("td", bar(entry.iou, entry.colour)),
        *(() if interval is None else (tag("td", interval),)),
        *(tag("td", score(value)) for value in (entry.f1, entry.precision, entry.recall)),
        tag("td", quantity(entry.pixels)),
    )


def samples(paths: Sequence[Path], name: str) -> list[Markup]:
    """Return pictures of samples, with a sentence on what their panels are.

    Args:
        paths: Each a picture of image, label, prediction and error.
        name: What the captions call one of them.
    """
    if not paths:
        return [missing("No pictures of samples were written.")]
    shown, left = embedded(
        paths[:MOST_SAMPLES], [f"{name}, {place} of {len(paths)}" for place in range(1, len(paths) + 1)][:MOST_SAMPLES]
    )
    parts = [tag("p", PANELS, class_="note"), tag("div", *shown, class_="pictures")]
    unseen = [*left, *paths[MOST_SAMPLES:]]
    if unseen:
        parts.append(missing(f"Not shown (more than fit, or damaged): {', '.join(str(path) for path in unseen)}."))
    return parts
