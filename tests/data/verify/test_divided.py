"""Images that blocks, polygons or folds divide: each part is judged under its own role, and leaks between them told."""

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter
from shapely import Polygon, box

from terrazzo.data.prepare import prepare_data
from terrazzo.data.prepared import Prepared
from terrazzo.data.reading import ImageFiles
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.verify.audit import Audit, take_inventory, verify_pairs
from terrazzo.data.verify.finding import Finding
from terrazzo.data.verify.results import inputs_of, save_verified
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.storage import read_json

SIDE = 96
METRES = 2
WEST, NORTH = 400_000, 4_000_000
LONG = SIDE * METRES
"""Metres of a scene's side."""


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of two bands, and its label of two classes."""
    generator = np.random.default_rng(seed)
    ground = gaussian_filter(generator.normal(size=(SIDE, SIDE)), 5)
    target = (ground > np.median(ground)).astype(np.uint8)
    return (1000 + 400.0 * target + 60 * generator.normal(size=(2, SIDE, SIDE))).astype(np.uint16), target


def write(path: Path, planes: np.ndarray, east: float, **settings: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = planes[None] if planes.ndim == 2 else planes
    size = {"count": len(planes), "height": planes.shape[1], "width": planes.shape[2], "dtype": planes.dtype}
    place = {"crs": "EPSG:32612", "transform": Affine(METRES, 0, WEST + east, 0, -METRES, NORTH), **settings}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as out:
        out.write(planes)


def add(folder: Path, name: str, seed: int, east: float, *, split: str = "") -> tuple[np.ndarray, np.ndarray]:
    image, target = draw(seed)
    write(folder / split / "images" / f"{name}.tif", image, east)
    write(folder / split / "gt" / f"{name}.tif", target, east)
    return image, target


def areas(path: Path, **boxes: Sequence[tuple[float, float]]) -> Path:
    """Write strips of ground from north to south, each from one metre to another east of the first scene's corner."""
    rows = [(role, begin, end) for role, strips in boxes.items() for begin, end in strips]
    shapes = [box(WEST + begin, NORTH - 20 * LONG, WEST + end, NORTH + LONG) for _, begin, end in rows]
    gpd.GeoDataFrame({"split": [role for role, _, _ in rows]}, geometry=shapes, crs="EPSG:32612").to_file(path)
    return path


def settings(folder: Path, **more: object) -> DataSettings:
    given = {"source": {"name": "geotiff", "folder": folder}, "classes": ["land", "water"], "patch": {"size": 16}}
    return DataSettings.model_validate({**given, **more})


def look(data: DataSettings, **checks: object) -> Audit:
    return verify_pairs(take_inventory(data), data, VerifySettings.model_validate({"workers": 1, **checks}))


def prepared(data: DataSettings, folder: Path) -> Prepared:
    return prepare_data(data, PrepareSettings(folder=folder, store="original"))


