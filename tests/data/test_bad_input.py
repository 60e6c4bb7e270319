"""Bad input ends `prepare` with one clear line and stands in `verify`'s table; nothing ends in a traceback."""

import contextlib
import json
import os
import resource
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from terrazzo.cli.application import application

SIDE = 48
CONFIG = """
paths: {{data: "{root}/dàta 1", prepared: "{root}/prepared", runs: "{root}/runs"}}
data:
  source: {{name: {source}, folder: "${{paths.data}}"}}
  classes: {classes}
  patch: {{size: 24}}
model: {{name: smp, encoder: resnet18}}
"""

Call = Callable[..., Result]


class Project:
    """A folder with four pairs and a configuration, and the command line in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = root / "dàta 1" / "images"
        self.labels = root / "dàta 1" / "gt"
        self.configure()

    def configure(self, *, classes: str = "[land, water]", source: str = "folder") -> None:
        text = CONFIG.format(root=self.root, classes=classes, source=source)
        (self.root / "terrazzo.yaml").write_text(text, encoding="utf-8")

    def add(self, name: str, suffix: str = ".png", *, size: int = SIDE, **settings: object) -> tuple[Path, Path]:
        generator = np.random.default_rng(list(name.encode()))
        target = np.kron(generator.integers(0, 2, (4, 4)), np.ones((size // 4, size // 4))).astype(np.uint8)
        image = (90 + 60 * target[..., None] + generator.integers(0, 40, (size, size, 3))).astype(np.uint8)
        paths = self.images / f"{name}{suffix}", self.labels / f"{name}.png"
        for path, content in zip(paths, (image, target), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".tif":
                write_tiff(path, content, **settings)
            else:
                Image.fromarray(content).save(path)
        return paths

    def call(self, *arguments: str) -> Result:
        config = str(self.root / "terrazzo.yaml")
        return CliRunner().invoke(application, [arguments[0], config, *arguments[1:]], prog_name="terrazzo")

    def findings(self) -> list[dict[str, str]]:
        """Verify, and return the findings as a program reads them."""
        # In this process: another one could not read the interpreter where rights are taken away.
        done = self.call("verify", "verify.workers=1", "--json")
        assert "Traceback" not in done.output
        content = json.loads(done.stdout)
        assert content["findings"] == json.loads((self.root / "prepared" / "verify.json").read_text())["findings"]
        assert done.exit_code == (1 if content["errors"] else 0)
        return content["findings"]

    def refusal(self) -> str:
        """Prepare, and return the one line that it ends with."""
        done = self.call("prepare")
        assert done.exit_code == 1, done.output
        assert "Traceback" not in done.output
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1
        assert "unexpectedly" not in lines[0]
        assert not (self.root / "prepared" / "prepared.json").exists()
        return lines[0]


def write_tiff(path: Path, image: np.ndarray, *, crs: str | None = "EPSG:32612", compress: str = "deflate") -> None:
    planes = image.transpose(2, 0, 1) if image.ndim == 3 else image[None]
    shift = 1000 * sum(path.stem.encode())
    size = {"count": len(planes), "height": planes.shape[1], "width": planes.shape[2], "dtype": planes.dtype}
    place = {"crs": crs, "transform": Affine(1, 0, 400_000 + shift, 0, -1, 4_000_000)} if crs else {}
    quiet = contextlib.nullcontext() if crs else pytest.warns(rasterio.errors.NotGeoreferencedWarning)
    with quiet, rasterio.open(path, "w", driver="GTiff", compress=compress, blockysize=4, **size, **place) as out:
        out.write(planes)


@pytest.fixture
def project(tmp_path: Path, quiet_torch: None) -> Project:
    """Four sound pairs."""
    project = Project(tmp_path)
    for name in ("a", "b", "c", "d"):
        project.add(name)
    return project


def only(findings: list[dict[str, str]], check: str) -> dict[str, str]:
    """Return the one finding of a kind."""
    found = [finding for finding in findings if finding["check"] == check]
    assert len(found) == 1, findings
    return found[0]


def errors(findings: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(finding["check"], Path(finding["file"]).name) for finding in findings if finding["severity"] == "error"]


def test_sound_data_has_no_error(project: Project) -> None:
    assert errors(project.findings()) == []
    assert project.call("prepare").exit_code == 0


def test_an_empty_folder(tmp_path: Path, quiet_torch: None) -> None:
    project = Project(tmp_path)
    project.images.mkdir(parents=True)
    assert "it holds no raster file" in only(project.findings(), "listing")["what"]
    assert "it holds no raster file" in project.refusal()


def test_no_folder_at_all(tmp_path: Path, quiet_torch: None) -> None:
    project = Project(tmp_path)
    assert "is not a folder" in only(project.findings(), "listing")["what"]
    assert "is not a folder" in project.refusal()


def test_pairs_that_do_not_match_are_named_and_the_rest_is_still_looked_at(project: Project) -> None:
    (project.labels / "a.png").rename(project.labels / "a_mask.png")
    damaged = project.images / "c.png"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    findings = project.findings()
    for text in (only(findings, "listing")["what"], project.refusal()):
        assert "1 image with no label (images/a.png)" in text
        assert "1 label with no image (gt/a_mask.png)" in text
    assert ("unreadable", "c.png") in errors(findings)


def test_a_mask_without_image(project: Project) -> None:
    (project.images / "b.png").unlink()
    for text in (only(project.findings(), "listing")["what"], project.refusal()):
        assert "1 label with no image (gt/b.png)" in text


@pytest.mark.parametrize(("suffix", "says"), [(".png", "is cut off"), (".jpg", "is cut off"), (".tif", "cannot be")])
def test_truncated_images(project: Project, suffix: str, says: str) -> None:
    for name in ("e", "f"):
        path, _ = project.add(name, suffix, size=200, compress="none")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    findings = [finding for finding in project.findings() if finding["severity"] == "error"]
    # All of them, not the first alone.
    assert [Path(finding["file"]).name for finding in findings] == [f"e{suffix}", f"f{suffix}"]
    assert {finding["check"] for finding in findings} == {"unreadable"}
    assert all("set it aside" in finding["to_do"] for finding in findings)
    assert f"e{suffix}" in project.refusal()


def test_damage_inside_a_jpeg(project: Project) -> None:
    path, _ = project.add("e", ".jpg", size=200)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
    path.write_bytes(content)
    assert "Corrupt JPEG data" in only(project.findings(), "unreadable")["what"]


def test_an_empty_file(project: Project) -> None:
    (project.labels / "b.png").write_bytes(b"")
    assert errors(project.findings()) == [("empty", "b.png")]
    assert "b.png" in project.refusal()


def test_a_decompression_bomb_is_refused_before_it_is_decoded(project: Project) -> None:
    path, _ = project.add("e")
    header = struct.pack(">IIBBBBB", 90_000, 90_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    for text in (only(project.findings(), "unreadable")["what"], project.refusal()):
        assert "22.6 GiB of pixels" in text


def test_a_mask_of_another_size(project: Project) -> None:
    mask = Image.open(project.labels / "c.png").resize((SIDE, SIDE - 8))
    mask.save(project.labels / "c.png")
    finding = only(project.findings(), "grid")
    assert f"{SIDE - 8} x {SIDE}" in finding["what"]
    assert f"{SIDE} x {SIDE}" in finding["what"]
    assert f"{SIDE - 8} x {SIDE}" in project.refusal()


def test_unknown_colours_which_how_many_and_where(project: Project) -> None:
    project.configure(classes="[{name: land, colour: '#000000'}, {name: water, colour: '#0000FF'}]")
    for path in project.labels.iterdir():
        target = np.asarray(Image.open(path))
        colours = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
        colours[..., 2] = 255 * target
        if path.name == "b.png":
            colours[7, 11:14] = (255, 0, 128)
            colours[40, 2] = (1, 2, 3)
        Image.fromarray(colours).save(path)
    what = only(project.findings(), "unlisted")["what"]
    assert what == "no class lists #FF0080 (3 pixels, first at y 7, x 11), #010203 (1 pixels, first at y 40, x 2)"
    refusal = project.refusal()
    assert "#FF0080 (3 pixels)" in refusal
    assert "b.png" in refusal


def test_a_class_that_no_label_holds(project: Project) -> None:
    project.configure(classes="[land, water, glacier]")
    finding = only([f for f in project.findings() if "glacier" in f["what"]], "class")
    assert (finding["severity"], finding["what"]) == ("warning", "class glacier occurs in no label")
    assert "class glacier occurs in no label" in project.call("prepare").output


def test_no_reference_system_on_one_side(tmp_path: Path, quiet_torch: None) -> None:
    project = Project(tmp_path)
    project.configure(source="geotiff")
    for name in ("a", "b"):
        image, label = project.add(name, ".tif")
        write_tiff(label.with_suffix(".tif"), np.asarray(Image.open(label)), crs=None if name == "b" else "EPSG:32612")
        label.unlink()
        os.utime(image)
    findings = [finding for finding in project.findings() if finding["check"] == "crs"]
    assert [Path(finding["file"]).name for finding in findings] == ["b.tif"]
    assert "reference system" in findings[0]["what"]


def test_an_image_without_reference_system_where_one_is_needed(tmp_path: Path, quiet_torch: None) -> None:
    project = Project(tmp_path)
    project.configure(source="geotiff")
    project.add("a", ".tif")
    project.add("b", ".tif", crs=None)
    assert "b.tif" in only(project.findings(), "crs")["file"]
    assert "has no coordinate reference system" in project.refusal()


def test_a_palette_image(project: Project) -> None:
    path = project.images / "d.png"
    Image.open(path).quantize(16).save(path)
    assert "palette" in only(project.findings(), "palette")["what"]
    assert "palette" in project.refusal()


def test_another_number_of_bands(project: Project) -> None:
    path = project.images / "d.png"
    Image.open(path).convert("L").save(path)
    finding = only(project.findings(), "bands")
    assert Path(finding["file"]).name == "d.png"
    assert "d.png" in project.refusal()


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """Act as a user who owns nothing: root may read every file."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read(project: Project) -> None:
    for folder in (project.root, *project.root.parents):
        if folder.owner() != "root" or not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(0o755)
        if folder.name.startswith("pytest-of"):
            break
    (project.root / "prepared").mkdir(mode=0o777)
    (project.root / "prepared").chmod(0o777)
    path = project.images / "c.png"
    path.chmod(0)
    with without_rights():
        findings = project.findings()
        refusal = project.refusal()
    finding = only(findings, "unreadable")
    assert (Path(finding["file"]).name, finding["what"]) == ("c.png", "cannot be opened: Permission denied")
    assert "c.png" in refusal
    path.chmod(0o644)


@contextlib.contextmanager
def full_disk(free_bytes: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("free_bytes", [10, 2_000, 7_000])
def test_a_full_disk_while_indexing_leaves_nothing_half_written(project: Project, free_bytes: int) -> None:
    with full_disk(free_bytes):
        done = project.call("prepare")
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert "unexpectedly" not in lines[0]
    assert "prepared" in lines[0]
    assert not (project.root / "prepared" / "prepared.json").exists()
    assert not list((project.root / "prepared").glob(".*.partial-*"))
    assert "run `terrazzo prepare` first" in str(opened(project))
    # With room again, it goes on as if nothing had been.
    assert project.call("prepare").exit_code == 0


def opened(project: Project) -> Exception | None:
    from terrazzo.data.prepare import open_prepared
    from terrazzo.errors import DataError

    try:
        open_prepared(project.root / "prepared")
    except DataError as error:
        return error
    return None
