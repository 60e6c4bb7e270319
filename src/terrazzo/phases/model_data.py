"""The data that a bundle meets: as the configuration names it, or a folder of images and labels."""

from pathlib import Path

from terrazzo.bundle import Bundle
from terrazzo.config import RunConfig
from terrazzo.data.prepare import open_prepared, prepare_data
from terrazzo.data.prepared import PREPARED_FILE, Prepared
from terrazzo.data.settings import DataSettings, PatchSettings, PrepareSettings, SplitSettings
from terrazzo.data.sources.folder import FolderSource
from terrazzo.errors import ConfigError, ContractError
from terrazzo.progress import Listener
from terrazzo.training.distributed import Processes

__all__ = ["data_for"]


def data_for(
    bundle: Bundle,
    config: RunConfig | None,
    data: Path | None,
    *,
    role: str,
    place: Path,
    listener: Listener,
    processes: Processes | None = None,
) -> Prepared:
    """Return images and labels that fit a bundle; prepared by the first process, read by the others.

    Args:
        bundle: What meets them.
        config: Names the data.
        data: A folder of images and labels, or of prepared data, instead.
        role: What all images of that folder count as, unless its folders or prepared roles say otherwise.
        place: Folder below which that of `data` is prepared.
        listener: Hears of the progress.
        processes: Who takes part; this one alone if None.

    Raises:
        ConfigError: Nothing names the data.
        ContractError: Bands or classes of the data are not those of the bundle.
    """
    if data is not None and (data / PREPARED_FILE).is_file():
        prepared = open_prepared(data)
    else:
        settings, prepare = _named(bundle, config, data, role=role, place=place)
        if processes is None or processes.first:
            prepared = prepare_data(settings, prepare, listener=listener)
        if processes is not None:
            processes.wait()
            if not processes.first:
                prepared = open_prepared(prepare.folder)
    _require_same_contract(bundle, prepared)
    return prepared


def _named(
    bundle: Bundle, config: RunConfig | None, data: Path | None, *, role: str, place: Path
) -> tuple[DataSettings, PrepareSettings]:
    """Return how the data is found and prepared."""
    if data is not None:
        settings = DataSettings(
            source=FolderSource(folder=data),
            classes=bundle.classes,
            bands=bundle.bands.names,
            patch=PatchSettings(size=bundle.patch_size),
            split=SplitSettings(fractions={role: 1.0}),
        )
        return settings, PrepareSettings(folder=place / f"prepared-{data.resolve().name}")
    if config is None:
        raise ConfigError(
            f"{place.parent} is no run folder, so nothing says what to {place.name} on; give CONFIG or --data FOLDER."
        )
    return config.data, config.prepare


def _require_same_contract(bundle: Bundle, prepared: Prepared) -> None:
    """Refuse data whose channels or classes mean something else than the network's."""
    if bundle.bands.names != prepared.bands.names:
        raise ContractError(
            f"{prepared.folder} has the bands {', '.join(prepared.bands.names)}, but the bundle was trained on "
            f"{', '.join(bundle.bands.names)}; name them under `data.bands`."
        )
    for band, expected in zip(prepared.bands, bundle.bands, strict=True):
        if band.dtype != expected.dtype:
            raise ContractError(
                f'{prepared.folder}: band "{band.name}" is {band.dtype}, but the bundle was trained on '
                f"{expected.dtype}; convert the imagery to the scale of training."
            )
    if bundle.classes.names != prepared.classes.names:
        raise ContractError(
            f"{prepared.folder} has the classes {', '.join(prepared.classes.names)}, but the bundle answers "
            f"{', '.join(bundle.classes.names)}."
        )
