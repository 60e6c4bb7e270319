import dataclasses

import pytest

from terrazzo.data.normalisation import Normalisation
from terrazzo.training.job import TrainSummary


def test_the_network_sees_the_datas_normalisation_unless_another_is_given(tiny, prepared, tmp_path):
    assert tiny.tiny_job(tmp_path, prepared).input_normalisation == prepared.normalisation
    other = Normalisation(mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0))
    assert tiny.tiny_job(tmp_path, prepared, normalisation=other).input_normalisation == other


def test_a_given_configuration_describes_the_job(tiny, prepared, tmp_path):
    config = {"seed": 1, "data": {"root": "${oc.env:ROOT}"}}
    assert tiny.tiny_job(tmp_path, prepared, config=config).described == config


def test_without_one_the_records_do(tiny, prepared, tmp_path):
    job = tiny.tiny_job(tmp_path, prepared)
    described = job.described
    assert described["seed"] == 7
    assert described["optimizer"]["lr"] == 3e-3
    assert described["model"]["name"] == "tiny"
    assert described["train"]["epochs"] == 3
    changed = dataclasses.replace(job, seed=8, optimizer=job.optimizer.model_copy(update={"lr": 0.1})).described
    assert {key for key in described if described[key] != changed[key]} == {"seed", "optimizer"}


def test_jobs_and_summaries_cannot_be_changed(tiny, prepared, tmp_path):
    job = tiny.tiny_job(tmp_path, prepared)
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.seed = 3
    assert TrainSummary.__dataclass_params__.frozen
