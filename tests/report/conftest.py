"""Run folders as training, evaluation and mapping leave them, written in a moment."""

import colorsys
import json
import math
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from terrazzo.data.pictures.picture import write_png
from terrazzo.scene.coarse import CoarseRaster
from terrazzo.scene.disagreement import Disagreement, WorstPlace
from terrazzo.scene.drift import BandDrift, DriftReport
from terrazzo.scene.header import Decisions
from terrazzo.scene.quality import ClassQuality, ConfidenceQuality, SceneQuality, SeamQuality, StepsQuality
from terrazzo.scene.seam_energy import SeamEnergy, SeamProfile
from terrazzo.scene.summary import SceneSummary

MakeRun = Callable[..., Path]


def colours(count: int) -> list[list[int]]:
    """Return well spread colours, black first."""
    hues = [colorsys.hsv_to_rgb(index / count, 0.65, 0.9 - 0.45 * (index % 2)) for index in range(count)]
    return [[0, 0, 0], *([round(255 * channel) for channel in hue] for hue in hues[1:])]


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")


def log(names: Sequence[str], epochs: int) -> str:
    heads = ["epoch", "lr", "train_loss", "val_loss", "val_miou", "val_avg_steps", "val_bf1", "seconds", "val_accuracy"]
    lines = [",".join([*heads, *(f'"val_iou_{name.replace(chr(34), chr(34) * 2)}"' for name in names)])]
    for epoch in range(1, epochs + 1):
        rate = 1e-3 * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        shared = 1.4 * math.exp(-4 * epoch / epochs)
        miou = 0.8 * (1 - math.exp(-4 * epoch / epochs))
        ious = [f"{miou * (0.6 + 0.4 * math.sin(index) ** 2):.4f}" for index in range(len(names))]
        ious[-1] = ""
        row = [epoch, f"{rate:.8f}", f"{shared + 0.2:.5f}", f"{shared + 0.3 + 0.04 * (epoch % 3):.5f}", f"{miou:.5f}"]
        lines.append(",".join(map(str, [*row, "", "", 41.2, 0.9, *ious])))
    return "\n".join(lines) + "\n"


def scores(split: str, names: Sequence[str]) -> dict[str, object]:
    generator = np.random.default_rng(len(names))
    size = len(names)
    counts = generator.integers(0, 9000, (size, size)) + np.diag(generator.integers(20000, 2000000, size))
    counts[-1], counts[:, -1] = 0, 0
    right, labelled, predicted = np.diag(counts).astype(float), counts.sum(1), counts.sum(0)

    def ratio(part: float, whole: float) -> float | None:
        return float(part / whole) if whole else None

    rows = [
        {
            "name": name,
            "iou": ratio(right[i], labelled[i] + predicted[i] - right[i]),
            "f1": ratio(2 * right[i], labelled[i] + predicted[i]),
            "precision": ratio(right[i], predicted[i]),
            "recall": ratio(right[i], labelled[i]),
            "pixels": int(labelled[i]),
            "colour": colour,
        }
        for i, (name, colour) in enumerate(zip(names, colours(size), strict=True))
    ]
    known = [row["iou"] for row in rows if row["iou"] is not None]
    return {
        "folder": f"evaluate/{split}",
        "seconds": 3.2,
        "split": split,
        "images": 101,
        "pixels": int(counts.sum()),
        "miou": sum(known) / len(known) if known else None,
        "confusion": counts.tolist(),
        "loss": 0.412,
        "accuracy": ratio(right.sum(), counts.sum()),
        "mean_accuracy": 0.8,
        "frequency_weighted_iou": 0.77,
        "foreground_iou": rows[1]["iou"] if size == 2 else None,
        "classes": rows,
        "absent": [names[-1]],
    }


