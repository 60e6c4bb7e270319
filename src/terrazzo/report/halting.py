"""What stopping early saves and costs, and how well the halting head knows: from the plain findings of a sweep."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.figures import Line, line_chart
from terrazzo.report.html import Markup, tag
from terrazzo.report.words import fine_percent, percent, quantity, score, short

__all__ = ["halting_section"]

FIRST, SECOND = "var(--first)", "var(--second)"
QUIET = "var(--quiet)"
_COLLAPSED = 0.003
"""Difference of mIoU between the first and the last step below which depth is said to have collapsed."""
_LOSSES = {
    "disagreement": "share of pixels with another class than after all steps",
    "error": "growth of the share of wrong pixels",
    "iou": "fall of the image's own mean IoU",
    "brier": "growth of the Brier score",
}
_ROWS = 12
"""Thresholds that the table lists besides the chosen one."""

Row = Mapping[str, Any]


def halting_section(findings: Mapping[str, Any] | None) -> Markup:
    """Return the part of a page about halting.

    Args:
        findings: What `sweep_findings` wrote; None where nothing was swept.
    """
    if not findings or not findings.get("thresholds"):
        return section("Halting", missing("No halting threshold was calibrated."))
    rows: Sequence[Row] = findings["thresholds"]
    steps: Sequence[Row] = findings.get("steps") or ()
    charts = [*_trade_charts(findings, rows), *_exit_charts(findings), *_step_charts(findings, steps)]
    return section(
        "Halting",
        _summary(findings, rows),
        *_warnings(findings, steps),
        tag("div", *charts, class_="charts"),
        _threshold_table(findings, rows),
        _step_table(findings, steps) if steps else missing("Nothing is known of single steps."),
    )


def _chosen(findings: Mapping[str, Any], rows: Sequence[Row]) -> Row:
    """Return the row of the chosen threshold: the most careful one that is not above it."""
    tau = float(findings["tau"])
    return next((row for row in rows if row["tau"] <= tau + 1e-9), rows[-1])


def _summary(findings: Mapping[str, Any], rows: Sequence[Row]) -> Markup:
    loss, row = str(findings["loss"]), _chosen(findings, rows)
    images = quantity(findings.get("images"))
    told = (
        f"At tau {short(row['tau'])} the windows of {images} images take {row['mean_steps']:.2f} steps in the mean and "
        f"save {percent(row['saving'])} of the multiplications of a run of all steps, encoder included. The mean loss "
        f"({loss}: {_LOSSES.get(loss, loss)}) is {_signed(row.get(f'risk_{loss}'))}"
    )
    upper, epsilon = row.get(f"upper_{loss}"), findings.get("epsilon")
    if upper is not None and epsilon is not None:
        told += f", bounded by {_signed(upper)} where {_signed(epsilon)} is allowed"
    if row.get("miou") is not None and rows[0].get("miou") is not None:
        told += f"; mIoU is {score(row['miou'])} instead of {score(rows[0]['miou'])}"
    return tag("p", told + ".")


def _warnings(findings: Mapping[str, Any], steps: Sequence[Row]) -> list[Markup]:
    found = []
    if findings.get("left_out"):
        names = list(findings["left_out"])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        found.append(tag("p", f"Left out, with nothing to judge: {', '.join(names[:3])}{more}.", class_="note"))
    known = [row["miou"] for row in steps if row.get("miou") is not None]
    if len(known) > 1 and known[-1] - known[0] < _COLLAPSED:
        found.append(
            tag(
                "p",
                f"Depth has collapsed: after one step mIoU is {score(known[0])}, after all {score(known[-1])}. A "
                "network trained for one step would save as much.",
                class_="note",
            )
        )
    return found


def _trade_charts(findings: Mapping[str, Any], rows: Sequence[Row]) -> list[Markup]:
    """Return quality over the mean steps, and risk and steps over tau; upright lines mark the chosen threshold."""
    loss, row = str(findings["loss"]), _chosen(findings, rows)
    # Several thresholds may take the same steps; the most careful one speaks for them.
    by_steps = list({round(float(one["mean_steps"]), 6): one for one in reversed(rows)}.values())
    by_steps.sort(key=lambda one: one["mean_steps"])
    by_tau = sorted(rows, key=lambda one: one["tau"])
    steps = findings.get("steps") or ()
    lines = [
        Line("windows stop by themselves", _points(by_steps, "mean_steps", "miou"), FIRST),
        Line("the same steps for all", _points(steps, "step", "miou"), SECOND, dashed=True),
    ]
    risks = [
        Line("mean loss", _points(by_tau, "tau", f"risk_{loss}"), FIRST),
        Line("bounded by", _points(by_tau, "tau", f"upper_{loss}"), SECOND, dashed=True),
    ]
    epsilon = findings.get("epsilon")
    if epsilon is not None:
        ends = (float(by_tau[0]["tau"]), float(by_tau[-1]["tau"]))
        risks.append(Line("allowed", [(tau, float(epsilon)) for tau in ends], QUIET))
    tau, mean = float(row["tau"]), float(row["mean_steps"])
    taken = [Line("mean steps", _points(by_tau, "tau", "mean_steps"), FIRST)]
    charts = [
        line_chart(f"Risk by threshold ({loss})", risks, axis="tau", mark=tau, floor=0.0),
        line_chart("Steps by threshold", taken, axis="tau", mark=tau, floor=0.0),
    ]
    if any(one.get("miou") is not None for one in by_steps):
        charts.insert(0, line_chart("mIoU by steps", lines, axis="mean steps of a window", mark=mean))
    return charts


def _step_charts(findings: Mapping[str, Any], steps: Sequence[Row]) -> list[Markup]:
    """Return the halting head's probabilities, what they are worth, and the answers of each step."""
    if not steps:
        return []
    ends = (float(steps[0]["step"]), float(steps[-1]["step"]))
    halting = [
        Line("95 %", _points(steps, "step", "q_95"), QUIET, dashed=True),
        Line("mean", _points(steps, "step", "q_mean"), FIRST),
        Line("median", _points(steps, "step", "q_50"), SECOND),
        Line("5 %", _points(steps, "step", "q_05"), QUIET, dashed=True),
    ]
    knows = [
        Line("AUROC", _points(steps, "step", "auroc"), FIRST),
        Line("chance", [(step, 0.5) for step in ends], QUIET, dashed=True),
    ]
    if not any(y is not None for _, y in knows[0].points):
        knows = knows[:1]
    charts = [
        line_chart("Probability to halt after each step", halting, axis="step", floor=0.0),
        line_chart("Does it know what is left to gain?", knows, axis="step", floor=0.0),
    ]
    differing = [Line("disagreement", _points(steps, "step", "disagreement"), FIRST)]
    charts.append(line_chart("Pixels of another class than after the last step", differing, axis="step", floor=0.0))
    if any(row.get("miou") is not None for row in steps):
        depth = [Line("mIoU", _points(steps, "step", "miou"), FIRST)]
        charts.append(line_chart("mIoU where all windows take the same steps", depth, axis="step"))
    return charts


