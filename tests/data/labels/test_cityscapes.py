"""Annotations of Cityscapes: what the official tools make of them, and real ones."""

import json

import numpy as np
import pytest
from affine import Affine
from PIL import Image, ImageDraw

from terrazzo.data.classes import Classes
from terrazzo.data.labels.cityscapes import CITYSCAPES, OFFICIAL_LABELS, CityscapesLabel
from terrazzo.errors import DataError, LabelError
from terrazzo.geo.grid import Grid, Window

# Names, ids and training ids as https://www.cityscapes-dataset.com lists the judged classes, typed anew.
TRAINING = {
    "road": (7, 0),
    "sidewalk": (8, 1),
    "building": (11, 2),
    "wall": (12, 3),
    "fence": (13, 4),
    "pole": (17, 5),
    "traffic light": (19, 6),
    "traffic sign": (20, 7),
    "vegetation": (21, 8),
    "terrain": (22, 9),
    "sky": (23, 10),
    "person": (24, 11),
    "rider": (25, 12),
    "car": (26, 13),
    "truck": (27, 14),
    "bus": (28, 15),
    "train": (31, 16),
    "motorcycle": (32, 17),
    "bicycle": (33, 18),
}


def grid(height, width):
    return Grid(crs=None, transform=Affine.identity(), height=height, width=width)


def square(label, x, y, side, **more):
    return {"label": label, "polygon": [[x, y], [x + side, y], [x + side, y + side], [x, y + side]], **more}


@pytest.fixture
def annotate(tmp_path):
    """Write an annotation of 8 rows and 10 columns, and return its label."""

    def write(*objects, height=8, width=10, **settings):
        path = tmp_path / "ö_polygons.json"
        path.write_text(json.dumps({"imgHeight": height, "imgWidth": width, "objects": list(objects)}))
        return CityscapesLabel(annotation=path, form="polygons", **settings)

    return write


def decoded(label, classes=CITYSCAPES, *, height=8, width=10):
    with label.open(grid(height, width)) as reader:
        return reader.decode(Window(0, 0, height, width), classes)


def test_the_official_table():
    assert CITYSCAPES.names == tuple(TRAINING)
    assert {item.name: item.values for item in CITYSCAPES.items} == {name: (ids[0],) for name, ids in TRAINING.items()}
    assert len(OFFICIAL_LABELS) == 35
    assert sorted(label.label_id for label in OFFICIAL_LABELS) == list(range(-1, 34))
    for label in OFFICIAL_LABELS:
        expected = TRAINING.get(label.name, (None, -1 if label.name == "license plate" else 255))[1]
        assert label.train_id == expected
    assert CITYSCAPES.ignore == 255


def test_objects_are_drawn_in_the_order_of_the_file(annotate):
    found = decoded(annotate(square("road", 0, 0, 6), square("car", 2, 2, 3), square("sky", 4, 4, 3)))
    expected = np.full((8, 10), 255)
    expected[0:6, 0:6], expected[2:5, 2:5], expected[4:7, 4:7] = 0, 13, 10
    assert (found.target == expected).all()
    assert found.target.dtype == np.uint8
    assert found.unlisted == {}


def test_groups_licence_plates_and_deleted_objects_as_the_official_tool_has_them(annotate):
    found = decoded(
        annotate(
            square("cargroup", 0, 0, 6),
            square("license plate", 1, 1, 2),
            square("sky", 3, 3, 2, deleted=1),
            square("polegroup", 6, 0, 2),
            square("caravan", 0, 6, 2),
        )
    )
    expected = np.full((8, 10), 255)
    # The plate leaves the car below it; polegroup and caravan have labels of their own, which are not judged.
    expected[0:6, 0:6] = 13
    assert (found.target == expected).all()


def test_windows_of_any_cut_agree(annotate):
    label = annotate({"label": "person", "polygon": [[0.5, 0.2], [9.3, 3.1], [4.4, 7.9]]}, square("pole", 3, 3, 1))
    whole = decoded(label).target
    assert {13, 11, 5, 255} & set(np.unique(whole).tolist()) == {11, 5, 255}
    with label.open(grid(8, 10)) as reader:
        for window in (Window(0, 0, 1, 1), Window(2, 3, 5, 4), Window(7, 9, 1, 1)):
            assert (reader.decode(window, CITYSCAPES).target == whole[window.slices]).all()


def test_outlines_are_those_of_the_official_tool(annotate):
    shapes = [
        ("road", [(0, 0), (9, 2), (5, 7), (1, 6)]),
        ("car", [(2, 1), (7, 1), (7, 4), (2, 4)]),
        ("sky", [(8, 5)] * 3),
    ]
    label = annotate(*({"label": name, "polygon": corners} for name, corners in shapes), outline=True)
    picture = Image.new("L", (10, 8), 255)
    for name, corners in shapes:
        ImageDraw.Draw(picture).polygon(corners, fill=TRAINING[name][1])
    assert (decoded(label).target == np.asarray(picture)).all()


def test_own_classes_by_name_and_by_id(annotate):
    label = annotate(square("truck", 0, 0, 2), square("bus", 2, 0, 2), square("road", 4, 0, 2))
    by_name = Classes(
        items=({"name": "ground", "labels": ["road"]}, {"name": "vehicle", "labels": ["truck", "bus"]}),
        ignore_labels=("unlabeled",),
    )
    by_id = Classes(
        items=({"name": "ground", "values": [7]}, {"name": "vehicle", "values": [27, 28]}), ignore_values=(0,)
    )
    for classes in (by_name, by_id):
        assert decoded(label, classes).target[0].tolist() == [1, 1, 1, 1, 0, 0, 255, 255, 255, 255]