def data(names: Sequence[str]) -> dict[str, object]:
    generator = np.random.default_rng(1)
    counts = {split: generator.integers(0, 900000, len(names)).tolist() for split in ("train", "val", "test")}
    counts["val"][-1] = 0
    return {
        "classes": [{"name": name, "colour": c} for name, c in zip(names, colours(len(names)), strict=True)],
        "pixel_counts": counts,
        "ignored_counts": {"train": 70000, "val": 12000, "test": 2},
        "unlisted_counts": {"train": 0, "val": 0, "test": 31},
        "images": {"train": 367, "val": 101, "test": 233},
        "patches": {"train": 1468, "val": 404, "test": 932},
        "warnings": [f'Class "{names[-1]}" has no pixel in val.', "images/train 0.tif: 4.5 % of pixels are nodata."],
        "bands": [
            {"name": name, "unit": "", "scale": 1.0, "offset": 0.0, "nodata": nodata, "dtype": "uint16"}
            for name, nodata in (("red", 0.0), ("green", 0.0), ("blue", 0.0), ("nir", None))
        ],
        "normalisation": {"mean": [1234.5, 1100.0, 900.25, 3012.0], "std": [300.0, 200.0, 120.5, 800.0]},
        "resolution_m": 0.5,
        "patch_size": 256,
        "fingerprint": "0" * 64,
    }


def metadata(figure: str) -> dict[str, object]:
    return {
        "time": "2026-11-21T03:30:00+00:00",
        "command": ["terrazzo", "run", "a b.yaml"],
        "host": "machine",
        "commit": "abc+",
        "versions": {"torch": "2.15.0", "numpy": "2.4.6"},
        "environment": {"cores": 2, "platform": "Linux"},
        "run": "camvid",
        "config": {"train": {"monitor": {"figure": figure, "mode": "auto"}}},
        "resumed": [],
    }


def picture(path: Path, *, height: int = 40, width: int = 160) -> None:
    """Write a picture of four panels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    panels = np.zeros((height, width, 3), dtype=np.uint8)
    panels[..., 0] = np.linspace(0, 255, width).astype(np.uint8)[None]
    panels[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    write_png(path, panels)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run folder of these classes; `evaluated` names its splits, none leaves a run that was only trained."""

    def make(
        names: Sequence[str] = ("field", "forest", "water"),
        *,
        epochs: int = 12,
        evaluated: Sequence[str] = ("test", "val"),
        folder: Path | None = None,
        monitor: str = "val_miou",
    ) -> Path:
        return write_run(folder or tmp_path / "run", names, epochs=epochs, evaluated=evaluated, monitor=monitor)

    return make


def write_run(folder: Path, names: Sequence[str], *, epochs: int, evaluated: Sequence[str], monitor: str) -> Path:
    write(folder / "log.csv", log(names, epochs))
    write(folder / "data.json", data(names))
    write(folder / "metadata.json", metadata(monitor))
    write(folder / "config.yaml", "name: camvid\nnote: '<script>alert(1)</script>'\npaths:\n  data: ${oc.env:DATA}\n")
    for number in (1, 2):
        picture(folder / "samples" / f"worst-{number}.png")
    if not evaluated:
        write(folder / "summary.json", {"folder": str(folder), "seconds": 61.0, "epochs": epochs, "best_epoch": 1})
        return folder
    for split in evaluated:
        write(folder / "evaluate" / split / "summary.json", scores(split, names))
        for number in range(3):
            picture(folder / "evaluate" / split / "samples" / f"{number:02d}.png")
    picture(folder / "predict" / "overview.png", width=400)
    mapped = {
        "scene": "data/test_0.tif",
        "out": f"{folder}/predict/test_0.tif",
        "confidence": None,
        "height": 768,
        "width": 1024,
        "windows": 30,
        "skipped_windows": 1,
        "class_pixels": list(range(1000, 1000 + 10 * len(names), 10)),
        "valid_share": 0.973,
        "seconds": 4.25,
        "warnings": ["The scene has a coarser resolution than the training imagery."],
    }
    write(folder / "predict" / "summary.json", {"folder": "predict", "seconds": 5.0, "maps": [mapped]})
    phases = [
        {"name": "prepare", "seconds": 3.2, "skipped": None},
        {"name": "train", "seconds": 1112.0, "skipped": None},
        *({"name": f"evaluate {split}", "seconds": 5.4, "skipped": None} for split in evaluated),
        {"name": "predict", "seconds": 0.0, "skipped": "predict.enable is false"},
    ]
    summary = {"folder": str(folder), "seconds": 1163.2, "name": "camvid", "phases": phases, "maps": [mapped["out"]]}
    write(folder / "summary.json", summary)
    return folder


