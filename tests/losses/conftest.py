"""Made-up batches."""

from collections.abc import Callable

import pytest
import torch

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """Return what makes random logits, labels and ignored pixels."""

    def made(classes=4, seed=0, ignored_share=0.3, size=(9, 7)) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn((2, classes, *size), generator=generator)
        target = torch.randint(0, classes, (2, *size), generator=generator)
        return logits, target, torch.rand((2, *size), generator=generator) < ignored_share

    return made
