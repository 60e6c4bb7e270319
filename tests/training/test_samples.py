import numpy as np
import torch

from terrazzo.data.pictures.picture import RIGHT, WRONG
from terrazzo.models.architecture import Network
from terrazzo.models.output import Output
from terrazzo.training.evaluation import Examination
from terrazzo.training.samples import sample_panels


class Always(Network):
    """Answers one class everywhere."""

    def __init__(self, chosen: int) -> None:
        super().__init__()
        self.chosen = chosen

    def forward(self, image: torch.Tensor) -> Output:
        logits = torch.zeros_like(image)
        logits[:, self.chosen] = 1
        return Output(logits)


def draw(prepared, processes, rows, chosen=1) -> list[np.ndarray]:
    examination = Examination("val", prepared.normalisation, batch_size=2)
    network = Always(chosen).train()
    pictures = sample_panels(network, prepared, rows=rows, examination=examination, processes=processes)
    assert network.training
    return pictures


def test_each_row_gives_four_pictures_side_by_side(prepared, processes):
    pictures = draw(prepared, processes, prepared.index.rows("val")[:3])
    assert [picture.shape for picture in pictures] == [(16, 4 * 16 + 3 * 4, 3)] * 3
    assert all(picture.dtype == np.uint8 for picture in pictures)


def test_prediction_and_error_are_what_the_network_said(prepared, processes):
    row = prepared.index.rows("val")[1]
    (picture,) = draw(prepared, processes, [row], chosen=2)
    predicted, error, label = picture[:, 40:56], picture[:, 60:76], picture[:, 20:36]
    assert (predicted == prepared.classes.colours[2]).all()
    right = (label == prepared.classes.colours[2]).all(axis=-1)
    assert (error[right] == RIGHT).all()
    assert (error[~right] == WRONG).all()
    assert right.any()
    assert not right.all()


def test_ignored_pixels_are_neither_right_nor_wrong(prepared, processes):
    (picture,) = draw(prepared, processes, [prepared.index.rows("val")[0]])
    corner = picture[:3, 60:64].reshape(-1, 3)
    assert not any((colour == RIGHT).all() or (colour == WRONG).all() for colour in corner)


def test_no_rows_give_no_pictures(prepared, processes):
    assert draw(prepared, processes, []) == []
