"""How far the model can be believed: what was calibrated, what is promised, before and after, thresholds."""

from collections.abc import Sequence

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.calibration_facts import CalibrationFacts, Row
from terrazzo.report.figures import Line, line_chart
from terrazzo.report.html import Markup, tag
from terrazzo.report.words import percent, quantity, score

__all__ = ["calibration_section"]

FIGURES = {
    "ece": "ECE, top class",
    "classwise_ece": "ECE, mean over classes",
    "ace": "ACE, bins of equal mass",
    "nll": "negative log-likelihood",
    "brier": "Brier score",
    "confidence": "mean confidence",
    "accuracy": "pixel accuracy",
    "miou": "mIoU",
    "mean_steps": "mean steps",
}
"""What the table shows, in this order."""
MOST_ROWS = 12
"""Thresholds that the table shows; the rest stands in the file."""
FIRST, SECOND, QUIET = "var(--first)", "var(--second)", "var(--quiet)"


def calibration_section(found: Sequence[CalibrationFacts]) -> Markup:
    """Return what each calibration found."""
    if not found:
        return section(
            "Calibration",
            missing(
                "The model was not calibrated; `terrazzo calibrate` on this run says how far it can be believed, on "
                "images that neither trained nor chose it."
            ),
        )
    return section("Calibration", *(_one(facts) for facts in found))


def _one(facts: CalibrationFacts) -> Markup:
    parts = [tag("h3", facts.name), tag("p", _images(facts), class_="note")]
    if facts.warnings:
        parts.append(tag("ul", *(tag("li", warning) for warning in facts.warnings), class_="warnings"))
    if facts.kinds:
        parts.append(tag("p", f"Fitted: {'; '.join(facts.kinds)}."))
    if facts.promises:
        parts.append(tag("h4", "What is promised"))
        parts.append(tag("ul", *(tag("li", promise) for promise in facts.promises)))
    if facts.before:
        where = facts.report_split
        parts.append(tag("h4", f"Before and after, on images of {where} that took no part in calibrating"))
        parts.append(_figures(facts))
    charts = [*_reliability(facts), *_sweep_charts(facts)]
    if charts:
        parts.append(tag("h4", "Confidence and thresholds" if facts.sweep else "Confidence"))
        parts.append(tag("div", *charts, class_="charts"))
    if facts.halting:
        parts.append(tag("p", _checked(facts.halting), class_="note"))
    if facts.sweep:
        parts += [tag("h4", "Halting thresholds"), _sweep_table(facts)]
    if facts.steps:
        parts += [tag("h4", "Probability to halt, after each step of all windows"), _steps_table(facts.steps)]
    return tag("div", *parts, class_="split")


def _images(facts: CalibrationFacts) -> str:
    parts = ", ".join(f"{quantity(count)} for {name}" for name, count in facts.parts.items())
    return f"{facts.bundle} · {parts or 'no images'}; no image was used twice."


def _figures(facts: CalibrationFacts) -> Markup:
    rows = []
    for name, title in FIGURES.items():
        before, after = facts.before.get(name), facts.after.get(name)
        if before is None and after is None:
            continue
        change = "–" if before is None or after is None else _figure(name, after - before, sign="+")
        cells = [tag("td", _figure(name, value)) for value in (before, after)]
        rows.append(tag("tr", tag("th", title, scope="row"), *cells, tag("td", change)))
    return table(f"Before and after on {facts.report_split}", ("figure", "before", "after", "change"), rows)


def _figure(name: str, value: float | None, *, sign: str = "") -> str:
    digits = 2 if name == "mean_steps" else 4
    return "–" if value is None else f"{value:{sign}.{digits}f}"


def _reliability(facts: CalibrationFacts) -> list[Markup]:
    """Return confidence against how often it was right; a believable model lies on the diagonal."""
    if not facts.bins_before or not facts.bins_after:
        return []
    ends = [one[0] for one in (*facts.bins_before, *facts.bins_after)]
    even = Line("as believed", [(min(ends), min(ends)), (max(ends), max(ends))], QUIET)
    lines = [
        Line("before", [(stated, right) for stated, right, _ in facts.bins_before], SECOND, dashed=True),
        Line("after", [(stated, right) for stated, right, _ in facts.bins_after], FIRST),
    ]
    return [line_chart("Share of right pixels by confidence", [even, *lines], axis="confidence")]


