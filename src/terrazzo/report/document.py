"""The frame of every page: one file, no script, no request, light and dark, any width."""

from collections.abc import Sequence
from importlib.resources import files

from terrazzo.report.html import Markup, join, tag

__all__ = ["contents", "document"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The browser itself refuses whatever would leave the page."""


def document(title: str, *parts: str) -> str:
    """Return a page's HTML.

    Args:
        title: What the browser shows as its name.
        parts: What stands on it, from top to bottom.
    """
    style = Markup(files("terrazzo.report").joinpath("page.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", style),
    )
    body = tag("body", tag("main", *parts))
    page = "<!doctype html>\n" + join([tag("html", head, body, lang="en")]) + "\n"
    # Names of files may hold bytes that are no text; UTF-8 cannot write them.
    return page.encode("utf-8", "replace").decode("utf-8")


def contents(titles: Sequence[str]) -> Markup:
    """Return links to the sections of these titles."""
    links = (tag("a", title, href=f"#{title.lower()}") for title in titles)
    return tag("nav", *links, aria_label="Parts of the page")
