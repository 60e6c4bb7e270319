from collections.abc import Callable
from pathlib import Path
from typing import Any

from terrazzo.report.contents import RunContents, read_run
from terrazzo.report.data import data_section
from terrazzo.report.facts import data_facts

MakeRun = Callable[..., Path]
Parse = Callable[[str], Any]


def described(**content: object) -> RunContents:
    return RunContents(folder=Path("run"), data=data_facts(content))


def test_shares_are_of_each_split_by_itself(parse: Parse) -> None:
    classes = [{"name": "a", "colour": [1, 2, 3]}, {"name": "b", "colour": [4, 5, 6]}]
    run = described(classes=classes, pixel_counts={"train": [3, 1], "val": [0, 0], "test": [1, 99999]})
    page = parse(data_section(run))
    cells = [text for element, text in page.texts if element == "td"]
    assert cells == ["75.0 %", "absent", "<0.1 %", "25.0 %", "absent", "100.0 %"]
    assert "width:75.0%;background:rgb(1,2,3)" in [span.get("style") for span in page.all("span")]


def test_rows_of_a_table_are_as_long_as_its_head(make_run: MakeRun, parse: Parse) -> None:
    page = parse(data_section(read_run(make_run())))
    lengths: list[int] = []
    for element, _ in page.elements:
        if element == "table":
            lengths = []
        elif element == "tr":
            lengths.append(0)
        elif element in ("td", "th"):
            lengths[-1] += 1
            assert len(lengths) < 3 or lengths[-2] == lengths[0]
    assert lengths


def test_counts_of_zero_everywhere_are_left_out(parse: Parse) -> None:
    classes = [{"name": "a"}]
    counts = {"train": [3]}
    some = parse(data_section(described(classes=classes, pixel_counts=counts, unlisted_counts={"train": 31})))
    assert "pixels that no class lists" in some.text
    assert "31" in some.text
    none = parse(data_section(described(classes=classes, pixel_counts=counts, unlisted_counts={"train": 0})))
    assert "pixels that no class lists" not in none.text


def test_warnings_are_shown_or_said_to_be_none(parse: Parse) -> None:
    page = parse(data_section(described(warnings=["<b>half</b> of it is nodata"])))
    assert "<b>half</b> of it is nodata" in page.text
    assert len(page.all("ul", class_="warnings")) == 1
    assert "None." in parse(data_section(described(warnings=[]))).text


def test_bands_stand_beside_their_normalisation(make_run: MakeRun, parse: Parse) -> None:
    text = parse(data_section(read_run(make_run()))).text
    assert "red uint16 – 0 1234 300" in " ".join(text.split())
    assert "nir uint16 – – 3012 800" in " ".join(text.split())
    assert "Patches are 256 x 256 pixels. A pixel is 0.5 m wide." in text


def test_what_is_missing_is_said(parse: Parse) -> None:
    assert "no data.json" in parse(data_section(RunContents(folder=Path("run")))).text
    text = parse(data_section(described(classes=[{"name": "a"}], pixel_counts={"train": [1, 2]}))).text
    assert "no pixel counts of these classes" in text
    assert "names no bands" in text
