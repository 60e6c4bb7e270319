from dataclasses import replace

import pytest
import torch

from terrazzo.errors import ConfigError, ModelError, TrainingError
from terrazzo.models.recomputed_blocks import RecomputedBlock
from terrazzo.models.smp import Smp
from terrazzo.training.folder import RunFolder
from terrazzo.training.muon import Muon
from terrazzo.training.session import begin, opening, save
from terrazzo.training.settings import Monitor, TrainSettings


def test_the_seed_decides_the_first_weights(started, tiny, prepared, processes, tmp_path):
    one, same = started(), started()
    job = tiny.tiny_job(tmp_path / "other", prepared, seed=8)
    other = begin(job, RunFolder(job.folder), processes)
    weights = [next(iter(session.network.state_dict().values())) for session in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_opening_says_what_on_what_and_from_where(started):
    session = started(epochs=3)
    said = opening(session)
    assert f"{len(session.rows)} patches" in said
    assert "3 epochs" in said
    assert "float32 on 1 x cpu" in said
    assert "from the beginning" in said
    assert str(session.folder.path) in said
    session.resumed, session.state = True, replace(session.state, step=7)
    assert "goes on from update 7" in opening(session)


def test_the_opening_says_which_parameters_are_whose(tiny, prepared, processes, tmp_path):
    job = tiny.tiny_job(tmp_path / "run", prepared, optimizer=Muon())
    said = opening(begin(job, RunFolder(job.folder), processes))
    assert "Muon moves 0 matrices" in said
    assert "AdamW 1 tensor (216 values, such as layers.0.weight): reads the image" in said


def test_updates_cover_the_epoch_in_groups(started):
    session = started(accumulate=3)
    updates = session.updates(0)
    keys = [key for group in updates for batch in group for key in batch]
    assert sorted(key.row for key in keys) == session.rows
    assert [len(group) for group in updates] == [3] * (len(updates) - 1) + [len(updates[-1])]
    assert 1 <= len(updates[-1]) <= 3
    assert session.updates_per_epoch == len(updates)
    assert session.updates(1) != updates


def test_balanced_sampling_draws_by_weight(started, prepared):
    session = started(sampling="balanced")
    assert session.chances is not None
    assert len(session.chances) == len(session.rows)
    keys = [key.row for group in session.updates(0) for batch in group for key in batch]
    assert len(keys) == len(session.rows)
    assert len(set(keys)) < len(keys)


def test_class_weights_come_from_the_training_pixels(started, prepared):
    assert started().class_weights is None
    weights = started(class_weights="inverse").class_weights
    counts = torch.tensor(prepared.pixel_counts["train"], dtype=torch.float64)
    assert torch.allclose(weights.double(), counts.sum() / (3 * counts))
    assert not torch.equal(started(class_weights="median").class_weights, weights)


def test_debug_looks_at_little(started):
    session = started(debug=True, batch_size=2)
    assert session.updates_per_epoch == 4
    assert session.examination().limit == 2
    assert started().examination().limit is None


def test_validation_takes_its_own_batch_size(started):
    assert started(evaluation_batch_size=9).examination().batch_size == 9
    assert started().examination().batch_size == 4


def test_a_figure_that_is_not_measured_is_refused_before_any_work(started):
    with pytest.raises(ConfigError, match=r"'val_dice', which is not measured\. Choose from train_loss, val_loss"):
        started(monitor=Monitor(figure="val_dice"))
    with pytest.raises(ConfigError, match="val_foreground_iou"):
        started(monitor=Monitor(figure="val_foreground_iou"))


def test_boundaries_are_figures_where_tolerances_ask_for_them(started):
    session = started(boundary_tolerances=(1, 3), monitor=Monitor(figure="val_bf1_3"))
    assert session.examination().boundary_tolerances == (1, 3)
    with pytest.raises(ConfigError, match=r"'val_bf1_2', which is not measured.*val_bf1_1, val_bf1_3, "):
        started(boundary_tolerances=(1, 3), monitor=Monitor(figure="val_bf1_2"))
    with pytest.raises(ConfigError, match="'val_bf1_3', which is not measured"):
        started(monitor=Monitor(figure="val_bf1_3"))


def test_a_session_goes_on_with_weights_optimizer_and_state(started):
    first = started()
    first.objective.network.layers[0].weight.data.add_(1.0)
    first.loss_sum, first.patches = 2.5, 8
    first.state = replace(first.state, batch=2, step=2, updates=2)
    save(first)
    second = started()
    assert second.resumed
    assert (second.loss_sum, second.patches, second.state.step) == (2.5, 8, 2)
    pairs = zip(first.network.state_dict().values(), second.network.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_other_data_is_refused(started, prepared):
    session = started()
    session.state = replace(session.state, fingerprint="of other data")
    save(session)
    with pytest.raises(TrainingError, match="trained on data with the fingerprint of other dat"):
        started()


def test_another_number_of_processes_is_refused(started):
    session = started()
    session.state = replace(session.state, world_size=4)
    save(session)
    with pytest.raises(TrainingError, match="begun by 4 processes and is now taken up by 1"):
        started()


def test_a_checkpoint_of_another_network_is_refused(started, tiny, prepared, processes, tmp_path):
    save(started())
    job = tiny.tiny_job(tmp_path / "run", prepared, architecture=tiny.Tiny(width=5))
    with pytest.raises(TrainingError, match=r"last\.safetensors does not fit the network"):
        begin(job, RunFolder(job.folder), processes)


def test_activations_are_computed_again_where_that_is_asked_for(tiny, prepared, processes, tmp_path):
    settings = TrainSettings(batch_size=4, gradient_checkpointing=True)
    job = tiny.tiny_job(tmp_path / "run", prepared, settings=settings, architecture=Smp(encoder="resnet18"))
    session = begin(job, RunFolder(job.folder), processes)
    assert sum(isinstance(module, RecomputedBlock) for module in session.network.modules()) > 8


def test_a_network_that_has_no_blocks_cannot_compute_them_again(started):
    with pytest.raises(ModelError, match=r"set train\.gradient_checkpointing: false"):
        started(gradient_checkpointing=True)