class Page(HTMLParser):
    """A parsed page: its elements with their attributes, its texts by element, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        """Return the attributes of every such element that has the wanted ones."""
        found = [attributes for name, attributes in self.elements if name == tag]
        return [one for one in found if all(one.get(key.rstrip("_")) == value for key, value in wanted.items())]

    @property
    def text(self) -> str:
        """All that can be read, style sheet apart."""
        return " ".join(text for element, text in self.texts if element not in ("style", "script"))


@pytest.fixture
def parse() -> Callable[[str], Page]:
    """Parse a page; every element must be closed in order."""

    def parsed(text: str) -> Page:
        page = Page(text)
        assert page.crossed == []
        assert page.open == []
        return page

    return parsed


def coarse(high: float) -> CoarseRaster:
    values = np.linspace(0, high, 12).reshape(3, 4)
    values[0, 0] = np.nan
    return CoarseRaster.of(values)


def scene_quality(**changes: object) -> SceneQuality:
    profile = SeamProfile(offsets=(-1, 0, 1), values=(0.1, 0.3, None))
    parts = {
        "height": 3000,
        "width": 4000,
        "window": (512, 512),
        "fade": 64,
        "classes": (
            ClassQuality(name="wood", colour=(0, 200, 0), pixels=900, share=0.9, hectares=0.0225, confidence=0.81),
            ClassQuality(name="water", colour=(0, 0, 200), pixels=100, share=0.1, hectares=2500.0, confidence=None),
        ),
        "nodata_share": 0.25,
        "looked_at": 123_456,
        "confidence": ConfidenceQuality(mean=0.77, histogram=(1, 2, 3, 4), map=coarse(1.0)),
        "steps": StepsQuality(mean=2.25, histogram=((2.0, 30), (3.5, 10)), map=coarse(4.0)),
        "seams": SeamQuality(
            classes=SeamEnergy(inside=0.03, outside=0.02),
            class_profile=profile,
            confidence=SeamEnergy(inside=0.04, outside=0.04),
            confidence_profile=profile,
        ),
        "disagreement": Disagreement(
            differing=50,
            compared=1000,
            map=coarse(0.5),
            windows_a_cell=2,
            worst=(WorstPlace(side="left", y=77, x=1234, place=(500_123.5, 4_000_000.0), share=0.42, compared=640),),
        ),
        "drift": DriftReport(
            bands=(BandDrift(band="red", found=tuple(range(9)), trained=tuple(range(10, 19)), drift=1.75),),
            pixels=5000,
            warning="red lies elsewhere",
        ),
    }
    return SceneQuality(**{**parts, **changes})


def scene_summary(**changes: object) -> SceneSummary:
    parts = {
        "scene": "in/scène.tif",
        "out": Path("maps/scène.tif"),
        "layers": {},
        "height": 3000,
        "width": 4000,
        "windows": 63,
        "skipped_windows": 4,
        "strips": 5,
        "resumed_strips": 2,
        "class_pixels": (900, 100),
        "valid_share": 0.75,
        "mean_steps": 2.5,
        "unreadable": ((1, 2, 512, 256, "block is damaged"),),
        "decisions": Decisions(
            device="cpu",
            precision="bfloat16",
            compiled=False,
            threads=1,
            batch_size=4,
            group_size=8,
            strip_pixels=2048,
        ),
        "seconds": 75.0,
        "stage_seconds": {"probe": 5.0, "compute": 60.0, "write": 10.0, "polygons": 0.5},
        "busy_share": 0.93,
        "warnings": ("pixels of 0.5 m",),
    }
    return SceneSummary(**{**parts, **changes})


@pytest.fixture
def quality() -> Callable[..., SceneQuality]:
    """Make a map's quality with a figure of every kind."""
    return scene_quality


@pytest.fixture
def summary() -> Callable[..., SceneSummary]:
    """Make what mapping a scene came to."""
    return scene_summary
