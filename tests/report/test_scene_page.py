"""A map's page: whole, at home, and every figure of it is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrazzo.errors import StorageError
from terrazzo.report.scene_page import render_scene, write_scene_page
from terrazzo.scene.disagreement import Disagreement
from terrazzo.scene.quality import ClassQuality, SceneQuality, SeamQuality
from terrazzo.scene.seam_energy import SeamEnergy, SeamProfile
from terrazzo.scene.summary import SceneSummary

Parse = Callable[[str], Any]
Quality = Callable[..., SceneQuality]
Summary = Callable[..., SceneSummary]
HARMFUL = '<script>alert(1)</script><img src="https://evil.example/x.png" onerror=alert(2)>"\'&'


@pytest.fixture
def quick_look(tmp_path: Path) -> Path:
    path = tmp_path / "scène_quicklook.png"
    Image.fromarray(np.zeros((4, 6, 4), dtype=np.uint8)).save(path)
    return path


def test_every_figure_is_told(
    quick_look: Path, quality: Quality, summary: Summary, parse: Parse, tmp_path: Path
) -> None:
    path = tmp_path / "scène_report.html"
    write_scene_page(path, summary(), quality(), quick_look=quick_look, provenance={"TERRAZZO_BUNDLE": "3f2a"})
    page = parse(path.read_text(encoding="utf-8").replace("<!doctype html>\n", ""))
    for told in (
        "scène.tif", "3 000 x 4 000 pixels of in/scène.tif", "63 windows of 512 x 512", "pixels of 0.5 m",
        "wood", "90 %", "225 m²", "81 %", "25 km²", "25 %", "123 456", "77 %", "2.25 steps", "5 %",
        "red lies elsewhere", "1 min 15 s", "3f2a", "TERRAZZO_BUNDLE",
    ):  # fmt: skip
        assert told in page.text, told
    sections = [one["id"] for one in page.all("section")]
    assert sections == ["map", "confidence", "steps", "windows", "drift", "timing", "provenance"]
    assert [link["href"] for link in page.all("a")] == [f"#{name}" for name in sections]
    # The quick look, and maps of confidence, steps and disagreement.
    assert len(page.all("img")) == 4
    assert all(image["alt"] for image in page.all("img"))


def test_stays_at_home_whatever_names_hold(quick_look: Path, quality: Quality, summary: Summary, parse: Parse) -> None:
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


def test_what_is_missing_is_said(quality: Quality, summary: Summary, parse: Parse, tmp_path: Path) -> None:
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


def test_without_a_place_on_earth_pixels_are_told(quality: Quality, summary: Summary) -> None:
    classes = tuple(one.model_copy(update={"hectares": None}) for one in quality().classes)
    assert "1 000 pixels" in render_scene(summary(), quality(classes=classes))


def test_a_page_that_cannot_be_written_is_an_error(quality: Quality, summary: Summary, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_scene_page(tmp_path / "file" / "page.html", summary(), quality())
