"""What of a bundle goes into an exported file, and how near its answers must come to the bundle's."""

from typing import Annotated, Literal

from pydantic import Field

from terrazzo.record import Record

__all__ = ["ExportSettings"]


class ExportSettings(Record):
    """How a bundle is exported."""

    format: Literal["onnx", "torch_export"] = "onnx"
    """`onnx`, which Terrazzo maps with too, or `torch_export`, for programs that run torch without Terrazzo."""
    opset: Annotated[int, Field(ge=18, le=24)] | None = None
    """Version of ONNX's operators, 20 if None; later ones need a later ONNX Runtime."""
    precision: Literal["float32", "float16"] = "float32"
    """Arithmetic of the network inside; images and answers stay float32."""
    preprocessing: Literal["inside", "described"] = "inside"
    """`inside`: the file takes raw values as the imagery holds them, and missing ones (nodata, NaN) look as they did in
    training; `described`: it takes values that were normalised as its metadata says."""
    temperature: Literal["inside", "described"] = "inside"
    """Whether the file's probabilities are calibrated, where the bundle is; logits never are."""
    steps: Literal["stopping", "fixed"] = "stopping"
    """Of a network that answers in steps: each image of a batch stops by itself, or all run every step."""
    external_data: bool = False
    """Whether weights lie in a second file beside the ONNX file; above 2 GB they always do."""
    largest_difference: Annotated[float, Field(gt=0)] | None = None
    """Largest difference of a logit from the bundle's that is taken; 0.001, or 0.25 with float16, if None."""
    least_agreement: Annotated[float, Field(ge=0, le=1)] | None = None
    """Least share of pixels of the same class that is taken; 0.999, or 0.99 with float16, if None."""

    @property
    def operators(self) -> int:
        """The version of the operators that is written."""
        return 20 if self.opset is None else self.opset

    @property
    def tolerance(self) -> tuple[float, float]:
        """The largest difference and the least agreement that are taken."""
        difference, agreement = (0.25, 0.99) if self.precision == "float16" else (1e-3, 0.999)
        return (
            difference if self.largest_difference is None else self.largest_difference,
            agreement if self.least_agreement is None else self.least_agreement,
        )
