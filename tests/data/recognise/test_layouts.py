"""Which layout is found first. Whole folders are tried with `init`."""

import pytest

from terrazzo.data.recognise.layouts import recognise
from terrazzo.data.recognise.view import View
from terrazzo.errors import DataError


def settings(tmp_path):
    found = recognise(View.of(tmp_path))
    return {key: value for key, value in found.layout.settings.items() if key != "folder"}


def test_further_bands_in_folders_beside_images(tmp_path, write, photo, stripes):
    for name in ("a", "b"):
        write(f"images/{name}.png", photo())
        write(f"nir/{name}.png", photo(bands=1))
        write(f"gt/{name}.png", stripes(0, 1))
    write("other/a.png", photo())
    assert settings(tmp_path) == {"name": "folder", "extra": ["nir"]}


def test_further_bands_found_by_their_names(tmp_path, write, photo, stripes):
    for name in ("a", "b"):
        write(f"{name}_near.png", photo(1, bands=1))
        write(f"colour/{name}.png", photo())
        write(f"infra/{name}.png", photo(bands=1))
        write(f"truth/{name}.png", stripes(0, 1))
    found = settings(tmp_path)
    assert (found["images"], found["labels"], found["extra"]) == ("colour/*.png", "truth/*.png", ["infra/*.png"])


def test_an_image_without_label_is_left_out_where_names_pair(tmp_path, write, photo, stripes):
    for name in ("a", "b", "c"):
        write(f"scan_{name}.jpg", photo())
    for name in ("a", "b"):
        write(f"scan_{name}.png", stripes(0, 1))
    assert settings(tmp_path)["unmatched"] == "skip"


def test_street_scenes_are_not_seen_from_above(tmp_path, write, photo, stripes):
    for role in ("train", "val"):
        write(f"{role}/a.png", photo())
        write(f"{role}annot/a.png", stripes(0, 11))
    found = recognise(View.of(tmp_path))
    assert (found.layout.settings["name"], found.layout.above) == ("camvid", False)


def test_roads_and_land_cover_of_deepglobe(tmp_path, write, photo, stripes):
    write("train/1_sat.jpg", photo())
    write("train/1_mask.png", stripes(0, 255)[..., None].repeat(3, axis=2))
    assert settings(tmp_path) == {"name": "deepglobe", "masks": "roads"}
    colours = stripes(0, 255)[..., None].repeat(3, axis=2)
    colours[..., 2] = 0
    write("train/1_mask.png", colours)
    assert settings(tmp_path) == {"name": "deepglobe", "masks": "land_cover"}


def test_a_table_without_header_comes_after_names(tmp_path, write, photo, stripes):
    write("p1.png", photo())
    write("q7.png", stripes(0, 1))
    (tmp_path / "list.csv").write_text("p1.png,q7.png\n", encoding="utf-8")
    assert settings(tmp_path) == {
        "name": "table", "table": tmp_path / "list.csv", "image": "1", "label": "2", "header": False,
    }  # fmt: skip


def test_what_came_near_is_told(tmp_path, write, photo, stripes):
    write("leftImg8bit/train/x/a_leftImg8bit.png", photo())
    write("gtFine/train/x/b_gtFine_labelIds.png", stripes(0, 1))
    with pytest.raises(DataError, match=r"(?s)Came near: Cityscapes: .*Looked for: Sentinel-2") as caught:
        recognise(View.of(tmp_path))
    assert "it holds 2 files (2 .png)" in str(caught.value)


def test_xml_that_is_no_annotation_is_left_alone(tmp_path, write, photo):
    write("a.png", photo())
    (tmp_path / "notes.xml").write_text("<notes/>", encoding="utf-8")
    (tmp_path / "gone.xml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError) as caught:
        recognise(View.of(tmp_path))
    assert "CVAT for images (notes.xml)" not in str(caught.value)


def test_sentinel_products_with_labels_called_after_them(tmp_path, write, stripes):
    for name in ("S2A_x", "S2B_y"):
        granule = tmp_path / f"{name}.SAFE" / "GRANULE" / "L1C_T32" / "IMG_DATA"
        granule.mkdir(parents=True)
        for band in (*(f"B{number:02}" for number in range(1, 13)), "B8A"):
            (granule / f"T32_{band}.jp2").write_bytes(b"not opened")
        (tmp_path / f"{name}.SAFE" / "MTD_MSIL1C.xml").write_text(
            "<a><QUANTIFICATION_VALUE>10000</QUANTIFICATION_VALUE></a>", encoding="utf-8"
        )
        write(f"truth/{name}.tif", stripes(0, 1), place=(0, 0))
    assert settings(tmp_path) == {"name": "safe", "labels": "truth/*.tif"}


def test_an_incomplete_sentinel_product_is_a_near_miss(tmp_path, write, stripes):
    (tmp_path / "S2A_x.SAFE").mkdir()
    (tmp_path / "S2A_x.SAFE" / "manifest.safe").write_text("", encoding="utf-8")
    write("truth.tif", stripes(0, 1), place=(0, 0))
    with pytest.raises(DataError, match=r"Came near: Sentinel-2 products .*holds no metadata file"):
        recognise(View.of(tmp_path))
