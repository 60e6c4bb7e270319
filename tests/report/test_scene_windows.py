"""The part of a map's page about its windows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from terrazzo.report.scene_windows import windows_section
from terrazzo.scene.coarse import CoarseRaster
from terrazzo.scene.disagreement import Disagreement
from terrazzo.scene.quality import SceneQuality, SeamQuality
from terrazzo.scene.seam_energy import SeamEnergy, SeamProfile

Parse = Callable[[str], Any]
Quality = Callable[..., SceneQuality]


def test_contradictions_and_the_worst_places_are_told(quality: Quality, parse: Parse) -> None:
    page = parse(windows_section(quality()))
    for told in (
        "different classes for 5 % of 1 000 pixels", "square of 2 x 2 windows", "50 %", "42 %", "640", "77", "1 234",
        "500123.5", "4000000",
    ):  # fmt: skip
        assert told in page.text, told


def test_windows_that_agree_need_no_picture(quality: Quality, parse: Parse) -> None:
    flat = CoarseRaster.of(np.zeros((2, 2)))
    agreed = Disagreement(differing=0, compared=1000, map=flat, windows_a_cell=1, worst=())
    page = parse(windows_section(quality(disagreement=agreed)))
    assert "they choose the same class for each of 1 000 pixels" in page.text
    assert "Worst places" not in page.text
    assert not page.all("img")


def test_without_a_system_places_are_pixels_alone(quality: Quality, parse: Parse) -> None:
    found = quality().disagreement
    plain = tuple(one.model_copy(update={"place": None}) for one in found.worst)
    page = parse(windows_section(quality(disagreement=found.model_copy(update={"worst": plain}))))
    assert "1 234" in page.text
    assert "500123.5" not in page.text
    none = parse(windows_section(quality(disagreement=found.model_copy(update={"worst": ()}))))
    assert "No single pair of windows stands out." in none.text


def test_seams_are_told_as_a_ratio_and_drawn(quality: Quality, parse: Parse) -> None:
    page = parse(windows_section(quality()))
    for told in ("3 %", "2 %", "1.50", "1.00"):
        assert told in page.text, told
    # The keys of the legend are lines, the curves are paths.
    assert len(page.all("path", class_="curve")) == 2
    assert len(page.all("rect", class_="fade")) == 1


def test_without_confidence_there_is_one_curve(quality: Quality, parse: Parse) -> None:
    seams = SeamQuality(
        classes=SeamEnergy(inside=0.5, outside=0.0),
        class_profile=SeamProfile(offsets=(-1, 0, 1), values=(0.0, 0.5, 0.0)),
        confidence=None,
        confidence_profile=None,
    )
    page = parse(windows_section(quality(seams=seams, fade=0)))
    assert len(page.all("path", class_="curve")) == 1
    assert "confidence" not in page.text
    # Nothing differs elsewhere, so that there is no ratio.
    assert "–" in page.text
