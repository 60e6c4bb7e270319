"""The part of a map's page about its windows: where they contradict each other, and whether seams show."""

import numpy as np
from jaxtyping import Float32

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.html import Markup, tag
from terrazzo.report.scene_figures import Curve, heat_picture, seam_chart
from terrazzo.report.words import fine_percent, quantity
from terrazzo.scene.disagreement import Disagreement, WorstPlace
from terrazzo.scene.quality import SceneQuality, SeamQuality
from terrazzo.scene.seam_energy import SeamEnergy

__all__ = ["windows_section"]


def windows_section(quality: SceneQuality) -> Markup:
    """Return the map of contradictions with the worst places, and the figure of seams."""
    parts = [*_contradictions(quality.disagreement), tag("h4", "Seams"), *_seams(quality.seams, quality.fade)]
    return section("Windows", *parts)


def _contradictions(found: Disagreement) -> list[Markup]:
    if found.map is None or found.share is None:
        return [missing("Windows have no measured pixel in common, so that nothing can be compared.")]
    if not found.differing:
        told = f"Where two windows overlap, they choose the same class for each of {quantity(found.compared)} pixels."
        return [tag("p", told, class_="note")]
    told = (
        f"Where two windows overlap, they choose different classes for {fine_percent(found.share)} of "
        f"{quantity(found.compared)} pixels. Much of it means that a window does not see enough around its edge: "
        "a larger overlap or margin helps."
    )
    picture = _picture(found.map.values, found.windows_a_cell)
    return [tag("p", told, class_="note"), tag("div", picture, _worst(found), class_="charts level")]


def _picture(values: Float32[np.ndarray, "y x"], windows: int) -> Markup:
    each = "window" if windows == 1 else f"square of {windows} x {windows} windows"
    high = float(np.nanmax(values))
    return heat_picture(f"Disagreement of each {each}", values, low=0.0, high=high, labels=("0 %", fine_percent(high)))


def _worst(found: Disagreement) -> Markup:
    heading = tag("h4", "Worst places")
    if not found.worst:
        return tag("div", heading, tag("p", "No single pair of windows stands out.", class_="note"))
    placed = any(one.place is not None for one in found.worst)
    heads = ["differing", "of pixels", "row", "column", *(["x", "y"] if placed else [])]
    return tag("div", heading, table("Worst places", heads, [_place(one, placed=placed) for one in found.worst]))


def _place(one: WorstPlace, *, placed: bool) -> Markup:
    texts = [quantity(one.compared), quantity(one.y), quantity(one.x)]
    if placed:
        texts += ["–", "–"] if one.place is None else [f"{value:.10g}" for value in one.place]
    return tag("tr", tag("th", fine_percent(one.share), scope="row"), *(tag("td", text) for text in texts))


def _seams(found: SeamQuality, fade: int) -> list[Markup]:
    energies = [("neighbours of two classes", found.classes)]
    curves = [
        Curve("two classes", found.class_profile.offsets, found.class_profile.values, "var(--first)"),
    ]
    if found.confidence is not None:
        energies.append(("difference of neighbours' confidence", found.confidence))
    if found.confidence_profile is not None:
        profile = found.confidence_profile
        curves.append(Curve("confidence", profile.offsets, profile.values, "var(--second)", dashed=True))
    told = (
        "How much neighbouring pixels differ where windows fade into each other, against elsewhere. A ratio of 1 means "
        "that the seams cannot be seen; above 1 they show, below 1 the map is smoother there."
    )
    rows = [_energy(name, energy) for name, energy in energies]
    heads = ("", "in fades", "elsewhere", "ratio")
    # A hard cut has no width of its own.
    chart = seam_chart("Neighbours that differ, by distance from a seam", curves, half=max(fade / 2, 0.5))
    return [
        tag("p", told, class_="note"), tag("div", chart, table("Seam energy", heads, rows), class_="charts level")
    ]  # fmt: skip


def _energy(name: str, energy: SeamEnergy) -> Markup:
    figures = ["–" if value is None else fine_percent(value) for value in (energy.inside, energy.outside)]
    ratio = "–" if energy.ratio is None else f"{energy.ratio:.2f}"
    return tag("tr", tag("th", name, scope="row"), *(tag("td", text) for text in (*figures, ratio)))