def told(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(one.severity, one.check, Path(one.file).name) for one in findings]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Eight scenes, each half on the ground of the next."""
    for number in range(8):
        add(tmp_path / "a set", f"{number}", number, LONG / 2 * number)
    return tmp_path / "a set"


@pytest.mark.parametrize("guard", [0, 20])
def test_each_part_of_a_block_division_counts_under_its_own_role(scenes: Path, tmp_path: Path, guard: int) -> None:
    roles = {"train": 0.5, "val": 0.3, "test": 0.2}
    data = settings(scenes, split={"blocks": {"size_m": 60, "guard_m": guard, "fractions": roles}})
    audit = look(data)
    expected = {role: np.zeros(2, int) for role in roles}
    for entry in prepared(data, tmp_path / "prepared").catalog:
        inside = entry.area.open(entry.grid).inside(entry.grid.whole) if entry.area else np.ones((SIDE, SIDE), bool)
        _, target = draw(int(entry.image.stem))
        expected[entry.split] += np.bincount(target[inside], minlength=2)
    assert audit.class_pixels == {role: tuple(counts.tolist()) for role, counts in expected.items()}
    assert (sum(map(sum, audit.class_pixels.values())) == 8 * SIDE**2) == (guard == 0)
    assert set(audit.images) == set(roles)
    # Scenes overlap, but all agree about every place.
    assert told(audit.findings) == []
    assert audit.places.distances_m[("train", "val")][0] == guard


@pytest.mark.parametrize("size", [(1, 1), (7, 385), (769, 5), (33, 1000)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    """Cells of one, two and three pixels, the last ones narrower."""
    folder = tmp_path / "städte und meer"
    image = np.random.default_rng(0).integers(1, 200, (1, *size)).astype(np.uint8)
    write(folder / "images/ö 1.tif", image, 0)
    write(folder / "gt/ö 1.tif", image[0] % 2, 0)
    areas(tmp_path / "roles.gpkg", train=[(0, 6)], val=[(6, 5000)])
    audit = look(settings(folder, split={"polygons": tmp_path / "roles.gpkg"}), checks=["classes", "places"])
    parts = {"train": image[0, :, :3] % 2, "val": image[0, :, 3:] % 2}
    expected = {role: tuple(np.bincount(part.ravel(), minlength=2).tolist()) for role, part in parts.items()}
    assert audit.class_pixels == {role: counts for role, counts in expected.items() if sum(counts)}
    square_m = {one.split: one.shape.area * 0.9996**2 for one in audit.places.footprints}
    cell = METRES * max(1, -(-max(size) // 384))
    for role, metres in square_m.items():
        assert metres == pytest.approx(parts[role].size * METRES**2, abs=cell * METRES * size[0], rel=1e-3)
    assert sum(square_m.values()) == pytest.approx(size[0] * size[1] * METRES**2, rel=1e-3)


def test_outlines_stay_small_where_blocks_are(tmp_path: Path) -> None:
    """Blocks of two pixels by the thousand, and a scene on ground of both roles."""
    values = np.random.default_rng(0).integers(1, 200, (1, 300, 300)).astype(np.uint8)
    write(tmp_path / "images/a.tif", values, 0)
    write(tmp_path / "gt/a.tif", values[0] % 2, 0)
    add(tmp_path, "exam", 3, 100, split="test")
    data = settings(
        tmp_path, patch={"size": 2}, split={"blocks": {"size_m": 4, "fractions": {"train": 0.5, "val": 0.5}}}
    )
    audit = look(data, checks=["places", "classes"])
    assert sum(sum(audit.class_pixels[role]) for role in ("train", "val")) == 300**2
    shapes = {one.split: one.shape for one in audit.places.footprints}
    assert max(map(shapely.get_num_coordinates, shapes.values())) < 10_000
    assert shapes["train"].area == pytest.approx(shapes["val"].area, rel=0.2)
    overlapped = [one.what for one in audit.findings if one.check == "overlap"]
    assert len(overlapped) == 2
    assert {tuple(role for role in ("train", "val") if role in what) for what in overlapped} == {("train",), ("val",)}


def test_findings_do_not_depend_on_processes(scenes: Path) -> None:
    add(scenes, "later", 40, 0, split="test")
    data = settings(scenes, split={"blocks": {"size_m": 60}})
    one, two = (look(data, workers=workers, distance_m=5) for workers in (1, 2))
    assert (one.findings, one.class_pixels, one.images) == (two.findings, two.class_pixels, two.images)
    assert one.findings


def test_each_image_is_decoded_once_whatever_the_number_of_parts(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: dict[Path, int] = {}
    read = ImageFiles.read

    def counted(self: ImageFiles, window, bands):
        raster = read(self, window, bands)
        path = self.bands[0].path
        decoded[path] = decoded.get(path, 0) + window.height * window.width
        return raster

    monkeypatch.setattr(ImageFiles, "read", counted)
    roles = {"train": 0.4, "val": 0.2, "calibrate": 0.2, "test": 0.2}
    audit = look(settings(scenes, split={"blocks": {"size_m": 30, "fractions": roles}}))
    assert set(audit.images) == set(roles)
    assert list(decoded.values()) == [SIDE**2] * 8


def test_a_whole_image_of_another_role_on_the_ground_of_a_part(scenes: Path) -> None:
    add(scenes, "exam", 40, LONG, split="test")
    for more in ({}, {"validation": {"city": {"source": {"name": "geotiff", "folder": scenes / "test"}}}}):
        data = settings(scenes, split={"blocks": {"size_m": 60}}, **more)
        found = [one for one in look(data, checks=["places"]).findings if one.check == "overlap"]
        assert {one.severity for one in found} == {"error"}
        assert all("exam.tif" in one.file + one.what for one in found)
        assert any("train" in one.what for one in found)


def test_a_file_that_trains_and_is_listed_by_a_set(scenes: Path) -> None:
    validation = {"city": {"source": {"name": "geotiff", "folder": scenes}}}
    audit = look(settings(scenes, split={"blocks": {"size_m": 60}}, validation=validation), checks=["duplicates"])
    assert {(one.severity, one.check) for one in audit.findings} == {("error", "duplicate")}
    assert all("is listed twice" in one.what and "val_city" in one.what for one in audit.findings)


class TestPolygons:
    """Columns 0..39 train, 50..95 select; what lies between them belongs to nobody."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        areas(tmp_path / "roles.gpkg", train=[(0, 80)], val=[(100, 192)])
        return tmp_path / "set"

    @pytest.fixture
    def split(self, tmp_path: Path) -> dict[str, object]:
        return {"polygons": tmp_path / "roles.gpkg"}

    def test_pixels_of_classes(self, folder: Path, split: dict[str, object]) -> None:
        _, target = add(folder, "a", 0, 0)
        audit = look(settings(folder, split=split))
        expected = {
            "train": tuple(np.bincount(target[:, :40].ravel(), minlength=2).tolist()),
            "val": tuple(np.bincount(target[:, 50:].ravel(), minlength=2).tolist()),
        }
        assert (audit.class_pixels, audit.images, audit.findings) == (expected, {"train": 1, "val": 1}, ())
        metres, _, _ = audit.places.distances_m["train", "val"]
        assert metres == pytest.approx(20 / 0.9996, rel=1e-3)

    def test_missing_pixels_count_for_no_part(self, folder: Path, split: dict[str, object]) -> None:
        image, target = draw(0)
        image[:, :30] = 0
        write(folder / "images/a.tif", image, 0, nodata=0)
        write(folder / "gt/a.tif", target, 0)
        audit = look(settings(folder, split=split))
        assert audit.class_pixels["train"] == tuple(np.bincount(target[30:, :40].ravel(), minlength=2).tolist())
        train = next(one for one in audit.places.footprints if one.split == "train")
        assert train.shape.area == pytest.approx(66 * 40 * METRES**2 / 0.9996**2, rel=1e-3)

    def test_classes_and_bands_that_differ_between_parts(self, folder: Path, split: dict[str, object]) -> None:
        image, target = draw(0)
        target[:, 45:] = 0
        image[:, :, 45:] *= 3
        write(folder / "images/a.tif", image, 0)
        write(folder / "gt/a.tif", target, 0)
        found = look(settings(folder, split=split), checks=["classes", "drift"]).findings
        assert [one.check for one in found] == ["class", "drift", "drift"]
        assert found[0].what == "class water is absent from val"
        east, west = (image[0][::4, part].mean() for part in (slice(52, None, 4), slice(0, 40, 4)))
        assert f"the mean {east:.4g} in val and {west:.4g} in train" in found[1].what

    def test_what_lies_in_no_polygon_is_not_judged_but_decoded(self, folder: Path, split: dict[str, object]) -> None:
        image, target = add(folder, "a", 0, 0)
        target[:, 42:48] = 7
        write(folder / "gt/a.tif", target, 0)
        write(folder / "images/far.tif", image[:, ::-1], 5000)
        write(folder / "gt/far.tif", np.full_like(target, 9), 5000)
        audit = look(settings(folder, split=split), checks=["files", "classes"])
        assert (audit.findings, audit.images) == ((), {"train": 1, "val": 1, "left out": 1})
        for name, image_of in (("a", "a.tif"), ("far", "far.tif")):
            label = folder / f"gt/{name}.tif"
            label.write_bytes(label.read_bytes()[:-500])
            found = look(settings(folder, split=split), checks=["files"]).findings
            assert ("error", "unreadable", image_of) in told(found)
        target[:, 60] = 7
        write(folder / "gt/a.tif", target, 0)
        (unlisted,) = [one for one in look(settings(folder, split=split)).findings if one.check == "unlisted"]
        assert f"{SIDE} pixels, first at y 0, x 60" in unlisted.what

    def test_a_set_that_lies_on_one_role_alone(self, folder: Path, split: dict[str, object], tmp_path: Path) -> None:
        """Its 92 m lie where the scene selects, then half of them where it trains."""
        add(folder, "a", 0, 0)
        image, target = draw(50)
        validation = {"city": {"source": {"name": "geotiff", "folder": tmp_path / "city"}}}
        data = settings(folder, split=split, validation=validation)
        for east, roles in ((100, {"val"}), (34, {"train", "val"})):
            write(tmp_path / "city/images/b.tif", image[:, :, :46], east)
            write(tmp_path / "city/gt/b.tif", target[:, :46], east)
            found = look(data, checks=["places"]).findings
            assert {one.check for one in found} == {"overlap"}
            assert {role for role in ("train", "val") if any(f"one is {role}," in one.what for one in found)} == roles
        shares = {one.what.split()[0] for one in found}
        assert shares == {"58%", "28%"}  # 46 of 80 m, and 26 of 92

    def test_a_change_of_the_polygons_is_a_change_of_the_data(
        self, folder: Path, split: dict[str, object], tmp_path: Path
    ) -> None:
        add(folder, "a", 0, 0)
        data = settings(folder, split=split)
        before = inputs_of(take_inventory(data), data, VerifySettings())
        areas(tmp_path / "roles.gpkg", train=[(0, 80), (150, 160)], val=[(100, 140)])
        assert inputs_of(take_inventory(data), data, VerifySettings()) != before

    def test_every_piece_of_a_part_is_drawn_on_the_map(
        self, folder: Path, split: dict[str, object], tmp_path: Path
    ) -> None:
        add(folder, "a", 0, 0)
        areas(tmp_path / "roles.gpkg", train=[(0, 40), (60, 100)], val=[(120, 192)])
        data = settings(folder, split=split)
        save_verified(tmp_path / "verify.json", look(data), inputs="", classes=["land", "water"])
        pieces = read_json(tmp_path / "verify.json")["footprints"]
        assert sorted(one["split"] for one in pieces) == ["train", "train", "val"]
        wide = sorted(round(Polygon(one["outline"]).area / LONG) for one in pieces)
        assert wide == [40, 40, 72]