def _exit_charts(findings: Mapping[str, Any]) -> list[Markup]:
    """Return how many windows stop after each step at the chosen threshold."""
    rows: Sequence[Row] = findings.get("exits") or ()
    if not rows:
        return []
    row = _chosen(findings, rows)
    counts = [float(count) for name, count in row.items() if name.startswith("step_")]
    shares = [(float(step), count / max(sum(counts), 1.0)) for step, count in enumerate(counts, 1)]
    title = f"Share of windows that stop after each step, tau {short(row['tau'])}"
    return [line_chart(title, [Line("share of windows", shares, FIRST)], axis="step", floor=0.0)]


def _threshold_table(findings: Mapping[str, Any], rows: Sequence[Row]) -> Markup:
    loss, chosen = str(findings["loss"]), _chosen(findings, rows)
    every = max(1, (len(rows) - 1) // _ROWS)
    shown = [row for number, row in enumerate(rows) if number % every == 0 or row is chosen or number == len(rows) - 1]
    heads = ["tau", "mIoU", "mean steps", "multiplications saved", f"risk ({loss})", "upper bound"]
    cells: list[Callable[[Row], str]] = [
        lambda row: short(row["tau"]) + (" (chosen)" if row is chosen else ""),
        lambda row: score(row["miou"]) if row.get("miou") is not None else "–",
        lambda row: f"{row['mean_steps']:.2f}",
        lambda row: percent(row["saving"]),
        lambda row: _signed(row.get(f"risk_{loss}")),
        lambda row: _signed(row.get(f"upper_{loss}")),
    ]
    body = [
        tag("tr", tag("th", cells[0](row), scope="row"), *[tag("td", cell(row)) for cell in cells[1:]]) for row in shown
    ]
    return table("What each halting threshold saves and costs", heads, body)


def _step_table(findings: Mapping[str, Any], steps: Sequence[Row]) -> Markup:
    heads = ["step", "q mean", "q std", "q at tau and above", "should go on", "AUROC", "mIoU"]
    body = [
        tag(
            "tr",
            tag("th", str(row["step"]), scope="row"),
            tag("td", score(row["q_mean"])),
            tag("td", score(row["q_std"])),
            tag("td", fine_percent(row["share_above_tau"])),
            tag("td", "–" if row.get("should_go_on") is None else fine_percent(row["should_go_on"])),
            tag("td", "–" if row.get("auroc") is None else score(row["auroc"])),
            tag("td", "–" if row.get("miou") is None else score(row["miou"])),
        )
        for row in steps
    ]
    caption = f"The halting head after each step; windows should go on that gain more than {findings.get('kappa')}"
    return table(caption, heads, body)


def _points(rows: Sequence[Row], across: str, upright: str) -> list[tuple[float, float | None]]:
    return [(float(row[across]), None if row.get(upright) is None else float(row[upright])) for row in rows]


def _signed(value: float | None) -> str:
    """Return a loss; below 0 the early answer is the better one."""
    if value is None:
        return "–"
    return f"{100 * value:.2f} %".replace("-", "−")
