"""Tasks and projects on disk: which images are listed, with which roles, and what is refused."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import shapely
from PIL import Image

from terrazzo.data.classes import Classes
from terrazzo.data.labels.cvat import CvatDrawing, CvatLabel
from terrazzo.data.prepare import prepare_data
from terrazzo.data.reading import read_image, read_target
from terrazzo.data.settings import DataSettings, PatchSettings, PrepareSettings
from terrazzo.data.sources.cvat import CvatSource
from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.grid import Window

ROOF = '<box label="roof" xtl="0" ytl="0" xbr="2" ybr="3" z_order="0"></box>'
CLASSES = Classes(items=["background", "roof"])


def image(name: str, inside: str = ROOF, *, more: str = "", width: int = 6, height: int = 4) -> str:
    return f'<image id="0" name="{name}" width="{width}" height="{height}" {more}>{inside}</image>'


def annotate(path: Path, *images: str, head: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = f"<meta>{head}</meta>" if head else ""
    path.write_text(f"<annotations><version>1.1</version>{meta}{''.join(images)}</annotations>", encoding="utf-8")
    return path


def photograph(*paths: Path, size: tuple[int, int] = (4, 6)) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), number + 1, dtype=np.uint8)).save(path)


def roles(source: CvatSource) -> Mapping[str, str | None]:
    return {pair.image_id: pair.split for pair in source.pairs().pairs}


def test_a_task_lists_its_images_by_their_paths(tmp_path: Path) -> None:
    names = ["Öde Straße/1 a.jpg", "b/1 a.jpg", "2.JPG", "b/c/4.png"]
    annotate(tmp_path / "annotations.xml", *(image(name) for name in names))
    photograph(*(tmp_path / "images" / name for name in names))
    listing = CvatSource(folder=tmp_path).pairs()
    assert [pair.image_id for pair in listing.pairs] == ["2", "b/1 a", "b/c/4", "Öde Straße/1 a"]
    assert [pair.image for pair in listing.pairs] == [
        tmp_path / "images" / name for name in ("2.JPG", "b/1 a.jpg", "b/c/4.png", "Öde Straße/1 a.jpg")
    ]
    assert {pair.split for pair in listing.pairs} == {pair.region for pair in listing.pairs} == {None}
    label = listing.pairs[1].label
    assert isinstance(label, CvatLabel)
    assert (label.annotations, label.image) == (tmp_path / "annotations.xml", "b/1 a.jpg")
    assert listing.notes == ()


@pytest.mark.parametrize("where", ["raw/images", "raw", "images", "."])
def test_images_lie_beside_the_annotations_or_in_the_folder(tmp_path: Path, where: str) -> None:
    annotate(tmp_path / "raw" / "task.XML", image("x.jpg"))
    photograph(tmp_path / where / "x.jpg")
    assert [pair.image for pair in CvatSource(folder=tmp_path).pairs().pairs] == [tmp_path / where / "x.jpg"]


def test_images_may_lie_anywhere_that_is_named(tmp_path: Path) -> None:
    annotate(tmp_path / "cvat" / "a.xml", image("sub/x.jpg"))
    photograph(tmp_path / "far" / "sub" / "x.jpg", tmp_path / "cvat" / "images" / "sub" / "x.jpg")
    (found,) = CvatSource(folder=tmp_path / "cvat", images=tmp_path / "far").pairs().pairs
    assert (found.image, found.image_id) == (tmp_path / "far" / "sub" / "x.jpg", "sub/x")


def test_several_tasks_keep_images_of_one_name_apart(tmp_path: Path) -> None:
    for task in ("a", "b"):
        annotate(tmp_path / task / "annotations.xml", image("1.jpg"))
        photograph(tmp_path / task / "images" / "1.jpg")
    pairs = CvatSource(folder=tmp_path).pairs().pairs
    assert [(pair.image_id, pair.image, pair.region) for pair in pairs] == [
        ("a/1", tmp_path / "a/images/1.jpg", "a"),
        ("b/1", tmp_path / "b/images/1.jpg", "b"),
    ]


def test_one_stem_with_two_suffixes_is_two_images(tmp_path: Path) -> None:
    annotate(tmp_path / "annotations.xml", image("1.jpg"), image("1.png"), image("2.png"))
    photograph(*(tmp_path / name for name in ("1.jpg", "1.png", "2.png")))
    assert list(roles(CvatSource(folder=tmp_path))) == ["1.jpg", "1.png", "2"]


def test_a_project_says_roles_and_regions(tmp_path: Path) -> None:
    tasks = "".join(
        f"<task><id>{n}</id><name>{name}</name><subset>{subset}</subset></task>"
        for n, name, subset in ((4, "north", "Train"), (5, "south", "Validation"))
    )
    annotate(
        tmp_path / "annotations.xml",
        image("1.jpg", more='task_id="4" subset="Train"'),
        image("1.jpg", more='task_id="5" subset="Validation"'),
        image("2.jpg", more='task_id="5"'),
        head=f"<project><name>all</name><tasks>{tasks}</tasks></project>",
    )
    folder = tmp_path / "images"
    photograph(folder / "Train" / "1.jpg", folder / "Validation" / "1.jpg", folder / "2.jpg")
    pairs = CvatSource(folder=tmp_path).pairs().pairs
    assert [(pair.image_id, pair.split, pair.region) for pair in pairs] == [
        ("2", "val", "south"),
        ("Train/1", "train", "north"),
        ("Validation/1", "val", "south"),
    ]


def test_tags_say_roles_before_subsets(tmp_path: Path) -> None:
    tagged = [f'<tag label="{tag}"></tag>{ROOF}' for tag in ("train", "held out", "blurred")]
    annotate(
        tmp_path / "annotations.xml",
        *(image(f"{number}.jpg", inside) for number, inside in enumerate(tagged)),
        head="<task><id>1</id><subset>quiz</subset></task>",
    )
    photograph(*(tmp_path / f"{number}.jpg" for number in range(3)))
    assert roles(CvatSource(folder=tmp_path)) == {"0": "train", "1": None, "2": None}
    further = {"held out": "val", "quiz": "test"}
    assert roles(CvatSource(folder=tmp_path, roles=further)) == {"0": "train", "1": "val", "2": "test"}


def test_tags_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    annotate(tmp_path / "a.xml", image("1.jpg", '<tag label="train"/><tag label="Test"/>' + ROOF))
    photograph(tmp_path / "1.jpg")
    with pytest.raises(DataError, match=r'a\.xml: the tags of "1\.jpg" say test and train; an image has one role'):
        CvatSource(folder=tmp_path).pairs()


def test_images_that_do_not_exist_are_named_or_left_out(tmp_path: Path) -> None:
    path = annotate(tmp_path / "annotations.xml", *(image(f"{number}.jpg") for number in range(8)))
    photograph(tmp_path / "images" / "3.jpg")
    with pytest.raises(
        DataError, match=r"missing below .*: 7 images .* \(0\.jpg \(in .*\), .* \.\.\.\)\. Put them there"
    ):
        CvatSource(folder=tmp_path).pairs()
    listing = CvatSource(folder=tmp_path, missing="skip").pairs()
    assert [pair.image_id for pair in listing.pairs] == ["3"]
    assert listing.notes[0].startswith(f"left out: 7 images without a file (0.jpg (in {path})")
    (tmp_path / "images" / "3.jpg").unlink()
    with pytest.raises(DataError, match="no image is left of 8; 8 do not exist"):
        CvatSource(folder=tmp_path, missing="skip").pairs()


def test_images_without_shapes_are_left_out_or_background(tmp_path: Path) -> None:
    inside = {"a.jpg": ROOF, "b.jpg": "", "c.jpg": '<tag label="train"/>', "d.jpg": '<cuboid label="roof"/>' + ROOF}
    annotate(tmp_path / "annotations.xml", *(image(name, within) for name, within in inside.items()))
    photograph(*(tmp_path / name for name in inside))
    listing = CvatSource(folder=tmp_path).pairs()
    assert [pair.image_id for pair in listing.pairs] == ["a", "d"]
    assert listing.notes[0].startswith("left out: 2 images without any shape (b.jpg, c.jpg);")
    assert listing.notes[1].startswith("not drawn, since they mean no pixels: 1 cuboids")
    kept = CvatSource(folder=tmp_path, unannotated="background")
    assert [pair.image_id for pair in kept.pairs().pairs] == ["a", "b", "c", "d"]
    targets = {entry.image_id: read_target(entry, Window(0, 0, 4, 6), CLASSES) for entry in kept.catalog()}
    assert {name: int((target == 1).sum()) for name, target in targets.items()} == {"a": 6, "b": 0, "c": 0, "d": 6}
    annotate(tmp_path / "annotations.xml", image("b.jpg", ""))
    with pytest.raises(DataError, match=r"no image is left of 1; 1 have no shape \(data.source.unannotated"):
        CvatSource(folder=tmp_path).pairs()


def test_an_image_that_is_annotated_twice_is_refused(tmp_path: Path) -> None:
    for name in ("job 1.xml", "job 2.xml"):
        annotate(tmp_path / name, image("1.jpg"))
    photograph(tmp_path / "1.jpg")
    with pytest.raises(DataError, match=r"1\.jpg is annotated twice: .*job 1\.xml and .*job 2\.xml.*annotations"):
        CvatSource(folder=tmp_path).pairs()
    (found,) = CvatSource(folder=tmp_path, annotations=("job 2.xml",)).pairs().pairs
    assert found.label is not None
    assert found.label.file == tmp_path / "job 2.xml"


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg", "..\\secret.jpg", "C:\\s.jpg"]
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    annotate(tmp_path / "in" / "a.xml", image(name))
    photograph(tmp_path / "secret.jpg")
    with pytest.raises(DataError, match="leads out of the folder of images"):
        CvatSource(folder=tmp_path / "in").pairs()


@pytest.mark.parametrize("subset", ["..", "../..", "/", "."])
def test_a_subset_that_is_a_path_opens_nothing(tmp_path: Path, subset: str) -> None:
    annotate(tmp_path / "in" / "a.xml", image("secret.jpg", more=f'subset="{subset}"'))
    photograph(tmp_path / "secret.jpg")
    with pytest.raises(DataError, match="missing below"):
        CvatSource(folder=tmp_path / "in").pairs()


def test_frames_of_a_video_have_no_suffix_of_their_own(tmp_path: Path) -> None:
    annotate(tmp_path / "annotations.xml", image("frame_000000"), image("v1.2/frame_000001"))
    photograph(tmp_path / "images" / "frame_000000.png", tmp_path / "images" / "v1.2" / "frame_000001.PNG")
    assert list(roles(CvatSource(folder=tmp_path))) == ["frame_000000", "v1.2/frame_000001"]


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    annotate(tmp_path / "disk" / "annotations.xml", image("1.jpg"))
    photograph(tmp_path / "disk" / "images" / "1.jpg")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert list(roles(CvatSource(folder=tmp_path / "data"))) == ["link/1"]


def test_annotations_may_be_named_or_matched(tmp_path: Path) -> None:
    for name in ("job [1].xml", "job 1.xml", "north/a.xml"):
        annotate(tmp_path / name, image(f"{name[-5]}{len(name)}.jpg"))
        photograph(tmp_path / f"{name[-5]}{len(name)}.jpg")
    assert list(roles(CvatSource(folder=tmp_path, annotations=("job [1].xml",)))) == ["]11"]
    assert list(roles(CvatSource(folder=tmp_path, annotations=("*/*.xml", "job 1.xml")))) == ["19", "a11"]
    with pytest.raises(DataError, match=r"holds no annotation file south/\*\.xml"):
        CvatSource(folder=tmp_path, annotations=("*/*.xml", "south/*.xml")).pairs()


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        CvatSource(folder=tmp_path / "gone").pairs()
    (tmp_path / "x.tif.aux.xml").write_text("<PAMDataset/>")
    with pytest.raises(DataError, match="holds no annotation file"):
        CvatSource(folder=tmp_path).pairs()
    (tmp_path / "voc.xml").write_text("<annotation/>")
    with pytest.raises(DataError, match=r"voc\.xml is no CVAT file"):
        CvatSource(folder=tmp_path).pairs()
    with pytest.raises(DataError, match=r'"\.\./a\.xml" leads out of'):
        CvatSource(folder=tmp_path, annotations=("../a.xml",)).pairs()


def test_a_background_that_is_no_class_is_refused_with_the_settings(tmp_path: Path) -> None:
    source = CvatSource(folder=tmp_path, drawing=CvatDrawing(background="gras"))
    with pytest.raises((ConfigError, ValueError), match='no class is called "gras"'):
        DataSettings(source=source, classes=CLASSES)


def test_sizes_that_disagree_are_refused_with_both(tmp_path: Path) -> None:
    annotate(tmp_path / "a.xml", image("1.jpg", width=60, height=40))
    photograph(tmp_path / "1.jpg")
    with pytest.raises(DataError, match=r'"1\.jpg" has 40 x 60 pixels \(rows x columns\), but the file has 4 x 6'):
        CvatSource(folder=tmp_path).catalog()


def test_shapes_lie_on_the_photograph_as_it_is_seen(tmp_path: Path) -> None:
    # Stored lying, held upright: what is drawn on the left of the upright picture is at the bottom of the stored one.
    stored = np.zeros((48, 80, 3), dtype=np.uint8)
    stored[40:, :, 0] = 200
    notes = Image.Exif()
    notes[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "1.png", exif=notes)
    left = '<box label="roof" xtl="0" ytl="0" xbr="8" ybr="80"></box>'
    annotate(tmp_path / "a.xml", image("1.png", left, width=48, height=80))
    prepared = prepare_data(
        DataSettings(source=CvatSource(folder=tmp_path), classes=CLASSES, patch=PatchSettings(size=16)),
        PrepareSettings(folder=tmp_path / "prepared"),
    )
    (entry,) = prepared.catalog
    assert (entry.height, entry.width) == (80, 48)
    for window in (Window(0, 0, 80, 48), Window(33, 5, 20, 17)):
        seen = read_image(entry, window, prepared.bands).values[0] > 100
        np.testing.assert_array_equal(read_target(entry, window, CLASSES) == 1, seen)
        assert seen.any()


def test_the_real_task_is_prepared(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moor"
    shutil.copytree(real_data / "cvat_moor", folder)
    settings = DataSettings(source=CvatSource(folder=folder), classes=Classes(items=["background", "moor"]))
    prepared = prepare_data(settings, PrepareSettings(folder=tmp_path / "prepared"))
    assert [entry.image_id for entry in prepared.catalog] == ["1", "11", "6"]
    assert any("1 image without any shape (19.jpg)" in warning for warning in prepared.warnings)
    both = DataSettings(
        source=CvatSource(folder=folder, unannotated="background"), classes=Classes(items=["background", "moor"])
    )
    prepared = prepare_data(both, PrepareSettings(folder=tmp_path / "prepared"))
    counts = np.sum(list(prepared.pixel_counts.values()), axis=0)
    assert counts.sum() == 4 * 720 * 1280
    area = 0.0
    for element in ET.parse(folder / "annotations.xml").iterfind("image"):
        rings = [
            [tuple(map(float, pair.split(","))) for pair in shape.attrib["points"].split(";")]
            for shape in element.iterfind("polygon")
        ]
        parts = [shapely.Polygon(ring).buffer(0) for ring in rings]
        area += shapely.union_all(parts).intersection(shapely.box(0, 0, 1280, 720)).area
    assert counts[1] == pytest.approx(area, rel=0.002)
