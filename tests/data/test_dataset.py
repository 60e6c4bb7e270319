import contextlib
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from terrazzo.data.augment.geometry import Resize
from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.augment.transform import AUGMENTATIONS
from terrazzo.data.dataset import PatchDataset, loader, padded, prestart_workers
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.prepared import Prepared
from terrazzo.data.sample import Batch, PatchKey, Sample
from terrazzo.data.sampler import evaluation_batches, training_batches
from terrazzo.errors import ContractError, DataError, LabelError
from terrazzo.geo.grid import Window
from terrazzo.record import load_plugin
from terrazzo.storage import locked

MakePrepared = Callable[..., Prepared]


def dataset_of(prepared: Prepared, **settings) -> PatchDataset:
    return PatchDataset(prepared, normalisation=prepared.normalisation, **settings)


def raw_of(prepared: Prepared, row: int) -> tuple[np.ndarray, np.ndarray]:
    entry = prepared.catalog.entry(prepared.index.image_id(row))
    window = prepared.index.window(row).slices
    with rasterio.open(entry.image) as image, rasterio.open(entry.label.file) as label:
        return image.read()[:, *window], label.read(1)[window]


def batches_equal(one: Sequence[Batch], other: Sequence[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(left.image, right.image)
        and torch.equal(left.target, right.target)
        and torch.equal(left.valid, right.valid)
        and left.rows == right.rows
        and left.cores == right.cores
        for left, right in zip(one, other, strict=True)
    )


def test_a_sample_is_the_patch_on_disk(make_prepared: MakePrepared):
    prepared = make_prepared((37, 21), (5, 40))
    dataset = dataset_of(prepared)
    assert len(dataset) == len(prepared.index)
    for row in range(len(dataset)):
        sample = dataset[PatchKey(row, 1)]
        image, label = raw_of(prepared, row)
        missing = (image == 0).any(axis=0)
        assert torch.equal(sample.valid, torch.from_numpy(~missing))
        expected = np.where(missing, 0, (image.astype(np.float32) - 11) / 5)
        assert np.allclose(sample.image.numpy(), expected, atol=1e-6)
        assert sample.target.dtype == torch.int64
        assert np.array_equal(sample.target.numpy(), np.where(missing | (label == 200), 255, label.astype(int) - 1))
        assert sample.row == row
        assert sample.core == prepared.index.core(row)


def test_the_pixels_of_each_class_keep_their_own_value(make_prepared: MakePrepared):
    sample = dataset_of(make_prepared((40, 40)))[PatchKey(0, 0)]
    labelled = sample.target != 255
    raw = sample.image * 5 + 11
    for band in range(3):
        assert torch.allclose(raw[band][labelled], (sample.target[labelled] * 10 + band + 1).float(), atol=1e-4)


def test_the_cores_of_an_image_count_each_labelled_pixel_once(make_prepared: MakePrepared):
    prepared = make_prepared((37, 41), step=9)
    dataset = dataset_of(prepared)
    counted = np.zeros((37, 41), dtype=int)
    for row in range(len(dataset)):
        window, core = prepared.index.window(row), dataset[PatchKey(row, 0)].core
        inner = Window(window.y + core.y, window.x + core.x, core.height, core.width)
        counted[inner.slices] += 1
    assert (counted == 1).all()


def test_more_than_254_classes_are_ignored_as_65535(make_prepared: MakePrepared):
    prepared = make_prepared((20, 20), classes=300)
    assert prepared.classes.ignore == 65535
    plain = dataset_of(prepared)[PatchKey(0, 0)]
    assert set(plain.target.unique().tolist()) == {0, 1, 2, 65535}
    assert (plain.target[~plain.valid] == 65535).all()
    hard = dataset_of(prepared, augmentation=Augmentation(set="hard"), pad_to=32)
    for seed in range(10):
        sample = hard[PatchKey(0, seed)]
        assert set(sample.target.unique().tolist()) <= {0, 1, 2, 65535}
        assert (sample.target[~sample.valid] == 65535).all()


def test_no_augmentation_turns_an_ignored_pixel_into_a_class(make_prepared: MakePrepared):
    """Nearest neighbours keep each pixel's value beside its class, so that a wrong pairing would show."""
    prepared = make_prepared((40, 40), patch=40)
    dataset = dataset_of(prepared, augmentation=Augmentation(set="dihedral"))
    for seed in range(16):
        sample = dataset[PatchKey(0, seed)]
        labelled = sample.target != 255
        raw = sample.image[0] * 5 + 11
        assert torch.allclose(raw[labelled], (sample.target[labelled] * 10 + 1).float(), atol=1e-4)
        assert (sample.image[:, ~sample.valid] == 0).all()


def test_small_patches_are_padded_at_bottom_and_right_only(make_prepared: MakePrepared):
    prepared = make_prepared((5, 40))
    plain, wide = dataset_of(prepared)[PatchKey(0, 0)], dataset_of(prepared, pad_to=16)[PatchKey(0, 0)]
    assert plain.target.shape == (5, 16)
    assert wide.target.shape == (16, 16)
    assert torch.equal(wide.image[:, :5], plain.image)
    assert torch.equal(wide.target[:5], plain.target)
    assert torch.equal(wide.valid[:5], plain.valid)
    assert (wide.image[:, 5:] == 0).all()
    assert (wide.target[5:] == 255).all()
    assert not wide.valid[5:].any()


def test_padding_leaves_a_full_patch_alone_and_refuses_a_larger_one(make_prepared: MakePrepared):
    sample = dataset_of(make_prepared((20, 20)))[PatchKey(0, 0)]
    assert padded(sample, 16, 255) is sample
    with pytest.raises(ContractError, match="16 x 16 pixels cannot be padded to 15"):
        padded(sample, 15, 255)


def test_padding_comes_before_augmentation_so_that_all_shapes_agree(make_prepared: MakePrepared):
    prepared = make_prepared((5, 40), (40, 3), (1, 1), (20, 20))
    dataset = dataset_of(prepared, augmentation=Augmentation(set="hard"), pad_to=16)
    shapes = {tuple(dataset[PatchKey(row, seed)].target.shape) for row in range(len(dataset)) for seed in range(4)}
    assert shapes == {(16, 16)}


def test_an_explicit_resize_gives_every_sample_its_size(make_prepared: MakePrepared):
    resize = Augmentation(set="light", transforms=(Resize(height=24, width=20),))
    dataset = dataset_of(make_prepared((20, 20), (7, 30)), augmentation=resize, pad_to=16)
    assert {tuple(dataset[PatchKey(row, 0)].image.shape) for row in range(len(dataset))} == {(3, 24, 20)}


def test_an_augmented_sample_depends_on_its_key_alone(make_prepared: MakePrepared):
    prepared = make_prepared((40, 40))
    one, other = (dataset_of(prepared, augmentation=Augmentation(set="hard")) for _ in range(2))
    first = one[PatchKey(2, 7)]
    _ = [other[PatchKey(row, 3)] for row in range(4)]
    torch.manual_seed(5)
    assert torch.equal(first.image, other[PatchKey(2, 7)].image)
    assert not torch.equal(first.image, one[PatchKey(2, 8)].image)
    assert first.core.height == 0, "evaluation must not count augmented pixels"


def test_another_number_of_bands_is_refused(make_prepared: MakePrepared):
    with pytest.raises(ContractError, match=r"knows 1 bands, but .* has 3: band_1, band_2, band_3"):
        PatchDataset(make_prepared((8, 8)), normalisation=Normalisation(mean=(0.0,), std=(1.0,)))


def test_a_label_that_ends_before_its_patch_is_named(make_prepared: MakePrepared):
    prepared = make_prepared((20, 20), (9, 9))
    entries = prepared.catalog.entries()
    swapped = replace(entries[0], label=entries[1].label)
    broken = replace(prepared, catalog=type(prepared.catalog)([swapped, entries[1]]))
    with pytest.raises(DataError, match=r"ö 1_label\.tif"):
        dataset_of(broken)[PatchKey(1, 0)]


def test_an_image_without_label_is_all_ignored(make_prepared: MakePrepared):
    prepared = make_prepared((20, 20))
    bare = replace(prepared.catalog.entries()[0], label=None)
    sample = dataset_of(replace(prepared, catalog=type(prepared.catalog)([bare])))[PatchKey(0, 0)]
    assert (sample.target == 255).all()


def test_a_pickled_dataset_is_small_and_reads_the_same(make_prepared: MakePrepared):
    dataset = dataset_of(make_prepared((60, 60), step=4), augmentation=Augmentation(set="medium"))
    key = PatchKey(5, 9)
    before = dataset[key]
    content = pickle.dumps(dataset)
    assert len(content) < 200 * len(dataset) + 5000
    assert torch.equal(pickle.loads(content)[key].image, before.image)


@pytest.fixture
def large(make_prepared: MakePrepared) -> tuple[PatchDataset, list[list[PatchKey]]]:
    """Batches of patches above the 32768 elements from which torch splits work over threads."""
    prepared = make_prepared((205, 197), (150, 201), patch=149)
    dataset = dataset_of(prepared, augmentation=Augmentation(set="hard"), pad_to=149)
    return dataset, training_batches(prepared.index.rows("train"), seed=3, epoch=1, batch_size=3)


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bits(large):
    dataset, batches = large
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        alone = list(loader(dataset, batches))
    finally:
        torch.set_num_threads(threads)
    assert [batch.rows for batch in alone] == [tuple(key.row for key in keys) for keys in batches]
    assert alone[0].image.shape == (3, 3, 149, 149)
    for workers in (1, 2):
        assert batches_equal(alone, list(loader(dataset, batches, workers=workers))), f"{workers} workers differ"


def test_evaluation_batches_load_unpadded(make_prepared: MakePrepared):
    prepared = make_prepared((20, 20), (5, 33), (1, 1))
    rows = prepared.index.rows("train")
    batches = [keys for _, keys in evaluation_batches(prepared, rows, batch_size=3)]
    loaded = list(loader(dataset_of(prepared), batches))
    windows = [prepared.index.window(row) for batch in loaded for row in batch.rows]
    assert sorted(row for batch in loaded for row in batch.rows) == rows
    for batch, shapes in zip(loaded, batches, strict=True):
        expected = prepared.index.window(shapes[0].row)
        assert batch.target.shape[1:] == (expected.height, expected.width)
    assert {(window.height, window.width) for window in windows} == {(16, 16), (5, 16), (1, 1)}


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_global_generator_alone(large, workers):
    dataset, batches = large
    state = torch.random.get_rng_state()
    _ = list(loader(dataset, batches[:1], workers=workers))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_loader_can_be_left_early_and_begun_again(large):
    dataset, batches = large
    source = loader(dataset, batches, workers=1)
    first = next(iter(source))
    assert batches_equal([first], list(source)[:1])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_worker_comes_as_it_was_raised(make_prepared: MakePrepared, workers: int):
    prepared = make_prepared((20, 20))
    with rasterio.open(prepared.catalog.entries()[0].label.file, "r+") as file:
        raw = file.read()
        raw[0, 3, 3] = 77
        file.write(raw)
    with pytest.raises(LabelError, match="77") as caught:
        list(loader(dataset_of(prepared), [[PatchKey(0, 0)]], workers=workers))
    assert "Traceback" not in str(caught.value)


def test_starting_the_workers_server_early_returns_at_once_and_changes_nothing(large):
    dataset, batches = large
    begun = time.monotonic()
    prestart_workers()
    assert time.monotonic() - begun < 1.0
    assert batches_equal(list(loader(dataset, batches[:1], workers=1)), list(loader(dataset, batches[:1])))


def test_no_batches_are_no_error(make_prepared: MakePrepared):
    assert list(loader(dataset_of(make_prepared((8, 8))), [])) == []


@pytest.fixture
def borrowed_table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget plug-ins after the test."""
    monkeypatch.setattr(AUGMENTATIONS, "_entries", dict(AUGMENTATIONS._entries))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("terrazzo_plugin_"):
            del sys.modules[name]


@pytest.mark.usefixtures("borrowed_table")
def test_a_plugins_transform_reaches_the_workers(make_prepared: MakePrepared, tmp_path: Path):
    plugin = tmp_path / "darker plugin.py"
    plugin.write_text(
        textwrap.dedent('''
        from typing import Literal
        from terrazzo.data.augment.transform import Transform
        from terrazzo.record import Table

        class Darker(Transform):
            """Subtract one."""

            name: Literal["darker"] = "darker"
            """Darkens."""

            def apply(self, sample, generator, ignore):
                return sample.with_pixels((sample.image - 1) * sample.valid, sample.target, sample.valid)

        Table.of("augmentations").register("darker", f"{__name__}:Darker")
        ''')
    )
    load_plugin(plugin)
    darker = Augmentation.model_validate([{"name": "darker", "probability": 1}])
    prepared = make_prepared((20, 20))
    batches = [[PatchKey(0, 0)], [PatchKey(1, 0)]]
    changed = list(loader(dataset_of(prepared, augmentation=darker), batches, workers=1))
    plain = list(loader(dataset_of(prepared), batches))
    for one, other in zip(changed, plain, strict=True):
        assert torch.allclose(one.image, (other.image - 1) * other.valid[:, None])


def test_workers_hold_neither_the_runs_lock_nor_its_open_files(large, tmp_path: Path):
    """A killed run must free its lock at once, though its workers notice only seconds later."""
    dataset, batches = large
    held = tmp_path / "lock"
    with locked(tmp_path), held.open("w"):
        iterator = iter(loader(dataset, batches, workers=2))
        next(iterator)
        workers = multiprocessing.active_children()
        assert len(workers) == 2
        for worker in workers:
            open_files = [link.readlink() for link in Path(f"/proc/{worker.pid}/fd").iterdir() if link.is_symlink()]
            assert open_files, "nothing was looked at"
            assert not [path for path in open_files if path.parent == tmp_path]
        del iterator


SCRIPT = """
import pickle, sys, time
from terrazzo.data.dataset import loader

if __name__ == "__main__":
    dataset, keys = pickle.loads(open(sys.argv[1], "rb").read())
    for batch in loader(dataset, [keys] * 10000, workers=2):
        print("loaded", flush=True)
        time.sleep(0.05)
"""


def descendants(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found += [int(status.parent.name), *descendants(int(status.parent.name))]
    return found


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_behind(make_prepared: MakePrepared, tmp_path: Path):
    (tmp_path / "data").write_bytes(pickle.dumps((dataset_of(make_prepared((20, 20))), [PatchKey(0, 0)])))
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loaded\n"
        left = descendants(process.pid)
        assert len(left) >= 3, "a server and two workers were expected"
        process.kill()
        process.wait()
    for _ in range(300):
        left = [pid for pid in left if Path(f"/proc/{pid}").exists()]
        if not left:
            break
        time.sleep(0.1)
    assert not left


def test_a_sample_is_what_it_says(make_prepared: MakePrepared):
    sample = dataset_of(make_prepared((8, 8), bands=1))[PatchKey(0, 0)]
    assert isinstance(sample, Sample)
    assert sample.image.shape == (1, 8, 8)
