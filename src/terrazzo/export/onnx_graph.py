"""A bundle as one ONNX graph, with the names of its tensors at which Terrazzo cuts the network out again."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from terrazzo.bundle import Bundle
from terrazzo.errors import ModelError
from terrazzo.export.composing import Composition, LoopParts
from terrazzo.export.programs import ANY, EXAMPLE, Answering, Axes, TensorProgram
from terrazzo.export.settings import ExportSettings
from terrazzo.export.stepping import take_apart
from terrazzo.export.surroundings import Calibrated, Preprocessing, is_calibrated
from terrazzo.export.translation import translated
from terrazzo.models.architecture import Network
from terrazzo.models.ensemble import EnsembleNetwork
from terrazzo.models.halting import HaltingRule
from terrazzo.models.onnx_graph import Interface

__all__ = ["BuiltGraph", "build_graph", "require_exportable", "stops"]

IMAGE_AXES: Axes = {0: ANY, 2: ANY, 3: ANY}


@dataclass(frozen=True)
class BuiltGraph:
    """An ONNX model in memory.

    Attributes:
        model: The model; without metadata.
        interface: Where Terrazzo cuts it.
        outputs: Names of its own outputs.
        inputs: Names of its own inputs.
    """

    model: Any
    interface: Interface
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def stops(bundle: Bundle, settings: ExportSettings) -> bool:
    """Whether images stop by themselves in the exported graph."""
    return bundle.architecture.halting_rule is not None and settings.steps == "stopping"


def require_exportable(network: Network) -> None:
    """Refuse what no program without branches computes.

    Raises:
        ModelError: A member of an ensemble stops early.
    """
    if isinstance(network, EnsembleNetwork) and any(rule is not None for rule in network.rules):
        raise ModelError(
            "An ensemble with members that answer in steps cannot be exported: each of them stops by itself within one "
            "answer. Export the members one by one."
        )


def build_graph(
    bundle: Bundle, network: Network, settings: ExportSettings, onnx: ModuleType, *, rule: HaltingRule | None
) -> BuiltGraph:
    """Return a bundle as a graph.

    Args:
        bundle: The network and what it was trained for.
        network: Its network, in evaluation mode.
        settings: What goes inside.
        onnx: The package.
        rule: When an image is done; None where the graph answers at once.

    Raises:
        ModelError: The network has no form in ONNX.
    """
    require_exportable(network)
    whole = Composition(onnx, settings.operators)
    bands, classes = len(bundle.bands), len(bundle.classes)
    image = torch.randn((2, bands, *EXAMPLE), generator=torch.Generator().manual_seed(0))
    info, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    raw = info("image", kinds.FLOAT, ["batch", bands, "height", "width"])
    seen = "image"
    if settings.preprocessing == "inside":
        program = TensorProgram(Preprocessing(bundle).eval(), (image,), (IMAGE_AXES,), ("image",), ("seen",))
        whole.place(translated(program, opset=settings.operators), "before/", {"image": "image"})
        seen = "before/seen"
    inputs, outputs = [raw], [info("logits", kinds.FLOAT, ["batch", classes, "height", "width"])]
    if rule is None:
        interface = _place_network(whole, network, settings, image, seen)
    else:
        parts = _parts(network, settings, rule, bands=bands)
        tau = whole.constant("tau", min(rule.threshold, 2.0), "float")
        inputs.append(info(tau, kinds.FLOAT, []))
        interface = Interface(image="start/image", logits="answer/logits", steps=parts.place(whole, rule, image=seen))
        whole.link("answer/logits", "logits")
    _place_probabilities(whole, bundle, settings, image, seen, interface)
    outputs.append(info("probabilities", kinds.FLOAT, ["batch", classes, "height", "width"]))
    if rule is not None:
        outputs.append(info("steps", kinds.INT64, ["batch"]))
    if interface.disagreement is not None:
        whole.link(interface.disagreement, "disagreement")
        outputs.append(info("disagreement", kinds.FLOAT, ["batch", "height", "width"]))
    model = whole.model(bundle.architecture.name, inputs, outputs)
    names = tuple(one.name for one in inputs), tuple(one.name for one in outputs)
    return BuiltGraph(model, interface, *names)


def _place_network(
    whole: Composition, network: Network, settings: ExportSettings, image: torch.Tensor, seen: str
) -> Interface:
    """Put in a network that answers at once."""
    answering = Answering(network).eval()
    with torch.no_grad():
        names = ("logits", "disagreement")[: len(answering(image))]
    program = TensorProgram(answering, (image,), (IMAGE_AXES,), ("image",), names)
    half = settings.precision == "float16"
    whole.place(translated(program, opset=settings.operators, half=half), "network/", {"image": seen})
    whole.link("network/logits", "logits")
    disagreement = "network/disagreement" if len(names) > 1 else None
    return Interface(image="network/image", logits="network/logits", disagreement=disagreement)


def _parts(network: Network, settings: ExportSettings, rule: HaltingRule, *, bands: int) -> LoopParts:
    """Translate the parts of a network that answers in steps."""
    programs = take_apart(network, rule, bands=bands)

    def model(program: TensorProgram | None, *, half: bool = False) -> Any:  # noqa: ANN401 - onnx has no types
        return None if program is None else translated(program, opset=settings.operators, half=half)

    half = settings.precision == "float16"
    return LoopParts(
        start=model(programs.start, half=half),
        step=model(programs.step, half=half),
        # Little arithmetic, and all of it decides.
        answer=model(programs.answer),
        halt=model(programs.halt),
        freeze=model(programs.freeze),
        skipped=model(programs.skipped),
        writes_step=programs.writes_step,
        writes_freeze=programs.writes_freeze,
        count=programs.count,
    )


def _place_probabilities(
    whole: Composition,
    bundle: Bundle,
    settings: ExportSettings,
    image: torch.Tensor,
    seen: str,
    interface: Interface,
) -> None:
    """Put in what makes probabilities of logits: soft-max, after the temperatures where these go inside."""
    inside = settings.temperature == "inside" and is_calibrated(bundle)
    calibrated = Calibrated(bundle.calibration if inside else None).eval()
    logits = torch.randn((2, len(bundle.classes), *EXAMPLE), generator=torch.Generator().manual_seed(1))
    given = {"logits": "logits", "seen": seen}
    example: tuple[torch.Tensor, ...] = (logits, image)
    axes: tuple[Axes, ...] = (IMAGE_AXES, IMAGE_AXES)
    if calibrated.reads_steps and interface.steps is not None:
        example, given["steps"] = (*example, torch.ones(2, *EXAMPLE, dtype=torch.int64)), "each/steps"
        axes = (*axes, {0: ANY, 1: ANY, 2: ANY})
        _place_pixel_steps(whole, skipping=interface.steps.skipped is not None)
    program = TensorProgram(calibrated, example, axes, tuple(given), ("probabilities",))
    whole.place(translated(program, opset=settings.operators), "after/", given)
    whole.link("after/probabilities", "probabilities")


def _place_pixel_steps(whole: Composition, *, skipping: bool) -> None:
    """Put in the steps after which each pixel was answered."""
    kinds = whole.onnx.TensorProto
    axes = whole.constant("each/axes", [1, 2], "int")
    whole.add("Unsqueeze", ["steps", axes], "each/whole")
    if skipping:
        whole.add("Cast", ["skipped/skipped"], "each/skipped", to=kinds.INT64)
        whole.add("Sub", ["each/whole", "each/skipped"], "each/steps")
        return
    whole.add("Shape", ["logits"], "each/shape")
    whole.add("Gather", ["each/shape", whole.constant("each/places", [0, 2, 3], "int")], "each/size")
    whole.add("Expand", ["each/whole", "each/size"], "each/steps")
