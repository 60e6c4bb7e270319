"""What may stand in a configuration, and what is checked before any work."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from terrazzo.config import load_config
from terrazzo.errors import ConfigError
from terrazzo.tracking import TRACKERS, Comet, MlFlow, TensorBoard, WeightsAndBiases, require_trackers, tracker
from terrazzo.tracking.tracker import hyperparameters


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("COMET_API_KEY", "WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("COMET_CONFIG", str(tmp_path / "comet.config"))


def test_every_tracker_is_called_as_the_table_says() -> None:
    assert TRACKERS.names() == ["comet", "csv", "jsonl", "mlflow", "tensorboard", "wandb"]
    for name in TRACKERS:
        record = TRACKERS.create(name)
        assert record.name == name
        assert all(field.description for field in type(record).model_fields.values())


@pytest.mark.parametrize(
    ("name", "key", "variable"),
    [
        ("comet", "api_key", "COMET_API_KEY"),
        ("comet", "COMET_API", "COMET_API_KEY"),
        ("wandb", "key", "WANDB_API_KEY"),
        ("mlflow", "token", "MLFLOW_TRACKING_TOKEN"),
        ("mlflow", "password", "MLFLOW_TRACKING_PASSWORD"),
        ("tensorboard", "private", "it needs none"),
    ],
)
def test_a_key_in_a_configuration_is_refused_and_not_repeated(name: str, key: str, variable: str) -> None:
    with pytest.raises(ValidationError, match=f"{key} must not stand in a configuration.*{variable}") as caught:
        TRACKERS.create(name, **{key: "s3cr3t-value"})
    assert "s3cr3t-value" not in str(caught.value)


def test_a_file_with_a_key_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "data: {source: {name: folder, folder: x}, classes: [a, b]}\nmodel: trm\nloss: steps\n"
        "track:\n  - name: comet\n    workspace: w\n    api_key: s3cr3t-value\n"
    )
    with pytest.raises(ConfigError, match=r"mine\.yaml:\d+ .*track\.0: api_key .*COMET_API_KEY") as caught:
        load_config(path)
    assert "s3cr3t-value" not in str(caught.value)


def test_an_address_with_a_password_is_refused() -> None:
    with pytest.raises(ValidationError, match="MLFLOW_TRACKING_URI") as caught:
        MlFlow(uri="postgresql://maps:s3cr3t@db.example.org/x")
    assert "s3cr3t" not in str(caught.value)
    assert MlFlow(uri="https://maps.example.org:5000").uri == "https://maps.example.org:5000"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("track=csv", ["csv"]),
        ("track={name: mlflow, experiment: fields}", ["mlflow"]),
        ("track=[tensorboard, {name: wandb, offline: true}]", ["tensorboard", "wandb"]),
        ("track=[]", []),
    ],
)
def test_one_or_several_or_none(override: str, expected: list[str]) -> None:
    assert [one.name for one in load_config("deepglobe-trm", override).track] == expected


def test_tensorboard_is_there_unless_others_are_named() -> None:
    assert load_config("deepglobe-trm").track == (TensorBoard(),)


def test_a_tracker_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="names csv twice"):
        load_config("deepglobe-trm", "track=[csv, csv]")


@pytest.mark.parametrize(
    ("record", "extra"), [(MlFlow(), "mlflow"), (Comet(offline=True), "comet"), (WeightsAndBiases(), "wandb")]
)
def test_a_missing_extra_is_named_at_the_start(record: Any, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=rf'pip install "terrazzo\[{extra}\]"'):
        require_trackers([TensorBoard(), record])


@pytest.mark.parametrize(
    ("online", "offline", "variable"),
    [
        (Comet(), Comet(offline=True), "COMET_API_KEY"),
        (WeightsAndBiases(), WeightsAndBiases(offline=True), "WANDB_API_KEY"),
    ],
)
def test_a_missing_key_is_named_at_the_start(
    online: Any, offline: Any, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=rf"{variable}.*offline"):
        require_trackers([online])
    require_trackers([offline])
    monkeypatch.setenv(variable, "s3cr3t-value")
    require_trackers([online])


def test_keys_that_their_own_programs_keep_are_enough(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password s3cr3t\n")
    (tmp_path / "comet.config").write_text("[comet]\napi_key = s3cr3t\n")
    require_trackers([WeightsAndBiases(), Comet()])


def test_wandb_needs_no_key_where_its_own_variable_says_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    require_trackers([WeightsAndBiases()])


def test_settings_have_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_TOKEN", "s3cr3t-value")
    found = hyperparameters({"a": {"b": "x/s3cr3t-value"}, "c": ["s3cr3t-value"], "d": "https://u:pass@host", "e": {}})
    assert found == {"a.b": "x/***", "c": '["***"]', "d": "https://u:***@host", "e": "{}"}
