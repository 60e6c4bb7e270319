"""An ensemble answers the mean of its members' probabilities, and where they differ."""

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.models import ARCHITECTURES
from terrazzo.models.backbones.stem import Stem
from terrazzo.models.ensemble import Ensemble, Member
from terrazzo.models.output import Disagreement
from terrazzo.models.refiner.trm import Trm
from terrazzo.testing import check_architecture

SMP = ARCHITECTURES.create("smp", encoder="mobilenet_v2")
TRM = Trm(width=4, backbone=Stem(width=4, blocks=0), t_min=1, t_max=3)


def built(*members: Member, bands: int = 3, classes: int = 4) -> torch.nn.Module:
    torch.manual_seed(0)
    return Ensemble(members=members).build(bands=bands, classes=classes).eval()


@pytest.mark.filterwarnings("ignore:.*non-tuple sequence")
def test_it_keeps_the_contract_of_every_network() -> None:
    check_architecture(Ensemble(members=(Member(network=SMP), Member(network=SMP))))


def test_it_answers_the_mean_of_the_probabilities() -> None:
    network = built(Member(network=SMP), Member(network=SMP), Member(network=TRM))
    image = torch.randn(2, 3, 33, 47)
    with torch.inference_mode():
        output = network(image)
        members = torch.stack([member(image).logits.softmax(1) for member in network.members])
    torch.testing.assert_close(output.logits.softmax(1), members.mean(0), rtol=1e-5, atol=1e-6)
    winner = members.mean(0).argmax(1)
    expected = (members.argmax(2) != winner).float().mean(0)
    torch.testing.assert_close(output.find(Disagreement).values, expected)


def test_members_see_their_own_normalisation() -> None:
    network = built(Member(network=SMP), Member(network=SMP, factor=(2.0, 1.0, 0.5), shift=(1.0, 0.0, -1.0)))
    network.members[1].load_state_dict(network.members[0].state_dict())
    image = torch.randn(1, 3, 32, 32)
    seen = image * torch.tensor([2.0, 1.0, 0.5])[:, None, None] + torch.tensor([1.0, 0.0, -1.0])[:, None, None]
    expected = sum(network.members[0](one).logits.softmax(1) for one in (image, seen)) / 2
    torch.testing.assert_close(network(image).logits.softmax(1), expected, rtol=1e-5, atol=1e-6)


def test_equal_members_never_differ() -> None:
    network = built(Member(network=SMP), Member(network=SMP))
    network.members[1].load_state_dict(network.members[0].state_dict())
    assert not network(torch.randn(1, 3, 40, 24)).find(Disagreement).values.any()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="2 items"):
        Ensemble(members=(Member(network=SMP),))
    with pytest.raises(ValueError, match="2 factors but 1 shifts"):
        Member(network=SMP, factor=(1.0, 2.0), shift=(0.0,))
    with pytest.raises(ModelError, match="factors of 3 bands, not of 4"):
        built(Member(network=SMP), Member(network=SMP, factor=(1.0,) * 3, shift=(0.0,) * 3), bands=4)
