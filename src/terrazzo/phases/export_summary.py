"""What the verb `export` returns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrazzo.export.verification import Compared
from terrazzo.phases.summary import Summary

__all__ = ["ExportSummary"]


@dataclass(frozen=True, kw_only=True)
class ExportSummary(Summary):
    """What `export` wrote, and how near its answers are to the bundle's.

    Attributes:
        file: What is to be opened.
        beside: Further files that belong to it.
        format: "onnx" or "torch_export".
        inputs: Names of what it takes.
        outputs: Names of what it gives.
        preprocessing: What its image must hold.
        temperature: What its probabilities are.
        stopping: How images of a network in steps stop; empty for others.
        fused_norms: Batch norms that were taken into convolutions.
        mebibytes: Size of all files.
        compared_on: What the answers were compared on.
        compared: A row for each size and each way of computing the file.
        fingerprint: Of the file as a model; None for torch.export.
        licence: Licences that the file falls under; empty where none was stated.
        warnings: What a user of the file should know.
    """

    file: Path
    beside: tuple[Path, ...]
    format: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    preprocessing: str
    temperature: str
    stopping: str
    fused_norms: int
    mebibytes: float
    compared_on: str
    compared: tuple[Compared, ...]
    fingerprint: str | None
    licence: str
    warnings: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """Return what a reader at a terminal wants to know."""
        rows = [
            {
                "size": f"{one.batch} x {one.height} x {one.width}",
                "computed by": one.by,
                "largest logit": f"{one.largest_logit:.3g}",
                "largest difference": f"{one.difference:.1e}",
                "same class": f"{100 * one.agreement:.3f} %",
                **({} if one.steps is None else {"same steps": f"{100 * one.steps:.0f} %"}),
            }
            for one in self.compared
        ]
        shown = self.as_dict()
        kept = ("file", "beside", "inputs", "outputs", "preprocessing", "temperature", "stopping", "compared_on")
        told: dict[str, Any] = {name: shown[name] for name in kept if shown[name]}
        told |= {"mebibytes": round(self.mebibytes, 2), "seconds": self.seconds, "compared": rows}
        for name in ("licence", "warnings"):
            if shown[name]:
                told[name] = shown[name]
        return told