def photos(folder: Path, *pictures: np.ndarray, split: str = "") -> None:
    for number, pixels in enumerate(pictures):
        for kind, values in (("images", pixels), ("masks", (pixels[..., 0] > 128).astype(np.uint8))):
            (folder / split / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(folder / split / kind / f"{number}.png")


def photo(seed: int) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(80, 80, 3)), (4, 4, 0))
    return (255 * (noise - noise.min()) / (noise.max() - noise.min())).astype(np.uint8)


class TestCopies:
    """One picture under two names."""

    def test_copies_whose_blocks_are_drawn_apart(self, tmp_path: Path) -> None:
        photos(tmp_path, photo(0), photo(1), photo(0))
        data = settings(tmp_path, source={"name": "folder", "folder": tmp_path}, split={"blocks": {"size_pixels": 20}})
        (finding,) = look(data, checks=["duplicates"]).findings
        assert told([finding]) == [("error", "duplicate", "2.png")]
        assert "one is train and val, the other train and val" in finding.what

    def test_a_copy_of_a_divided_picture_that_judges(self, tmp_path: Path) -> None:
        photos(tmp_path, photo(0), split="train")
        photos(tmp_path, photo(0)[:, ::-1], split="test")
        data = settings(tmp_path, source={"name": "folder", "folder": tmp_path}, split={"blocks": {"size_pixels": 20}})
        (finding,) = look(data, checks=["duplicates"]).findings
        assert finding.severity == "error"
        assert finding.what.endswith(": one is test, the other train and val")

    def test_copies_in_one_place_have_one_role_everywhere(self, tmp_path: Path) -> None:
        """The same ground twice is no leak; the same picture elsewhere is."""
        add(tmp_path, "a", 0, 0)
        add(tmp_path, "b", 0, 0)
        data = settings(tmp_path, split={"blocks": {"size_m": 40}})
        assert told(look(data).findings) == [("warning", "duplicate", "b.tif")]
        add(tmp_path, "b", 0, 9000)
        assert told(look(data).findings) == [("error", "duplicate", "b.tif")]

    def test_a_first_copy_of_the_same_role_hides_no_leak(self, tmp_path: Path) -> None:
        """Whatever role the images' folders say, polygons decide: the second copy lies where pixels select."""
        for name, east in (("a", 0), ("b", 1000), ("c", 500)):
            add(tmp_path, name, 0, east, split="train")
        data = settings(tmp_path, split={"polygons": areas(tmp_path / "r.gpkg", train=[(-9, 800)], val=[(900, 1300)])})
        found = look(data, checks=["duplicates"]).findings
        assert told(found) == [("error", "duplicate", "b.tif"), ("error", "duplicate", "c.tif")]


