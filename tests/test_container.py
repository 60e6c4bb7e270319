"""The Dockerfile and what it runs; no engine is needed."""

import importlib.util
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
HADOLINT = Path(sys.executable).with_name("hadolint")


def program(name: str) -> ModuleType:
    """Load a file of container/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"container_{name}", ROOT / "container" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(HADOLINT), "--config", str(ROOT / ".hadolint.yaml"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_linter_finds_nothing() -> None:
    done = lint(ROOT / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp && pip install numpy\nUSER root\n")
    done = lint(tmp_path / "Dockerfile")
    assert done.returncode == 1
    assert {"DL3006", "DL3013", "DL3003"} <= set(re.findall(r"DL\d+", done.stdout))


def test_what_is_copied_is_there_and_reaches_the_engine() -> None:
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in allowed
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{Path(source).parts[0]}" in allowed, source


def test_nothing_runs_as_root_and_no_host_is_named() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert 'ENTRYPOINT ["terrazzo"]' in last
    assert "HEALTHCHECK" in last
    assert not re.search(r"https?://|\b[a-z0-9-]+\.(com|org|io|dev)/", DOCKERFILE)


def test_every_package_is_installed_with_its_hash() -> None:
    installs = re.findall(r"-m pip install ((?:[^&]|\\\n)+)", DOCKERFILE)
    assert len(installs) == 3
    assert sum("--require-hashes" in each for each in installs) == 2
    (wheel,) = [each for each in installs if "--require-hashes" not in each]
    assert "--no-deps dist/" in wheel


class TestRuntimeLock:
    """The part of the lock that is installed."""

    lock = program("runtime_lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(self, *extras: str) -> set[str]:
        return set(self.lock.reached(LOCK, self.lock.wanted(self.project, extras)))

    def test_it_holds_what_runs_and_no_tool(self) -> None:
        found = self.names()
        assert {"torch", "numpy", "rasterio", "pydantic", "jinja2", "filelock", "triton"} <= found
        assert not found & {"pytest", "ruff", "mypy", "fastapi", "ray", "mlflow", "hatchling"}

    def test_an_extra_brings_what_it_needs(self) -> None:
        assert {"fastapi", "starlette", "uvicorn"} <= self.names("serve") - self.names()

    def test_it_is_what_the_installed_packages_ask_for(self) -> None:
        from importlib.metadata import requires

        from packaging.requirements import Requirement

        found = self.names("serve", "onnx", "dinov3")
        for name in found:
            try:
                lines = requires(name) or []
            except ModuleNotFoundError:  # for another system
                continue
            for line in lines:
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                    assert self.lock.normalised(needed.name) in found, f"{name} needs {needed}"

    def test_hashes_stay(self) -> None:
        for text in self.lock.reached(LOCK, {"numpy", "torch"}).values():
            assert "--hash=sha256:" in text

    def test_torch_for_processors_leaves_out_what_gpus_need(self) -> None:
        found = self.lock.without_torch(self.lock.reached(LOCK, {"torch", "torchvision"}))
        assert "numpy" in found
        assert not [name for name in found if name.startswith(("nvidia", "cuda", "torch", "triton"))]

    def test_a_package_that_is_pinned_for_two_versions_of_python_keeps_both(self) -> None:
        lines = [
            f"a=={one} ; python_full_version {sign} '3.12' \\\n    --hash=sha256:{one}\n"
            for one, sign in ((1, "<"), (2, ">="))
        ]
        lock = "".join(lines)
        assert self.lock.reached(lock, {"a"}) == {"a": lock}
        pinned = re.findall(r"^numpy==\S+", LOCK, re.MULTILINE)
        assert re.findall(r"^numpy==\S+", self.lock.reached(LOCK, {"numpy"})["numpy"], re.MULTILINE) == pinned

    def test_wrong_names_are_refused(self) -> None:
        with pytest.raises(SystemExit, match="no extra"):
            self.lock.wanted(self.project, ["nonsense"])
        with pytest.raises(SystemExit, match="nonsense"):
            self.lock.reached(LOCK, {"nonsense"})


class TestHealth:
    """What the engine is told."""

    check = program("healthcheck")

    @pytest.fixture
    def server(self) -> Iterator[str]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/healthz" else 503)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()

    def test_only_a_server_is_asked(self, tmp_path: Path) -> None:
        (tmp_path / "cmdline").write_bytes(
            b"/opt/terrazzo/bin/python\0/opt/terrazzo/bin/terrazzo\0serve\0a.safetensors\0"
        )
        assert self.check.serves(tmp_path / "cmdline")
        (tmp_path / "cmdline").write_bytes(b"python\0terrazzo\0train\0serve.yaml\0")
        assert not self.check.serves(tmp_path / "cmdline")

    def test_a_server_that_answers_is_well(self, server: str) -> None:
        assert self.check.answers(f"{server}/healthz")
        assert not self.check.answers(f"{server}/other")

    def test_no_server_is_ill(self) -> None:
        assert not self.check.answers("http://127.0.0.1:9/healthz")
