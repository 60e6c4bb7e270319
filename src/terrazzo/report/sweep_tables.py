"""Tables of a sweep: settings with their spread, paired differences, and pooled folds."""

from collections.abc import Sequence

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.html import Markup, tag
from terrazzo.report.sweep import (
    TRAINING,
    DifferenceFacts,
    FoldFacts,
    SettingFacts,
    SpreadFacts,
    SweepFacts,
    figure_name,
)
from terrazzo.report.sweep_figures import scale_of, strip, strip_axis
from terrazzo.report.words import duration, quantity, score

__all__ = ["differences_section", "folds_section", "ranked_settings", "settings_section"]

_FEW = 12
"""So many settings stand in the order in which they were asked for; more stand by rank."""
_MOST_ROWS = 20
"""Of a table; further ones are folded away."""
_CHANCE = 0.05

_SEEDS = (
    "Points are runs, the bar is their mean, and the whisker the 95 % interval of the mean (Student's t): how far it "
    "would move with other seeds. It does not say how far it would move with other images."
)
_FOLDS = (
    "Points are runs, the bar is their mean, and the whisker the 95 % interval of the mean over folds, each fold being "
    "the mean of its seeds. It is widened because training sets of folds overlap (Nadeau and Bengio, 2003)."
)


def ranked_settings(sweep: SweepFacts) -> list[SettingFacts]:
    """Return the settings that have the ranking figure, the best first."""
    by_label = {one.label: one for one in sweep.settings}
    return [by_label[label] for label in sweep.ranked if label in by_label]


def settings_section(sweep: SweepFacts) -> Markup:
    """Return mean, spread and interval of every setting on every split."""
    known = any(one.figures for one in sweep.settings)
    if not known:
        return section("Settings", missing("No trial has finished, so there is nothing to compare yet."))
    parts: list[Markup] = []
    shown = [(split, sweep.figure) for split in sweep.splits]
    watched = dict.fromkeys(name for one in sweep.settings for name in one.figures.get(TRAINING, {}))
    shown += [(TRAINING, name) for name in watched]
    for split, figure in shown:
        name = figure_name(figure)
        title = f"{name} at the best epoch of training" if split == TRAINING else f"{name} of {split}"
        parts.append(tag("div", tag("h3", title), *_split(sweep, split, figure), class_="split"))
    lacking = [one.label for one in sweep.settings if not one.finished]
    if lacking:
        parts.append(tag("p", f"Without a finished run: {'; '.join(lacking)}.", class_="note"))
    return section("Settings", *parts)


def _split(sweep: SweepFacts, split: str, figure: str) -> list[Markup]:
    order = list(sweep.settings)
    if len(order) > _FEW:
        ranked = ranked_settings(sweep)
        order = [*ranked, *(one for one in order if one not in ranked)]
    rows = [(one, found) for one in order if (found := one.figures.get(split, {}).get(figure)) is not None]
    scale = scale_of([found for _, found in rows])
    repeated = any(found.runs > 1 for _, found in rows)
    heads: list[Markup | str] = ["setting", "mean ± sd" if repeated else figure_name(figure)]
    heads.append(tag("th", strip_axis(scale), scope="col", aria_label="runs, mean and interval"))
    heads += ["95 % interval", "lowest to highest", "runs"] if repeated else []
    heads.append("time of a run")
    cells = [_setting_row(one, found, strip(found, scale), repeated=repeated) for one, found in rows]
    parts = _folded(f"{figure} of {split} by setting", heads, cells, "settings")
    divided = any(found.units < found.runs for _, found in rows) or any(
        "data.fold=" in name for _, found in rows for name, _ in found.values
    )
    if repeated:
        parts.append(tag("p", _FOLDS if divided else _SEEDS, class_="note"))
    else:
        told = "Each setting ran once: what a difference between two of them owes to chance cannot be said."
        parts.append(tag("p", told, class_="note"))
    if split == "test":
        told = "Settings are ordered by validation. Choosing by the test split would leave nothing to test the choice."
        parts.append(tag("p", told, class_="note"))
    if split != TRAINING:
        parts.append(_class_table(rows, split))
    return parts


