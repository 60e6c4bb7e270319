"""From shapes that carry a word to class numbers: each word is looked up once, and what nothing lists is counted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from terrazzo.data.classes import Classes, Decoded
from terrazzo.errors import LabelError

__all__ = ["decode_words"]


def decode_words(
    codes: Shaped[np.ndarray, "y x"], words: Sequence[str], others: Sequence[int], *, classes: Classes, file: Path | str
) -> Decoded:
    """Turn codes into class numbers.

    Args:
        codes: Position of each pixel's word, or, from `len(words)` on, of its class among `others`.
        words: What shapes say of their class.
        others: Class numbers that follow from no word, such as that of unlabelled ground.
        classes: How words name classes.
        file: File, or a place in it, that messages begin with.

    Raises:
        LabelError: A pixel has a word that no class lists, under `unlisted: error`.
    """
    numbers = [classes.number_of(word) for word in words]
    unlisted: dict[str, int] = {}
    if None in numbers:
        pixels = np.bincount(codes.ravel(), minlength=len(words))
        unlisted = {
            word: int(count)
            for word, number, count in zip(words, numbers, pixels, strict=False)
            if number is None and count
        }
        if unlisted and classes.unlisted == "error":
            raise LabelError(f"{file}: {classes.describe_unlisted(unlisted)}")
    strange = 0 if classes.unlisted == "background" else classes.ignore
    table = [*(strange if number is None else number for number in numbers), *others]
    kind = np.uint8 if classes.ignore == 255 else np.uint16
    return Decoded(np.array(table, dtype=kind)[codes], unlisted)
