"""The data that a bundle is calibrated on: as the configuration names it, or a folder of images and labels."""

from pathlib import Path

from terrazzo.bundle import Bundle
from terrazzo.config import RunConfig
from terrazzo.data.prepare import open_prepared, prepare_data
from terrazzo.data.prepared import PREPARED_FILE, Prepared
from terrazzo.data.settings import DataSettings, PatchSettings, PrepareSettings, SplitSettings
from terrazzo.data.sources.folder import FolderSource
from terrazzo.errors import ConfigError, ContractError
from terrazzo.progress import Listener

__all__ = ["data_of", "require_same_contract"]


def data_of(
    bundle: Bundle, config: RunConfig | None, data: Path | None, *, place: Path, listener: Listener
) -> Prepared:
    """Return the images to calibrate on.

    Args:
        bundle: What is calibrated.
        config: Names the data.
        data: A folder of images and labels, or of prepared data, instead; all its images count as `calibrate` unless
            its folders or prepared roles say otherwise.
        place: Folder below which that of `data` is prepared.
        listener: Hears of the progress.

    Raises:
        ConfigError: Nothing names the data.
        ContractError: Bands or classes of the data are not those of the bundle.
    """
    if data is not None and (data / PREPARED_FILE).is_file():
        prepared = open_prepared(data)
    elif data is not None:
        settings = DataSettings(
            source=FolderSource(folder=data),
            classes=bundle.classes,
            bands=bundle.bands.names,
            patch=PatchSettings(size=bundle.patch_size),
            split=SplitSettings(fractions={"calibrate": 1.0}),
        )
        prepared = prepare_data(
            settings, PrepareSettings(folder=place / f"prepared-{data.resolve().name}"), listener=listener
        )
    elif config is not None:
        prepared = prepare_data(config.data, config.prepare, listener=listener)
    else:
        raise ConfigError(
            f"{place.parent} is no run folder, so nothing says what to calibrate on; give CONFIG, --data FOLDER, or "
            "--unlabelled SCENES."
        )
    require_same_contract(bundle, prepared)
    return prepared


def require_same_contract(bundle: Bundle, prepared: Prepared) -> None:
    """Refuse data whose channels or classes mean something else than the network's.

    Raises:
        ContractError: They do.
    """
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