class TestFolds:
    """Folds take turns to select; the one that does decides the roles."""

    @pytest.mark.parametrize("folds", [{"count": 3}, {"count": 3, "stratify": True, "seed": 4}])
    def test_roles_are_those_of_preparing(self, tmp_path: Path, folds: dict[str, object]) -> None:
        labels = {f"{seed}": add(tmp_path / "set", f"{seed}", seed, 500.0 * seed)[1] for seed in range(9)}
        add(tmp_path / "set", "exam", 20, 9000, split="test")
        for fold in (0, 2):
            data = settings(tmp_path / "set", split={"folds": folds}, fold=fold)
            # Classes need not be asked for to be counted where folds are dealt by them.
            for checks in (["classes", "places"], ["places"]):
                audit = look(data, checks=checks)
                catalog = prepared(data, tmp_path / f"prepared {fold}").catalog
                roles = {str(entry.image): entry.split for entry in catalog}
                assert {one.file: one.split for one in audit.places.footprints} == roles
                assert audit.images == {"train": 6, "val": 3, "test": 1}
            audit = look(data, checks=["classes"])
            held = [label for name, label in labels.items() if roles[str(tmp_path / f"set/images/{name}.tif")] == "val"]
            assert audit.class_pixels["val"] == tuple(np.bincount(np.ravel(held), minlength=2).tolist())

    def test_a_copy_in_the_fold_that_selects(self, tmp_path: Path) -> None:
        for seed in range(6):
            add(tmp_path / "set", f"{seed}", seed, 500.0 * seed)
        add(tmp_path / "set", "copy", 0, 9000)
        severities = []
        for fold in range(7):
            data = settings(tmp_path / "set", split={"folds": {"count": 7}}, fold=fold)
            severities += [one.severity for one in look(data).findings if one.check == "duplicate"]
        # Both train but in two runs of seven.
        assert sorted(severities) == ["error"] * 2 + ["warning"] * 5

    @pytest.mark.parametrize("stratify", [False, True])
    def test_blocks_dealt_into_folds(self, scenes: Path, tmp_path: Path, stratify: bool) -> None:
        folds = {"count": 3, "by": "block", "stratify": stratify}
        data = settings(scenes, split={"folds": folds, "blocks": {"size_m": 60, "guard_m": 10}}, fold=1)
        audit = look(data)
        expected = {"train": 0, "val": 0}
        for entry in prepared(data, tmp_path / "prepared").catalog:
            expected[entry.split] += int(entry.area.open(entry.grid).inside(entry.grid.whole).sum())
        assert {role: sum(counts) for role, counts in audit.class_pixels.items()} == expected
        assert set(audit.images) == {"train", "val"}
        assert told(audit.findings) == []
        assert audit.places.distances_m["train", "val"][0] == 10

    def test_between_folds_of_a_table_where_none_selects(self, tmp_path: Path) -> None:
        rows = ["image,label,split,fold"]
        for name, seed, east, fold in (("a", 0, 0, 0), ("b", 1, 100, 1), ("c", 0, 9000, 1), ("d", 3, 9100, 1)):
            add(tmp_path, name, seed, east)
            rows.append(f"images/{name}.tif,gt/{name}.tif,train,{fold}")
        (tmp_path / "rows.csv").write_text("\n".join(rows))
        source = {"name": "table", "table": tmp_path / "rows.csv"}
        found = look(settings(tmp_path, source=source)).findings
        assert told(found) == [("warning", "duplicate", "c.tif"), ("warning", "overlap", "b.tif")]
        assert "one is in fold 0, the other in fold 1" in found[0].what
        assert "one is in fold 0, the other in fold 1" in found[1].what.replace("is in fold 1", "in fold 1")
        found = look(settings(tmp_path, source=source, fold=0)).findings
        assert told(found) == [("error", "duplicate", "c.tif"), ("error", "overlap", "b.tif")]

    def test_an_unreadable_image_takes_no_part(self, tmp_path: Path) -> None:
        for seed in range(5):
            add(tmp_path, f"{seed}", seed, 500.0 * seed)
        image = tmp_path / "images/3.tif"
        image.write_bytes(image.read_bytes()[:-3000])
        audit = look(settings(tmp_path, split={"folds": {"count": 2}}, fold=0))
        assert audit.images == {"train": 2, "val": 2, "left out": 1}
        assert told(audit.findings) == [("error", "unreadable", "3.tif")]


