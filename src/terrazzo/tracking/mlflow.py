"""MLflow, through Lightning's logger and MLflow's own client."""

import os
import posixpath
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from terrazzo.tracking.entry import Entry, scalars
from terrazzo.tracking.tracker import RefusedEntryError, Track, TrackedRun, Tracker, quiet

if TYPE_CHECKING:
    from lightning.pytorch.loggers import MLFlowLogger

__all__ = ["MlFlow", "metric_names"]

TAG = "terrazzo.run"
"""By this tag a run that was killed before it could note its number is found again."""
_UNFIT = re.compile(r"[^/\w.\- ]")
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_FINAL = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE"}


class MlFlow(Tracker):
    """A run in an MLflow server or database, taken up again under the same number."""

    name: Literal["mlflow"] = "mlflow"
    """Name in the table of trackers."""
    uri: str | None = None
    """Server or database; null takes $MLFLOW_TRACKING_URI, else the database `mlflow/mlflow.db` beside the runs."""
    experiment: Annotated[str, Field(min_length=1)] = "terrazzo"
    """Experiment that the run belongs to; it is made where there is none."""

    needs: ClassVar[str] = "mlflow"
    key_variable: ClassVar[str] = "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD,"

    @field_validator("uri")
    @classmethod
    def _without_password(cls, uri: str | None) -> str | None:
        if uri is not None and urlsplit(uri).password:
            raise ValueError(
                "holds a password, which must not stand in a configuration: set MLFLOW_TRACKING_URI in the environment "
                "and remove uri here."
            )
        return uri

    def open(self, run: TrackedRun) -> Track:
        """Find the run, or begin it."""
        # Its own long retries would hold up the courier, which tries again itself.
        quiet(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", MLFLOW_LOGGING_LEVEL="WARNING")
        quiet(MLFLOW_HTTP_REQUEST_MAX_RETRIES="1", MLFLOW_HTTP_REQUEST_TIMEOUT="30")
        from lightning.pytorch.loggers import MLFlowLogger
        from mlflow.tracking import MlflowClient

        uri, artifacts = self._place(run)
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(self.experiment)
        number = (
            client.create_experiment(self.experiment, artifacts) if experiment is None else experiment.experiment_id
        )
        found = client.search_runs([number], filter_string=f"tags.`{TAG}` = '{run.identity}'", max_results=1)
        logger = MLFlowLogger(
            experiment_name=self.experiment,
            run_name=run.name,
            tracking_uri=uri,
            tags={TAG: run.identity},
            run_id=found[0].info.run_id if found else None,
        )
        if found:
            client.update_run(found[0].info.run_id, status="RUNNING")
        return _Run(logger)

    def _place(self, run: TrackedRun) -> tuple[str, str | None]:
        """Return the address, and for our own database the folder of what is no figure."""
        given = self.uri or os.environ.get("MLFLOW_TRACKING_URI")
        if given:
            return given, None
        folder = (run.folder.parent / "mlflow").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()


def metric_names(names: Iterable[str]) -> dict[str, str]:
    """Return names that MLflow takes, each its own: letters, digits and `_ - . /` and spaces stay.

    >>> metric_names(["val_miou", "val_iou_road (paved)", "val_iou_road <paved>", "val_iou_Äcker"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'val_miou': 'val_miou', 'val_iou_road (paved)': 'val_iou_road _paved_',
     'val_iou_road <paved>': 'val_iou_road _paved_ 2', 'val_iou_Äcker': 'val_iou_Äcker'}
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        fit = _UNFIT.sub("_", name)
        # It refuses what would be another path when cleaned.
        fit = fit if posixpath.normpath(fit) == fit and not fit.startswith(("/", "..")) else fit.replace("/", "_")
        fit = fit if fit not in {".", ".."} else "_"
        number, base = 1, fit
        while fit in taken:
            number += 1
            fit = f"{base} {number}"
        taken.add(fit)
        found[name] = fit
    return found


class _Run(Track):
    """One run of MLflow."""

    def __init__(self, logger: "MLFlowLogger") -> None:
        self._logger = logger
        self._client: Any = logger.experiment
        self._number: Any = logger.run_id

    def write(self, entry: Entry) -> None:
        """Add figures, pictures or a table; what is written twice is there once."""
        from mlflow.exceptions import MlflowException

        try:
            self._write(entry)
        except MlflowException as error:
            if error.error_code in _FINAL:
                raise RefusedEntryError(str(error)) from error
            raise

    def _write(self, entry: Entry) -> None:
        if entry.kind == "hyperparameters":
            self._logger.log_hyperparams(dict(entry.values))
        elif entry.kind == "confusion":
            self._table(entry)
        for position, picture in enumerate(entry.pictures, start=1):
            file = f"{_folder(entry)}/epoch-{entry.epoch:04d}{f'-{position}' if len(entry.pictures) > 1 else ''}.png"
            self._client.log_image(self._number, picture, artifact_file=file)
        self._figures(entry)

    def _figures(self, entry: Entry) -> None:
        from mlflow.entities import Metric

        figures = scalars(entry)
        # Names depend on all that the entry has, not on which of its figures exist this time.
        every = metric_names(entry.values if entry.kind == "epoch" else figures)
        step = entry.update if entry.kind == "update" else entry.epoch
        # The same point with the same time counts once, however often it is sent.
        time_ms = round(entry.moment.timestamp() * 1000)
        metrics = [Metric(every[name], value, time_ms, step) for name, value in figures.items()]
        for first in range(0, len(metrics), 1000):
            self._client.log_batch(self._number, metrics=metrics[first : first + 1000])

    def _table(self, entry: Entry) -> None:
        names = entry.values["classes"]
        rows = [["label \\ prediction", *names]]
        rows += [[name, *map(str, row)] for name, row in zip(names, entry.values["counts"], strict=True)]
        text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
        self._client.log_text(self._number, text + "\n", f"{_folder(entry)}/epoch-{entry.epoch:04d}.csv")

    def close(self, status: str) -> None:
        """Say how the run ended."""
        self._logger.finalize(_STATUS[status])


def _folder(entry: Entry) -> str:
    """Return the folder of a kind of pictures."""
    name = re.sub(r"[^\w-]", "_", entry.name)
    return f"confusion/{name}" if entry.kind == "confusion" else name
