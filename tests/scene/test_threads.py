"""Arithmetic beside the network keeps to one thread, and the number before comes back."""

import pytest
import torch

from terrazzo.scene.threads import one_thread


def fail_inside() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError("inside")


def test_the_number_before_comes_back_after_errors_too() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="inside"):
            fail_inside()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
