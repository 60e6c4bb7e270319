"""Batch norms taken into the convolutions before them, for inference: the same answers with fewer steps.

Any network can be given. Which norms follow a convolution is not guessed from names: an image is sent through, and a
norm is taken in only where every answer of one convolution went into it, into nothing else, and nothing else into it.

Source: W' = W g / sqrt(v + e), b' = (b - m) g / sqrt(v + e) + o for a norm of gain g, offset o, mean m and variance v;
torch.nn.utils.fusion. Differs: computed in float64 and rounded once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from terrazzo.models.normalisation_layers import SingleValueNorm

__all__ = ["fuse_batch_norms"]

CONVOLUTIONS: tuple[type[nn.Module], ...] = (nn.Conv2d, nn.ConvTranspose2d)
NORMS: tuple[type[nn.Module], ...] = (nn.BatchNorm2d, nn.SyncBatchNorm)
TOLERANCE = 1e-3
"""By what share of the largest value answers may differ from rounding; a wrong pair changes more."""


def fuse_batch_norms(network: nn.Module, image: Float[torch.Tensor, "batch band y x"]) -> int:
    """Take batch norms into the convolutions before them, in place; return how many.

    The network then answers as before, but for rounding, and can be trained no more. Where the image shows that it does
    not, everything is put back, and the number is 0.

    Args:
        network: In evaluation mode, its weights loaded.
        image: Sent through, to see which norm follows which convolution, and that the answer stays.

    Raises:
        ValueError: The network is in training mode.
    """
    if any(module.training for module in network.modules()):
        raise ValueError("batch norms are taken in for evaluation only; call network.eval() first")
    if not any(_is_norm(module) for module in network.modules()):
        return 0
    pairs, before = _pairs(network, image)
    kept = [(convolution, convolution.weight, convolution.bias) for convolution, _ in pairs]
    identities: dict[nn.Module, nn.Module] = {norm: nn.Identity().eval() for _, norm in pairs}
    for convolution, norm in pairs:
        _fuse(convolution, norm)
    _replace(network, identities)
    if _same(before, _answers(network, image)):
        return len(pairs)
    _replace(network, {identity: norm for norm, identity in identities.items()})
    for convolution, weight, bias in kept:
        convolution.weight, convolution.bias = weight, bias
    return 0


class _Uses(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's own hook of subclasses
    """Counts the operations that take each watched tensor."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watched: dict[int, torch.Tensor] = {}
        self.uses: Counter[int] = Counter()

    def watch(self, tensor: torch.Tensor) -> None:
        """Count from now on; the tensor is kept, so that no other takes its identity."""
        self.watched[id(tensor)] = tensor

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run the operation."""
        given = {id(one) for one in tree_iter((args, dict(kwargs or {}))) if isinstance(one, torch.Tensor)}
        self.uses.update(given & self.watched.keys())
        return func(*args, **(kwargs or {}))


def _pairs(
    network: nn.Module, image: torch.Tensor
) -> tuple[list[tuple[_ConvNd, _BatchNorm]], tuple[torch.Tensor, ...]]:
    """Send an image through; return the convolutions and norms that belong together in every call, and the answers."""
    uses = _Uses()
    made: dict[int, nn.Module] = {}
    taken: list[tuple[int, nn.Module]] = []
    calls: Counter[nn.Module] = Counter()

    def after_convolution(module: nn.Module, _: object, answer: torch.Tensor) -> None:
        calls[module] += 1
        made[id(answer)] = module
        uses.watch(answer)

    def before_norm(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        calls[module] += 1
        # At once: what no convolution answered is freed, and a later answer may have its identity.
        if id(given[0]) in made:
            taken.append((id(given[0]), module))

    hooks = [module.register_forward_hook(after_convolution) for module in network.modules() if _is_convolution(module)]
    hooks += [module.register_forward_pre_hook(before_norm) for module in network.modules() if _is_norm(module)]
    try:
        with uses:
            answers = _answers(network, image)
    finally:
        for hook in hooks:
            hook.remove()
    answered = {id(one) for one in answers}
    followed = Counter(
        (made[identity], norm) for identity, norm in taken if uses.uses[identity] == 1 and identity not in answered
    )
    pairs = [
        (cast("_ConvNd", convolution), cast("_BatchNorm", norm))
        for (convolution, norm), count in followed.items()
        if calls[convolution] == calls[norm] == count
    ]
    return pairs, answers


def _is_convolution(module: nn.Module) -> bool:
    """Tell whether a module is a convolution and nothing more, its weight a parameter that nothing computes anew."""
    if type(module) is nn.ConvTranspose2d and module.groups > 1:
        return False
    return type(module) in CONVOLUTIONS and "weight" in dict(module.named_parameters(recurse=False))


def _is_norm(module: nn.Module) -> bool:
    """Tell whether a module is a batch norm and nothing more (timm's has an activation inside) and keeps statistics."""
    kind = type(module)
    plain = kind in NORMS or (kind.__bases__[0] is SingleValueNorm and kind.__bases__[-1] in NORMS)
    return plain and cast("_BatchNorm", module).running_mean is not None


def _fuse(convolution: _ConvNd, norm: _BatchNorm) -> None:
    """Give a convolution the weight and bias with which it answers what the norm answered."""

    def exact(value: torch.Tensor | None) -> torch.Tensor | None:
        return None if value is None else value.detach().double()

    fused = fuse_conv_bn_weights(
        convolution.weight.detach().double(),
        exact(convolution.bias),
        cast("torch.Tensor", norm.running_mean).double(),
        cast("torch.Tensor", norm.running_var).double(),
        norm.eps,
        exact(norm.weight),
        exact(norm.bias),
        transpose=isinstance(convolution, nn.ConvTranspose2d),
    )
    convolution.weight, convolution.bias = (
        nn.Parameter(one.detach().to(convolution.weight.dtype), requires_grad=False) for one in fused
    )


def _replace(network: nn.Module, others: Mapping[nn.Module, nn.Module]) -> None:
    """Put other modules in the places of some, wherever these stand."""
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if module in others:
            network.set_submodule(name, others[module])


def _answers(network: nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        return tuple(_tensors(network(image)))


def _tensors(answer: object) -> Iterator[torch.Tensor]:
    """Return every tensor in an answer, whatever records, sequences and tables it is made of."""
    if isinstance(answer, torch.Tensor):
        yield answer
    elif is_dataclass(answer):
        for field in fields(answer):
            yield from _tensors(getattr(answer, field.name))
    elif isinstance(answer, Mapping):
        for one in answer.values():
            yield from _tensors(one)
    elif isinstance(answer, list | tuple):
        for one in answer:
            yield from _tensors(one)


def _same(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> bool:
    """Tell whether answers differ by no more than rounding."""
    return all(
        bool(((one - other).abs() <= TOLERANCE * one.abs().amax().clamp_min(1.0)).all())
        for one, other in zip(before, after, strict=True)
    )
