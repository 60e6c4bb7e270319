"""Which vector files label a scene: the same for all, or one for each, named after it."""

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from terrazzo.data.labels.vector import VectorLabel
from terrazzo.data.sources.pattern import Pattern
from terrazzo.errors import ConfigError, DataError
from terrazzo.record import nearest

__all__ = ["SceneVectors"]

_WORD = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True)
class SceneVectors:
    """Vector labels of the scenes in a folder.

    A path may hold words in braces: `{stem}` is the scene's file name without suffix, `{1}`, `{2}`, ... what the stars
    of the pattern of the images stand for, and `{region}` and `{split}` those words of it. Such a file is one scene's;
    any other labels all scenes.

    Attributes:
        label: Settings, with paths as the user wrote them.
        folder: Folder of the scenes.
        images: Pattern of the scenes below the folder; None where every raster is one.
    """

    label: VectorLabel
    folder: Path
    images: str | None = None

    def of(self, image: Path) -> VectorLabel | None:
        """Return the label of a scene; None where all its files are named after scenes, and it has none.

        Args:
            image: Absolute path of the scene.

        Raises:
            ConfigError: A word in braces is not known.
            DataError: A file that labels all scenes does not exist.
        """
        words = self._words(image)
        own = [Path(_WORD.sub(lambda found: _word(found, words), str(path))) for path in self._named]
        present = [path.absolute() for path in own if path.is_file()]
        files = (*self._shared, *present)
        return self.label.model_copy(update={"vectors": files}) if files else None

    @cached_property
    def _named(self) -> tuple[Path, ...]:
        return tuple(path for path in self.label.vectors if _WORD.search(str(path)))

    @cached_property
    def _shared(self) -> tuple[Path, ...]:
        """Files of all scenes, patterns resolved."""
        found: dict[Path, None] = {}
        for path in self.label.vectors:
            if path in self._named:
                continue
            named = [path] if path.exists() else sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207
            if not named:
                raise DataError(f"data.source.label_vectors: there is no file {path}.")
            found |= dict.fromkeys(item.absolute() for item in named)
        return tuple(found)

    def _words(self, image: Path) -> Mapping[str, str]:
        pattern = Pattern(self.images) if self.images is not None else None
        relative = image.relative_to(self.folder.absolute()).as_posix()
        matched = (pattern.match(relative) if pattern is not None else None) or {}
        return {**matched, "stem": image.stem}


def _word(found: re.Match[str], words: Mapping[str, str]) -> str:
    word = found.group(1)
    if word not in words:
        raise ConfigError(
            f"data.source.label_vectors: {{{word}}} stands for nothing; known are "
            f"{', '.join(f'{{{known}}}' for known in sorted(words))}.{nearest(word, list(words))}"
        )
    return words[word]
