"""What every head has by default, and that each in the table keeps the contract."""

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.models.heads.head import HEADS, HeadNetwork
from terrazzo.models.output import Output
from terrazzo.testing.heads import LAYOUTS, check_head

SMALL = {
    "linear": {},
    "unet": {"channels": (4, 4, 8, 8, 8, 8)},
    "unet_v2": {"channels": 8, "rank": 8, "widths": (4, 8, 8, 16), "prior": 4, "deep_supervision": True},
    "maskformer": {"channels": 16, "heads": 2, "hidden": 16, "layers": 2, "queries": 5},
    "pmt": {"blocks": 2, "heads": 2, "queries": 5},
}
"""Settings of small widths."""


class Tagged(HeadNetwork):
    """A head with a table, a classifier and a hidden layer."""

    classifiers = ("last",)

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(3, 2)
        self.hidden = torch.nn.Linear(2, 2)
        self.last = torch.nn.Conv2d(2, 4, 1)
        self.lasting = torch.nn.Linear(2, 2)

    def forward(self, image, features):
        return Output(self.last(features[0]))


def test_tables_and_classifiers_are_plain():
    assert Tagged().plain_parameters() == {"table.weight", "last.weight"}


def test_a_head_refuses_to_checkpoint_gradients_unless_it_can():
    with pytest.raises(ModelError, match=r"Tagged cannot checkpoint gradients; set train\.gradient_checkpointing"):
        Tagged().checkpoint_gradients()


def test_the_table_holds_what_is_tested_here():
    assert set(SMALL) <= set(HEADS.names())


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_head_keeps_the_contract(name):
    # Heads that do not read the image cannot tell how many bands it has; unet_v2 is tried with five below.
    bands = (3, 1, 5) if name == "unet" else (3,)
    check_head(HEADS.create(name, **SMALL[name]), bands=bands, sizes=((1, 2), (1, 1)))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("linear", {"maps": "all"}),
        ("unet_v2", {"finest": 1}),
        ("unet_v2", {"finest": 4, "deep_supervision": False}),
        ("maskformer", {"assignment": "fixed", "queries": None, "every_layer": True}),
        ("pmt", {"assignment": "fixed", "queries": None, "every_layer": True}),
        ("pmt", {"annealing_steps": 0, "channels": 8}),
    ],
)
def test_its_settings_keep_the_contract_too(name, settings):
    check_head(HEADS.create(name, **(SMALL[name] | settings)), layouts=LAYOUTS[:1], bands=(5,), sizes=((1, 2),))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("linear", {"classifier.weight"}),
        ("unet", {"classifier.weight"}),
        ("unet_v2", {f"classifiers_of_scales.{scale}.weight" for scale in range(3)}),
        ("maskformer", {"queries.weight", "answer.classifier.weight"}),
        ("pmt", {"queries.weight", "answer.classifier.weight"}),
    ],
)
def test_queries_and_classifiers_are_no_hidden_layers(name, plain):
    head = HEADS.create(name, **SMALL[name]).build(LAYOUTS[0], bands=3, classes=3)
    assert head.plain_parameters() == plain
