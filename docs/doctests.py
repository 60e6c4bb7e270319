"""Shows the examples in docstrings as code on the site; griffe leaves them as text, in which brackets are links."""

import re
from typing import Any

import griffe

__all__ = ["Doctests", "fenced"]

_EXAMPLE = re.compile(r"(?:^>>> .*(?:\n(?!\s*\n).+)*)(?:\n\n>>> .*(?:\n(?!\s*\n).+)*)*", re.MULTILINE)


class Doctests(griffe.Extension):
    """Puts each run of `>>> ` lines, with its answers, between fences."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401 - of griffe
        """Change the docstring of an object as it is collected."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """Return a docstring with its examples between fences.

    Args:
        text: Without the indentation of its place.
    """
    return _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
