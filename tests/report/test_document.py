"""The frame of every page."""

from collections.abc import Callable
from typing import Any

from terrazzo.report.document import contents, document
from terrazzo.report.html import tag


def test_is_one_file_in_light_and_dark_at_any_width(parse: Callable[[str], Any]) -> None:
    text = document("a < b", tag("p", "hello"))
    assert text.startswith("<!doctype html>\n")
    page = parse(text.replace("<!doctype html>\n", ""))
    assert ("title", "a < b") in page.texts
    assert ("p", "hello") in page.texts
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'")
    assert page.all("meta", name="viewport")
    assert page.all("meta", name="color-scheme", content="light dark")
    assert not page.all("script")
    assert not page.all("link")


def test_names_that_are_no_text_can_be_written() -> None:
    document("\udcff.tif").encode("utf-8")


def test_contents_lead_to_sections(parse: Callable[[str], Any]) -> None:
    page = parse(contents(["Map", "Timing"]))
    assert [link["href"] for link in page.all("a")] == ["#map", "#timing"]
