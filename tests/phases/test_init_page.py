"""The page on `init` says what works."""

from pathlib import Path

from terrazzo.data.recognise.content import WHOLE_PIXELS
from terrazzo.data.recognise.layouts import LOOKED_FOR
from terrazzo.data.recognise.survey import SAMPLE

PAGE = (Path(__file__).parents[2] / "docs" / "init.md").read_text(encoding="utf-8")


def test_the_table_names_every_layout_that_is_tried():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(LOOKED_FOR.split("; "))


def test_the_bounds_of_the_sample():
    assert f"At most {SAMPLE} images" in " ".join(PAGE.split())
    assert f"above {WHOLE_PIXELS / 1e6:.3g} million pixels" in " ".join(PAGE.split())
