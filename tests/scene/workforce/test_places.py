"""Cores are divided, never multiplied; GPUs go round."""

import pytest

from terrazzo.scene.header import Decisions
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.workforce.places import count_workers, places_of


def decisions(device: str = "cpu", threads: int = 1) -> Decisions:
    return Decisions(
        device=device, precision="float32", compiled=False, threads=threads, batch_size=1, group_size=1, strip_pixels=1
    )


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(7)))


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)


@pytest.mark.parametrize(
    ("workers", "threads", "lanes"),
    [(1, 1, [7]), (1, 2, [3]), (2, 1, [4, 3]), (3, 2, [1, 1, 1]), (4, 2, [1, 1, 1, 1]), (1, 16, [1])],
)
def test_forward_passes_share_the_cores(workers: int, threads: int, lanes: list[int], cores: None) -> None:
    found = places_of(workers, decisions(threads=threads))
    assert [place.lanes for place in found] == lanes
    assert all(place.device is None for place in found)


def test_readers_share_the_cores_too(cores: None) -> None:
    assert [place.readers for place in places_of(1, decisions())] == [4]
    assert [place.readers for place in places_of(3, decisions())] == [2, 2, 2]
    assert [place.readers for place in places_of(9, decisions())] == [1] * 9


def test_a_gpu_takes_what_more_threads_decode(gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(32)))
    assert [place.readers for place in places_of(1, decisions("cuda"))] == [12]
    assert [place.readers for place in places_of(3, decisions("cuda"))] == [10] * 3
    assert [place.readers for place in places_of(1, decisions())] == [4]


def test_each_worker_has_a_gpu(gpus: None) -> None:
    assert [place.device for place in places_of(5, decisions("cuda"))] == [0, 1, 2, 0, 1]
    assert [place.lanes for place in places_of(2, decisions("cuda"))] == [1, 1]


def test_a_single_worker_sees_what_the_job_sees(gpus: None) -> None:
    assert places_of(1, decisions("cuda"))[0].device is None


def test_auto_is_one_worker_a_device(gpus: None) -> None:
    assert count_workers(PredictSettings(), decisions("cuda")) == 3
    assert count_workers(PredictSettings(), decisions("cpu")) == 1
    assert count_workers(PredictSettings(), decisions("mps")) == 1
    assert count_workers(PredictSettings(workers=2), decisions("cuda")) == 2


def test_a_machine_without_a_gpu_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: {0})
    assert places_of(2, decisions("mps")) == places_of(2, decisions("mps"))
    assert [place.device for place in places_of(2, decisions("mps"))] == [None, None]