def _folded(caption: str, heads: Sequence[Markup | str], rows: Sequence[Markup], kind: str) -> list[Markup]:
    """Return a table whose rows beyond the first are folded away where there are many."""
    parts = [table(caption, heads, rows[:_MOST_ROWS])]
    if len(rows) > _MOST_ROWS:
        rest = table(f"{caption}, further", heads, rows[_MOST_ROWS:])
        parts.append(tag("details", tag("summary", f"{len(rows) - _MOST_ROWS} further {kind}"), rest))
    return parts


def _setting_row(one: SettingFacts, found: SpreadFacts, drawing: Markup, *, repeated: bool) -> Markup:
    runs = f"{found.runs}" if found.runs == one.runs else f"{found.runs} of {one.runs}"
    several = (
        tag("td", _interval(found.low, found.high)),
        tag("td", f"{found.lowest:.3f} to {found.highest:.3f}"),
        tag("td", runs),
    )
    return tag(
        "tr",
        tag("th", one.label, scope="row"),
        tag("td", _mean(found)),
        tag("td", drawing),
        *(several if repeated else ()),
        tag("td", duration(one.seconds)),
    )


def _class_table(rows: Sequence[tuple[SettingFacts, SpreadFacts]], split: str) -> Markup:
    """Return the other figures and the IoU of each class, folded away."""
    names = dict.fromkeys(name for one, _ in rows for name in one.figures.get(split, {}))
    heads = ("setting", *map(figure_name, names))
    body = []
    for one, _ in rows:
        found = one.figures.get(split, {})
        cells = [tag("td", _mean(spread) if (spread := found.get(name)) else "–") for name in names]
        body.append(tag("tr", tag("th", one.label, scope="row"), *cells))
    drawn = table(f"Every figure of {split}", heads, body)
    return tag("details", tag("summary", f"every figure of {split}, and each class"), drawn)


def _mean(found: SpreadFacts) -> str:
    return score(found.mean) if found.deviation is None else f"{found.mean:.3f} ± {found.deviation:.3f}"


def _interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    if low is None or high is None:
        return "–"
    return f"{low:+.3f} to {high:+.3f}" if signed else f"{low:.3f} to {high:.3f}"


def differences_section(sweep: SweepFacts) -> Markup | None:
    """Return how settings differ over the runs that they share; None where there is one setting."""
    if len(sweep.settings) < 2:
        return None
    if not sweep.differences:
        return section("Differences", missing("Nothing to compare: fewer than two settings have a finished run."))
    told = [one for one in sweep.differences if (one.numbers.get("units") or 0) > 1 or one.refused]
    if not told:
        advice = (
            "Each setting ran once, so that no difference can be told from chance by repeating it; run the best ones "
            "with several seeds. What images say stands below, where whole images were judged."
        )
        parts: list[Markup] = [tag("p", advice, class_="note")]
    else:
        note = (
            "A less B over the seeds and folds that both ran: the mean difference with its 95 % interval (paired t), "
            "in how many runs A was better, and p, the chance of a difference at least as large between equal "
            "settings, corrected for the number of comparisons (Holm)."
        )
        parts = [tag("p", note, class_="note")]
    for split in dict.fromkeys(one.split for one in sweep.differences):
        own = [one for one in sweep.differences if one.split == split]
        name = figure_name(own[0].figure)
        parts.append(tag("h3", f"{name} of {split}" if split != TRAINING else f"{name}, training"))
        heads: list[Markup | str] = [
            "A",
            tag("th", "B", scope="col", class_="name"),
            "A less B",
            "95 % interval",
            "by bootstrap",
            "A better",
            "p",
            "p (Holm)",
        ]
        images = any(one.images for one in own)
        heads += ["interval over images", "p over images"] if images else []
        rows = [_difference_row(one, images=images) for one in own]
        parts += _folded(f"Differences on {split}", heads, rows, "differences")
        parts += _remarks(own)
    if any(one.images for one in sweep.differences):
        note = (
            "Over images, the counts of all shared runs are added image by image, and images are drawn anew: whether "
            "other images like these would say the same. Those p-values stand each for itself."
        )
        parts.append(tag("p", note, class_="note"))
    return section("Differences", *parts)


