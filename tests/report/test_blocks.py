from collections.abc import Callable
from typing import Any

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.html import tag

Parse = Callable[[str], Any]


def test_a_section_is_led_to_and_named_by_its_heading(parse: Parse) -> None:
    page = parse(section("Two Words", tag("p", "x")))
    found = page.all("section")[0]
    assert found["id"] == "two-words"
    assert page.all("h2")[0]["id"] == found["aria-labelledby"]


def test_a_table_scrolls_by_itself_and_says_what_it_shows(parse: Parse) -> None:
    page = parse(table("Scores of <a>", ("class", tag("td")), [tag("tr", tag("th", "x", scope="row"), tag("td", "1"))]))
    box = page.all("div", class_="scroll")[0]
    assert box["tabindex"] == "0"
    assert box["aria-label"] == "Scores of <a>"
    assert ("caption", "Scores of <a>") in page.texts
    assert [head["scope"] for head in page.all("th")] == ["col", "row"]


def test_a_table_without_heads_has_none(parse: Parse) -> None:
    assert parse(table("Facts", (), [])).all("thead") == []


def test_what_is_missing_is_text() -> None:
    assert missing("no <b>") == '<p class="missing">no &lt;b&gt;</p>'
