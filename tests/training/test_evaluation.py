from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import rasterio
import torch

from terrazzo.data.augment.geometry import Resize
from terrazzo.data.dataset import PatchDataset
from terrazzo.data.patches import PatchIndex
from terrazzo.data.prepared import Prepared
from terrazzo.data.sample import PatchKey, collate
from terrazzo.errors import DataError, ModelError
from terrazzo.losses import CrossEntropy
from terrazzo.metrics import BoundaryCounts
from terrazzo.models.architecture import Network
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Output, Steps
from terrazzo.training.distributed import Processes
from terrazzo.training.evaluation import Examination, answer, counted, evaluate_split


class Brightest(Network):
    """Answers the band with the largest value: a function of the pixel alone, so patches cannot matter."""

    def forward(self, image: torch.Tensor) -> Output:
        return Output(image * 4)


class Gradual(Network):
    """Sees one band more in each step, so that each answers otherwise; bright patches are done early."""

    def forward(self, image: torch.Tensor) -> Output:
        logits = tuple((image * 4).index_fill(1, torch.arange(step, 3), -99.0) for step in (1, 2, 3))
        bright = image.mean(dim=(1, 2, 3))
        return Output(logits[-1], (Steps(logits, (bright, bright + 0.1, bright + 9), 1),))


RULE = HaltingRule(threshold=0.5, first=1, last=3)


def look(prepared: Prepared, network: Network, processes: Processes, **changes):
    examination = Examination("val", prepared.normalisation, batch_size=4, loss=CrossEntropy(), worst=2)
    return evaluate_split(network, prepared, examination=replace(examination, **changes), processes=processes)


def by_hand(prepared: Prepared) -> np.ndarray:
    """Confusion over whole images, read with rasterio alone."""
    counts = np.zeros((3, 3), dtype=np.int64)
    mean, std = (np.array(part)[:, None, None] for part in (prepared.normalisation.mean, prepared.normalisation.std))
    for entry in prepared.catalog.entries("val"):
        with rasterio.open(entry.image) as image, rasterio.open(entry.label.file) as label:
            values, target = (image.read() - mean) / std, label.read(1)
        inside = target != 255
        np.add.at(counts, (target[inside], values.argmax(axis=0)[inside]), 1)
    return counts


def test_every_labelled_pixel_counts_once_though_patches_overlap(prepared, processes):
    found = look(prepared, Brightest(), processes)
    assert found.confusion.counts.tolist() == by_hand(prepared).tolist()
    assert found.confusion.total == 37 * 41 + 20 * 33 - 2 * 3 * 4


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_counts_do_not_depend_on_the_batch(prepared, processes, batch_size):
    found = look(prepared, Brightest(), processes, batch_size=batch_size)
    assert found.confusion == look(prepared, Brightest(), processes).confusion
    assert found.loss == pytest.approx(look(prepared, Brightest(), processes).loss, rel=1e-5)


def test_counts_do_not_depend_on_the_cut(tiny: ModuleType, processes, tmp_path):
    cuts = [
        tiny.tiny_prepared(tmp_path / f"{size}-{overlap}", patch=size, overlap=overlap)
        for size, overlap in ((7, 0), (64, 0), (16, 11))
    ]
    counts = [look(one, Brightest(), processes).confusion for one in cuts]
    assert counts[0] == counts[1] == counts[2]


def test_the_loss_is_the_mean_over_labelled_pixels(prepared, processes):
    total, pixels = 0.0, 0
    dataset = PatchDataset(prepared, normalisation=prepared.normalisation)
    for row in prepared.index.rows("val"):
        batch = collate([dataset[PatchKey(row, 0)]])
        inside = counted(batch, 255)
        logits = batch.image * 4
        losses = torch.nn.functional.cross_entropy(logits, batch.target.where(inside, 0), reduction="none")
        total, pixels = total + float(losses[inside].double().sum()), pixels + int(inside.sum())
    assert look(prepared, Brightest(), processes).loss == pytest.approx(total / pixels, rel=1e-5)


def test_the_worst_patches_come_first(prepared, processes):
    every = look(prepared, Brightest(), processes, worst=10**6).worst
    errors = [score.error for score in every]
    assert errors == sorted(errors, reverse=True)
    assert sorted(score.row for score in every) == prepared.index.rows("val")
    assert look(prepared, Brightest(), processes).worst == every[:2]
    found = look(prepared, Brightest(), processes).confusion.counts
    wrong = round(sum(score.error * score.pixels for score in every))
    assert wrong == int(found.sum() - found.diagonal().sum())


def test_no_loss_is_reported_where_none_was_asked_for(prepared, processes):
    assert look(prepared, Brightest(), processes, loss=None).loss is None


def test_a_limit_looks_at_so_many_batches(prepared, processes):
    found = look(prepared, Brightest(), processes, limit=2)
    assert found.batches == 2
    assert 0 < found.confusion.total < by_hand(prepared).sum()


