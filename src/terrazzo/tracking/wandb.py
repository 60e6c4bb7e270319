"""Weights & Biases, through Lightning's logger and the library's own run."""

import netrc
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from terrazzo.errors import ConfigError
from terrazzo.tracking.entry import Entry, scalars
from terrazzo.tracking.tracker import Track, TrackedRun, Tracker, quiet

if TYPE_CHECKING:
    from lightning.pytorch.loggers import WandbLogger

__all__ = ["WeightsAndBiases"]

FINISHED = ".finished"
"""Lies in the folder of each start that ended in order."""
_CODES = {"finished": 0, "failed": 1, "stopped": 1}


class WeightsAndBiases(Tracker):
    """A run in Weights & Biases, taken up again under the same id; offline in the run folder's `wandb`."""

    name: Literal["wandb"] = "wandb"
    """Name in the table of trackers."""
    project: str = "terrazzo"
    """Project that the run belongs to."""
    entity: str | None = None
    """User or team; null takes the key's own."""
    offline: bool = False
    """Write into the run folder instead of sending; `wandb sync` sends it later."""

    needs: ClassVar[str] = "wandb"
    key_variable: ClassVar[str] = "WANDB_API_KEY"

    @property
    def sends(self) -> bool:
        """Whether it needs a server."""
        return not self.offline and os.environ.get("WANDB_MODE", "online") in {"online", "shared"}

    def check(self) -> None:
        """Make sure that the package is here, and a key where one is needed."""
        super().check()
        if self.sends and not os.environ.get("WANDB_API_KEY") and not _is_logged_in():
            raise ConfigError(
                "track: wandb needs the environment variable WANDB_API_KEY (or `wandb login`); or set offline: true."
            )

    def open(self, run: TrackedRun) -> Track:
        """Begin the run, or go on with it."""
        quiet(WANDB_ERROR_REPORTING="false")
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        if self.offline:
            _remove_unfinished(run.folder / "wandb", run.identity)
        # Neither the command line, nor addresses of repositories, nor the terminal's lines: they may hold secrets.
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_meta=True,
            init_timeout=30,
        )
        live = wandb.init(
            project=self.project,
            entity=self.entity,
            id=run.identity,
            name=run.name,
            dir=str(run.folder),
            mode="offline" if self.offline else None,
            # Offline each start is a folder of its own, all of one id.
            resume=None if self.offline else "allow",
            reinit="create_new",
            settings=settings,
        )
        return _Run(WandbLogger(experiment=live), live)


def _remove_unfinished(folder: Path, identity: str) -> None:
    """Remove what a killed process left of this run: all of it is written again."""
    for path in folder.glob(f"offline-run-*-{identity}"):
        if not (path / FINISHED).exists():
            shutil.rmtree(path)


def _is_logged_in() -> bool:
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return path.is_file() and netrc.netrc(path).authenticators(host) is not None
    except (netrc.NetrcParseError, OSError):
        return False


class _Run(Track):
    """One run of Weights & Biases."""

    def __init__(self, logger: "WandbLogger", live: Any) -> None:  # noqa: ANN401 - its class is of an extra
        self._logger = logger
        self._live = live
        self._axes: dict[str, str] = {}
        self._begins: int = live.starting_step

    def write(self, entry: Entry) -> None:
        """Add figures, pictures or a table; its own step is the entry's number, so that none counts twice."""
        import wandb

        if entry.number < self._begins:
            # The server has it: a killed process had sent it, and it is offered again, since nobody can ask.
            return
        if entry.kind == "hyperparameters":
            self._logger.log_hyperparams(dict(entry.values))
            return
        told: dict[str, Any] = dict(scalars(entry))
        if entry.kind == "summary":
            self._live.summary.update(dict(entry.values))
            return
        if entry.kind == "confusion":
            names, counts = entry.values["classes"], entry.values["counts"]
            rows: list[Any] = [
                [label, prediction, pixels]
                for label, row in zip(names, counts, strict=True)
                for prediction, pixels in zip(names, row, strict=True)
            ]
            told[f"confusion/{entry.name}/table"] = wandb.Table(columns=["label", "prediction", "pixels"], data=rows)
        if entry.pictures:
            name = f"confusion/{entry.name}" if entry.kind == "confusion" else entry.name
            told[name] = [wandb.Image(picture, file_type="png") for picture in entry.pictures]
        axis = "update" if entry.kind == "update" else "epoch"
        for name in told:
            if self._axes.get(name) != axis:
                self._live.define_metric(name, step_metric=axis)
                self._axes[name] = axis
        if told:
            self._live.log({**told, "epoch": entry.epoch, "update": entry.update}, step=entry.number)

    def secure(self) -> bool:
        """Say that nothing stays for sure before the end: a process of its own may not have written or sent it."""
        return False

    def close(self, status: str) -> None:
        """End the run, and wait until all is sent."""
        folder = Path(self._live.dir).parent
        self._live.finish(exit_code=_CODES[status])
        (folder / FINISHED).touch()
