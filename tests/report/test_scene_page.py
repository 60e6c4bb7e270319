"""A map's page: whole, at home, and every figure of it is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrazzo.data.distribution import QUANTILE_SHARES
from terrazzo.errors import StorageError
from terrazzo.report.scene_page import render_scene, write_scene_page
from terrazzo.scene.coarse import CoarseRaster
from terrazzo.scene.disagreement import Disagreement, WorstPlace
from terrazzo.scene.drift import BandDrift, DriftReport
from terrazzo.scene.header import Decisions
from terrazzo.scene.quality import ClassQuality, ConfidenceQuality, SceneQuality, SeamQuality, StepsQuality
from terrazzo.scene.seam_energy import SeamEnergy, SeamProfile
from terrazzo.scene.summary import SceneSummary

Parse = Callable[[str], Any]
HARMFUL = '<script>alert(1)</script><img src="https://evil.example/x.png" onerror=alert(2)>"\'&'


def coarse(high: float) -> CoarseRaster:
    values = np.linspace(0, high, 12).reshape(3, 4)
    values[0, 0] = np.nan
    return CoarseRaster.of(values)


def quality(**changes: object) -> SceneQuality:
    profile = SeamProfile(offsets=(-1, 0, 1), values=(0.1, 0.3, None))
    parts = {
        "height": 3000,
        "width": 4000,
        "window": (512, 512),
        "fade": 64,
        "classes": (
            ClassQuality(name="wood", colour=(0, 200, 0), pixels=900, share=0.9, hectares=0.0225, confidence=0.81),
            ClassQuality(name="water", colour=(0, 0, 200), pixels=100, share=0.1, hectares=2500.0, confidence=None),
        ),
        "nodata_share": 0.25,
        "looked_at": 123_456,
        "confidence": ConfidenceQuality(mean=0.77, histogram=(1, 2, 3, 4), map=coarse(1.0)),
        "steps": StepsQuality(mean=2.25, histogram=((2.0, 30), (3.5, 10)), map=coarse(4.0)),
        "seams": SeamQuality(
            classes=SeamEnergy(inside=0.03, outside=0.02),
            class_profile=profile,
            confidence=SeamEnergy(inside=0.04, outside=0.04),
            confidence_profile=profile,
        ),
        "disagreement": Disagreement(
            differing=50,
            compared=1000,
            map=coarse(0.5),
            windows_a_cell=2,
            worst=(WorstPlace(side="left", y=77, x=1234, place=(500_123.5, 4_000_000.0), share=0.42, compared=640),),
        ),
        "drift": DriftReport(
            bands=(BandDrift(band="red", found=tuple(range(9)), trained=tuple(range(10, 19)), drift=1.75),),
            pixels=5000,
            warning="red lies elsewhere",
        ),
    }
    return SceneQuality(**{**parts, **changes})


def summary(**changes: object) -> SceneSummary:
    parts = {
        "scene": "in/scène.tif",
        "out": Path("maps/scène.tif"),
        "layers": {},
        "height": 3000,
        "width": 4000,
        "windows": 63,
        "skipped_windows": 4,
        "strips": 5,
        "resumed_strips": 2,
        "class_pixels": (900, 100),
        "valid_share": 0.75,
        "mean_steps": 2.5,
        "unreadable": ((1, 2, 512, 256, "block is damaged"),),
        "decisions": Decisions(
            device="cpu",
            precision="bfloat16",
            compiled=False,
            threads=1,
            batch_size=4,
            group_size=8,
            strip_pixels=2048,
        ),
        "seconds": 75.0,
        "stage_seconds": {"probe": 5.0, "compute": 60.0, "write": 10.0, "polygons": 0.5},
        "busy_share": 0.93,
        "warnings": ("pixels of 0.5 m",),
    }
    return SceneSummary(**{**parts, **changes})


@pytest.fixture
def quick_look(tmp_path: Path) -> Path:
    path = tmp_path / "scène_quicklook.png"
    Image.fromarray(np.zeros((4, 6, 4), dtype=np.uint8), "RGBA").save(path)
    return path


def test_every_figure_is_told(quick_look: Path, parse: Parse, tmp_path: Path) -> None:
    path = tmp_path / "scène_report.html"
    write_scene_page(path, summary(), quality(), quick_look=quick_look, provenance={"TERRAZZO_BUNDLE": "3f2a"})
    page = parse(path.read_text(encoding="utf-8").replace("<!doctype html>\n", ""))
    for told in (
        "scène.tif", "3 000 x 4 000 pixels of in/scène.tif", "63 windows of 512 x 512", "pixels of 0.5 m",
        "wood", "90 %", "225 m²", "81 %", "25 km²", "25 %", "123 456", "77 %", "2.25 steps", "5 %", "42 %",
        "500123.5", "1 234", "square of 2 x 2 windows", "1.50", "1.00", "1.75", "red lies elsewhere", "1 min 15 s",
        "93 %", "cpu, bfloat16", "of which 4 without data", "of which 2 from an earlier start", "block is damaged",
        "polygons", "3f2a", "TERRAZZO_BUNDLE",
    ):  # fmt: skip
        assert told in page.text, told
    sections = [one["id"] for one in page.all("section")]
    assert sections == ["map", "confidence", "steps", "windows", "drift", "timing", "provenance"]
    assert [link["href"] for link in page.all("a")] == [f"#{name}" for name in sections]
    # The quick look, and maps of confidence, steps and disagreement.
    assert len(page.all("img")) == 4
    assert all(image["alt"] for image in page.all("img"))


def test_stays_at_home_whatever_names_hold(quick_look: Path, parse: Parse) -> None:
    classes = (ClassQuality(name=HARMFUL, colour=(1, 2, 3), pixels=1, share=1.0, hectares=None, confidence=None),)
    text = render_scene(
        summary(scene=HARMFUL, warnings=(HARMFUL,), unreadable=((0, 0, 1, 1, HARMFUL),)),
        quality(classes=classes),
        quick_look=quick_look,
        provenance={HARMFUL: HARMFUL},
    )
    page = parse(text.replace("<!doctype html>\n", ""))
    assert not {name for name, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for name, attributes in page.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), (name, key)
            if key == "src":
                assert value.startswith("data:image/png;base64,")
            if key == "style":
                assert "url(" not in value
    assert HARMFUL in page.text


def test_what_is_missing_is_said(parse: Parse, tmp_path: Path) -> None:
    nothing = quality(
        classes=(ClassQuality(name="wood", colour=(0, 0, 0), pixels=0, share=None, hectares=None, confidence=None),),
        nodata_share=1.0,
        looked_at=0,
        confidence=None,
        steps=None,
        seams=SeamQuality(
            classes=SeamEnergy(inside=None, outside=None),
            class_profile=SeamProfile(offsets=(0,), values=(None,)),
            confidence=None,
            confidence_profile=None,
        ),
        disagreement=Disagreement(differing=0, compared=0, map=None, windows_a_cell=1, worst=()),
        drift=None,
        fade=0,
    )
    bare = summary(warnings=(), unreadable=(), busy_share=None, mean_steps=None, stage_seconds={})
    page = parse(render_scene(bare, nothing).replace("<!doctype html>\n", ""))
    for told in (
        "no quick look", "predict.layers=[confidence]", "nothing can be compared", "No values.",
        "were not compared with the training", "nothing was computed", "Nothing is known of how the map came about",
    ):  # fmt: skip
        assert told in page.text, told
    assert not page.all("ul", class_="warnings")
    assert not page.all("img")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    assert "no quick look" in render_scene(bare, nothing, quick_look=broken)


def test_windows_that_agree_need_no_picture(parse: Parse) -> None:
    agreed = Disagreement(differing=0, compared=1000, map=coarse(0.0), windows_a_cell=1, worst=())
    page = parse(render_scene(summary(), quality(disagreement=agreed)).replace("<!doctype html>\n", ""))
    assert "they choose the same class for each of 1 000 pixels" in page.text
    assert "Worst places" not in page.text


def test_drift_that_could_not_be_told_says_why() -> None:
    untold = DriftReport(bands=(), pixels=0, note="no drift check: the model file states no distribution")
    assert "No drift check: the model file states no distribution." in render_scene(summary(), quality(drift=untold))


def test_many_unreadable_parts_are_cut_short() -> None:
    parts = tuple((y, 0, 1, 1, f"reason {y}") for y in range(30))
    text = render_scene(summary(unreadable=parts), quality())
    assert "30 parts of the scene could not be read" in text
    assert "reason 19" in text
    assert "reason 20" not in text
    assert "And 10 more." in text


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_scene_page(tmp_path / "file" / "page.html", summary(), quality())


def test_quantiles_on_the_page_are_those_of_its_columns() -> None:
    from terrazzo.report.scene_run import HIGH, LOW, MIDDLE

    assert [QUANTILE_SHARES[place] for place in (LOW, MIDDLE, HIGH)] == [0.05, 0.5, 0.95]
    text = render_scene(summary(), quality())
    assert "2 to 6" in text
    assert "12 to 16" in text
