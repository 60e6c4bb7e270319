"""Several networks that answer as one: their probabilities are averaged, and where they differ is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator

from terrazzo.errors import ModelError
from terrazzo.models.adaptive import refine
from terrazzo.models.architecture import ARCHITECTURES, Adaptive, Architecture, Network
from terrazzo.models.backbone_head import FrozenBackboneHeadNetwork
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Disagreement, Output
from terrazzo.record import Record, family

__all__ = ["Ensemble", "EnsembleNetwork", "Member"]

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Member(Record):
    """One network of an ensemble."""

    network: Annotated[Architecture, family(ARCHITECTURES)]
    """The network."""
    factor: tuple[Finite, ...] = ()
    """What each band's values, as the ensemble normalises them, are multiplied by; none where its own are the same."""
    shift: tuple[Finite, ...] = ()
    """What is added to them then."""
    leans: bool = False
    """Whether it is a head on the frozen backbone whose weights lie in a file of their own."""

    @model_validator(mode="after")
    def _one_a_band(self) -> "Member":
        if len(self.factor) != len(self.shift):
            raise ValueError(f"{len(self.factor)} factors but {len(self.shift)} shifts")
        if self.leans and self.factor:
            raise ValueError("a head on the frozen backbone has no input of its own; leave factor and shift out")
        return self


class Ensemble(Architecture):
    """Members of one task, each with all its own weights but for a frozen backbone that they may share.

    The answer is the logarithm of the mean of the members' probabilities, so that softmax gives that mean. A member
    that answers in steps stops as it was trained to. In evaluation the share of members that chose another class than
    the ensemble is answered too. Heads on one frozen backbone share it: its maps are computed once for all of them.

    Source: Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles,
        NeurIPS 2017, section 2.4 (a uniformly weighted mixture).
    """

    name: Literal["ensemble"] = "ensemble"
    """Several networks whose probabilities are averaged; made of bundles by `terrazzo ensemble`."""
    members: Annotated[tuple[Member, ...], Field(min_length=2)]
    """The networks, and how their input is normalised."""

    def build(self, *, bands: int, classes: int) -> Network:
        """Return all members as one network.

        Raises:
            ModelError: A member cannot be built, or is a head on a frozen backbone whose weights are still to be read.
        """
        if any(member.leans for member in self.members):
            raise ModelError(
                "the ensemble's members share a frozen backbone; load its bundle with the backbone's weights."
            )
        return self._joined([member.network.build(bands=bands, classes=classes) for member in self.members], bands)

    def build_without_external(self, *, bands: int, classes: int) -> Network:
        """Return all members as one network; the weights of their frozen backbone are still to be read.

        Raises:
            ModelError: A member cannot be built, none shares the backbone, or their backbones differ.
        """
        networks = [
            member.network.build_without_external(bands=bands, classes=classes)
            if member.leans
            else member.network.build(bands=bands, classes=classes)
            for member in self.members
        ]
        return self._joined(networks, bands)

    def _joined(self, networks: Sequence[Network], bands: int) -> "EnsembleNetwork":
        for member, network in zip(self.members, networks, strict=True):
            if member.factor and len(member.factor) != bands:
                raise ModelError(f"{member.network.name} has factors of {len(member.factor)} bands, not of {bands}.")
            if not member.leans and network.external is not None:
                raise ModelError(
                    f"{member.network.name} leans on frozen weights of a file ({network.external.identifier}) of its "
                    "own; only heads on one and the same backbone can be joined."
                )
        backbones = [member.network.feature_key() for member in self.members if member.leans]
        if any(backbone is None or backbone != backbones[0] for backbone in backbones):
            raise ModelError("The members' frozen backbones have different settings; join heads on the same one.")
        return EnsembleNetwork(self.members, networks)

    def without_pretraining(self) -> "Ensemble":
        """Return the same of members that start from random weights."""
        members = (
            member.model_copy(update={"network": member.network.without_pretraining()}) for member in self.members
        )
        return self.model_copy(update={"members": tuple(members)})


