"""An earlier start goes on only where the same was asked."""

from pathlib import Path

import pytest

from terrazzo.scene import PredictSettings, request
from terrazzo.scene.request import WITHOUT_TRACE, code_fingerprint


def test_every_setting_either_leaves_a_trace_or_is_named() -> None:
    assert set(PredictSettings.model_fields) >= WITHOUT_TRACE
    traced = set(PredictSettings.model_fields) - WITHOUT_TRACE
    # What decides a pixel's bits; a new setting has to be put on one of both sides.
    assert traced == {
        "mosaic", "area", "bands", "resolution", "window", "overlap", "stride", "margin", "blend", "views", "scales",
        "calibrated", "tau", "steps", "precision", "least_agreement", "largest_difference", "compile", "cuda_graphs",
        "fuse", "batch_size", "strip_pixels", "layers", "probability_type",
    }  # fmt: skip


def test_the_code_has_one_fingerprint() -> None:
    assert code_fingerprint() == code_fingerprint()
    assert len(code_fingerprint()) == 64


def test_changed_code_is_another_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__init__.py").write_text("a = 1\n")
    monkeypatch.setattr(request, "PACKAGE", tmp_path)
    before = code_fingerprint.__wrapped__()
    (tmp_path / "__init__.py").write_text("a = 2\n")
    assert code_fingerprint.__wrapped__() != before
