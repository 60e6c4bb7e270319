"""A running mean of the weights: what is evaluated, chosen and exported in place of the weights that are trained."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from terrazzo.errors import ModelError
from terrazzo.models.external import own_state
from terrazzo.training.settings import EmaSettings

__all__ = ["Average", "decay_at"]


def decay_at(settings: EmaSettings, updates: int) -> float:
    """Return how much of the mean an update keeps.

    With warm-up it is min(decay, 1 - (1 + updates) ** (-2/3)). The first update keeps nothing: the mean begins as the
    weights after it, not as random ones.

    Source: timm.utils.ModelEmaV3, with its gamma 1 and power 2/3.

    Args:
        settings: Decay and warm-up.
        updates: Updates made before this one.

    >>> decay_at(EmaSettings(decay=0.9), 7), decay_at(EmaSettings(decay=0.9, warmup=False), 1)
    (0.75, 0.9)
    """
    if updates == 0:
        return 0.0
    return min(settings.decay, 1.0 - (1.0 + updates) ** (-2.0 / 3.0)) if settings.warmup else settings.decay


class Average:
    """The running mean of a network's trained parameters and of its buffers: one copy of these, and no other.

    Floating buffers, such as the statistics of norms, are averaged as parameters are; integers are copied. What is
    frozen, or stands in a file of its own, is not copied: it is the same in every update.

    Args:
        network: Trained, already on its device; its tensors are held, and exchanged for the mean in `in_place`.
        settings: Decay and warm-up.
    """

    def __init__(self, network: torch.nn.Module, settings: EmaSettings) -> None:
        self._settings = settings
        frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
        places: dict[int, str] = {}
        self._live: dict[str, torch.Tensor] = {}
        self._first: dict[str, str] = {}
        for name, value in own_state(network).items():
            if name not in frozen:
                # Tied weights are one tensor of two names: exchanged twice, they would be what they were.
                self._first[name] = places.setdefault(value.data_ptr(), name) if value.numel() else name
                self._live.setdefault(self._first[name], value)
        self._mean = {name: value.clone() for name, value in self._live.items()}

    def update(self, updates: int) -> None:
        """Take in the weights as they are now.

        Args:
            updates: Updates made before the one that led to them.
        """
        average = get_ema_multi_avg_fn(decay_at(self._settings, updates))  # type: ignore[no-untyped-call]
        floating: dict[torch.dtype, list[str]] = {}
        for name, value in self._live.items():
            if value.is_floating_point():
                floating.setdefault(value.dtype, []).append(name)
            else:
                self._mean[name].copy_(value)
        for names in floating.values():
            average([self._mean[name] for name in names], [self._live[name] for name in names], 0)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network have the mean inside, and its own weights again afterwards, to the bit."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def state(self) -> dict[str, torch.Tensor]:
        """Return the mean by the names of the network's state."""
        return {name: self._mean[first] for name, first in self._first.items()}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put in what `state` returned.

        Raises:
            ModelError: It is of another network, or of a run without a mean.
        """
        shapes = {name: value.shape for name, value in self.state().items()}
        if {name: value.shape for name, value in state.items()} != shapes:
            raise ModelError(
                f"It holds a running mean of {len(state)} tensors, but train.ema averages {len(shapes)} in this one."
            )
        for name, mean in self._mean.items():
            mean.copy_(state[name])

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, live in self._live.items():
            # One tensor at a time, so that no second copy of all of them ever exists.
            own = live.clone()
            live.copy_(self._mean[name])
            self._mean[name].copy_(own)
