"""What the parts of a page are made of: a headed section, a table, a sentence on what is missing."""

from collections.abc import Iterable, Sequence

from terrazzo.report.html import Markup, tag

__all__ = ["missing", "section", "table"]


def missing(sentence: str) -> Markup:
    """Return a sentence that says what is not there."""
    return tag("p", sentence, class_="missing")


def section(title: str, *children: str) -> Markup:
    """Return a part of the page with its heading, which the list at the top leads to."""
    name = title.lower().replace(" ", "-")
    return tag("section", tag("h2", title, id=f"{name}-heading"), *children, id=name, aria_labelledby=f"{name}-heading")


def table(caption: str, heads: Sequence[Markup | str], rows: Iterable[Markup], *, kind: str = "figures") -> Markup:
    """Return a table in a box that scrolls sideways by itself, so that the page never does.

    Args:
        caption: What the table shows, for those who hear the page.
        heads: Titles of the columns, as text or as `th`; none for a table whose rows speak for themselves.
        rows: Each a `tr`.
        kind: Class of the table in the style sheet.
    """
    titles = [head if isinstance(head, Markup) else tag("th", head, scope="col") for head in heads]
    parts = [tag("caption", caption, class_="spoken")]
    if titles:
        parts.append(tag("thead", tag("tr", *titles)))
    found = tag("table", *parts, tag("tbody", *rows), class_=kind)
    return tag("div", found, class_="scroll", tabindex="0", role="region", aria_label=caption)
