"""TensorBoard's event files, cut to the bytes that belong to the checkpoint that a run goes on from.

torch's own writer is used, which Lightning's logger wraps as well: that one expands `~` and `$` in the folder's name.
"""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import UInt8

from terrazzo.tracking.entry import Entry, scalars
from terrazzo.tracking.tracker import Track, TrackedRun, Tracker

__all__ = ["Events", "TensorBoard"]

FOLDER = "tensorboard"
EVENT_FILE = re.compile(r"events\.out\.tfevents\.(\d+)\.")


class TensorBoard(Tracker):
    """Event files in the run folder's `tensorboard`: curves, pictures, confusion matrices and settings."""

    name: Literal["tensorboard"] = "tensorboard"
    """Name in the table of trackers."""

    is_remote: ClassVar[bool] = False
    takes_phases: ClassVar[bool] = False

    def open(self, run: TrackedRun) -> Track:
        """Begin an event file behind those that the checkpoint knows."""
        return Events(run.folder / FOLDER, run.known, monitor=run.monitor)


class Events(Track):
    """TensorBoard's event files of a run.

    Args:
        folder: Where they lie.
        known: Bytes of each file that belong to the checkpoint that the run goes on from; what lies beyond is cut off,
            and files that are not named are removed.
        monitor: The monitored figure, by which runs are compared.
    """

    def __init__(self, folder: Path, known: Mapping[str, int], *, monitor: str = "val_miou") -> None:
        from torch.utils.tensorboard import SummaryWriter

        own = {name: size for name, size in known.items() if EVENT_FILE.match(name)}
        folder.mkdir(parents=True, exist_ok=True)
        _cut(folder, own)
        _wait_for_next_name(own)
        self._is_new = not own
        self._folder = folder
        self._monitor = monitor
        self._writer = SummaryWriter(str(folder), flush_secs=30)

    @property
    def is_new(self) -> bool:
        """Whether it has no entry of this run yet."""
        return self._is_new

    def write(self, entry: Entry) -> None:
        """Add curves, pictures or texts. Wall times stay out, so that the curves of equal runs are equal."""
        if entry.kind == "hyperparameters":
            self._settings(entry.values)
        elif entry.kind == "epoch":
            shown = {f"epoch/{name}": value for name, value in scalars(entry).items() if name != "seconds"}
            self.scalars(shown, entry.epoch)
        elif entry.kind == "update":
            self.scalars(scalars(entry), entry.update)
        elif entry.kind == "summary":
            lasting = {name: value for name, value in entry.values.items() if name != "seconds"}
            self._writer.add_text("summary", _table(lasting), entry.epoch)
        elif entry.kind == "confusion":
            self._writer.add_image(f"confusion/{entry.name}", entry.pictures[0], entry.epoch, dataformats="HWC")
        elif entry.kind == "pictures":
            self.pictures(entry.name, entry.pictures, entry.epoch)

    def scalars(self, values: Mapping[str, float | int | None], step: int) -> None:
        """Add points to curves; None adds none."""
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)

    def pictures(self, name: str, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], step: int) -> None:
        """Add pictures, called name/1, name/2, ..."""
        for number, picture in enumerate(pictures, start=1):
            self._writer.add_image(f"{name}/{number}", picture, step, dataformats="HWC")

    def _settings(self, values: Mapping[str, object]) -> None:
        """Show the settings as a text, and in the table of runs beside the monitored figure."""
        from torch.utils.tensorboard import summary

        plain = {key: value for key, value in values.items() if isinstance(value, bool | int | float | str)}
        # The writer's own add_hparams would put them into a further file, in a folder named by the time.
        build: Callable[..., tuple[Any, ...]] = summary.hparams
        file: Any = self._writer.file_writer
        for part in build(plain, {f"epoch/{self._monitor}": 0}):
            file.add_summary(part)
        self._writer.add_text("hyperparameters", _table(values), 0)

    def sizes(self) -> dict[str, int]:
        """Put everything on the disk and return the bytes of each file."""
        self._writer.flush()
        sizes = {}
        for path in sorted(self._folder.glob("events.out.tfevents.*")):
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
                sizes[path.name] = os.fstat(handle.fileno()).st_size
        return sizes

    def close(self, status: str = "finished") -> None:
        """Finish the file."""
        del status
        self._writer.close()


def _table(values: Mapping[str, object]) -> str:
    """Return a table of Markdown."""

    def cell(value: object) -> str:
        return str(value).replace("|", "\\|").replace("\n", " ")

    return "\n".join(["| | |", "|---|---|", *(f"| {cell(name)} | {cell(value)} |" for name, value in values.items())])


def _cut(folder: Path, known: Mapping[str, int]) -> None:
    """Remove what was written after the checkpoint."""
    for path in folder.glob("events.out.tfevents.*"):
        if path.name not in known:
            path.unlink()
        elif path.stat().st_size > known[path.name]:
            os.truncate(path, known[path.name])


def _wait_for_next_name(known: Mapping[str, int]) -> None:
    """Wait until a new file's name, which begins with the second, sorts behind those that exist: readers go by it."""
    stamps = [int(found.group(1)) for name in known if (found := EVENT_FILE.match(name))]
    newest = max(stamps, default=0)
    # A clock that was set back by more than this cannot be waited for.
    deadline = time.monotonic() + 2.0
    while int(time.time()) <= newest and time.monotonic() < deadline:
        time.sleep(0.02)
