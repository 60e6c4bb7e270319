"""HTML from nested calls, where every text is escaped unless it is markup already."""

import html
from collections.abc import Iterable

__all__ = ["Markup", "join", "tag"]

VOID = frozenset({"br", "circle", "col", "img", "line", "meta", "path", "rect"})
"""Elements that hold nothing; inside a drawing they must be closed."""


class Markup(str):
    """Text that is HTML; any other text is escaped when it enters an element."""

    __slots__ = ()


def tag(element: str, /, *children: str, **attributes: str | float | int | None) -> Markup:
    """Return an element.

    Args:
        element: Name, such as "p".
        children: Texts, which are escaped, and markup, which is not.
        attributes: Values are escaped; None leaves one out; `class_` is written class, and `_` in names as `-`.

    >>> tag("p", "a < b ", tag("b", "c"), class_="note")
    '<p class="note">a &lt; b <b>c</b></p>'
    >>> tag("img", alt='"x"', src=None)
    '<img alt="&quot;x&quot;"/>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in VOID:
        return Markup(f"<{element}{written}/>")
    return Markup(f"<{element}{written}>{join(children)}</{element}>")


def join(children: Iterable[str]) -> Markup:
    """Return texts and markup one after the other, as markup.

    >>> join(["<", tag("i", "x")])
    '&lt;<i>x</i>'
    """
    return Markup("".join(child if isinstance(child, Markup) else html.escape(child) for child in children))


def _text(value: str | float | int) -> str:
    """Write numbers in attributes short: at most two decimals."""
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
