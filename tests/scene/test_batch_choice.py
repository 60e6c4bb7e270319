"""The batch follows from device, window and memory alone."""

import pytest

from terrazzo.scene.batch_choice import LARGEST, choose_batch


@pytest.mark.parametrize(
    ("device", "side", "batch"),
    [("cpu", 1024, 1), ("cpu", 256, 1), ("cpu", 128, 4), ("cpu", 1, LARGEST), ("cuda", 512, 16), ("mps", 512, 4)],
)
def test_small_windows_come_together(device: str, side: int, batch: int) -> None:
    assert choose_batch(device, (side, side), fits=lambda _batch: True) == batch


def test_memory_halves_it_down_to_one() -> None:
    asked: list[int] = []

    def fits(batch: int) -> bool:
        asked.append(batch)
        return False

    assert choose_batch("cuda", (512, 512), fits=fits) == 1
    assert asked == [16, 8, 4, 2]