def _difference_row(one: DifferenceFacts, *, images: bool) -> Markup:
    numbers = one.numbers
    names = [tag("th", one.first, scope="row"), tag("td", one.second, class_="name")]
    if one.refused:
        cells = [tag("td", "not compared", colspan=8 if images else 6, class_="name")]
        return tag("tr", *names, *cells)
    cells = [
        tag("td", "–" if numbers["mean"] is None else f"{numbers['mean']:+.4f}"),
        tag("td", _interval(numbers["low"], numbers["high"], signed=True)),
        tag("td", _interval(numbers["bootstrap_low"], numbers["bootstrap_high"], signed=True)),
        tag("td", f"{quantity(numbers['wins'])} of {quantity(numbers['pairs'])}"),
        tag("td", _p_value(numbers["p_value"], bold=False)),
        tag("td", _p_value(numbers["p_holm"])),
    ]
    if images:
        cells.append(tag("td", _interval(one.images.get("low"), one.images.get("high"), signed=True)))
        cells.append(tag("td", _p_value(one.images.get("p_value"))))
    return tag("tr", *names, *cells)


def _p_value(value: float | None, *, bold: bool = True) -> Markup | str:
    if value is None:
        return "–"
    told = "<0.0001" if value < 1e-4 else f"{value:.4f}"
    return tag("b", told) if bold and value < _CHANCE else told


def _remarks(found: Sequence[DifferenceFacts]) -> list[Markup]:
    """Return what was refused and what was left out, a line each."""
    told = [f"{one.first} and {one.second} are not compared: {one.refused}." for one in found if one.refused]
    parts = [tag("ul", *(tag("li", one) for one in told), class_="warnings")] if told else []
    lost = list(dict.fromkeys(run for one in found for run in one.left_out))
    if lost:
        parts.append(
            tag("p", f"Left out of some comparisons, for want of a partner: {'; '.join(lost)}.", class_="note")
        )
    return parts


def folds_section(sweep: SweepFacts) -> Markup | None:
    """Return folds pooled by their summed counts beside the mean over folds; None without folds."""
    if not sweep.folds:
        return None
    note = (
        "Pooled: the counts of all folds are added, so that every image is judged once, by the model that did not "
        "train on it. The mean over folds weighs a small fold like a large one."
    )
    parts: list[Markup] = [tag("p", note, class_="note")]
    for split in dict.fromkeys(one.split for one in sweep.folds):
        own = [one for one in sweep.folds if one.split == split]
        added = [one for one in own if not one.refused]
        parts.append(tag("h3", f"mIoU of {split}"))
        if added:
            heads = ("setting", "seed", "folds", "pooled mIoU", "mean over folds", "pooled accuracy", "images")
            parts.append(table(f"Folds on {split}", heads, [_fold_row(one) for one in added]))
        if any(not one.apart for one in added):
            told = "Patches were judged, which keep no names: that no image counts twice follows from the folds alone."
            parts.append(tag("p", told, class_="note"))
        refused = list(dict.fromkeys(one.refused for one in own if one.refused))
        if refused:
            parts += [tag("p", f"Not pooled: {reason}", class_="note") for reason in refused]
    return section("Folds", *parts)


def _fold_row(one: FoldFacts) -> Markup:
    total = len(one.folds) + len(one.missing)
    lacking = f" (without {', '.join(one.missing)})" if one.missing else ""
    return tag(
        "tr",
        tag("th", one.setting, scope="row"),
        tag("td", one.run or "–"),
        tag("td", f"{len(one.folds)} of {total}{lacking}"),
        tag("td", score(one.numbers["miou"])),
        tag("td", score(one.numbers["mean_miou"])),
        tag("td", score(one.numbers["accuracy"])),
        tag("td", quantity(one.numbers["images"])),
    )
