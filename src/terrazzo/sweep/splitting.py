"""Text parted at signs that stand outside quotes and brackets."""

__all__ = ["split_outside"]

_OPENING, _CLOSING = "[{(", "]})"


def split_outside(text: str, sign: str) -> list[str]:
    """Part a text at each sign that stands outside quotes and brackets.

    A quote counts where a YAML value may begin, so that an apostrophe in a word is an apostrophe.

    >>> split_outside("[1,2],'a,b',it's,${oc.env:X,y}", ",")
    ['[1,2]', "'a,b'", "it's", '${oc.env:X,y}']
    """
    parts, begun, depth, quote = [], 0, 0, ""
    fresh = True
    position = 0
    while position < len(text):
        letter = text[position]
        if quote:
            if (letter == "\\" and quote == '"') or (
                letter == quote and text[position + 1 : position + 2] == "'" == quote
            ):
                position += 1
            elif letter == quote:
                quote = ""
        elif letter in "\"'" and fresh:
            quote = letter
        elif letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth = max(depth - 1, 0)
        elif letter == sign and not depth:
            parts.append(text[begun:position])
            begun = position + 1
        fresh = letter in " ,:" or letter in _OPENING
        position += 1
    return [*parts, text[begun:]]
