"""A bundle as torch.export writes it: for programs that run torch and know nothing of Terrazzo.

A network that answers in steps becomes one file a part, which a program calls one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from jaxtyping import Float32

from terrazzo.bundle import METADATA_KEY, Bundle
from terrazzo.bundle.contract import canonical
from terrazzo.export.description import describe
from terrazzo.export.onnx_writing import MLM_KEY
from terrazzo.export.programs import ANY, EXAMPLE, TensorProgram, exported
from terrazzo.export.settings import ExportSettings
from terrazzo.export.stepping import SteppingPrograms, take_apart
from terrazzo.export.surroundings import Calibrated, Preprocessing, is_calibrated
from terrazzo.export.verification import Answers, Expected
from terrazzo.models.architecture import Network
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Output

__all__ = ["TORCH_SUFFIX", "TorchPrograms", "write_programs"]

TORCH_SUFFIX = ".pt2"
Call = Callable[..., Sequence[torch.Tensor]]


@dataclass(frozen=True)
class TorchPrograms:
    """Files of torch.export.

    Attributes:
        files: What was written, what is to be opened first.
        inputs: What the first takes.
        outputs: What the whole, or the last part, gives.
        answer: Runs the files as they were read back.
    """

    files: tuple[Path, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    answer: Callable[[Expected], Answers]


class Whole(torch.nn.Module):
    """From an image to logits and probabilities.

    Args:
        bundle: Normalisation and calibration.
        network: In evaluation mode.
        settings: What goes inside.
    """

    def __init__(self, bundle: Bundle, network: Network, settings: ExportSettings) -> None:
        super().__init__()
        self.before = Preprocessing(bundle) if settings.preprocessing == "inside" else None
        self.network = network
        inside = settings.temperature == "inside" and is_calibrated(bundle)
        self.after = Calibrated(bundle.calibration if inside else None)

    def forward(self, image: Float32[torch.Tensor, "batch band y x"]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and probabilities."""
        seen = image if self.before is None else self.before(image)
        output: Output = self.network(seen)
        return output.logits, self.after(output.logits, seen)


def write_programs(
    bundle: Bundle, network: Network, settings: ExportSettings, file: Path, *, rule: HaltingRule | None
) -> TorchPrograms:
    """Write the files and read them back.

    Args:
        bundle: The network and what it was trained for.
        network: Its network, in evaluation mode.
        settings: What goes inside.
        file: The file of the whole; parts are named `NAME.start.pt2` and so on.
        rule: When an image is done; None where the network answers at once.

    Raises:
        ModelError: The network cannot be exported.
    """
    if rule is not None:
        return _write_parts(bundle, network, settings, file, rule)
    image = torch.randn((2, len(bundle.bands), *EXAMPLE), generator=torch.Generator().manual_seed(0))
    outputs = ("logits", "probabilities")
    program = TensorProgram(
        Whole(bundle, network, settings).eval(), (image,), ({0: ANY, 2: ANY, 3: ANY},), ("image",), outputs
    )
    call = _written(program, file, _notes(bundle, settings, outputs))

    def answer(expected: Expected) -> Answers:
        logits, probabilities = call(_image(expected, settings))
        return {"logits": logits, "probabilities": probabilities}

    return TorchPrograms((file,), ("image",), outputs, answer)


def _image(expected: Expected, settings: ExportSettings) -> Float32[torch.Tensor, "batch band y x"]:
    if settings.preprocessing == "described":
        return expected.seen
    return torch.stack([torch.from_numpy(patch.raw()) for patch in expected.patches])


def _write_parts(
    bundle: Bundle, network: Network, settings: ExportSettings, file: Path, rule: HaltingRule
) -> TorchPrograms:
    """Write a network that answers in steps."""
    parts = take_apart(network, rule, bands=len(bundle.bands))
    start = replace(parts.start, module=_Started(bundle, parts, settings).eval())
    programs = {"start": start, "step": parts.step, "answer": parts.answer}
    further = {"halt": parts.halt, "freeze": parts.freeze, "skipped": parts.skipped}
    programs |= {name: program for name, program in further.items() if program is not None}
    calls: dict[str, Call] = {}
    files = []
    for name, program in programs.items():
        path = file.with_name(f"{file.stem}.{name}{TORCH_SUFFIX}")
        notes = {
            **_notes(bundle, settings, ("logits",)),
            "steps.json": canonical(
                {
                    "part": name,
                    "inputs": list(program.inputs),
                    "outputs": list(program.outputs),
                    "first": rule.first,
                    "last": rule.last,
                    "threshold": rule.threshold,
                }
            ),
        }
        calls[name] = _written(program, path, notes)
        files.append(path)

    def answer(expected: Expected) -> Answers:
        return _stepped(calls, parts, _image(expected, settings), rule, expected)

    return TorchPrograms(tuple(files), ("image",), ("logits",), answer)


