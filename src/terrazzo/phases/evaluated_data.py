"""What a bundle is judged on: the data that the configuration names, or a folder of images and labels."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from terrazzo.bundle import Bundle
from terrazzo.config import RunConfig
from terrazzo.data.catalog import Catalog, ImageEntry
from terrazzo.data.prepare import open_prepared, prepare_data
from terrazzo.data.prepared import PREPARED_FILE, Prepared
from terrazzo.data.settings import DataSettings, PatchSettings, PrepareSettings, SplitSettings
from terrazzo.data.sources.folder import FolderSource
from terrazzo.errors import ConfigError
from terrazzo.phases.calibration_data import require_same_contract
from terrazzo.progress import Listener
from terrazzo.training.distributed import Processes

__all__ = ["data_to_judge", "image_called", "splits_of"]


def data_to_judge(
    bundle: Bundle,
    config: RunConfig | None,
    data: Path | None,
    *,
    place: Path,
    processes: Processes,
    listener: Listener,
) -> Prepared:
    """Return the data to judge on; prepared by the first process, read by the others.

    Args:
        bundle: What is judged.
        config: Names the data.
        data: A folder of images and labels, or of prepared data, instead; all its images count as `test` unless its
            folders or prepared roles say otherwise.
        place: Folder that the bundle lies in.
        processes: Who takes part.
        listener: Receives progress.

    Raises:
        ConfigError: Nothing names the data.
        ContractError: Bands or classes of the data are not those of the bundle.
    """
    if data is not None and (data / PREPARED_FILE).is_file():
        prepared = open_prepared(data)
    else:
        if data is not None:
            settings = DataSettings(
                source=FolderSource(folder=data),
                classes=bundle.classes,
                bands=bundle.bands.names,
                patch=PatchSettings(size=bundle.patch_size),
                split=SplitSettings(fractions={"test": 1.0}),
            )
            prepare = PrepareSettings(folder=place / "evaluate" / f"prepared-{data.resolve().name}")
        elif config is not None:
            settings, prepare = config.data, config.prepare
        else:
            raise ConfigError(
                f"{place} is no run folder, so nothing says what to judge on; give CONFIG or --data FOLDER."
            )
        if processes.first:
            prepared = prepare_data(settings, prepare, listener=listener)
        processes.wait()
        if not processes.first:
            prepared = open_prepared(prepare.folder)
    require_same_contract(bundle, prepared)
    return prepared


def splits_of(prepared: Prepared, asked: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the splits to judge on.

    Args:
        prepared: The data.
        asked: Names, or `all`; `test` where the data has it, else `val`, if None.

    Raises:
        ConfigError: A split does not exist.
    """
    present = prepared.catalog.splits
    names = (asked,) if isinstance(asked, str) else tuple(asked or ())
    if not names:
        for split in ("test", "val"):
            if split in present:
                return (split,)
        raise ConfigError(
            f"The data has neither a test nor a val split, only {', '.join(present)}; name one with --split."
        )
    if "all" in names:
        return present
    for name in names:
        if name not in present:
            raise ConfigError(f'The data has no split "{name}"; it has {", ".join(present)}, and all stands for these.')
    return tuple(dict.fromkeys(names))


def image_called(catalog: Catalog, word: str, splits: Sequence[str] | None) -> ImageEntry:
    """Return the one image of that name: its name in the catalog, its file's path or name, with suffix or without.

    Args:
        catalog: The images.
        word: What it is called.
        splits: Roles to look in; all if None.

    Raises:
        ConfigError: No image, or more than one, is called so.
    """
    entries = [entry for entry in catalog if splits is None or entry.split in splits]
    ways = (
        lambda entry: entry.image_id == word,
        lambda entry: str(entry.image) == word or entry.image.resolve() == Path(word).resolve(),
        lambda entry: word in (entry.image.name, entry.image.stem, PurePosixPath(entry.image_id).name),
    )
    for way in ways:
        found = [entry for entry in entries if way(entry)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(entry.image_id for entry in found[:5])
            raise ConfigError(f'{len(found)} images are called "{word}": {names}; name one of these.')
    known = ", ".join(entry.image_id for entry in entries[:5])
    more = f" and {len(entries) - 5} more" if len(entries) > 5 else ""
    raise ConfigError(f'No image is called "{word}"; there are {known}{more}.')
