from collections.abc import Callable
from typing import Any

import pytest

from terrazzo.report.confusion import confusion_table
from terrazzo.report.facts import ClassFacts

Parse = Callable[[str], Any]


def classes(count: int) -> list[ClassFacts]:
    return [ClassFacts(f"<class {index}>", (index, 0, 0)) for index in range(count)]


def test_rows_are_labels_and_columns_predictions(parse: Parse) -> None:
    page = parse(confusion_table([[30, 10], [0, 5]], classes(2)))
    assert [cell["title"] for cell in page.all("td")] == [
        "label <class 0>, predicted <class 0>: 30 pixels, 75 %",
        "label <class 0>, predicted <class 1>: 10 pixels, 25 %",
        "label <class 1>, predicted <class 0>: 0 pixels, 0 %",
        "label <class 1>, predicted <class 1>: 5 pixels, 100 %",
    ]
    assert [text for element, text in page.texts if element == "b"] == ["75 %", "25 %", "0 %", "100 %"]
    assert [text for element, text in page.texts if element == "small"] == ["30", "10", "0", "5"]


def test_heat_is_the_share_of_the_row(parse: Parse) -> None:
    page = parse(confusion_table([[30, 10], [0, 5]], classes(2)))
    assert [cell["style"] for cell in page.all("td")] == [
        "--share:75.0%",
        "--share:25.0%",
        "--share:0.0%",
        "--share:100.0%",
    ]
    assert [cell["class"] for cell in page.all("td")] == ["heat strong", "heat", "heat", "heat strong"]


def test_a_label_without_pixels_has_counts_but_no_shares(parse: Parse) -> None:
    page = parse(confusion_table([[3, 0], [0, 0]], classes(2)))
    assert [text for element, text in page.texts if element == "b"] == ["100 %", "0 %", "–", "–"]
    assert page.all("td")[2]["title"] == "label <class 1>, predicted <class 0>: 0 pixels"


def test_many_classes_show_counts_in_a_table_of_their_own(parse: Parse) -> None:
    counts = [[1000 if row == column else row for column in range(25)] for row in range(25)]
    page = parse(confusion_table(counts, classes(25)))
    assert len(page.all("table")) == 2
    assert len(page.all("details")) == 1
    assert len(page.all("td")) == 2 * 25 * 25
    assert page.all("small") == []
    shares = [text for element, text in page.texts if element == "b"]
    assert shares[0] == "100"
    assert not any(text.endswith("%") for text in shares)
    assert sum(text == "1 000" for element, text in page.texts if element == "td") == 25


@pytest.mark.parametrize(("count", "tables"), [(10, 1), (11, 2)])
def test_counts_stand_inside_up_to_ten_classes(parse: Parse, count: int, tables: int) -> None:
    page = parse(confusion_table([[1] * count] * count, classes(count)))
    assert len(page.all("table")) == tables


def test_every_head_has_its_scope(parse: Parse) -> None:
    page = parse(confusion_table([[1, 2], [3, 4]], classes(2)))
    assert [head["scope"] for head in page.all("th")] == ["col", "col", "col", "row", "row"]
