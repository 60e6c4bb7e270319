"""A bundle exported, verified and only then put in its place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from terrazzo.bundle import Bundle
from terrazzo.bundle.onnx_contract import GraphContract, contract_beside
from terrazzo.bundle.onnx_file import ONNX_SUFFIX
from terrazzo.errors import ConfigError
from terrazzo.export import onnx_writing
from terrazzo.export.description import describe
from terrazzo.export.onnx_graph import BuiltGraph, build_graph, require_exportable, stops
from terrazzo.export.onnx_writing import DATA_SUFFIX, split_graph, write_graph
from terrazzo.export.patches import Patch, compared_sizes, cropped_patches
from terrazzo.export.settings import ExportSettings
from terrazzo.export.surroundings import is_calibrated
from terrazzo.export.torch_program import TORCH_SUFFIX, write_programs
from terrazzo.export.verification import (
    Answers,
    Compared,
    Expected,
    compare_answers,
    expected_answers,
    require_close,
)
from terrazzo.models.adaptive import NEVER, refine
from terrazzo.models.architecture import Adaptive, Network
from terrazzo.models.fusing import fuse_batch_norms
from terrazzo.models.halting import HaltingRule
from terrazzo.models.onnx_graph import OnnxGraph
from terrazzo.models.onnx_sessions import onnx_modules
from terrazzo.progress import Progress
from terrazzo.scene.pass_memory import pass_bytes
from terrazzo.storage import atomic_path, scratch_folder

__all__ = ["Exported", "default_path", "export_bundle"]

_PROBE = 64


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        files: All that was written, what is to be opened first.
        inputs: Names of what it takes.
        outputs: Names of what it gives.
        compared: How near its answers are.
        fused: Batch norms that were taken into convolutions.
        fingerprint: Of the file as a model; None for torch.export, which Terrazzo does not map with.
    """

    files: tuple[Path, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    compared: tuple[Compared, ...]
    fused: int
    fingerprint: str | None


def default_path(bundle: Path, settings: ExportSettings) -> Path:
    """Return where a bundle's export lies by default: beside it.

    >>> default_path(Path("runs/fields/bundle.safetensors"), ExportSettings()).name
    'bundle.onnx'
    """
    return bundle.with_suffix(_suffix(settings))


def export_bundle(
    bundle: Bundle,
    out: Path,
    settings: ExportSettings,
    images: Sequence[Patch],
    *,
    progress: Progress,
) -> Exported:
    """Export a bundle, compare the file's answers with its own at four sizes, and put the file in its place.

    Args:
        bundle: The network and what it was trained for.
        out: The file; it appears whole and verified, or an earlier one stays.
        settings: What goes inside, and how near the answers must come.
        images: Raw values to compare answers on, at least one.
        progress: Told what is done.

    Raises:
        ConfigError: The settings contradict each other, or `out`.
        ModelError: The network cannot be exported, or the file answers otherwise.
        StorageError: The file cannot be written.
    """
    _check(bundle, out, settings)
    network = bundle.network()
    require_exportable(network)
    # Beside the one that is exported, and is changed, the bundle's own, which it is compared with.
    prepared = bundle.network()
    probe = torch.randn((1, len(bundle.bands), _PROBE, _PROBE), generator=torch.Generator().manual_seed(0))
    fused = fuse_batch_norms(prepared, probe)
    rule = _rule(bundle, settings)
    with scratch_folder(out) as folder:
        file = folder / out.name
        if settings.format == "onnx":
            progress.note("translating the network to ONNX")
            found, files, answer = _onnx(bundle, prepared, settings, file, rule=rule)
            inputs, outputs, fingerprint = found.inputs, found.outputs, answer.fingerprint
            ways: dict[str, Callable[[Expected], Answers]] = {
                "ONNX Runtime": answer.by_runtime,
                "Terrazzo": answer.by_terrazzo,
            }
        else:
            progress.note("tracing the network with torch.export")
            programs = write_programs(bundle, prepared, settings, file, rule=rule)
            inputs, outputs, fingerprint, files = programs.inputs, programs.outputs, None, programs.files
            ways = {"torch.export": programs.answer}
        compared = []
        calibrated = settings.temperature == "inside" and is_calibrated(bundle)
        for height, width in compared_sizes(bundle):
            patches = cropped_patches(list(images), height, width)
            wanted = expected_answers(bundle, network, patches, rule=rule, calibrated=calibrated)
            for by, call in ways.items():
                compared.append(compare_answers(wanted, call, by=by))
            progress.advance(difference=max(one.difference for one in compared))
        require_close(compared, settings)
        for made in reversed(files):
            with atomic_path(out.with_name(made.name)) as temporary:
                made.rename(temporary)
    return Exported(
        tuple(out.with_name(made.name) for made in files), inputs, outputs, tuple(compared), fused, fingerprint
    )


def _suffix(settings: ExportSettings) -> str:
    return ONNX_SUFFIX if settings.format == "onnx" else TORCH_SUFFIX


def _check(bundle: Bundle, out: Path, settings: ExportSettings) -> None:
    suffix = _suffix(settings)
    if out.suffix.lower() != suffix:
        raise ConfigError(f"{out} must end in {suffix} for the format {settings.format}; name another file by --out.")
    if isinstance(bundle.architecture, OnnxGraph):
        raise ConfigError("What is to be exported is an ONNX graph already; export the bundle that it was made of.")
    if settings.format == "torch_export":
        for name, given in (
            ("precision float16", settings.precision != "float32"),
            ("external_data", settings.external_data),
            ("opset", settings.opset is not None),
        ):
            if given:
                raise ConfigError(f"{name} is asked for, but that is ONNX's; leave it out, or choose the format onnx.")
    if suffix == ONNX_SUFFIX and contract_beside(out).exists():
        raise ConfigError(
            f"{contract_beside(out)} would be read instead of the new file's own contract; remove it, or name another "
            "file by --out."
        )


def _rule(bundle: Bundle, settings: ExportSettings) -> HaltingRule | None:
    """Return when an image is done, with the calibrated threshold where there is one."""
    rule = bundle.architecture.halting_rule
    if rule is None or not stops(bundle, settings):
        return None
    promise = bundle.calibration.halting if bundle.calibration is not None else None
    tau = rule.threshold if promise is None else promise.tau
    return replace(rule, threshold=NEVER if tau >= 1 else tau)


@dataclass(frozen=True)
class _OnnxAnswers:
    """A written ONNX file, as others and as Terrazzo compute it."""

    session: Any
    outputs: tuple[str, ...]
    raw: bool
    loaded: Bundle
    network: Network
    calibrated: bool
    rule: HaltingRule | None

    @property
    def fingerprint(self) -> str:
        return self.loaded.fingerprint

    def by_runtime(self, expected: Expected) -> Answers:
        image = expected.seen.numpy()
        if self.raw:
            image = torch.stack([torch.from_numpy(patch.raw()) for patch in expected.patches]).numpy()
        found = self.session.run(list(self.outputs), {"image": image})
        return {name: torch.from_numpy(one) for name, one in zip(self.outputs, found, strict=True)}

    def by_terrazzo(self, expected: Expected) -> Answers:
        # Probabilities are made by the engine, of these very logits.
        with torch.inference_mode():
            if self.rule is not None and isinstance(self.network, Adaptive):
                found = refine(self.network, expected.seen, rule=self.rule)
                return {"logits": found.logits, "probabilities": expected.probabilities, "steps": found.steps}
            logits = self.network(expected.seen).logits
        return {"logits": logits, "probabilities": expected.probabilities}


def _onnx(
    bundle: Bundle, network: Network, settings: ExportSettings, file: Path, *, rule: HaltingRule | None
) -> tuple[BuiltGraph, tuple[Path, ...], _OnnxAnswers]:
    """Write an ONNX file and open it."""
    onnx, runtime = onnx_modules()
    pixel_bytes = _pixel_bytes(bundle, network)
    built = build_graph(bundle, network, settings, onnx, rule=rule)
    contract = _contract(bundle, settings, built, rule=rule, pixel_bytes=pixel_bytes)
    graph, contract = split_graph(onnx, built.model, contract)
    size = sum(weight.nbytes for weight in graph.weights.values())
    description = describe(
        bundle,
        framework=("ONNX", version("onnx")),
        raw=settings.preprocessing == "inside",
        outputs=built.outputs,
        parameters=sum(weight.numel() for weight in graph.weights.values()),
        size=size,
    )
    apart = settings.external_data or size > onnx_writing.largest_inline
    beside = write_graph(
        onnx,
        built.model,
        graph.weights,
        file,
        contract=contract,
        description=description,
        data_name=file.name + DATA_SUFFIX if apart else None,
    )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    loaded = Bundle.load(file)
    answers = _OnnxAnswers(
        session,
        built.outputs,
        settings.preprocessing == "inside",
        loaded,
        loaded.network(),
        contract.temperature == "inside",
        rule,
    )
    return built, (file,) if beside is None else (file, beside), answers


def _contract(
    bundle: Bundle, settings: ExportSettings, built: BuiltGraph, *, rule: HaltingRule | None, pixel_bytes: int
) -> GraphContract:
    interface = built.interface.model_copy(update={"pixel_bytes": pixel_bytes})
    own = bundle.architecture.halting_rule
    if rule is not None and own is not None and interface.steps is not None:
        # The calibrated threshold is the calibration's, and not applied where that is not.
        steps = interface.steps.model_copy(update={"threshold": own.threshold})
        interface = interface.model_copy(update={"steps": steps})
    temperature = "none" if not is_calibrated(bundle) else settings.temperature
    calibration = bundle.calibration
    if calibration is not None and rule is None and bundle.architecture.halting_rule is not None:
        # All steps are run: what was promised of stopping early says nothing of this graph.
        window = calibration.window_temperature
        by_step = window is not None and window.name == "step"
        update = {"halting": None, "window_temperature": None if by_step else window}
        calibration = calibration.model_copy(update=update)
    plain: Mapping[str, Any] = bundle.architecture.without_pretraining().model_dump(mode="json")
    return GraphContract(
        interface=interface,
        bands=bundle.bands,
        classes=bundle.classes,
        normalisation=bundle.normalisation,
        patch_size=bundle.patch_size,
        resolution_m=bundle.resolution_m,
        resize=bundle.resize,
        distribution=bundle.distribution,
        calibration=calibration,
        training=dict(bundle.training),
        versions={**bundle.versions, "onnx": version("onnx"), "torch": version("torch")},
        licence=bundle.licence,
        architecture=dict(plain),
        contains=bundle.backbone,
        source=bundle.fingerprint,
        preprocessing=settings.preprocessing,
        temperature=temperature,
    )


def _pixel_bytes(bundle: Bundle, network: Network) -> int:
    """Return the memory that a pass takes for each pixel, counted on torch's tensors."""
    image = torch.randn((1, len(bundle.bands), 128, 128), generator=torch.Generator().manual_seed(0))

    def call() -> object:
        with torch.inference_mode():
            return network(image)

    return -(-pass_bytes(call) // (128 * 128))
