"""What is found in an annotation file, and every file that is none."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from terrazzo.data.labels.cvat_file import CvatImage, read_cvat, read_image_element
from terrazzo.errors import DataError

TASK = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task><id>7</id><name>Straßen &amp; Höfe</name><subset>Train</subset>
      <segments><segment><id>99</id></segment></segments>
      <owner><username>ö</username></owner>
      <labels>
        <label><name>roof</name><color>#3d3df5</color><attributes><attribute><name>state</name></attribute></attributes></label>
        <label><name>tree</name><attributes></attributes></label>
        <label><name>val</name><color>#000000</color><type>tag</type></label>
        <label><name>person</name><type>skeleton</type></label>
        <label><name>head</name><type>points</type><parent>person</parent></label>
        <label><name>path</name><color>#00ff00</color><type>polyline</type></label>
      </labels>
    </task>
    <dumped>2026-01-01</dumped>
  </meta>
  <image id="0" name="Öde Straße/1 a.jpg" width="640" height="480">
    <tag label="val" source="manual"></tag>
    <polygon label="roof" points="0,0;1,0;1,1" z_order="0"><attribute name="state">old</attribute></polygon>
    <skeleton label="person"><points label="head" points="1,1"/></skeleton>
    <cuboid label="car"/>
  </image>
  <!-- a remark between images -->
  <image id="1" name="sub\\2.jpg" width="3" height="5"/><image id="2" name="3.jpg" width="4" height="4"></image>
</annotations>
"""

PROJECT = """<annotations><version>1.1</version><meta><project><id>1</id><name>all</name><tasks>
<task><id>4</id><name>north</name><subset>Train</subset></task>
<task><id>5</id><name>south</name><subset>Test</subset></task></tasks>
<labels><label><name>roof</name><color>#ff0000</color></label></labels></project></meta>
<image id="0" name="1.jpg" task_id="4" width="2" height="2"/>
<image id="1" name="2.jpg" subset="Validation" task_id="5" width="2" height="2"/>
<image id="2" name="3.jpg" task_id="6" width="2" height="2"/></annotations>
"""


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "annotations ü.xml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_everything_that_a_task_says_is_found(tmp_path: Path) -> None:
    found = read_cvat(write(tmp_path, TASK))
    assert found.labels == {"roof": "#3d3df5", "tree": "", "path": "#00ff00"}
    first, second, third = found.images
    # Points within a skeleton are no shape of their own.
    assert first == CvatImage(
        name="Öde Straße/1 a.jpg",
        width=640,
        height=480,
        begin=first.begin,
        size=first.size,
        task="Straßen & Höfe",
        subset="Train",
        tags=("val",),
        shapes=1,
        other_shapes=2,
    )
    assert (second.name, second.width, second.height, second.shapes) == ("sub/2.jpg", 3, 5, 0)
    assert (third.name, third.tags) == ("3.jpg", ())


def test_each_image_is_read_again_from_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, TASK)
    expected = ET.fromstring(TASK.encode()).findall("image")
    for image, element in zip(read_cvat(path).images, expected, strict=True):
        read = read_image_element(path, image.name, image.begin, image.size)
        assert ET.tostring(read).strip() == ET.tostring(element).strip()


def test_a_project_gives_each_image_its_task_and_subset(tmp_path: Path) -> None:
    found = read_cvat(write(tmp_path, b"\xef\xbb\xbf" + PROJECT.encode()))
    assert [(image.task, image.subset) for image in found.images] == [
        ("north", "Train"),
        ("south", "Validation"),
        ("", ""),
    ]
    assert found.labels == {"roof": "#ff0000"}


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, TASK)
    first = read_cvat(path)
    assert read_cvat(path) is first
    image = first.images[0]
    write(tmp_path, PROJECT)
    os.utime(path, ns=(1, 1))
    assert len(read_cvat(path).images) == 3
    with pytest.raises(DataError, match=r"has changed.*prepare the data again"):
        read_image_element(path, image.name, image.begin, image.size)


def test_a_place_where_another_image_stands_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, TASK)
    _, second, third = read_cvat(path).images
    for name, begin, size in (
        (second.name, third.begin, third.size),
        (second.name, second.begin, second.size - 3),
        (second.name, 10**9, 10),
    ):
        with pytest.raises(DataError, match=r'"sub/2.jpg" does not stand at byte'):
            read_image_element(path, name, begin, size)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "head",
    [
        "<!DOCTYPE annotations>",
        '<!DOCTYPE annotations SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE annotations [<!ENTITY secret SYSTEM "file:///etc/passwd">]>',
        f'<!DOCTYPE annotations [<!ENTITY l0 "ha">{LAUGHS}]>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_and_entities_are_refused(tmp_path: Path, head: str, encoding: str) -> None:
    body = PROJECT.replace("<annotations>", f"{head}<annotations>", 1).replace("1.jpg", "&l9;")
    path = write(tmp_path, body.encode(encoding))
    tracemalloc.start()
    with pytest.raises(DataError, match="declares a document type" if encoding == "utf-8" else "is in UTF-16"):
        read_cvat(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no complete XML file in UTF-8"),
        ("a,b\n1,2\n", "no complete XML file in UTF-8"),
        (TASK[:-40], r"no complete XML file in UTF-8: .*export it again"),
        (TASK[:900], "no complete XML file in UTF-8"),
        (TASK.encode().replace("Ö".encode(), b"\xd6"), "no complete XML file in UTF-8"),
        ("<annotation><object/></annotation>", "begins with <annotation>, but CVAT's begin with <annotations>"),
        ("<annotations><version>1.1</version></annotations>", "holds no image"),
        ("<annotations><version>2.0</version><image/></annotations>", 'is CVAT of version "2.0"'),
        ("<annotations><track id='0' label='a'/></annotations>", "is CVAT for video"),
        ("<annotations><image id='4' width='1' height='1'/></annotations>", "image 4 .* has no name"),
        ("<annotations><image name='a' width='1'/></annotations>", 'has the height "", which is no number'),
        ("<annotations><image name='a' width='0' height='1'/></annotations>", 'has the width "0"'),
        ("<annotations><image name='a' width='1e3' height='1'/></annotations>", 'has the width "1e3"'),
        ("<annotations>" + "<a>" * 100_000, "more than 64 elements lie within each other"),
    ],
)
def test_what_is_no_cvat_for_images_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as raised:
        read_cvat(path)
    assert str(path) in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.xml cannot be read: No such file"):
        read_cvat(tmp_path / "gone.xml")
    with pytest.raises(DataError, match=r"gone\.xml cannot be read: No such file"):
        read_image_element(tmp_path / "gone.xml", "a", 0, 1)


def test_memory_follows_the_images_and_not_the_file(tmp_path: Path) -> None:
    points = ";".join(f"{n},{n}" for n in range(20_000))
    shape = f'<polygon label="roof" points="{points}" z_order="0"></polygon>'
    images = (f'<image id="{n}" name="{n}.jpg" width="9" height="9">{shape * 2}</image>' for n in range(40))
    path = write(tmp_path, f"<annotations>{''.join(images)}</annotations>")
    assert path.stat().st_size > 15 * 2**20
    # A process of its own: checking types at every call would keep what it looked at.
    script = (
        "import sys, tracemalloc; from pathlib import Path; from terrazzo.data.labels.cvat_file import read_cvat\n"
        "tracemalloc.start(); found = read_cvat(Path(sys.argv[1])); peak = tracemalloc.get_traced_memory()[1]\n"
        "print(len(found.images), peak)"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    count, peak = map(int, done.stdout.split())
    assert count == 40
    assert peak < 2 * 2**20
