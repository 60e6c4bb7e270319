from collections.abc import Callable
from typing import Any

from terrazzo.report.html import Markup, join, tag

HARMFUL = "</p><script>alert(\"x\")</script><p title='y'>&amp;"


def test_text_is_escaped_in_elements_and_attributes(parse: Callable[[str], Any]) -> None:
    page = parse(tag("p", HARMFUL, title=HARMFUL))
    assert [name for name, _ in page.elements] == ["p"]
    assert page.text.replace(" ", "") == HARMFUL.replace(" ", "")
    assert page.all("p")[0]["title"] == HARMFUL


def test_markup_goes_in_as_it_is() -> None:
    assert tag("p", tag("b", "x"), "<") == "<p><b>x</b>&lt;</p>"


def test_joined_texts_are_markup() -> None:
    joined = join(["<", Markup("<i></i>")])
    assert isinstance(joined, Markup)
    assert tag("p", joined) == "<p>&lt;<i></i></p>"


def test_markup_put_together_with_text_is_text_again() -> None:
    # An operator of str returns str: what was mixed by hand is escaped, and shows, rather than let through.
    assert tag("p", Markup("<i></i>") + "<b>") == "<p>&lt;i&gt;&lt;/i&gt;&lt;b&gt;</p>"


def test_names_of_attributes() -> None:
    assert tag("td", class_="a", aria_label="b", colspan=None) == '<td class="a" aria-label="b"></td>'


def test_numbers_are_short() -> None:
    assert tag("rect", x=1.0, y=2.346, width=10, height=100.0) == '<rect x="1" y="2.35" width="10" height="100"/>'
