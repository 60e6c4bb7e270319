"""Areas end to end: a sample drawn from maps, labelled from a known truth, estimated and compared with it."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from terrazzo.assessment.area_strata import count_strata
from terrazzo.assessment.class_map import Legend
from terrazzo.assessment.confusion_file import ImageConfusions, save_confusions
from terrazzo.errors import ConfigError, DataError, LabelError
from terrazzo.phases.area_sampling import SampleSettings, sample
from terrazzo.phases.areas import estimate
from terrazzo.progress import Event

NAMES = ("forest", "forest loss", "water")
LEGEND = Legend(NAMES, (0, 1, 2))
UTM = ("EPSG:32632", Affine(10, 0, 500_000, 0, -10, 5_500_000))
DEGREES = ("EPSG:4326", Affine(0.02, 0, 10, 0, -0.02, 66))


def write(
    path: Path, values: np.ndarray, place: tuple[str, Affine] | None = UTM, names: Sequence[str] | None = NAMES
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    crs, transform = place or (None, None)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=values.shape[0], width=values.shape[1], dtype="uint8",
        crs=None if crs is None else CRS.from_string(crs), transform=transform, nodata=255,
    ) as file:  # fmt: skip
        file.write(values.astype(np.uint8), 1)
        if names is not None:
            file.update_tags(CLASS_NAMES=json.dumps(names))
    return path


def world(folder: Path, place: tuple[str, Affine] | None = UTM, seed: int = 0) -> tuple[Path, Path]:
    """Write a map and its truth: a rare class that is often missed, most of it in the north."""
    generator = np.random.default_rng(seed)
    shape = (300, 160)
    north = np.linspace(1, 0, shape[0])[:, None] * np.ones(shape[1])
    truth = np.where(generator.random(shape) < 0.3 * north, 2, 0)
    truth[generator.random(shape) < 0.03] = 1
    mapped = truth.copy()
    mapped[(truth == 1) & (generator.random(shape) < 0.4)] = 0
    mapped[(truth == 0) & (generator.random(shape) < 0.05)] = 2
    for values in (truth, mapped):
        values[:, :7] = 255
    return write(folder / "map.tif", mapped, place), write(folder / "truth.tif", truth, place)


def fill(path: Path, truth: Sequence[Path], *, leave: int = 0, word: Callable[[int], str] = lambda k: NAMES[k]) -> None:
    """Label a table's points from the truth of their map; the first `leave` stay empty."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    pixels = {}
    for one in truth:
        with rasterio.open(one) as file:
            pixels[one.parent.name] = file.read(1)
    for row in rows[leave:]:
        values = pixels[Path(row["map"]).parent.name] if len(truth) > 1 else next(iter(pixels.values()))
        row["reference"] = word(int(values[int(row["row"]), int(row["column"])]))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def replaced(path: Path, change: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows = change(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("place", [UTM, DEGREES], ids=["utm", "degrees"])
def test_the_truth_lies_in_the_intervals(tmp_path: Path, place: tuple[str, Affine]) -> None:
    mapped, truth = world(tmp_path, place)
    settings = SampleSettings(error=0.01, expected={"": 0.9, "forest loss": 0.6}, seed=2)
    drawn = sample([mapped], tmp_path / "p.csv", settings)
    assert drawn.points == sum(row["points"] for row in drawn.strata)
    fill(tmp_path / "p.csv", [truth])
    found = estimate(tmp_path / "p.csv", level=0.999)
    real = count_strata([truth], LEGEND).areas
    for entry, area in zip(found.classes, real, strict=True):
        assert entry["low"]["m2"] <= area <= entry["high"]["m2"], entry["name"]
        assert entry["mapped"]["ha"] == pytest.approx(entry["mapped"]["m2"] / 1e4)
        assert entry["adjusted"]["km2"] == pytest.approx(entry["adjusted"]["m2"] / 1e6)
    assert sum(entry["adjusted"]["m2"] for entry in found.classes) == pytest.approx(real.sum())
    # The map itself misses what the estimate finds.
    loss = found.classes[1]
    assert loss["mapped"]["m2"] < 0.8 * real[1]
    assert abs(loss["adjusted"]["m2"] - real[1]) < abs(loss["mapped"]["m2"] - real[1])


def test_several_maps_are_one_population(tmp_path: Path) -> None:
    pairs = [world(tmp_path / name, place, seed) for seed, (name, place) in enumerate((("a", UTM), ("b", DEGREES)))]
    maps, truth = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    sample(maps, tmp_path / "p.csv", SampleSettings(points=500, allocation="equal"))
    fill(tmp_path / "p.csv", truth)
    found = estimate(tmp_path / "p.csv", level=0.999)
    real = count_strata(truth, LEGEND).areas
    assert all(one["low"]["m2"] <= area <= one["high"]["m2"] for one, area in zip(found.classes, real, strict=True))


def test_a_geopackage_is_filled_in_a_gis(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    sample([mapped], tmp_path / "p.gpkg", SampleSettings(points=90, allocation="equal"))
    frame = pyogrio.read_dataframe(tmp_path / "p.gpkg")
    with rasterio.open(truth) as file:
        values = [int(value[0]) for value in file.sample(zip(frame.geometry.x, frame.geometry.y, strict=True))]
    frame["reference"] = [str(value) for value in values]
    pyogrio.write_dataframe(frame, tmp_path / "p.gpkg", layer="sample", driver="GPKG")
    found = estimate(tmp_path / "p.gpkg")
    assert (found.points, found.unfilled) == (90, 0)
    assert found.overall["value"] > 0.7


def test_all_files_say_the_same(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    sample([mapped], tmp_path / "p.csv", SampleSettings(points=300))
    fill(tmp_path / "p.csv", [truth])
    found = estimate(tmp_path / "p.csv", out=tmp_path / "ö out")
    assert json.loads((tmp_path / "ö out/summary.json").read_text()) == found.as_dict()
    with (tmp_path / "ö out/areas.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list(NAMES)
    assert float(rows[1]["adjusted_ha"]) == found.classes[1]["adjusted"]["ha"]
    assert float(rows[1]["user_accuracy_low"]) == found.classes[1]["user"]["low"]
    with (tmp_path / "ö out/error_matrix.csv").open() as file:
        matrix = list(csv.reader(file))
    assert [[float(cell) for cell in row[1:]] for row in matrix[1:4]] == found.shares
    assert [[int(cell) for cell in row[1:]] for row in matrix[5:8]] == found.counts
    assert "p.csv" in found.report.read_text()
    assert sum(map(sum, found.shares)) == pytest.approx(1)


def test_unfilled_points_are_counted(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    sample([mapped], tmp_path / "p.csv", SampleSettings(points=300))
    fill(tmp_path / "p.csv", [truth], leave=30)
    replaced(tmp_path / "p.csv", lambda rows: rows[5:])
    found = estimate(tmp_path / "p.csv")
    # Five of the thirty are not even in the file any more.
    assert (found.points, found.unfilled) == (270, 30)
    assert any("30 of 300 points have no reference class" in note for note in found.notes)
    assert sum(row["unfilled"] for row in found.classes) == 30


def test_nothing_is_filled(tmp_path: Path) -> None:
    mapped, _ = world(tmp_path)
    sample([mapped], tmp_path / "p.csv", SampleSettings(points=100, minimum=5))
    with pytest.raises(DataError, match="No point has a reference class"):
        estimate(tmp_path / "p.csv")


def test_a_misspelt_class_is_refused_with_the_right_one(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    sample([mapped], tmp_path / "p.csv", SampleSettings(points=100, minimum=5))
    fill(tmp_path / "p.csv", [truth], word=lambda k: ("forst", "forest loss", "water")[k])
    with pytest.raises(LabelError, match=r'"forst".*Did you mean "forest"'):
        estimate(tmp_path / "p.csv")


def test_classes_that_no_map_has(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    sample([mapped], tmp_path / "p.csv", SampleSettings(points=200, allocation="equal"))
    fill(tmp_path / "p.csv", [truth], word=lambda k: ("forest", "swamp", "water")[k])
    found = estimate(tmp_path / "p.csv", also=("swamp",))
    swamp = found.classes[3]
    assert swamp["mapped"]["m2"] == 0
    assert swamp["adjusted"]["m2"] > 0
    assert found.as_dict()["classes"][3]["user"]["value"] is None
    assert any('"swamp" is never mapped' in note for note in found.notes)
    assert any('"forest loss" is mapped, but no point' in note for note in found.notes)


def test_a_class_with_one_point_and_a_class_with_none(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    sample([mapped], tmp_path / "p.csv", SampleSettings(points=100, minimum=5))
    fill(tmp_path / "p.csv", [truth])

    def kept(rows: list[dict[str, str]], loss: int) -> list[dict[str, str]]:
        few = [row for row in rows if row["map_class"] == "forest loss"][:loss]
        return [row for row in rows if row["map_class"] != "forest loss"] + few

    replaced(tmp_path / "p.csv", lambda rows: kept(rows, 1))
    one = estimate(tmp_path / "p.csv")
    assert any("Only one point mapped as forest loss" in note for note in one.notes)
    assert one.as_dict()["classes"][0]["low"]["m2"] is None
    assert "nan" not in one.report.read_text().lower()
    replaced(tmp_path / "p.csv", lambda rows: kept(rows, 0))
    none = estimate(tmp_path / "p.csv")
    assert any('"forest loss"' in note and "has no labelled point" in note for note in none.notes)
    assert none.total["m2"] == pytest.approx(one.total["m2"] - one.classes[1]["mapped"]["m2"])


def test_few_omissions_in_a_large_class_are_told(tmp_path: Path) -> None:
    values = np.zeros((40, 40), np.uint8)
    values[:4] = 1
    mapped = write(tmp_path / "map.tif", values, names=NAMES[:2])
    sample([mapped], tmp_path / "p.csv", SampleSettings(points=200, allocation="equal"))

    def missed(rows: list[dict[str, str]], count: int) -> list[dict[str, str]]:
        forest = [row["id"] for row in rows if row["map_class"] == "forest"][:count]
        return [{**row, "reference": "forest loss" if row["id"] in forest else row["map_class"]} for row in rows]

    for count, told in ((0, False), (2, True), (8, False)):
        replaced(tmp_path / "p.csv", lambda rows, count=count: missed(rows, count))
        notes = estimate(tmp_path / "p.csv").notes
        assert any(f"very few points that the map missed: forest loss ({count})" in note for note in notes) == told


def test_more_points_than_the_design_drew(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    sample([mapped], tmp_path / "p.csv", SampleSettings(points=100, minimum=5))
    fill(tmp_path / "p.csv", [truth])
    replaced(tmp_path / "p.csv", lambda rows: [*rows, {**rows[0], "id": "900"}])
    with pytest.raises(DataError, match="its design drew"):
        estimate(tmp_path / "p.csv")


def test_maps_stand_in_for_a_lost_design(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    drawn = sample([mapped], tmp_path / "p.csv", SampleSettings(points=100, minimum=5))
    fill(tmp_path / "p.csv", [truth])
    before = estimate(tmp_path / "p.csv")
    drawn.design.rename(tmp_path / "elsewhere.json")
    with pytest.raises(DataError, match="--map"):
        estimate(tmp_path / "p.csv")
    moved = estimate(tmp_path / "p.csv", design=tmp_path / "elsewhere.json")
    counted = estimate(tmp_path / "p.csv", maps=[mapped])
    assert before.classes == moved.classes == counted.classes
    with pytest.raises(ConfigError, match="contradict"):
        estimate(tmp_path / "p.csv", maps=[mapped], design=tmp_path / "elsewhere.json")
    with pytest.raises(ConfigError, match="belong to --map"):
        estimate(tmp_path / "p.csv", design=tmp_path / "elsewhere.json", without=["water"])


def test_maps_without_coordinates_are_counted_in_pixels(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path, None)
    sample([mapped], tmp_path / "p.csv", SampleSettings(points=200, allocation="proportional"))
    fill(tmp_path / "p.csv", [truth])
    found = estimate(tmp_path / "p.csv")
    assert found.unit == "pixels"
    assert found.total == {"pixels": 300 * 153}
    assert "adjusted pixels" in found.told()["areas"][0]  # type: ignore[index]


def test_the_same_call_draws_the_same_points(tmp_path: Path) -> None:
    mapped, _ = world(tmp_path)
    events: list[Event] = []
    for name in ("p", "q"):
        sample([mapped], tmp_path / f"{name}.csv", SampleSettings(points=100, seed=7), listener=events.append)
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "q.csv").read_bytes()
    assert (tmp_path / "p.design.json").read_bytes() == (tmp_path / "q.design.json").read_bytes()
    assert {event.job for event in events} == {"count strata", "draw points"}


def test_a_class_may_be_left_out(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    whole = sample([mapped], tmp_path / "p.csv", SampleSettings(points=100, minimum=5))
    part = sample([mapped], tmp_path / "q.csv", SampleSettings(points=100, minimum=5, without=("water",)))
    assert part.strata[2]["points"] == part.strata[2]["area"] == 0
    assert part.strata[0]["area"] == whole.strata[0]["area"]
    assert any("water" in note for note in part.notes)
    fill(tmp_path / "q.csv", [truth])
    assert estimate(tmp_path / "q.csv").total["m2"] == pytest.approx(sum(row["area"] for row in part.strata))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (SampleSettings(), "how large the sample is"),
        (SampleSettings(error=0.01), "how large the sample is"),
        (SampleSettings(points=10, error=0.01), "contradict"),
        (SampleSettings(points=0), "at least one"),
        (SampleSettings(points=10, minimum=1), "fewer than 2 points"),
        (SampleSettings(error=0.01, expected={"wter": 0.5, "": 0.9}), 'No class is called "wter"'),
        (SampleSettings(error=0.01, expected={"water": 0.5}), "No accuracy is expected of forest, forest loss"),
        (SampleSettings(error=0.01, expected={"": 90.0}), "between 0 and 1"),
        (SampleSettings(error=0.0, expected={"": 0.9}), "target standard error"),
        (SampleSettings(points=60_000, allocation="proportional"), "Too few pixels"),
        (SampleSettings(points=100, minimum=5_000), 'Too few pixels: "forest loss" has'),
    ],
)
def test_designs_that_cannot_be(tmp_path: Path, settings: SampleSettings, told: str) -> None:
    mapped, _ = world(tmp_path)
    with pytest.raises(ConfigError, match=told):
        sample([mapped], tmp_path / "p.csv", settings)
    assert not (tmp_path / "p.csv").exists()


def test_an_allocation_that_misses_its_target_says_so(tmp_path: Path) -> None:
    mapped, _ = world(tmp_path)
    settings = SampleSettings(error=0.01, expected={"": 0.9}, allocation="equal")
    drawn = sample([mapped], tmp_path / "p.csv", settings)
    assert drawn.expected_error is not None
    assert drawn.expected_error > 0.011
    assert any("The allocation equal will give a standard error of 0.01" in note for note in drawn.notes)


def run_folder(folder: Path, mapped: Path, counts: list[list[int]]) -> Path:
    run = folder / "run"
    (run / "evaluate/test").mkdir(parents=True)
    (run / "predict").mkdir()
    rows = [["label \\ prediction", *NAMES], *([name, *row] for name, row in zip(NAMES, counts, strict=True))]
    with (run / "evaluate/test/confusion.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (run / "evaluate/test/summary.json").write_text(json.dumps({"images": 12}))
    (run / "predict/summary.json").write_text(json.dumps({"maps": [{"out": str(mapped)}]}))
    return run


COUNTS = [[90_000, 500, 3_000], [900, 1_200, 0], [200, 0, 20_000]]


def test_a_split_stands_in_with_its_caveat(tmp_path: Path) -> None:
    mapped, _ = world(tmp_path)
    run = run_folder(tmp_path, mapped, COUNTS)
    found = estimate(run)
    assert found.folder == run / "areas"
    assert found.caveat is not None
    assert "no probability sample" in found.caveat
    assert "no probability sample" in found.report.read_text()
    assert "no probability sample" in str(found.told()["caveat"])
    # Columns of the confusion are the map: of 1,700 pixels predicted as loss 1,200 are.
    assert found.classes[1]["user"]["value"] == pytest.approx(1_200 / 1_700)
    assert found.classes[1]["mapped"]["m2"] == count_strata([mapped], LEGEND).areas[1]
    # Twelve images, not a hundred thousand pixels.
    assert found.overall["margin"] > 0.05
    assert any("12 images" in note for note in found.notes)


def test_images_of_a_split_are_resampled(tmp_path: Path) -> None:
    mapped, _ = world(tmp_path)
    run = run_folder(tmp_path, mapped, COUNTS)
    alike = np.array(COUNTS) // 10
    per_image = np.stack([*[alike] * 9, np.array(COUNTS) - 9 * alike]).astype(np.int64)
    save_confusions(
        run / "evaluate/test/confusions.safetensors",
        ImageConfusions(tuple(f"{k}.tif" for k in range(10)), NAMES, per_image, "test"),
    )
    found = estimate(run)
    # Images that all err alike leave little doubt.
    assert found.overall["margin"] < 0.001
    assert found.classes[1]["user"]["value"] == pytest.approx(1_200 / 1_700)
    assert any("resampling" in note for note in found.notes)
    per_image[0] += 1
    save_confusions(
        run / "evaluate/test/confusions.safetensors",
        ImageConfusions(tuple(f"{k}.tif" for k in range(10)), NAMES, per_image, "test"),
    )
    with pytest.raises(DataError, match="two evaluations"):
        estimate(run)


def test_a_split_with_other_maps(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    run = run_folder(tmp_path, mapped, COUNTS)
    (run / "predict/summary.json").unlink()
    with pytest.raises(DataError, match="--map"):
        estimate(run)
    assert estimate(run, maps=[truth]).total["m2"] > 0
    with pytest.raises(DataError, match="--split val"):
        estimate(run, maps=[truth], split="val")
    with pytest.raises(ConfigError, match="for sample files"):
        estimate(run, maps=[truth], also=["swamp"])


def test_a_split_may_know_classes_that_the_map_lacks(tmp_path: Path) -> None:
    values = np.zeros((30, 40), np.uint8)
    values[:10] = 1
    mapped = write(tmp_path / "map.tif", values)
    found = estimate(run_folder(tmp_path, mapped, COUNTS))
    water = found.as_dict()["classes"][2]  # type: ignore[index]
    assert water["mapped"]["m2"] == 0
    assert water["adjusted"]["m2"] > 0


def test_lost_maps_of_a_run(tmp_path: Path) -> None:
    mapped, _ = world(tmp_path)
    run = run_folder(tmp_path, tmp_path / "gone.tif", COUNTS)
    with pytest.raises(DataError, match="are not there"):
        estimate(run)
    # A run folder that was moved still has its maps.
    mapped.rename(run / "predict" / "gone.tif")
    assert estimate(run).points == sum(map(sum, COUNTS))


def test_a_sample_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        estimate(tmp_path / "p.csv")


def test_the_terminal_reads_areas_in_hectares(tmp_path: Path) -> None:
    mapped, truth = world(tmp_path)
    drawn = sample([mapped], tmp_path / "p.csv", SampleSettings(points=200))
    fill(tmp_path / "p.csv", [truth])
    told: Any = drawn.told()
    assert told["strata"][0]["ha"] == pytest.approx(drawn.strata[0]["area"] / 1e4)
    told = estimate(tmp_path / "p.csv").told()
    assert told["areas"][1]["class"] == "forest loss"
    assert "±" in told["areas"][1]["user's"]
    assert told["level"] == "95 %"
