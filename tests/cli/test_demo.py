"""`terrazzo demo`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result


def test_it_goes_where_it_is_told(invoke: Callable[..., Result], verbs: Any) -> None:
    assert invoke("demo", "--out", "my demo").exit_code == 0
    assert invoke("demo").exit_code == 0
    assert [arguments for _, arguments, _ in verbs.calls] == [(Path("my demo"),), (Path("demo"),)]


def test_it_prints_what_it_made(invoke: Callable[..., Result], verbs: Any) -> None:
    verbs.summary.content = {"folder": "demo", "seconds": 100.0, "map": "demo/map.tif", "report": "demo/report.html"}
    result = invoke("demo")
    assert "demo/map.tif" in result.stdout
    assert "demo/report.html" in result.stdout


def test_it_takes_no_other_argument(invoke: Callable[..., Result], verbs: Any) -> None:
    assert invoke("demo", "extra").exit_code == 2
    assert verbs.calls == []
