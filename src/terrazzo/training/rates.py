"""Who learns how fast: factors of the learning rate by parameter name, and the groups an optimiser takes them in."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field

from terrazzo.errors import ConfigError
from terrazzo.record import Record, nearest

__all__ = ["LayerDecay", "layer_factors", "parameter_groups", "rate_factors", "set_rate"]

_BLOCK = re.compile(r"(?:.*?\.)?(?:(?:stages|blocks|block|layers|layer)\.\d+|(?:block|layer)\d+\.\d+)(?=\.)")
"""Beginning of a parameter's name up to its block: `blocks.7`, `layer.7`, `layer2.0`."""
_INNER = re.compile(r"\.(?:blocks|block|layers|layer)\.\d+(?=\.)")
"""Block within a stage, right behind it: `stages.2` + `.layers.5`."""


class LayerDecay(Record):
    """Learning rates that fall with depth: what lies deep in a pretrained backbone changes least.

    Source: Clark et al. 2020, ELECTRA, appendix A; Bao et al. 2022, BEiT, section 3.2.
    """

    factor: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Rate of a block over that of the block after it; the last block has `factor` times the full rate."""
    prefix: Annotated[str, Field(min_length=1, examples=["backbone", "model.encoder"])]
    """Beginning of the names of the backbone's parameters."""


def rate_factors(
    network: torch.nn.Module, rates: Mapping[str, float], layer_decay: LayerDecay | None = None
) -> dict[str, float]:
    """Return what the learning rate of each trainable parameter is multiplied by, in the network's order.

    Args:
        network: Its frozen parameters are left out.
        rates: Factors by the beginning of names, whole parts between dots; the longest that fits counts.
        layer_decay: Factors by depth, multiplied with those.

    Raises:
        ConfigError: No trainable parameter has such a beginning, or there is no depth.

    >>> rate_factors(torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)), {"0": 0.1, "0.bias": 1.0})
    {'0.weight': 0.1, '0.bias': 1.0, '1.weight': 1.0, '1.bias': 1.0}
    """
    names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    everything = [name for name, _ in network.named_parameters()]
    for prefix, factor in rates.items():
        # What is to be frozen may be so already.
        _require_met(prefix, names if factor else everything, "optimizer.rates")
    factors = {}
    for name in names:
        longest = max((prefix for prefix in rates if _begins(name, prefix)), key=len, default=None)
        factors[name] = 1.0 if longest is None else rates[longest]
    if layer_decay is None:
        return factors
    _require_met(layer_decay.prefix, names, "optimizer.layer_decay.prefix")
    decayed = layer_factors(names, layer_decay)
    return {name: factor * decayed[name] for name, factor in factors.items()}


def layer_factors(names: list[str], decay: LayerDecay) -> dict[str, float]:
    """Return the factor of each name by the number of its block, counted from the input.

    Blocks are numbered parts called `blocks`, `layers`, `layer`, `stages` and the like, in the order of the names. What
    stands before the first counts as one block more; what stands between two belongs to the earlier; what follows the
    last, and all outside the prefix, has factor 1.

    Raises:
        ConfigError: No name below the prefix has a numbered block.

    >>> names = ["net.stem.weight", "net.blocks.0.weight", "net.blocks.1.weight", "net.norm.weight", "head.weight"]
    >>> list(layer_factors(names, LayerDecay(factor=0.5, prefix="net")).values())
    [0.125, 0.25, 0.5, 1.0, 1.0]
    """
    inside = [name for name in names if _begins(name, decay.prefix)]
    blocks = {name: found for name in inside if (found := _block(name.removeprefix(decay.prefix))) is not None}
    depths = {block: depth for depth, block in enumerate(dict.fromkeys(blocks.values()), start=1)}
    if not depths:
        raise ConfigError(
            f'optimizer.layer_decay: no parameter below "{decay.prefix}" stands in a numbered block (such as blocks.3, '
            f"layer.3 or stages.1.blocks.3), so that there is no depth; the first is {inside[0]}. "
            "Name rates by optimizer.rates instead."
        )
    last = max(position for position, name in enumerate(inside) if name in blocks)
    factors, reached = dict.fromkeys(names, 1.0), 0
    for position, name in enumerate(inside):
        reached = depths[blocks[name]] if name in blocks else reached if position < last else len(depths) + 1
        factors[name] = decay.factor ** (len(depths) + 1 - reached)
    return factors


def parameter_groups(
    parameters: Mapping[str, torch.nn.Parameter],
    *,
    lr: float,
    weight_decay: float,
    factors: Mapping[str, float],
    decay_norms: bool = False,
) -> list[dict[str, Any]]:
    """Split parameters into groups of one rate and one weight decay each.

    Args:
        parameters: Trainable ones, by name.
        lr: Base rate.
        weight_decay: Of all but norms and biases.
        factors: What the base rate of each is multiplied by.
        decay_norms: Give parameters with fewer than two axes (norms, biases) weight decay too.

    Returns:
        Groups for torch.optim, none of them empty: those with weight decay first, then in the order of the parameters.

    >>> layer = torch.nn.Linear(2, 3)
    >>> groups = parameter_groups(dict(layer.named_parameters()), lr=1.0, weight_decay=0.1, factors={"bias": 0.5})
    >>> [(len(group["params"]), group["lr"], group["weight_decay"]) for group in groups]
    [(1, 1.0, 0.1), (1, 0.5, 0.0)]
    """
    groups: dict[tuple[bool, float], list[torch.nn.Parameter]] = {}
    for name, parameter in parameters.items():
        plain = parameter.ndim < 2 and not decay_norms
        groups.setdefault((plain, factors.get(name, 1.0)), []).append(parameter)
    ordered = sorted(groups, key=lambda key: key[0])
    return [
        {"params": groups[key], "lr": lr * key[1], "weight_decay": 0.0 if key[0] else weight_decay} for key in ordered
    ]


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group's learning rate to its base rate times a factor.

    Args:
        optimizer: The base rates are what it was built with.
        factor: From a schedule.

    Returns:
        The largest rate set.
    """
    rates = []
    for group in optimizer.param_groups:
        # torch's own key for the rate that schedules start from.
        base = group.setdefault("initial_lr", group["lr"])
        group["lr"] = base * factor
        rates.append(float(group["lr"]))
    return max(rates)


def _begins(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _block(name: str) -> str | None:
    """Return a name up to the block that it belongs to; None where it belongs to none.

    >>> _block(".stages.2.layers.5.conv.weight"), _block(".model.layer.3.mlp.layers.0.weight"), _block(".norm.weight")
    ('.stages.2.layers.5', '.model.layer.3', None)
    """
    found = _BLOCK.match(name)
    if found is None:
        return None
    inner = _INNER.match(name, found.end())
    return name[: inner.end() if inner else found.end()]


def _require_met(prefix: str, names: list[str], setting: str) -> None:
    """Refuse a beginning that no trainable parameter has.

    Raises:
        ConfigError: With the nearest that one has.
    """
    if any(_begins(name, prefix) for name in names):
        return
    parts = [name.split(".") for name in names]
    known = list(dict.fromkeys(".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)))
    first = ", ".join([name for name in known if name.count(".") < 2][:12])
    raise ConfigError(
        f'{setting} names "{prefix}", with which the name of no trainable parameter begins.{nearest(prefix, known)} '
        f"They begin with {first or 'nothing: every parameter is frozen'}."
    )
