"""The viewer in a real browser: looking at a map by pointer and by keyboard, at any width, and mapping an image."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from terrazzo.serve.application import application
from terrazzo.serve.local_view import library_of, view_application
from terrazzo.serve.models import Models
from terrazzo.serve.settings import ServeSettings

MACHINE = {"accelerator": "cpu", "precision": "float32", "threads": 1}


@pytest.fixture(scope="module")
def address(
    browser: Any, make_map: Callable[..., Path], serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a viewer with one map."""
    path = make_map(tmp_path_factory.mktemp("looked at"))
    with serve(view_application(library_of([path.parent]))) as found:
        yield found


def shown(page: Any) -> np.ndarray:
    """The map as it is seen, once nothing is asked for any more."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    return np.asarray(Image.open(io.BytesIO(page.locator("#map").screenshot())).convert("RGB")).astype(int)


def share_of(picture: np.ndarray, colour: str) -> float:
    """Share of pixels that have a colour."""
    return float((np.abs(picture - list(bytes.fromhex(colour[1:]))).max(axis=-1) <= 2).mean())


def colour_of(page: Any, name: str) -> str:
    """The colour of a class, from the legend."""
    found = (
        page.locator("#legend tr", has_text=name)
        .locator(".swatch")
        .evaluate("e => getComputedStyle(e).backgroundColor")
    )
    return "#{:02x}{:02x}{:02x}".format(*(int(part) for part in found[4:-1].split(",")))


def test_looking_at_a_map(address: str, open_page: Callable[..., Any]) -> None:
    page = open_page(address)
    rows = page.locator("#legend tbody tr")
    rows.first.wait_for()
    expect(page.locator("#legend tbody td").first).to_have_text(re.compile(r" ha$"))
    assert [text.split() for text in rows.all_inner_texts()] == [
        ["wätter", "4.34", "ha", "41", "%"],
        ["road", "3.1", "ha", "29", "%"],
        ["field", "3.1", "ha", "29", "%"],
    ]
    field = colour_of(page, "field")
    half = share_of(shown(page), field)
    assert half > 0.02
    # By keyboard: the border goes to the left end, so that all of the map is seen, and back to the right end.
    page.locator("#swipe").focus()
    page.keyboard.press("Home")
    assert page.locator("#swipe").get_attribute("aria-valuenow") == "0"
    whole = share_of(shown(page), field)
    assert whole > half
    page.keyboard.press("End")
    assert share_of(shown(page), field) < 0.001
    # By pointer: back to the left quarter.
    grip, frame = page.locator("#swipe").bounding_box(), page.locator("#map").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] - 8, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] / 4, frame["y"] + 50, steps=4)
    page.mouse.up()
    assert page.locator("#swipe").get_attribute("aria-valuenow") == "25"
    # A class that is switched off is seen no more.
    page.locator("#legend tr", has_text="field").locator("input").uncheck()
    assert share_of(shown(page), field) < 0.001
    page.get_by_role("button", name="All").click()
    assert share_of(shown(page), field) > half / 2


def test_asking_for_a_pixel(address: str, open_page: Callable[..., Any]) -> None:
    page = open_page(address)
    page.locator("#legend tbody tr").first.wait_for()
    shown(page)
    frame = page.locator("#map").bounding_box()
    # A hundred pixels to the right of the scene's centre, which the border hides.
    page.locator("#map").click(position={"x": frame["width"] / 2 + 100, "y": frame["height"] / 2})
    pixel = page.locator("#pixel dl")
    pixel.wait_for()
    text = pixel.inner_text()
    column, row = (int(part) for part in re.findall(r"column (\d+), row (\d+)", text)[0])
    assert 425 <= column <= 450
    assert 305 <= row <= 315
    assert "road" in text
    assert "37.0" in text
    assert "0.961" in page.locator("#pixel table").inner_text()
    # By keyboard, the pixel at the centre; and another one once the map was moved.
    page.locator("#map").focus()
    page.keyboard.press("Enter")
    expect(pixel).to_contain_text(re.compile(r"column (349|350),"))
    assert "wätter" in pixel.inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    page.keyboard.press("Enter")
    expect(pixel).not_to_contain_text(re.compile(r"column (349|350),"))


def test_a_further_layer_lies_above_the_map(address: str, open_page: Callable[..., Any]) -> None:
    page = open_page(address)
    page.locator("#legend tbody tr").first.wait_for()
    page.locator("#swipe").focus()
    page.keyboard.press("Home")
    page.select_option("#further", "abstain")
    picture = shown(page)
    assert share_of(picture, "#d53c00") > 0.1
    page.select_option("#further", "")
    assert share_of(shown(page), "#d53c00") < 0.001


def test_all_controls_are_reached_by_keyboard(address: str, open_page: Callable[..., Any]) -> None:
    page = open_page(address)
    page.locator("#legend tbody tr").first.wait_for()
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"scenes", "map", "swipe", "map-opacity", "class-0", "class-2", "further", "panel-toggle"} <= reached
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button,select,input,[role=slider]')].filter(e => e.checkVisibility() && "
        "!(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label') || e.title)).map(e => e.outerHTML)"
    )
    assert unnamed == []


def test_phone_width(address: str, open_page: Callable[..., Any]) -> None:
    page = open_page(address, viewport={"width": 390, "height": 844}, has_touch=True)
    page.locator("#legend tbody tr").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    stage, panel = page.locator("#map").bounding_box(), page.locator("#panel").bounding_box()
    assert stage["width"] == 390
    assert stage["height"] >= 240
    assert panel["y"] >= stage["y"] + stage["height"]
    page.locator("#panel-toggle").click()
    assert page.locator("#map").bounding_box()["height"] > stage["height"] + 100
    assert share_of(shown(page), colour_of(page, "field")) > 0.01


def test_dark_mode(address: str, open_page: Callable[..., Any]) -> None:
    page = open_page(address, color_scheme="dark")
    page.locator("#legend tbody tr").first.wait_for()
    ground, text = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert ground == "rgb(23, 24, 26)"
    assert text == "rgb(236, 236, 234)"
    field = colour_of(page, "field")
    assert share_of(shown(page), field) > 0.02


def test_mapping_an_image(
    models: Models, serve: Callable[..., Any], open_page: Callable[..., Any], tmp_path: Path
) -> None:
    values = np.random.default_rng(2).integers(0, 256, (96, 128, 3)).astype(np.uint8)
    image = tmp_path / "größe <b>1.png"
    Image.fromarray(values).save(image)
    app = application(models, ServeSettings(machine=MACHINE, folder=tmp_path / "served"))
    with serve(app) as address:
        page = open_page(address)
        page.locator("#send summary").click()
        page.set_input_files("#image-file", image)
        row = page.locator(".jobs li[data-job]")
        row.wait_for()
        assert row.locator(".name").inner_text().startswith("größe")
        page.locator(".jobs li[data-state=finished]").wait_for(timeout=60_000)
        page.locator("#legend tbody tr").first.wait_for()
        expect(page.locator("#legend tbody td").first).to_have_text(re.compile(r" px$"))
        assert page.locator("#legend tbody tr").count() == 3
        assert page.locator("#scenes option").count() == 1
        page.locator("#map").focus()
        page.keyboard.press("Enter")
        page.locator("#pixel dl").wait_for()
        assert "Confidence" in page.locator("#pixel dl").inner_text()
        page.get_by_role("button", name="Remove").click()
        row.wait_for(state="detached")
