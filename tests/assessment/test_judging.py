"""One image judged: the same figures as counting every pixel in memory, for divided images and between processes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from PIL import Image

from terrazzo.assessment.answer_files import MaskFile, ProbabilityFile, mask_path
from terrazzo.assessment.judged_rows import Answering
from terrazzo.assessment.judging import ImageRecord, Measures, Trust, judge_image
from terrazzo.assessment.packing import packed, unpacked
from terrazzo.assessment.plots import plain_panel, plot
from terrazzo.assessment.thinned import Thinning
from terrazzo.bundle import Bundle
from terrazzo.calibration.boundary_band import boundary_band
from terrazzo.calibration.reliability import Reliability
from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings
from terrazzo.metrics import Confusion
from terrazzo.metrics.boundary import BoundaryCounts
from terrazzo.models import ARCHITECTURES
from terrazzo.record import load_plugin
from terrazzo.scene.settings import PredictSettings

load_plugin(Path(__file__).parents[1] / "scene" / "probe_networks.py")

BANDS = Bands(items=tuple(Band(name=name, dtype="uint8") for name in ("red", "green", "blue")))
CLASSES = Classes(
    items=tuple(
        Class(name=name, colour=colour)
        for name, colour in (("sky", "#3C1098"), ("tree ä", "#00FF00"), ("road", "#0000FF"))
    ),
    ignore_values=(255,),
)
MACHINE = MachineSettings(accelerator="cpu", precision="float32", threads=1)
WHERE = {"crs": "EPSG:32612", "transform": Affine(0.5, 0, 300_000, 0, -0.5, 4_100_000)}
TOLERANCES = (0.0, 1.0, 3.0)


@pytest.fixture
def answering(quiet_torch: None) -> Answering:
    record = ARCHITECTURES.create("probe_identity")
    bundle = Bundle(
        architecture=record,
        bands=BANDS,
        classes=CLASSES,
        normalisation=Normalisation(mean=(100.0,) * 3, std=(50.0,) * 3),
        patch_size=16,
        resolution_m=None,
        weights={"shift": torch.zeros(1)},
        training={},
        versions={},
        licence="",
    )
    return Answering(bundle, PredictSettings(), MACHINE, bands=BANDS, classes=CLASSES)


@pytest.fixture
def image(tmp_path: Path) -> Callable[..., tuple[ImageEntry, np.ndarray, np.ndarray]]:
    """Write an image without ties and its label; return its entry, what is answered, and the label."""

    def write(
        shape: tuple[int, int] = (37, 53), *, missing: int = 0, labelled: bool = True, **changes: object
    ) -> tuple[ImageEntry, np.ndarray, np.ndarray]:
        draw = np.random.default_rng(shape)
        values = draw.permuted(np.stack([np.full(shape, v) for v in (60, 130, 200)]), axis=0).astype(np.uint8)
        values[:, :missing] = 0
        label = np.where(draw.random(shape) < 0.3, draw.integers(0, 3, shape), values.argmax(axis=0)).astype(np.uint8)
        label[draw.random(shape) < 0.1] = 255
        for name, data in (("image", values), ("label", label[None])):
            profile = {"driver": "GTiff", "count": len(data), "height": shape[0], "width": shape[1], "dtype": "uint8"}
            with rasterio.open(tmp_path / f"{name} é.tif", "w", **profile, **WHERE) as file:
                file.write(data)
        entry = ImageEntry(
            image_id="scène",
            image=tmp_path / "image é.tif",
            label=RasterLabel(rasters=(tmp_path / "label é.tif",)) if labelled else None,
            extra=(),
            split="test",
            region=None,
            height=shape[0],
            width=shape[1],
            crs=rasterio.CRS.from_epsg(32612).to_wkt(),
            transform=tuple(WHERE["transform"])[:6],
            stack=tuple(BandPlace(name, 0, number) for number, name in enumerate(BANDS.names)),
        )
        return replace(entry, **changes), values, label

    return write


def counted(number: np.ndarray, label: np.ndarray, kept: np.ndarray) -> np.ndarray:
    counts = np.zeros((3, 3), dtype=np.int64)
    np.add.at(counts, (label[kept], number[kept]), 1)
    return counts


@pytest.mark.parametrize("shape", [(37, 53), (1, 1), (1, 40), (16, 16), (5, 17)])
def test_figures_are_those_of_all_pixels_at_once(shape, image, answering) -> None:
    entry, values, label = image(shape)
    record = judge_image(answering, entry, Measures(tolerances=TOLERANCES, reliability=True))
    number, ignored = values.argmax(axis=0), label == 255
    np.testing.assert_array_equal(record.confusion.numpy(), counted(number, label, ~ignored))
    assert record.boundary == BoundaryCounts.of(number, label, ignored, 3, TOLERANCES)
    probabilities = torch.from_numpy((values.astype(np.float32) - 100) / 50).softmax(dim=0)
    target, out = torch.from_numpy(label.astype(np.int64)), torch.from_numpy(ignored)
    whole = Reliability.of(probabilities, target, out).scores()
    assert record.reliability is not None
    found = record.reliability.scores()
    assert (found.pixels, found.accuracy) == (whole.pixels, pytest.approx(whole.accuracy, nan_ok=True))
    assert found.ece == pytest.approx(whole.ece, abs=1e-6, nan_ok=True)
    assert found.nll == pytest.approx(whole.nll, abs=1e-6, nan_ok=True)
    assert record.confidence == pytest.approx(float(probabilities.amax(0)[~out].double().sum()), abs=1e-3)
    assert record.trust is not None
    band = boundary_band(target, out)
    assert record.trust.band.pixels == int((band & ~out).sum())


def test_of_a_divided_image_each_part_counts_its_own_pixels(image, answering) -> None:
    whole, values, label = image((64, 80))
    area = BlockArea(part="test", shares=(("calibrate", 0.5), ("test", 0.5)), size=16.0, image="scène")
    parts = [replace(whole, area=area), replace(whole, area=area.model_copy(update={"part": "calibrate"}))]
    counts = [judge_image(answering, part, Measures()).confusion for part in parts]
    assert all(int(count.sum()) > 0 for count in counts)
    expected = counted(values.argmax(axis=0), label, label != 255)
    np.testing.assert_array_equal((counts[0] + counts[1]).numpy(), expected)


def test_an_image_without_a_label_counts_nothing(image, answering) -> None:
    entry, _, _ = image(labelled=False)
    record = judge_image(answering, entry, Measures(tolerances=TOLERANCES, reliability=True))
    assert (record.pixels, record.wrong, record.confidence) == (0, 0.0, 0.0)
    assert record.boundary is not None
    assert record.boundary.images == 0


def test_files_hold_what_was_answered_where_something_was_measured(image, answering, tmp_path: Path) -> None:
    bands = Bands(items=tuple(band.model_copy(update={"nodata": 0.0}) for band in BANDS))
    entry, values, _ = image(missing=3)
    with_nodata = replace_bands(answering, bands)
    goal = mask_path(tmp_path / "masks", "a/ö", entry)
    assert goal == tmp_path / "masks" / "a" / "ö.tif"
    with (
        MaskFile.open(goal, entry, CLASSES) as mask,
        ProbabilityFile.open(tmp_path / "p.tif", entry, CLASSES) as shares,
    ):
        judge_image(with_nodata, entry, Measures(), watchers=[mask, shares])
    number = values.argmax(axis=0).astype(np.uint8)
    number[:3] = 255
    with rasterio.open(goal) as file:
        np.testing.assert_array_equal(file.read(1), number)
        assert (file.crs.to_epsg(), file.transform, file.nodata) == (32612, WHERE["transform"], 255)
        assert file.colormap(1)[2] == (0, 0, 255, 255)
    with rasterio.open(tmp_path / "p.tif") as file:
        assert file.descriptions == CLASSES.names
        assert (file.read()[:, :3] == 255).all()
        assert abs(file.read()[:, 3:].astype(int).sum(axis=0) - 254).max() <= 2


def replace_bands(answering: Answering, bands: Bands) -> Answering:
    answering.bands = bands
    return answering


def test_a_failure_leaves_no_half_file(image, answering, tmp_path: Path) -> None:
    entry, _, _ = image()
    goal = mask_path(tmp_path / "masks", "a", entry)
    with pytest.raises(RuntimeError, match="stopped"), MaskFile.open(goal, entry, CLASSES):
        raise RuntimeError("stopped")
    assert list(goal.parent.iterdir()) == []


@pytest.mark.parametrize(("shape", "longest"), [((37, 53), 16), ((1, 40), 16), ((16, 16), 64), ((50, 1), 7)])
def test_a_picture_is_thinned_alike_in_all_its_parts(shape, longest, image, answering) -> None:
    entry, values, label = image(shape)
    thinning = Thinning(entry, longest=longest)
    judge_image(answering, entry, Measures(), watchers=[thinning])
    found = thinning.result()
    assert max(found.target.shape) <= longest
    number = values.argmax(axis=0)[:: found.step, :: found.step]
    np.testing.assert_array_equal(found.number, number)
    np.testing.assert_array_equal(found.ignored, (label == 255)[:: found.step, :: found.step])
    figure = plot(entry, found, bands=BANDS, classes=CLASSES, threshold=0.5, note="mIoU 0.5")
    assert figure.shape[2] == 3
    assert plain_panel(entry, found, bands=BANDS, classes=CLASSES).shape[0] >= number.shape[0]


def test_records_survive_being_taken_apart(image, answering) -> None:
    entry, _, _ = image()
    record = judge_image(answering, entry, Measures(tolerances=TOLERANCES, reliability=True))
    tensors = packed(record, "7")
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())
    empty = ImageRecord(
        confusion=Confusion.zero(3).counts,
        confidence_units=0,
        step_units=0,
        boundary=BoundaryCounts.zero(3, TOLERANCES),
        trust=Trust.zero(3),
    )
    again = unpacked(empty, tensors, "7")
    assert torch.equal(again.confusion, record.confusion)
    assert again.boundary == record.boundary
    assert again.trust == record.trust
    assert again.confidence_units == record.confidence_units


def test_a_png_names_no_place(image, tmp_path: Path) -> None:
    entry, _, _ = image()
    plain = replace(entry, crs=None, transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    assert mask_path(tmp_path, "a", plain).suffix == ".png"
    with MaskFile.open(tmp_path / "a.png", plain, CLASSES) as file:
        assert isinstance(file, MaskFile)
        file._writer.write(np.zeros((1, *plain.grid.shape), dtype=np.uint8))
    with Image.open(tmp_path / "a.png") as written:
        assert written.mode == "P"
