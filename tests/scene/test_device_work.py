"""Uploads and the time that a device worked; on a GPU, whose events are stood in for here, nobody waits."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from terrazzo.scene import device_work
from terrazzo.scene.device_work import DeviceMeter, HostCopy, uploaded

CPU = torch.device("cpu")


def test_what_lies_on_the_processor_stays_there():
    values = torch.arange(3)
    assert uploaded(values, CPU) is values


def test_the_time_inside_counts_once(monkeypatch):
    clock = iter([1.0, 3.0, 10.0, 10.5])
    monkeypatch.setattr(device_work.time, "perf_counter", lambda: next(clock))
    meter = DeviceMeter(CPU)
    with meter:
        pass
    assert meter.take() == 2.0
    assert meter.take() == 0.0
    with pytest.raises(ValueError, match="inside"), meter:
        raise ValueError("inside")
    assert meter.take() == 0.5


def test_threads_add_up():
    meter = DeviceMeter(CPU)

    def call(_: int) -> float:
        with meter:
            torch.randn(100, 100).sum()
        return meter.take()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(call, range(20))) + meter.take() > 0


class Event:
    """An event of a GPU: marks are a second apart, and done once the test says so."""

    marks = 0
    done = 0

    def __init__(self, *, enable_timing):
        assert enable_timing

    def record(self, stream):
        assert stream == "the caller's stream"
        type(self).marks += 1
        self.mark = type(self).marks

    def query(self):
        return self.mark <= type(self).done

    def elapsed_time(self, other):
        return 1000.0 * (other.mark - self.mark)


def test_a_gpu_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: "the caller's stream")
    meter = DeviceMeter.__new__(DeviceMeter)
    DeviceMeter.__init__(meter, torch.device("cuda", 0))
    with meter:
        pass
    assert meter.take() == 0
    with meter:
        pass
    Event.done = 2
    assert meter.take() == 1
    Event.done = 4
    assert meter.take() == 1
    assert meter.take() == 0


def test_what_comes_back_is_as_it_was_when_it_was_asked_for():
    values = torch.arange(6).reshape(2, 3)
    copy = HostCopy(values[:, 1:])
    values.zero_()
    found = copy.numpy()
    assert found.tolist() == [[1, 2], [4, 5]]
    found[:] = 7
    assert values.sum() == 0