class TestWhatCannotBeDone:
    """A division that fails is a finding like any other; the files are looked at all the same."""

    def test_blocks_in_metres_without_reference_system(self, tmp_path: Path) -> None:
        photos(tmp_path, photo(0), photo(1))
        (tmp_path / "images/1.png").write_bytes(b"")
        data = settings(tmp_path, source={"name": "folder", "folder": tmp_path}, split={"blocks": {"size_m": 20}})
        audit = look(data)
        assert told(audit.findings) == [("error", "listing", ""), ("error", "empty", "1.png")]
        assert "0.png has no coordinate reference system" in audit.findings[0].what
        assert audit.images == {"no split": 2}

    @pytest.mark.parametrize("fault", ["missing", "damaged", "no role", "elsewhere", "overlapping"])
    def test_polygons(self, tmp_path: Path, fault: str) -> None:
        add(tmp_path / "set", "a", 0, 0)
        path = tmp_path / "roles.gpkg"
        if fault == "damaged":
            path.write_bytes(b"SQLite format 3\x00 but no more")
        elif fault == "no role":
            areas(path, learn=[(0, 80)])
        elif fault == "elsewhere":
            areas(path, train=[(90_000, 90_100)])
        elif fault == "overlapping":
            areas(path, train=[(0, 80)], val=[(70, 192)])
        audit = look(settings(tmp_path / "set", split={"polygons": path}))
        assert told(audit.findings) == [("error", "listing", "")]
        assert audit.findings[0].what.startswith("images cannot be divided")

    def test_more_folds_than_images(self, tmp_path: Path) -> None:
        add(tmp_path, "a", 0, 0)
        audit = look(settings(tmp_path, split={"folds": {"count": 4}}, fold=1))
        assert told(audit.findings) == [("error", "listing", "")]
        assert "1 groups" in audit.findings[0].what

    def test_nothing_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        audit = look(settings(tmp_path, split={"blocks": {"size_m": 20}}))
        assert {one.check for one in audit.findings} == {"listing"}
        assert audit.images == {}


