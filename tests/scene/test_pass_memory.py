"""Memory of a pass, counted from tensors that live at once."""

import torch

from terrazzo.scene.pass_memory import pass_bytes

MEBIBYTE = 2**20


def chain(image: torch.Tensor) -> torch.Tensor:
    first = image + 1
    second = first * 2
    del first
    third = second.view(-1)[1:] - 1
    del second
    return third.add_(1).sum()


def test_what_lives_at_once_counts_and_views_do_not():
    image = torch.zeros(MEBIBYTE // 4)
    with torch.inference_mode():
        found = pass_bytes(lambda: chain(image))
    assert 2 * MEBIBYTE - 8 <= found <= 2 * MEBIBYTE + 64


def test_it_grows_with_the_batch_and_is_the_same_every_time():
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3)).eval()

    def measured(batch: int) -> int:
        image = torch.zeros(batch, 3, 64, 64)
        with torch.inference_mode():
            return pass_bytes(lambda: layers(image))

    assert measured(1) == measured(1)
    assert measured(4) == 4 * measured(1)
    assert measured(1) >= 2 * 8 * 62 * 62 * 4


def test_what_was_there_before_does_not_count():
    image = torch.zeros(MEBIBYTE)
    with torch.inference_mode():
        assert pass_bytes(lambda: image.mul_(2)) == 0
