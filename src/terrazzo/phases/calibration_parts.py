"""Which images calibrating may use, and how they are divided: what is fitted, chosen and reported never shares one."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from terrazzo.calibration.settings import CalibrateSettings
from terrazzo.calibration.words import is_selected
from terrazzo.data.catalog import Catalog, ImageEntry
from terrazzo.errors import ConfigError

__all__ = ["Needs", "Parts", "divide", "images_of", "reporting_images"]


@dataclass(frozen=True)
class Needs:
    """What will be calibrated.

    Attributes:
        fitted: Something is fitted: a temperature, a decision threshold.
        halting: A halting threshold is chosen.
        further: A threshold to abstain or for class sets is chosen; how maps answer depends on the halting threshold,
            so that its own images must be others.
    """

    fitted: bool
    halting: bool
    further: bool


@dataclass(frozen=True)
class Parts:
    """Images by what they are for; no image is in two.

    Attributes:
        fit: Temperature and decision threshold.
        halting: Halting threshold.
        further: Thresholds to abstain and for class sets.
        report: Before and after.
    """

    fit: tuple[ImageEntry, ...]
    halting: tuple[ImageEntry, ...]
    further: tuple[ImageEntry, ...]
    report: tuple[ImageEntry, ...]

    def counts(self) -> dict[str, int]:
        """Return how many images each part has; parts that nothing needed are left out."""
        parts = {"fit": self.fit, "halting": self.halting, "abstain and sets": self.further, "report": self.report}
        return {name: len(part) for name, part in parts.items() if part}


def images_of(catalog: Catalog, settings: CalibrateSettings) -> list[ImageEntry]:
    """Return the labelled images to calibrate on.

    Raises:
        ConfigError: There are none, or they trained or selected the model.
    """
    split = settings.split
    if is_selected(split) and not settings.allow_selected:
        what = "trained" if split == "train" else "chose"
        raise ConfigError(
            f'The images of the split "{split}" {what} the model, so that it looks better on them than it is; '
            "calibrate on the split calibrate. `--allow-selected` (calibrate.allow_selected: true) takes them "
            "nevertheless, and nothing is promised then."
        )
    if split not in catalog.splits:
        raise ConfigError(
            f'The data has no split "{split}", only {", ".join(catalog.splits) or "images without a role"}. '
            "Calibrating needs images that neither trained nor chose the model: give some the role calibrate, such as "
            "by data.split.fractions: {train: 0.7, val: 0.1, calibrate: 0.1, test: 0.1}, by data.split.lists, by "
            "folders of that name, or by --data FOLDER, and train anew if they trained before."
        )
    found = [entry for entry in catalog.entries(split) if entry.label is not None]
    if not found:
        raise ConfigError(f'No image of the split "{split}" has a label; name scenes without labels by --unlabelled.')
    return found


def reporting_images(catalog: Catalog, settings: CalibrateSettings) -> tuple[str, list[ImageEntry]]:
    """Return the role whose images before and after are reported on, and these.

    Returns:
        The role, and nothing where a part of the images themselves must be held back.

    Raises:
        ConfigError: The settings name a role that does not exist, or the one that is calibrated on.
    """
    asked = settings.report_split
    if asked is not None:
        if asked == settings.split:
            raise ConfigError(
                f"calibrate.report_split is {asked}, which is calibrated on; leave it out to hold a part of it back."
            )
        if asked not in catalog.splits:
            raise ConfigError(
                f'The data has no split "{asked}" to report on (calibrate.report_split); it has '
                f"{', '.join(catalog.splits)}."
            )
    role = asked or ("test" if "test" in catalog.splits and settings.split != "test" else None)
    if role is None:
        return settings.split, []
    found = [entry for entry in catalog.entries(role) if entry.label is not None]
    if not found:
        raise ConfigError(f'No image of the split "{role}" has a label to report on; name another by --report-split.')
    return role, found


def divide(
    images: Sequence[ImageEntry], reported: Sequence[ImageEntry], needs: Needs, settings: CalibrateSettings
) -> Parts:
    """Divide images by a seeded hash of their names, which also puts those of each part in a random order.

    Args:
        images: To calibrate on.
        reported: Images of another role to report on; if there are none a share of `images` is held back.
        needs: What they are for.
        settings: Shares and seed.

    Raises:
        ConfigError: There are fewer images than parts.
    """
    shuffled = sorted(images, key=lambda entry: _draw(entry, settings.seed))
    wanted: dict[str, float] = {}
    if not reported:
        wanted["report"] = settings.report_share
    left = 1.0 - sum(wanted.values())
    chosen = [name for name, needed in (("halting", needs.halting), ("further", needs.further)) if needed]
    if needs.fitted:
        wanted["fit"] = left * settings.fit_share if chosen else left
    left = 1 - sum(wanted.values())
    wanted |= {name: left / len(chosen) for name in chosen}
    if len(shuffled) < len(wanted):
        parts = {
            "report": "reporting (or name another role by --report-split)",
            "fit": "temperature and decision threshold (or calibrate.temperature: none)",
            "halting": "the halting threshold (or calibrate.halting: null)",
            "further": "abstention and class sets",
        }
        raise ConfigError(
            f"The split {settings.split} has {len(shuffled)} image{'' if len(shuffled) == 1 else 's'}, but "
            f"{len(wanted)} parts need one each, since none may serve twice: "
            f"{'; '.join(parts[name] for name in wanted)}."
        )
    sizes = _sizes(len(shuffled), list(wanted.values()))
    found: dict[str, tuple[ImageEntry, ...]] = {}
    begun = 0
    for name, size in zip(wanted, sizes, strict=True):
        found[name] = tuple(shuffled[begun : begun + size])
        begun += size
    return Parts(
        fit=found.get("fit", ()),
        halting=found.get("halting", ()),
        further=found.get("further", ()),
        report=tuple(reported) or found.get("report", ()),
    )


def _sizes(count: int, shares: Sequence[float]) -> list[int]:
    """Return whole sizes near the shares, each at least 1, which sum to the count.

    >>> _sizes(10, [0.25, 0.3, 0.45]), _sizes(3, [0.9, 0.05, 0.05]), _sizes(4, [1.0])
    ([2, 3, 5], [1, 1, 1], [4])
    """
    sizes = [max(1, int(count * share + 1e-9)) for share in shares]
    while sum(sizes) > count:
        sizes[sizes.index(max(sizes))] -= 1
    # What rounding left goes to the last part, whose promise gains by every image.
    sizes[-1] += count - sum(sizes)
    return sizes


def _draw(entry: ImageEntry, seed: int) -> tuple[bytes, str]:
    return hashlib.sha256(f"{seed}\n{entry.image_id}".encode()).digest(), entry.image_id