def test_real_scenes(real_data: Path, tmp_path: Path) -> None:
    """Two neighbouring orthophotos in a national grid, of 0.3 and 0.15 m a pixel."""
    source = {
        "name": "geotiff",
        "folder": real_data / "geotiff_label_raster_tiles",
        "images": "tiled_image_*.tif",
        "labels": "tiled_label_*.tif",
    }
    classes = [{"name": "other", "values": [0]}, {"name": "target", "values": [1]}]
    blocks = {"size_m": 40, "guard_m": 5, "fractions": {"train": 0.6, "val": 0.4}, "seed": 2}
    data = settings(tmp_path, source=source, classes=classes, split={"blocks": blocks})
    audit = look(data)
    expected = {"train": np.zeros(2, int), "val": np.zeros(2, int)}
    apart = []
    for stem in ("tiled_image_1", "tiled_image_2"):
        masks = {}
        for entry in prepared(data, tmp_path / "prepared").catalog:
            if entry.image.stem == stem:
                masks[entry.split] = entry.area.open(entry.grid).inside(entry.grid.whole)
                with rasterio.open(entry.label.file) as file, rasterio.open(entry.image) as image:
                    seen = masks[entry.split] & (image.dataset_mask() > 0)
                    expected[entry.split] += np.bincount(file.read(1)[seen], minlength=2)[:2]
                pixel = entry.grid.resolution_m
        apart.append((pixel * distance_transform_edt(~masks["val"]))[masks["train"]].min())
    assert audit.class_pixels == {role: tuple(counts.tolist()) for role, counts in expected.items()}
    assert not [one for one in audit.findings if one.check in {"overlap", "duplicate", "listing"}]
    # Pixels' centres keep the guard, their edges lie up to a pixel nearer.
    assert 5 <= audit.places.distances_m["train", "val"][0] <= min(apart) + 0.3
