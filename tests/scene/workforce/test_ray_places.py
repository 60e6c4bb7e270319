"""How a cluster is divided among workers."""

import pytest

from terrazzo.errors import ConfigError
from terrazzo.scene.header import Decisions
from terrazzo.scene.workforce.ray_places import crowd_of


def decided(device: str = "cpu", threads: int = 1) -> Decisions:
    return Decisions(
        device=device,
        precision="float32",
        compiled=False,
        threads=threads,
        batch_size=1,
        group_size=1,
        strip_pixels=1,
    )


def test_without_a_number_each_machine_has_a_worker() -> None:
    found = crowd_of([{"CPU": 8.0}, {"CPU": 8.0}, {"memory": 1.0}], None, decided())
    assert (found.size, found.cores, found.gpus) == (2, 8, 0.0)
    assert (found.place.lanes, found.place.readers, found.place.device) == (8, 4, None)


@pytest.mark.parametrize(
    ("machines", "workers", "cores"),
    [((2,), 2, 1), ((8, 4), 3, 4), ((8, 4), 4, 2), ((8, 4), 2, 4), ((8, 4), 1, 8), ((8, 4), 12, 1), ((3, 3), 3, 1)],
)
def test_so_many_workers_find_room_with_as_many_cores_as_can_be(
    machines: tuple[int, ...], workers: int, cores: int
) -> None:
    found = crowd_of([{"CPU": float(count)} for count in machines], workers, decided())
    assert (found.size, found.cores) == (workers, cores)
    assert sum(count // found.cores for count in machines) >= workers


def test_forward_passes_of_several_threads_share_the_cores() -> None:
    assert crowd_of([{"CPU": 8.0}], 2, decided(threads=2)).place.lanes == 2
    assert crowd_of([{"CPU": 2.0}], 2, decided(threads=4)).place.lanes == 1


def test_each_gpu_has_a_worker_and_its_share_of_the_cores() -> None:
    machines = [{"CPU": 64.0, "GPU": 8.0}, {"CPU": 12.0, "GPU": 2.0}, {"CPU": 128.0}]
    found = crowd_of(machines, None, decided("cuda"))
    assert (found.size, found.cores, found.gpus) == (10, 6, 1.0)
    assert found.place.readers == 6


@pytest.mark.parametrize(("workers", "share"), [(2, 1.0), (4, 0.5), (5, 0.3333), (6, 0.3333)])
def test_more_workers_than_gpus_share_them(workers: int, share: float) -> None:
    found = crowd_of([{"CPU": 12.0, "GPU": 2.0}], workers, decided("cuda"))
    assert (found.size, found.gpus) == (workers, share)
    assert int(1 / share + 1e-9) * 2 >= workers, "all of them find room"
    assert found.cores * workers <= 12


def test_a_machine_with_fewer_cores_than_gpus_still_has_workers() -> None:
    found = crowd_of([{"CPU": 1.0, "GPU": 4.0}], None, decided("cuda"))
    assert (found.size, found.cores, found.place.readers) == (4, 0, 1)


@pytest.mark.parametrize(
    ("machines", "workers", "device", "message"),
    [
        ([{"CPU": 4.0}], None, "cuda", "offers no GPU"),
        ([], None, "cpu", "offers no cores"),
        ([{"CPU": 4.0}], 5, "cpu", "workers is 5, but the Ray cluster offers 4 cores"),
    ],
)
def test_what_the_cluster_lacks_is_said(
    machines: list[dict[str, float]], workers: int | None, device: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        crowd_of(machines, workers, decided(device))