def test_what_no_class_lists(annotate):
    label = annotate(
        square("road", 0, 0, 2), square("ufo", 2, 0, 2), square("hidden", 0, 0, 1), square("road", 0, 0, 1)
    )
    with pytest.raises(LabelError, match=r"polygons.json: no class lists ufo \(4 pixels\)"):
        decoded(label)
    lenient = CITYSCAPES.model_copy(update={"unlisted": "background"})
    found = decoded(label, lenient)
    assert found.unlisted == {"ufo": 4}
    assert found.target[0].tolist() == [0, 0, 0, 0, *[255] * 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no polygon file of Cityscapes"),
        ("[1]", "is no polygon file of Cityscapes"),
        ('{"imgHeight": 8, "imgWidth": 10}', "objects: Field required"),
        ('{"imgHeight": 8, "imgWidth": 10, "objects": [{"label": "car"}]}', "objects.0.polygon: Field required"),
        ('{"imgHeight": 8, "imgWidth": 10, "objects": [{"label": "car", "polygon": [[1]]}]}', "objects.0.polygon.0"),
        ('{"imgHeight": 8, "imgWidth": 10, "objects": [{"label": "car", "polygon": [[1, 1e300]]}]}', "polygons.json: "),
        (
            '{"imgHeight": 4, "imgWidth": 5, "objects": []}',
            r"for 4 x 5 pixels \(rows x columns\), but its image has 8 x 10",
        ),
    ],
)
def test_damaged_annotations(tmp_path, text, message):
    path = tmp_path / "polygons.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        CityscapesLabel(annotation=path, form="polygons").open(grid(8, 10))
    with pytest.raises(DataError, match=r"gone.json cannot be read"):
        CityscapesLabel(annotation=tmp_path / "gone.json", form="polygons").open(grid(8, 10))


def test_an_annotation_without_objects(annotate):
    assert (decoded(annotate()).target == 255).all()
    assert (decoded(annotate({"label": "car", "polygon": []}, outline=True)).target == 255).all()


def test_label_images_hold_one_band_of_bytes(write_photo):
    colour = write_photo("color.png", np.zeros((8, 10, 3), dtype=np.uint8))
    with pytest.raises(DataError, match="has 3 bands of uint8"):
        CityscapesLabel(annotation=colour, form="labelIds").open(grid(8, 10))
    with pytest.raises(DataError, match="8 x 10 pixels"):
        CityscapesLabel(annotation=colour, form="labelIds").open(grid(8, 9))


@pytest.mark.parametrize(
    ("form", "value", "name"), [("labelIds", 77, "label id 77"), ("labelTrainIds", 19, "training id 19")]
)
def test_values_without_a_meaning(write_photo, form, value, name):
    path = write_photo("ids.png", np.full((8, 10), value, dtype=np.uint8))
    with pytest.raises(LabelError, match=rf"ids.png: no class lists {name} \(80 pixels\)"):
        decoded(CityscapesLabel(annotation=path, form=form))


FRAMES = ["train/cambridge/cambridge_000010_000019", "val/cambridgeval/cambridgeval_000005_000019"]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("form", ["labelIds", "labelTrainIds", "polygons"])
def test_real_annotations_give_the_training_ids(real_data, frame, form):
    stem = real_data / "cityscapes_layout_camvid" / "gtFine" / f"{frame}_gtFine"
    ending = {"polygons": "polygons.json"}.get(form, f"{form}.png")
    label = CityscapesLabel(annotation=stem.with_name(f"{stem.name}_{ending}"), form=form)
    found = decoded(label, height=360, width=480).target
    expected = np.asarray(Image.open(stem.with_name(f"{stem.name}_labelTrainIds.png")))
    # The polygons of these frames run along the edges of pixels, so that even they agree everywhere.
    assert (found == expected).all()


@pytest.mark.parametrize("frame", FRAMES)
def test_real_polygons_with_outlines_are_what_the_official_tool_draws(real_data, frame):
    path = real_data / "cityscapes_layout_camvid" / "gtFine" / f"{frame}_gtFine_polygons.json"
    picture = Image.new("L", (480, 360), 255)
    for item in json.loads(path.read_text())["objects"]:
        number = TRAINING.get(item["label"], (0, 255))[1]
        ImageDraw.Draw(picture).polygon([tuple(corner) for corner in item["polygon"]], fill=number)
    label = CityscapesLabel(annotation=path, form="polygons", outline=True)
    assert (decoded(label, height=360, width=480).target == np.asarray(picture)).all()


@pytest.mark.parametrize("frame", FRAMES)
def test_colours_are_those_of_the_official_pictures(real_data, frame):
    stem = real_data / "cityscapes_layout_camvid" / "gtFine" / f"{frame}_gtFine"
    colours = np.asarray(Image.open(stem.with_name(f"{stem.name}_color.png")).convert("RGB"))
    numbers = np.asarray(Image.open(stem.with_name(f"{stem.name}_labelTrainIds.png")))
    judged = numbers != 255
    assert (colours[judged] == CITYSCAPES.encode(numbers, "colour")[:, judged].T).all()


def test_a_real_reduced_frame(real_data):
    folder = real_data / "cityscapes_frame" / "gtFine" / "val" / "frankfurt"
    path = folder / "frankfurt_000000_000294_gtFine_labelIds.png"
    found = decoded(CityscapesLabel(annotation=path, form="labelIds"), height=128, width=256).target
    raw = np.asarray(Image.open(path))
    counts = {number: int((raw == ids[0]).sum()) for number, ids in enumerate(TRAINING.values())}
    assert {number: int((found == number).sum()) for number in range(19)} == counts
    assert (found == 255).sum() == raw.size - sum(counts.values())
