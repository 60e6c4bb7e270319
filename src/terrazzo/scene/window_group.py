"""Windows on their way to the network: raw until they are on its device, so that little is held and sent."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Shaped

from terrazzo.data.normalisation import Normalisation
from terrazzo.scene.device_work import uploaded

__all__ = ["WindowGroup"]


@dataclass(frozen=True)
class WindowGroup:
    """Windows that are computed together, margin included.

    Attributes:
        values: Raw values, or those that the network sees where there is no normalisation.
        valid: Where every band was measured.
        windows: Row and column of each window.
        normalisation: From raw values to what the network sees; None where that is done.
    """

    values: Shaped[torch.Tensor, "batch band y x"]
    valid: Bool[torch.Tensor, "batch y x"]
    windows: tuple[tuple[int, int], ...]
    normalisation: Normalisation | None = None

    @property
    def image(self) -> Float32[torch.Tensor, "batch band y x"]:
        """What the network sees, on the processor."""
        return self.image_on(torch.device("cpu"))[0]

    def image_on(self, device: torch.device) -> tuple[Float32[torch.Tensor, "batch band y x"], torch.Tensor]:
        """Return what the network sees, 0 where not valid, and where it is valid; both on a device.

        The bits are the same on every device.

        Args:
            device: Of the network.
        """
        if self.normalisation is None:
            return uploaded(self.values, device), uploaded(self.valid, device)
        if device.type != "cuda":
            seen = [
                self.normalisation(values, valid)
                for values, valid in zip(self.values.numpy(), self.valid.numpy(), strict=True)
            ]
            # Of one window nothing is copied.
            image = torch.from_numpy(seen[0][None] if len(seen) == 1 else np.stack(seen))
            return uploaded(image, device), uploaded(self.valid, device)
        values, valid = uploaded(self.values, device), uploaded(self.valid, device)
        return _normalised(values, valid, self.normalisation), valid

    def taken(self, positions: Sequence[int]) -> "WindowGroup":
        """Return some of the windows, as often as they are named.

        Args:
            positions: In this group.
        """
        chosen = list(positions)
        windows = tuple(self.windows[position] for position in chosen)
        return WindowGroup(self.values[chosen], self.valid[chosen], windows, self.normalisation)

    def joins(self, other: "WindowGroup") -> bool:
        """Whether windows of another group can be answered together with these."""
        alike = self.values.shape[1:] == other.values.shape[1:] and self.values.dtype == other.values.dtype
        return alike and self.normalisation == other.normalisation

    @classmethod
    def joined(cls, groups: Sequence["WindowGroup"]) -> "WindowGroup":
        """Return the windows of several groups as one.

        Args:
            groups: Each of which `joins` the first.
        """
        return cls(
            torch.cat([group.values for group in groups]),
            torch.cat([group.valid for group in groups]),
            tuple(window for group in groups for window in group.windows),
            groups[0].normalisation,
        )


def _normalised(
    values: Shaped[torch.Tensor, "batch band y x"], valid: Bool[torch.Tensor, "batch y x"], how: Normalisation
) -> Float32[torch.Tensor, "batch band y x"]:
    """Do on a device what `Normalisation` does, operation by operation, so that each is rounded alike."""
    mean, factor = _constants(how.mean, how.std, values.device)
    image = torch.where(valid[:, None], values.to(torch.float32), mean)
    return image.sub_(mean).mul_(factor)


@functools.lru_cache(maxsize=16)
def _constants(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Float32[torch.Tensor, "band 1 1"], Float32[torch.Tensor, "band 1 1"]]:
    """Return means and factors, which are brought to a device once."""
    means = np.asarray(mean, dtype=np.float32)
    factors = (1.0 / np.asarray(std, dtype=np.float64)).astype(np.float32)
    return (
        torch.from_numpy(means[:, None, None]).to(device),
        torch.from_numpy(factors[:, None, None]).to(device),
    )
