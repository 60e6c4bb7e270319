"""A training with every tracker at once: what each of them has, no secret anywhere, and no way to the network."""

import json
import logging
import re
import socket
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from terrazzo.logs import LoggingSettings, configure_logging
from terrazzo.storage import read_json
from terrazzo.tracking import Comet, Csv, JsonLines, MlFlow, TensorBoard, TrackedRun, WeightsAndBiases
from terrazzo.training.loop import fit
from terrazzo.training.settings import TrainSettings
from terrazzo.training.track import track_phases

# Their libraries warn of each other's ways.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SECRETS = {
    "COMET_API_KEY": "s3cr3tcomet0123456789abc",
    "WANDB_API_KEY": "5ec2e70123456789abcdef0123456789abcdef01",
    "MLFLOW_TRACKING_TOKEN": "s3cr3t-mlflow-token",
    "MLFLOW_TRACKING_PASSWORD": "s3cr3t-mlflow-password",
    "HUB_TOKEN": "s3cr3t-hub-token",
}
TRACKERS = (
    TensorBoard(),
    Csv(),
    JsonLines(),
    MlFlow(experiment="fields"),
    Comet(workspace="maps", project="fields", offline=True),
    WeightsAndBiases(project="fields", offline=True),
)


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def tried(patched: pytest.MonkeyPatch) -> list[object]:
    """Addresses that anything tried to reach; each try fails."""
    tried: list[object] = []
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not str(address[0]).startswith("127."):
            tried.append(address)
            raise ConnectionRefusedError("tests have no network")
        connect(self, address)

    patched.setattr(socket.socket, "connect", refuse)
    return tried


@pytest.fixture(scope="module")
def run(
    tiny: Any, prepared: Any, tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch, tried: list[object]
) -> Path:
    """The folder of a run that was stopped in its second epoch, taken up again, finished, and then judged."""
    assert tried == []
    for name, value in SECRETS.items():
        patched.setenv(name, value)
    patched.delenv("MLFLOW_TRACKING_URI", raising=False)
    patched.setattr("sys.argv", ["terrazzo", "train", f"data.source.url=https://x/?t={SECRETS['HUB_TOKEN']}"])
    folder = tmp_path_factory.mktemp("runs") / "tiny Äcker"
    settings = TrainSettings(epochs=3, batch_size=8, log_every=1, worst_samples=1)
    config = {"seed": 7, "data": {"url": "https://me:${oc.env:HUB_TOKEN}@host/x"}, "train": {"epochs": 3}}
    job = tiny.tiny_job(folder, prepared, settings=settings, trackers=TRACKERS, config=config)
    configure_logging(LoggingSettings(), folder)
    with pytest.MonkeyPatch.context() as stop:
        stop.setattr("terrazzo.training.loop.settle", _interrupt_at_epoch(2))
        with pytest.raises(KeyboardInterrupt):
            fit(job)
    fit(job)
    logging.getLogger("terrazzo").error("refused %s", SECRETS["HUB_TOKEN"])
    tracked = TrackedRun("tiny", folder, job.described)
    track_phases(TRACKERS, tracked, [("evaluate test", {"seconds": 1.5, "evaluate/test_miou": 0.75})])
    configure_logging(LoggingSettings())
    logging.getLogger("terrazzo").handlers.clear()
    return folder


def _interrupt_at_epoch(epoch: int) -> Any:
    from terrazzo.training.settling import settle

    def interrupted(job: Any, folder: Any, state: Any) -> None:
        if state.epoch == epoch:
            raise KeyboardInterrupt
        settle(job, folder, state)

    return interrupted