def test_a_split_without_patches_is_an_error(prepared, processes):
    with pytest.raises(DataError, match=r'"test" .* has no patch; splits are train, val'):
        look(prepared, Brightest(), processes, split="test")


def test_the_network_keeps_its_mode_and_statistics(tiny, prepared, processes):
    network = tiny.Tiny().build(bands=3, classes=3).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = look(prepared, network, processes)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert look(prepared, network.eval(), processes).confusion == first.confusion
    assert not network.training


def test_cores_and_ignored_pixels_decide_what_counts(prepared):
    dataset = PatchDataset(prepared, normalisation=prepared.normalisation)
    batch = collate([dataset[PatchKey(row, 0)] for row in prepared.index.rows("val")[:2]])
    inside = counted(batch, 255)
    outside = torch.ones_like(inside)
    for position, core in enumerate(batch.cores):
        outside[(position, *core.slices)] = False
    assert not (inside & outside).any()
    assert not (inside & (batch.target == 255)).any()
    assert inside.sum() == (~outside & (batch.target != 255)).sum()


def test_an_explicit_resize_is_made_and_undone(prepared, processes):
    dataset = PatchDataset(prepared, normalisation=prepared.normalisation)
    batch = collate([dataset[PatchKey(prepared.index.rows("val")[0], 0)]])
    seen = []

    class Watching(Brightest):
        def forward(self, image: torch.Tensor) -> Output:
            seen.append(tuple(image.shape[-2:]))
            return super().forward(image)

    output = answer(Watching(), batch, resize=Resize(height=24, width=40), processes=processes)
    assert seen == [(24, 40)]
    assert output.logits.shape == (1, 3, 16, 16)
    found = look(prepared, Watching(), processes, resize=Resize(height=24, width=40))
    assert found.confusion.total == by_hand(prepared).sum()


def test_the_normalisation_is_the_examinations(prepared, processes):
    other = prepared.normalisation.model_copy(update={"mean": (0.0, 500.0, 500.0)})
    found = look(prepared, Brightest(), processes, normalisation=other)
    assert found.confusion.counts[:, 1:].sum() == 0


def test_patches_without_a_labelled_pixel_are_not_read(tiny, processes, tmp_path, monkeypatch):
    """One of two images loses all labels but one pixel: its other patches change no count."""
    made = tiny.tiny_prepared(tmp_path / "sparse", overlap=0, sizes={"train": [(16, 16)], "val": [(48, 48), (32, 32)]})
    entry = made.catalog.entries("val")[0]
    with rasterio.open(entry.label.file, "r+") as file:
        sparse = np.full((48, 48), 255, dtype=np.uint8)
        sparse[20, 40] = 1
        file.write(sparse, 1)
    frame = made.index.frame.copy()
    for row in frame.index[frame["image_id"] == entry.image_id]:
        inside = sparse[made.index.window(row).slices]
        frame.at[row, "counts"] = [int((inside == value).sum()) for value in range(3)]
    told = replace(made, index=PatchIndex(frame))
    every = look(made, Brightest(), processes)
    read = []

    def spy(dataset, key, real=PatchDataset.__getitem__):
        read.append(key.row)
        return real(dataset, key)

    monkeypatch.setattr(PatchDataset, "__getitem__", spy)
    found = look(told, Brightest(), processes)
    assert found.confusion == every.confusion
    assert found.confusion.total == 1 + 32 * 32 - 3 * 4
    assert len(read) == 1 + 4
    assert [one.row for one in found.worst] == [one.row for one in every.worst]


def test_a_split_without_any_label_counts_nothing(tiny, processes, tmp_path):
    made = tiny.tiny_prepared(tmp_path / "bare", sizes={"train": [(16, 16)], "val": [(3, 4)]})
    found = look(made, Brightest(), processes)
    assert (found.confusion.total, found.loss, found.worst, found.batches) == (0, None, (), 0)


def test_each_step_is_counted_over_the_same_pixels(prepared, processes):
    found = look(prepared, Gradual(), processes, halting_rule=RULE)
    assert len(found.steps) == 3
    assert found.steps[2] == found.confusion
    assert [one.total for one in found.steps] == [found.confusion.total] * 3
    assert found.steps[0].counts[:, 1:].sum() == 0
    assert found.steps[1].counts[:, 2:].sum() == 0
    assert found.steps[1].counts[:, 1].sum() > 0


def test_the_steps_needed_are_a_mean_over_labelled_pixels(prepared, processes):
    dataset = PatchDataset(prepared, normalisation=prepared.normalisation)
    total, pixels = 0, 0
    for row in prepared.index.rows("val"):
        batch = collate([dataset[PatchKey(row, 0)]])
        bright = float(batch.image.mean())
        needed = 1 if bright >= 0 else 2 if bright + 0.1 >= 0 else 3
        inside = int(counted(batch, 255).sum())
        total, pixels = total + needed * inside, pixels + inside
    found = look(prepared, Gradual(), processes, halting_rule=RULE)
    assert found.average_steps == total / pixels
    assert 1 < total / pixels < 3
    late = look(prepared, Gradual(), processes, halting_rule=replace(RULE, first=2)).average_steps
    assert 2 <= late < 3
    assert late > found.average_steps


