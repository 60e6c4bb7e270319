"""`terrazzo export`: what it refuses, and with which status."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 1),
        (("--opset", "3"), 2),
        (("--format", "tensorrt"), 2),
        (("--least-agreement", "2"), 2),
        (("--largest-difference", "-1"), 2),
    ],
)
def test_status(invoke: Callable[..., Result], tmp_path: Path, arguments: tuple[str, ...], status: int) -> None:
    result = invoke("export", str(tmp_path / "no bundle.safetensors"), *arguments)
    assert result.exit_code == status
    assert not list(tmp_path.iterdir())
