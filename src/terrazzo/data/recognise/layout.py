"""A layout that a folder may have: the source that would read it, not yet tried."""

from collections.abc import Mapping
from dataclasses import dataclass

from terrazzo.data.sources.source import SOURCES, Source

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """One way to read a folder.

    Attributes:
        title: What it looks like, in a few words.
        settings: Keys of `data.source`, its name among them.
        above: Whether images are views from above, which have no up and down; not so for street scenes.
    """

    title: str
    settings: Mapping[str, object]
    above: bool = True

    def make(self) -> Source:
        """Return the source, checked.

        Raises:
            ConfigError: There is no source of that name.
            ValidationError: The settings do not fit it.
        """
        source = SOURCES.find(str(self.settings["name"])).model_validate(dict(self.settings))
        if not isinstance(source, Source):
            raise TypeError(f"{source.name} is no source")
        return source
