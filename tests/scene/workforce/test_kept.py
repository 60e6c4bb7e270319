"""A worker that goes from scene to scene loads the network once, and never takes the wrong one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from terrazzo.bundle import Bundle
from terrazzo.errors import BundleError
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.products import products_of
from terrazzo.scene.workforce.job import SceneJob, open_job
from terrazzo.scene.workforce.kept import KeptNetwork


def test_the_next_scene_finds_the_network_ready(tiny: object) -> None:
    kept = KeptNetwork()
    with open_job(tiny.job, kept=kept) as first:
        pass
    tiny.job.bundle.unlink()
    with open_job(tiny.job, kept=kept) as second:
        assert second.forward is first.forward
        assert second.source is not first.source


@pytest.mark.parametrize(
    "change",
    [
        lambda job: job.model_copy(update={"settings": job.settings.model_copy(update={"blend": "logits"})}),
        lambda job: job.model_copy(
            update={
                "header": job.header.model_copy(
                    update={"decisions": job.header.decisions.model_copy(update={"batch_size": 2})}
                )
            }
        ),
    ],
    ids=["settings", "decisions"],
)
def test_another_job_gets_another_network(tiny: object, change: Callable[[SceneJob], SceneJob]) -> None:
    kept = KeptNetwork()
    with open_job(tiny.job, kept=kept) as first:
        pass
    with open_job(change(tiny.job), kept=kept) as second:
        assert second.forward is not first.forward


def test_another_number_of_lanes_makes_another_network(tiny: object) -> None:
    kept = KeptNetwork()
    with open_job(tiny.job, lanes=1, kept=kept) as first, open_job(tiny.job, lanes=2, kept=kept) as second:
        assert (first.forward.lanes, second.forward.lanes) == (1, 2)


def test_other_weights_are_loaded_and_the_network_made_anew(
    tiny: object, make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    kept = KeptNetwork()
    first = kept.bundle(tiny.job.bundle, weights=tiny.job.header.request.weights, backbone=None)
    decisions, settings = tiny.job.header.decisions, tiny.job.settings

    def forward(bundle: Bundle) -> WindowForward:
        products = products_of(settings, classes=len(bundle.classes), ignore=bundle.classes.ignore)
        return kept.forward(
            bundle,
            settings,
            decisions,
            lanes=1,
            make=lambda: WindowForward(bundle, settings, decisions, products, margin=0),
        )

    network = forward(first)
    other = make_bundle("probe_identity")
    other.save(tmp_path / "other.safetensors")
    second = kept.bundle(tmp_path / "other.safetensors", weights=other.fingerprint, backbone=None)
    assert second.fingerprint == other.fingerprint != first.fingerprint
    assert forward(second) is not network


def test_a_file_that_holds_another_bundle_is_refused(tiny: object) -> None:
    with pytest.raises(BundleError, match="has changed since the job began"):
        KeptNetwork().bundle(tiny.job.bundle, weights="0" * 64, backbone=None)