def _sweep_charts(facts: CalibrationFacts) -> list[Markup]:
    rows = sorted((row for row in facts.sweep if row.get("tau") is not None), key=lambda row: row["tau"] or 0.0)
    if len(rows) < 2:
        return []
    tau = facts.halting.get("tau")
    charts = []
    for title, columns in (
        ("Risk of stopping early", (("risk", "risk", FIRST), ("bound", "bounded by", SECOND))),
        ("Mean steps", (("mean_steps", "steps", FIRST),)),
        ("mIoU of the calibration images", (("miou", "mIoU", FIRST),)),
    ):
        lines = [_line(rows, column, name, colour) for column, name, colour in columns]
        if any(y is not None for line in lines for _, y in line.points):
            charts.append(line_chart(title, lines, mark=tau, axis="tau"))
    return charts


def _line(rows: Sequence[Row], column: str, name: str, colour: str) -> Line:
    points = [(row["tau"] or 0.0, row.get(column)) for row in rows]
    return Line(name, points, colour, dashed=column == "bound")


def _checked(halting: Row) -> str:
    """Return what the chosen threshold came to, where it was chosen and on images that it was not chosen on."""
    told = []
    tau, steps, most = halting.get("tau"), halting.get("mean_steps"), halting.get("most_steps")
    if tau is not None and steps is not None and most is not None:
        saved = halting.get("saved")
        less = "" if saved is None else f", {percent(saved)} fewer multiplications, encoder included"
        told.append(f"The upright line marks tau {tau:g}: {steps:.2f} of {most:g} steps{less}.")
    risk, drop = halting.get("reported_risk"), halting.get("miou_drop")
    if risk is not None:
        told.append(f"On images that it was not chosen on the risk was {risk:.4f}.")
    if drop is not None:
        low, high = halting.get("miou_drop_low"), halting.get("miou_drop_high")
        ends = "" if low is None or high is None else f" (95 % interval over images {-high:+.4f} to {-low:+.4f})"
        told.append(f"Their mIoU is {-drop:+.4f}{ends} against all steps; no promise covers that figure.")
    return " ".join(told)


def _sweep_table(facts: CalibrationFacts) -> Markup:
    """Return the thresholds at which anything changes, and the chosen one."""
    tau = facts.halting.get("tau")
    shown: list[Row] = []
    for row in facts.sweep:
        same = shown and all(shown[-1].get(name) == row.get(name) for name in ("mean_steps", "risk", "bound"))
        if not same or row.get("tau") == tau:
            shown.append(row)
    if len(shown) > MOST_ROWS:
        every = (len(shown) - 1) / (MOST_ROWS - 1)
        kept = {round(place * every) for place in range(MOST_ROWS)}
        shown = [row for place, row in enumerate(shown) if place in kept or row.get("tau") == tau]
    rows = [
        tag(
            "tr",
            tag("th", f"{row.get('tau') or 0.0:g}{' (chosen)' if row.get('tau') == tau else ''}", scope="row"),
            tag("td", score(row.get("miou"))),
            *(
                tag("td", "–" if (value := row.get(name)) is None else f"{value:.{digits}f}")
                for name, digits in (("mean_steps", 2), ("risk", 4), ("bound", 4))
            ),
            tag("td", percent(row.get("saved"))),
        )
        for row in shown
    ]
    heads = ("tau", "mIoU", "mean steps", "risk", "bounded by", "work saved")
    found = table("Halting thresholds", heads, rows)
    if len(shown) < len(facts.sweep):
        note = f"{len(shown)} of {len(facts.sweep)} thresholds; tau_sweep.csv holds all."
        return tag("div", found, tag("p", note, class_="note"))
    return found


def _steps_table(rows: Sequence[Row]) -> Markup:
    columns = {"mean": "mean", "q5": "5 %", "q50": "median", "q95": "95 %", "share_above_tau": "at least tau"}
    columns |= {"should_go_on": "should go on", "auroc": "AUROC"}
    lines = [
        tag(
            "tr",
            tag("th", quantity(row.get("step")), scope="row"),
            *(tag("td", "–" if (value := row.get(name)) is None else f"{value:.3f}") for name in columns),
        )
        for row in rows
    ]
    return table("Probability to halt by step", ("step", *columns.values()), lines)
