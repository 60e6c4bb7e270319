"""How many windows a device sees at once, by a rule: what is timed would differ from start to start, and bits too."""

from collections.abc import Callable

__all__ = ["choose_batch"]

PIXELS = {"cpu": 256 * 256, "mps": 4 * 512 * 512, "cuda": 16 * 512 * 512}
"""Pixels that keep a device busy for one pass; on a processor more only cost memory, since passes run side by side.

U-Net on resnet18, two cores, bfloat16: 44 ms a window of 512 pixels in batches of 1, 53 in 2, 59 in 4, 97 in 8.
"""

LARGEST = 256


def choose_batch(device: str, window_shape: tuple[int, int], *, fits: Callable[[int], bool]) -> int:
    """Return the largest power of two that makes no more pixels than the device needs, and that memory allows.

    Args:
        device: "cpu", "cuda" or "mps".
        window_shape: Height and width of a window, margin included.
        fits: Whether memory allows a batch; 1 is not asked.

    >>> choose_batch("cpu", (512, 512), fits=lambda _: True), choose_batch("cpu", (64, 64), fits=lambda _: True)
    (1, 16)
    >>> choose_batch("cuda", (512, 512), fits=lambda batch: batch < 12)
    8
    """
    wanted = min(max(PIXELS[device] // (window_shape[0] * window_shape[1]), 1), LARGEST)
    batch = 1 << (wanted.bit_length() - 1)
    while batch > 1 and not fits(batch):
        batch //= 2
    return batch
