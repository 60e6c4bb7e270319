"""Weights that a network uses and never changes, kept in a file of their own: a frozen backbone.

They are neither trained nor averaged, and stand in no checkpoint and no bundle; these name them by their SHA-256.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from terrazzo.errors import ModelError

__all__ = ["ExternalWeights", "load_own_state", "own_state"]


@dataclass(frozen=True)
class ExternalWeights:
    """Where the frozen part of a network comes from.

    Attributes:
        identifier: Name under which the weights are published, or the file's.
        revision: Version of that publication; "file" for a file that nobody named.
        sha256: Of the weights file.
        prefix: Beginning of the names, in the network's state, of all that comes from there, such as "backbone.".
    """

    identifier: str
    revision: str
    sha256: str
    prefix: str


def own_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a network's state without what stands in a file of its own."""
    prefix = _prefix(network)
    return {name: value for name, value in network.state_dict().items() if not (prefix and name.startswith(prefix))}


def load_own_state(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Put in what `own_state` returned.

    Raises:
        ModelError: Names or shapes differ from the network's.
    """
    wanted = set(own_state(network))
    if wanted != set(state):
        missing, foreign = sorted(wanted - set(state)), sorted(set(state) - wanted)
        raise ModelError(f"The weights do not fit the network: missing {missing[:5]}, unknown {foreign[:5]}.")
    try:
        network.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:
        raise ModelError(f"The weights do not fit the network: {error}") from error


def _prefix(network: torch.nn.Module) -> str:
    external = getattr(network, "external", None)
    return external.prefix if isinstance(external, ExternalWeights) else ""
