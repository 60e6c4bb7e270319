"""Comet, through its own library: Lightning's logger switches an experiment off that is to be offline."""

import configparser
import logging
import os
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from PIL import Image

from terrazzo.errors import ConfigError
from terrazzo.tracking.entry import Entry, scalars
from terrazzo.tracking.tracker import Track, TrackedRun, Tracker, quiet

__all__ = ["Comet"]


class Comet(Tracker):
    """An experiment in Comet, taken up again under the same key; offline as archives in `save_dir`."""

    name: Literal["comet"] = "comet"
    """Name in the table of trackers."""
    workspace: str | None = None
    """Workspace; null takes the key's own."""
    project: str = "terrazzo"
    """Project that the experiment belongs to."""
    save_dir: Path | None = None
    """Folder of archives that `comet upload` sends; null takes `comet` in the run folder."""
    offline: bool = False
    """Write archives instead of sending."""

    needs: ClassVar[str] = "comet_ml"
    key_variable: ClassVar[str] = "COMET_API_KEY"

    def check(self) -> None:
        """Make sure that the package is here, and a key where one is needed."""
        super().check()
        if not self.offline and not os.environ.get("COMET_API_KEY") and not _is_configured():
            raise ConfigError("track: comet needs the environment variable COMET_API_KEY; or set offline: true.")

    def open(self, run: TrackedRun) -> Track:
        """Begin the experiment, or go on with it."""
        quiet(COMET_DISABLE_AUTO_LOGGING="1", COMET_DISABLE_ANNOUNCEMENT="1", COMET_ERROR_TRACKING_ENABLE="false")
        import comet_ml

        logging.getLogger("comet_ml").setLevel(logging.WARNING)
        folder = self.save_dir or run.folder / "comet"
        folder.mkdir(parents=True, exist_ok=True)
        # Neither code, nor the command line, nor the terminal's lines, nor facts of the machine: they may hold secrets.
        config = comet_ml.ExperimentConfig(
            name=run.name,
            offline_directory=str(folder),
            log_code=False,
            log_graph=False,
            parse_args=False,
            # Typed as text, but only false switches it off.
            auto_output_logging=cast("str", False),
            auto_param_logging=False,
            auto_metric_logging=False,
            log_git_metadata=False,
            log_git_patch=False,
            log_env_details=False,
            display_summary_level=0,
        )
        live = comet_ml.start(
            workspace=self.workspace,
            project_name=self.project,
            experiment_key=run.identity,
            mode="get_or_create",
            online=not self.offline,
            experiment_config=config,
        )
        return _Archive(live) if self.offline else _Experiment(live)


def _is_configured() -> bool:
    """Whether the library's own file holds a key."""
    path = Path(os.environ.get("COMET_CONFIG", Path.home() / ".comet.config"))
    parser = configparser.ConfigParser()
    try:
        return bool(parser.read(path)) and parser.has_option("comet", "api_key")
    except configparser.Error:
        return False


class _Experiment(Track):
    """One experiment of Comet."""

    def __init__(self, live: Any) -> None:  # noqa: ANN401 - its class is of an extra
        self._live = live

    def write(self, entry: Entry) -> None:
        """Add figures, pictures or a matrix."""
        place = {"step": entry.update, "epoch": entry.epoch}
        if entry.kind == "hyperparameters":
            self._live.log_parameters(dict(entry.values))
        elif entry.kind == "confusion":
            self._live.log_confusion_matrix(
                matrix=entry.values["counts"],
                labels=entry.values["classes"],
                title=f"{entry.name}, epoch {entry.epoch}",
                row_label="label",
                column_label="prediction",
                file_name=f"confusion-{entry.name}-epoch-{entry.epoch:04d}.json",
                **place,
            )
        elif entry.kind == "summary":
            self._live.log_others(dict(entry.values))
        else:
            self._live.log_metrics(scalars(entry), **place)
        for position, picture in enumerate(entry.pictures, start=1):
            kind = "confusion-" if entry.kind == "confusion" else ""
            name = f"{kind}{entry.name}-{position}.png"
            # An array of one value makes its own conversion divide by nothing.
            self._live.log_image(Image.fromarray(picture), name=name, step=entry.update)

    def secure(self) -> bool:
        """Wait until what was written is sent: it waits in this process's memory."""
        return self._live.flush() is not False

    def close(self, status: str) -> None:
        """End the experiment, and wait until all is sent."""
        self._live.log_other("status", status)
        self._live.end()


class _Archive(_Experiment):
    """An offline experiment: it is an archive once it is closed, and nothing before."""

    def secure(self) -> bool:
        """Nothing stays before."""
        return False
