"""Networks as torch.export takes them: tensors in, tensors out, any batch, height and width."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Network
from terrazzo.models.output import Disagreement, Output

__all__ = ["ANY", "EXAMPLE", "Answering", "Axes", "TensorProgram", "exported"]

EXAMPLE = (141, 203)
"""Height and width of the image that networks are traced with: no multiples of any stride, not equal, and with more
than one cell of the coarsest map along each axis, since a length of 1 is taken for a constant."""
ANY = torch.export.Dim.DYNAMIC
"""An axis that may have any length."""
Axes = Mapping[int, object]
"""Axes of a tensor that may have any length."""


@dataclass(frozen=True)
class TensorProgram:
    """A module with what it is traced on.

    Attributes:
        module: In evaluation mode.
        example: What it is called with; batch 2.
        axes: Which axes of each may have any length.
        inputs: Name of each.
        outputs: Name of each answer.
    """

    module: torch.nn.Module
    example: tuple[torch.Tensor, ...]
    axes: tuple[Axes, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Answering(torch.nn.Module):
    """A network that answers tensors instead of a record: logits, and the disagreement of an ensemble.

    Args:
        network: In evaluation mode.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> tuple[torch.Tensor, ...]:
        """Return logits, and then disagreement where there is any."""
        output: Output = self.network(image)
        disagreement = output.find(Disagreement)
        return (output.logits.float(),) if disagreement is None else (output.logits.float(), disagreement.values)


class Called(torch.nn.Module):
    """A function as a module, with the network whose weights it uses.

    Args:
        network: Its weights become the program's.
        call: What is computed.
    """

    def __init__(self, network: torch.nn.Module, call: Callable[..., tuple[torch.Tensor, ...]]) -> None:
        super().__init__()
        self.network = network
        self._call = call

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what the function answers."""
        return self._call(*tensors)


def exported(program: TensorProgram) -> torch.export.ExportedProgram:
    """Return a module as torch.export writes it.

    Raises:
        ModelError: It does something that depends on values or sizes, so that no one program computes it.
    """
    # Not Dynamo: it would read our code line by line; running it once with symbols for sizes is enough.
    axes: Sequence[object] = program.axes
    if isinstance(program.module, Called):
        axes = [tuple(program.axes)]
    try:
        with torch.no_grad():
            return torch.export.export(
                program.module,
                program.example,
                dynamic_shapes=tuple(axes),
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise ModelError(
            f"The network cannot be exported for images of any size ({type(error).__name__}: {reason})."
        ) from error