@pytest.mark.parametrize("batch_size", [1, 100])
def test_steps_do_not_depend_on_the_batch(prepared, processes, batch_size):
    one = look(prepared, Gradual(), processes, halting_rule=RULE, batch_size=batch_size)
    other = look(prepared, Gradual(), processes, halting_rule=RULE)
    assert (one.steps, one.average_steps) == (other.steps, other.average_steps)


def test_without_halting_logits_every_step_is_needed(prepared, processes):
    class Fixed(Gradual):
        def forward(self, image: torch.Tensor) -> Output:
            steps = super().forward(image).find(Steps)
            return Output(steps.logits[-1], (replace(steps, halting=()),))

    assert look(prepared, Fixed(), processes, halting_rule=RULE).average_steps == 3


def test_a_network_that_answers_once_has_no_steps(prepared, processes):
    found = look(prepared, Brightest(), processes)
    assert (found.steps, found.average_steps) == ((), None)
    with pytest.raises(ModelError, match="rule has 3 steps must answer that many, not none"):
        look(prepared, Brightest(), processes, halting_rule=RULE)
    with pytest.raises(ModelError, match="rule has 2 steps must answer that many, not 3"):
        look(prepared, Gradual(), processes, halting_rule=replace(RULE, last=2))


def test_under_a_resize_every_step_is_brought_back(prepared, processes):
    found = look(prepared, Gradual(), processes, halting_rule=RULE, resize=Resize(height=24, width=40))
    assert found.steps[2] == found.confusion
    assert found.steps[0].total == by_hand(prepared).sum()
    assert found.steps[0] != found.steps[1]


def test_a_split_without_any_label_needs_no_steps(tiny: ModuleType, processes, tmp_path):
    made = tiny.tiny_prepared(tmp_path / "bare steps", sizes={"train": [(16, 16)], "val": [(3, 4)]})
    found = look(made, Gradual(), processes, halting_rule=RULE)
    assert [one.total for one in found.steps] == [0, 0, 0]
    assert found.average_steps is None


def test_boundaries_are_counted_in_the_cores_of_patches(prepared, processes):
    """Each core is an image of its own, of which only what evaluation counts has a class."""
    found = look(prepared, Brightest(), processes, boundary_tolerances=(0, 2)).boundaries
    dataset = PatchDataset(prepared, normalisation=prepared.normalisation)
    expected = BoundaryCounts.zero(3, (0, 2), diagonal=None, band=None)
    for row in prepared.index.rows("val"):
        batch = collate([dataset[PatchKey(row, 0)]])
        inside = (0, *batch.cores[0].slices)
        maps = batch.image.argmax(dim=1), batch.target, ~counted(batch, 255)
        parts = [values[inside].numpy() for values in maps]
        expected = expected + BoundaryCounts.of(*parts, 3, (0, 2), diagonal=None, band=None)
    assert found == expected
    assert 0 < found.matched_labelled[0].sum() < found.matched_labelled[1].sum() <= found.labelled.sum()


@pytest.mark.parametrize("batch_size", [1, 100])
def test_boundaries_do_not_depend_on_the_batch(prepared, processes, batch_size):
    one = look(prepared, Brightest(), processes, boundary_tolerances=(1,), batch_size=batch_size)
    assert one.boundaries == look(prepared, Brightest(), processes, boundary_tolerances=(1,)).boundaries


def test_an_image_in_one_patch_has_the_boundaries_of_the_whole_image(tiny: ModuleType, processes, tmp_path):
    made = tiny.tiny_prepared(tmp_path / "whole", patch=64, overlap=0)
    found = look(made, Brightest(), processes, boundary_tolerances=(1,)).boundaries
    cut = look(
        tiny.tiny_prepared(tmp_path / "cut", patch=6, overlap=0), Brightest(), processes, boundary_tolerances=(1,)
    ).boundaries
    assert found.images == 2
    # Labels are fields of 6 pixels: where cores end with them, no boundary is seen.
    assert 0 < cut.labelled.sum() < found.labelled.sum()
    assert 0 < cut.predicted.sum() < found.predicted.sum()


def test_boundaries_that_nobody_asked_for_are_not_counted(prepared, processes, monkeypatch):
    def refuse(*_arguments, **_settings):
        raise AssertionError

    monkeypatch.setattr(BoundaryCounts, "of", refuse)
    assert look(prepared, Brightest(), processes).boundaries is None


def test_a_split_without_any_label_has_no_boundaries(tiny: ModuleType, processes, tmp_path):
    made = tiny.tiny_prepared(tmp_path / "bare outlines", sizes={"train": [(16, 16)], "val": [(3, 4)]})
    found = look(made, Brightest(), processes, boundary_tolerances=(1,)).boundaries
    assert found == BoundaryCounts.zero(3, (1,), diagonal=None, band=None)