class _Started(torch.nn.Module):
    """The start, from what the file takes."""

    def __init__(self, bundle: Bundle, parts: SteppingPrograms, settings: ExportSettings) -> None:
        super().__init__()
        self.before = Preprocessing(bundle) if settings.preprocessing == "inside" else None
        self.start = parts.start.module

    def forward(self, image: Float32[torch.Tensor, "batch band y x"]) -> tuple[torch.Tensor, ...]:
        found: tuple[torch.Tensor, ...] = self.start(image if self.before is None else self.before(image))
        return found


def _stepped(
    calls: Mapping[str, Call], parts: SteppingPrograms, image: torch.Tensor, rule: HaltingRule, expected: Expected
) -> Answers:
    """Run the parts as a program would, each image alone until it is done."""
    logits, ran = [], []
    for one in image:
        state = list(calls["start"](one[None]))
        for number in range(1, rule.last + 1):
            _update(state, parts.writes_step, calls["step"](*state))
            if number < rule.first or number == rule.last:
                continue
            if "freeze" in calls:
                _update(state, parts.writes_freeze, calls["freeze"](*state, torch.tensor([rule.threshold])))
            if "halt" in calls and float(calls["halt"](*state)[0]) >= rule.threshold:
                break
        ran.append(number)
        logits.append(calls["answer"](*state)[0])
    return {"logits": torch.cat(logits), "probabilities": expected.probabilities, "steps": torch.tensor(ran)}


def _update(state: list[torch.Tensor], places: Sequence[int], found: Sequence[torch.Tensor]) -> None:
    for place, tensor in zip(places, found, strict=True):
        state[place] = tensor


def _written(program: TensorProgram, file: Path, notes: Mapping[str, str]) -> Call:
    """Write a program and return it as it was read back: our own file of a moment ago, never another's."""
    torch.export.save(_of_any_size(exported(program)), file, extra_files=dict(notes))
    call: Call = torch.export.load(file).module()
    return call


def _of_any_size(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Return a program without the assertions about sizes that tracing left in it.

    They tell how tensors lay in memory for the example's size, such as that an image is no multiple of a stride, and
    would refuse others, while the operators take all. That these answer alike is compared at sizes of each kind.
    """
    for node in list(program.graph.nodes):
        if str(node.target) == "aten._assert_scalar.default":
            program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program


def _notes(bundle: Bundle, settings: ExportSettings, outputs: Sequence[str]) -> dict[str, str]:
    """Return what the file says of itself."""
    description = describe(
        bundle,
        framework=("PyTorch", version("torch")),
        raw=settings.preprocessing == "inside",
        outputs=outputs,
        parameters=sum(weight.numel() for weight in bundle.weights.values()),
        size=sum(weight.nbytes for weight in bundle.weights.values()),
    )
    contract = {
        "bands": bundle.bands.model_dump(mode="json"),
        "classes": bundle.classes.model_dump(mode="json"),
        "normalisation": bundle.normalisation.model_dump(mode="json"),
        "patch_size": bundle.patch_size,
        "resolution_m": bundle.resolution_m,
        "resize": None if bundle.resize is None else bundle.resize.model_dump(mode="json"),
        "calibration": None if bundle.calibration is None else bundle.calibration.model_dump(mode="json"),
        "licence": bundle.licence,
        "preprocessing": settings.preprocessing,
        "temperature": settings.temperature if is_calibrated(bundle) else "none",
        "source": bundle.fingerprint,
    }
    return {f"{METADATA_KEY}.json": canonical(contract), f"{MLM_KEY}.json": canonical(description)}
