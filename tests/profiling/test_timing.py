"""Time and memory are measured where they are spent."""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from terrazzo.profiling import timing
from terrazzo.profiling.timing import Latency, peak_memory, time_calls

CPU = torch.device("cpu")


def test_figures_of_times() -> None:
    seconds = [0.004, 0.001, 0.002, 0.003, 0.100]
    found = Latency.of(seconds)
    times = 1000 * np.array(seconds)
    assert found.mean_ms == pytest.approx(times.mean())
    assert found.spread_ms == pytest.approx(times.std())
    assert found.p50_ms == pytest.approx(3.0)
    assert found.p95_ms == pytest.approx(np.quantile(times, 0.95), rel=1e-6)


def test_warm_up_is_not_timed() -> None:
    calls = []

    def slow_at_first() -> None:
        calls.append(time.perf_counter())
        time.sleep(0.2 if len(calls) <= 2 else 0.001)

    found = time_calls(slow_at_first, CPU, warmup=2, repeats=5)
    assert len(calls) == 7
    assert 1.0 <= found.p50_ms < 100


IN_A_FRESH_PROCESS = """
import torch
from terrazzo.profiling.timing import peak_memory

def hungry():
    first = torch.ones(8 << 20)  # 32 MiB
    (first + 1).sum()

cpu = torch.device("cpu")
print(peak_memory(hungry, cpu), peak_memory(lambda: torch.ones(10), cpu))
print(*(peak_memory(lambda: [torch.ones(1 << 20) for _ in range(10)], cpu) for _ in range(2)))
"""


def test_a_pass_that_needs_memory_shows_it_again_and_again() -> None:
    # What a process has freed before, and its allocator keeps, would hide what a pass needs.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_A_FRESH_PROCESS],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    needed, little, *again = map(int, done.stdout.split())
    assert 60 << 20 <= needed < 90 << 20
    assert little < 8 << 20
    assert all(one >= 38 << 20 for one in again)


def test_where_the_process_has_no_account_nothing_is_invented(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(timing, "STATUS", tmp_path / "none")
    assert peak_memory(lambda: torch.ones(10), CPU) is None
    assert peak_memory(lambda: None, torch.device("meta")) is None


def test_a_status_without_the_field_is_no_account(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "status").write_text("Name: python\n")
    monkeypatch.setattr(timing, "STATUS", tmp_path / "status")
    monkeypatch.setattr(timing, "MARKS", tmp_path / "marks")
    assert peak_memory(lambda: None, CPU) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_a_gpu_is_waited_for() -> None:
    device = torch.device("cuda")
    one = torch.randn(4096, 4096, device=device)

    def work() -> torch.Tensor:
        return one @ one

    assert time_calls(work, device, warmup=2, repeats=5).p50_ms > 0.5
    memory = peak_memory(work, device)
    assert memory is not None
    assert memory >= 2 * one.nbytes
