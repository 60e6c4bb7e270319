"""Labels are what their source's settings say: a glance at a few of them, before all are read."""

from collections import defaultdict
from collections.abc import Sequence

from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.source import Pair
from terrazzo.data.splitting.validation_sets import SET_PREFIX, validation_sets

__all__ = ["check_labels"]


def check_labels(pairs: Sequence[Pair], data: DataSettings) -> None:
    """Let each source look into a few labels of its own images.

    Args:
        pairs: Images of the data and of its named validation sets.
        data: Where they come from.

    Raises:
        DataError: Labels contradict the settings of their source.
    """
    sources = {f"{SET_PREFIX}{name}": one.source for name, one in validation_sets(data).items()}
    owned: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        split = pair.split or ""
        owned[split if split in sources else ""].append(pair)
    for split, own in owned.items():
        sources.get(split, data.source).check_labels(own, data.classes)
