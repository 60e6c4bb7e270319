"""Weights that a network uses and never changes, kept in a file of their own: a frozen backbone.

They are neither trained nor averaged, and stand in no checkpoint and no bundle; these name them by their SHA-256.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from terrazzo.errors import ModelError

__all__ = ["ExternalWeights", "identity", "load_own_state", "own_state", "require_identity"]


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

    def within(self, prefix: str) -> "ExternalWeights":
        """Return the same as a part, called so, of a larger network."""
        return replace(self, prefix=prefix + self.prefix)


def identity(network: torch.nn.Module) -> dict[str, str]:
    """Return identifier, revision and sha256 of the weights that a network leans on; nothing where it leans on none."""
    external = _external(network)
    if external is None:
        return {}
    return {"identifier": external.identifier, "revision": external.revision, "sha256": external.sha256}


def require_identity(network: torch.nn.Module, wanted: Mapping[str, str]) -> None:
    """Refuse a network that leans on other weights than it was trained with.

    Args:
        network: As it is now.
        wanted: What `identity` returned then.

    Raises:
        ModelError: The bytes of the weights differ; names may.
    """
    found = identity(network)
    if found.get("sha256") != wanted.get("sha256"):
        raise ModelError(f"It was trained with {_told(wanted)}, not with {_told(found)}; name those very weights.")


def _told(weights: Mapping[str, str]) -> str:
    if not weights:
        return "no frozen weights of a file"
    return "the frozen weights {identifier}, revision {revision}, of SHA-256 {sha256}".format_map(weights)


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
    external = _external(network)
    return external.prefix if external is not None else ""


def _external(network: torch.nn.Module) -> ExternalWeights | None:
    external = getattr(network, "external", None)
    return external if isinstance(external, ExternalWeights) else None