@pytest.fixture(scope="module")
def history(run: Path) -> list[dict[str, Any]]:
    """The epochs as JSON lines have them."""
    lines = [json.loads(line) for line in (run / "track.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["values"] for line in lines if line["kind"] == "epoch"]


def test_nothing_tried_to_reach_the_network(run: Path, tried: list[object]) -> None:
    assert run.is_dir()
    assert tried == []


def test_no_byte_of_a_run_holds_a_secret(run: Path) -> None:
    seen = 0
    for path in [path for path in run.parent.rglob("*") if path.is_file()]:
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        for content in contents:
            seen += 1
            for secret in SECRETS.values():
                assert secret.encode() not in content, path
    assert seen > 30
    assert "***" in (run / "log.txt").read_text()
    assert read_json(run / "metadata.json")["command"][2] == "data.source.url=https://x/?t=***"


def test_lines_have_each_epoch_and_update_once(run: Path, history: list[dict[str, Any]]) -> None:
    lines = [json.loads(line) for line in (run / "track.jsonl").read_text(encoding="utf-8").splitlines()]
    updates = [line["update"] for line in lines if line["kind"] == "update"]
    assert updates == list(range(1, len(updates) + 1))
    assert len(history) == 3
    assert [line["kind"] for line in lines[-2:]] == ["summary", "phase"]
    assert lines[-2]["values"]["best_val_miou"] == max(row["val_miou"] for row in history)


def test_tensorboard_has_settings_curves_matrices_and_samples(run: Path, history: list[dict[str, Any]]) -> None:
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()
    tags = events.Tags()
    assert {"confusion/val", "worst/1"} <= set(tags["images"])
    assert [image.step for image in events.Images("confusion/val")] == [1, 2, 3]
    curve = [(point.step, point.value) for point in events.Scalars("epoch/val_miou")]
    assert curve == [(step, pytest.approx(row["val_miou"])) for step, row in enumerate(history, start=1)]
    assert {"hyperparameters/text_summary", "summary/text_summary"} <= set(tags["tensors"])
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_mlflow_has_one_run_with_each_point_once(run: Path, history: list[dict[str, Any]]) -> None:
    client = MlflowClient(f"sqlite:///{run.parent / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("fields")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("tiny", "FINISHED")
    assert found.data.params["train.epochs"] == "3"
    number = found.info.run_id
    points = client.get_metric_history(number, "val_miou")
    assert [(point.step, point.value) for point in points] == [
        (step, row["val_miou"]) for step, row in enumerate(history, start=1)
    ]
    steps = [point.step for point in client.get_metric_history(number, "step/loss")]
    assert steps == list(range(1, len(steps) + 1))
    assert found.data.metrics["evaluate/test_miou"] == 0.75
    assert found.data.metrics["best_val_miou"] == max(row["val_miou"] for row in history)
    files = {item.path for item in client.list_artifacts(number, "confusion/val")}
    assert files == {f"confusion/val/epoch-000{n}.{kind}" for n in (1, 2, 3) for kind in ("csv", "png")}
    assert len(client.list_artifacts(number, "worst")) == 3


def test_comet_has_archives_of_one_experiment_with_each_point_once(run: Path, history: list[dict[str, Any]]) -> None:
    keys, points, kinds = set(), [], set()
    for path in sorted((run / "comet").glob("*.zip"), key=lambda path: path.stat().st_mtime):
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("experiment.json"))
            keys.add((about["offline_id"], about["workspace"], about["project_name"]))
            for line in archive.read("messages.json").decode().splitlines():
                message = json.loads(line)
                kinds.add(message["payload"].get("upload_type", message["type"]))
                kinds.add(message.get("upload_type") or message["payload"].get("upload_type"))
                metric = message["payload"].get("metric", {})
                if metric.get("metricName") == "val_miou":
                    points.append((metric["epoch"], metric["metricValue"]))
    assert len(keys) == 1
    assert next(iter(keys))[1:] == ("maps", "fields")
    assert points == [(epoch, pytest.approx(row["val_miou"])) for epoch, row in enumerate(history, start=1)]
    assert "parameter_msg" in kinds
    assert any("confusion-matrix" in str(kind) for kind in kinds)


def _records(path: Path) -> Iterator[Any]:
    """Yield the records of a W&B file: blocks of 32 KiB of checked parts, whole, first, middle or last."""
    content, parts = path.read_bytes(), b""
    place = 7
    while place + 7 <= len(content):
        rest = 32768 - place % 32768
        if rest < 7:
            place += rest
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        if kind == 0:
            return
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def test_wandb_has_one_id_with_each_point_once(run: Path, history: list[dict[str, Any]]) -> None:
    folders = sorted((run / "wandb").glob("offline-run-*"))
    assert len(folders) == 3, "each start writes a folder of its own"
    ids, steps, points, settings, tables = set(), [], [], "", 0
    for folder in folders:
        (path,) = folder.glob("*.wandb")
        for record in _records(path):
            if record.HasField("run"):
                ids.add((record.run.run_id, record.run.project))
            if record.HasField("config"):
                settings += str(record.config)
            if record.HasField("history"):
                row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                steps.append(record.history.step.num or row["_step"])
                tables += "confusion/val/table" in row
                if "val_miou" in row:
                    points.append((row["epoch"], row["val_miou"]))
    assert len(ids) == 1
    assert next(iter(ids))[1] == "fields"
    assert steps == sorted(set(steps))
    assert points == [(epoch, pytest.approx(row["val_miou"])) for epoch, row in enumerate(history, start=1)]
    assert "train.epochs" in settings
    assert tables == 3
    assert wandb.run is None


def test_only_one_state_file_a_tracker_and_all_has_arrived(run: Path) -> None:
    lines = len((run / "tracking" / "journal.jsonl").read_text(encoding="utf-8").splitlines())
    states = {re.sub(r"-\w+\.json$", "", path.name): read_json(path) for path in (run / "tracking").glob("*-*.json")}
    assert states.keys() == {"mlflow", "comet", "wandb"}
    assert {state["delivered"] for state in states.values()} == {lines}
    assert list((run / "tracking" / "pictures").iterdir()) == []