class EnsembleNetwork(Network):
    """The built members.

    Args:
        members: Their records.
        networks: Built with the same bands and classes.
    """

    def __init__(self, members: Sequence[Member], networks: Sequence[Network]) -> None:
        super().__init__()
        self.leaning = tuple(number for number, member in enumerate(members) if member.leans)
        heads = [_head(networks[number]) for number in self.leaning]
        self.backbone = heads[0].backbone if heads else None
        for head in heads:
            head.share_backbone(heads[0].backbone)
        self.members = torch.nn.ModuleList(networks)
        self._lean()
        self.rules = tuple(member.network.halting_rule for member in members)
        for number, member in enumerate(members):
            for name, values in (("factor", member.factor), ("shift", member.shift)):
                # Constants of the settings, so that they are no weights.
                constant = torch.tensor(values)[:, None, None] if values else None
                self.register_buffer(f"{name}_{number}", constant, persistent=False)

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer the logarithm of the mean probability at the size of the input, in float32.

        Args:
            image: Normalised values; 0 where a pixel is missing, which looks to every member like the ensemble's mean.
        """
        total: torch.Tensor | None = None
        chosen = []
        maps = _head(self.members[self.leaning[0]]).encode(image) if self.leaning else ()
        for number, (member, rule) in enumerate(zip(self.members, self.rules, strict=True)):
            if number in self.leaning:
                logits = _head(member).decode(image, maps).logits
            else:
                logits = _answered(member, self._seen(number, image), rule, training=self.training)
            probabilities = logits.float().softmax(dim=1)
            chosen.append(probabilities.argmax(dim=1))
            # One after the other: a sum whose order depends on the shape would change bits.
            total = probabilities if total is None else total + probabilities
        if total is None:
            raise ModelError("An ensemble has no member.")
        mean = (total / len(self.members)).clamp_min(torch.finfo(torch.float32).tiny)
        if self.training:
            return Output(mean.log())
        winner = mean.argmax(dim=1)
        others = sum((choice != winner).float() for choice in chosen) / len(chosen)
        return Output(mean.log(), (Disagreement(torch.as_tensor(others)),))

    def load_external(self, path: Path) -> None:
        """Read the weights of the frozen backbone that members share.

        Raises:
            ModelError: None shares one, or the file does not fit.
        """
        if self.backbone is None:
            raise ModelError(f"No member of this ensemble is a head on a frozen backbone; {path} has no place in it.")
        self.backbone.load_external(path)
        self._lean()

    def _lean(self) -> None:
        external = None if self.backbone is None else self.backbone.external
        self.external = external.within("backbone.") if external is not None else None

    def _seen(self, number: int, image: Float[torch.Tensor, "batch band y x"]) -> Float[torch.Tensor, "batch band y x"]:
        """Return the image as a member was trained to see it."""
        factor, shift = self.get_buffer(f"factor_{number}"), self.get_buffer(f"shift_{number}")
        return image if factor is None else image * factor + shift

    def plain_parameters(self) -> frozenset[str]:
        """Return what the members name."""
        return frozenset(
            f"members.{number}.{name}"
            for number, member in enumerate(self.members)
            if isinstance(member, Network)
            for name in member.plain_parameters()
        )


def _head(network: torch.nn.Module) -> FrozenBackboneHeadNetwork:
    """Return a member as the head that it was declared to be."""
    if not isinstance(network, FrozenBackboneHeadNetwork):
        raise ModelError(f"{type(network).__name__} is no head on a frozen backbone.")
    return network


def _answered(
    network: torch.nn.Module, image: Float[torch.Tensor, "batch band y x"], rule: HaltingRule | None, *, training: bool
) -> Float[torch.Tensor, "batch class y x"]:
    """Return a member's logits; in evaluation its tiles stop by themselves."""
    if rule is not None and not training and isinstance(network, Adaptive):
        return refine(network, image, rule=rule).logits
    output: Output = network(image)
    return output.logits
