"""What every architecture promises: answers at the size of the input, for any size, bands and batch, repeatably."""

import io
from collections.abc import Sequence

import torch
from jaxtyping import Float

from terrazzo.models.architecture import Adaptive, Architecture, Network
from terrazzo.models.output import Output
from terrazzo.testing.adaptive import check_adaptive
from terrazzo.testing.export import check_export
from terrazzo.testing.gradients import check_checkpointing, check_gradients, gradients
from terrazzo.testing.outputs import check_output, near
from terrazzo.testing.processes import check_processes
from terrazzo.testing.verdict import require

__all__ = ["check_architecture"]

CLASSES = 3


def check_architecture(
    record: Architecture,
    *,
    bands: Sequence[int] = (1, 3, 5),
    sizes: Sequence[tuple[int, int]] = ((64, 64), (65, 97), (1, 1)),
    export: bool = True,
    processes: bool = True,
) -> None:
    """Build an architecture for each number of bands and hold it to the contract of `Network`.

    The record is built as `record.without_pretraining()`, so nothing is fetched. Checked are: the record survives
    dumping; the same seed builds the same weights; logits have the input's size, auxiliary records are of the kinds in
    `record.answers` and of the cells that their strides say, in evaluation and in training; all of it is finite; a
    batch answers as its images do alone; evaluation repeats bit for bit; the input is left as it was; a batch of one
    trains, and a gradient reaches every trainable parameter from logits or auxiliary records; activations that are
    computed again give the same gradients, where the network can; weights survive saving and loading; bfloat16 autocast
    stays finite; channels_last answers alike; `plain_parameters` names parameters; a network that answers in steps
    keeps what `check_adaptive` asks of it; torch.export gives a program that answers alike; two processes that train
    together come to the mean of their gradients.

    Args:
        record: The architecture.
        bands: Numbers of input channels to build it for.
        sizes: Heights and widths to run; the first is the one for training, precision and what follows.
        export: Whether torch.export is tried, for the first number of bands.
        processes: Whether two processes are, likewise; their server takes a few seconds to start once.

    Raises:
        AssertionError: A promise is broken.
    """
    again = type(record).model_validate(record.model_dump(mode="json"))
    require(again == record, record, "dumping and loading must give the same record")
    scratch = record.without_pretraining()
    for count in bands:
        with torch.random.fork_rng(devices=[]):
            network = _built(scratch, count, seed=0)
            same = _built(scratch, count, seed=0)
            _check_equal_weights(record, network, same)
            _check_answers(record, network, count, sizes)
            _check_training(record, network, count, (sizes[0], (1, 1)))
            _check_round_trip(record, network, _built(scratch, count, seed=1), count, sizes[0])
            _check_precision(record, network, count, sizes[0])
            check_checkpointing(record, network, _images(2, count, sizes[0]))
            if isinstance(network, Adaptive):
                check_adaptive(record, network, bands=count, size=sizes[0])
            if export and count == bands[0]:
                check_export(record, network, _images(2, count, sizes[0]))
    if processes:
        check_processes(scratch, bands=bands[0], classes=CLASSES, size=sizes[0])


def _built(record: Architecture, bands: int, *, seed: int) -> Network:
    torch.manual_seed(seed)
    network = record.build(bands=bands, classes=CLASSES)
    require(isinstance(network, Network), record, f"build must return a Network, not {type(network).__name__}")
    return network


def _images(batch: int, bands: int, size: tuple[int, int]) -> Float[torch.Tensor, "batch band y x"]:
    return torch.randn((batch, bands, *size), generator=torch.Generator().manual_seed(size[0] * 1000 + size[1]))


def _answer(network: Network, images: Float[torch.Tensor, "batch band y x"]) -> Float[torch.Tensor, "batch class y x"]:
    network.eval()
    with torch.inference_mode():
        output: Output = network(images)
    return output.logits.clone()


def _check_equal_weights(record: Architecture, network: Network, same: Network) -> None:
    strangers = sorted(network.plain_parameters() - {name for name, _ in network.named_parameters()})
    require(not strangers, record, f"plain_parameters names {strangers[:3]}, which are no parameters")
    other = same.state_dict()
    for name, value in network.state_dict().items():
        require(torch.equal(value, other[name]), record, f"one seed must build the same weights, but {name} differs")


def _check_answers(record: Architecture, network: Network, bands: int, sizes: Sequence[tuple[int, int]]) -> None:
    for size in sizes:
        images = _images(2, bands, size)
        before = images.clone()
        network.eval()
        with torch.inference_mode():
            output = network(images)
        check_output(record, output, answers=record.answers, shape=(2, CLASSES, *size), when="in evaluation")
        logits = output.logits
        require(torch.equal(images, before), record, "forward must not change its input")
        require(torch.equal(_answer(network, images), logits), record, f"evaluation of {size} must repeat bit for bit")
        alone = torch.cat([_answer(network, images[:1]), _answer(network, images[1:])])
        require(near(alone, logits), record, f"an image of {size} must be answered alike alone and in a batch")


def _check_training(record: Architecture, network: Network, bands: int, sizes: Sequence[tuple[int, int]]) -> None:
    for size in sizes:
        output, found = gradients(network, _images(1, bands, size))
        check_output(record, output, answers=record.answers, shape=(1, CLASSES, *size), when="in training")
        check_gradients(record, found, size)
    network.zero_grad(set_to_none=True)


def _check_round_trip(
    record: Architecture, network: Network, other: Network, bands: int, size: tuple[int, int]
) -> None:
    images = _images(1, bands, size)
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream)
    stream.seek(0)
    other.load_state_dict(torch.load(stream, weights_only=True))
    same = torch.equal(_answer(network, images), _answer(other, images))
    require(same, record, "a network must answer the same after its weights are saved and loaded")


def _check_precision(record: Architecture, network: Network, bands: int, size: tuple[int, int]) -> None:
    images = _images(1, bands, size)
    exact = _answer(network, images)
    with torch.autocast("cpu", torch.bfloat16):
        rough = _answer(network, images)
    require(bool(rough.isfinite().all()), record, "logits under bfloat16 autocast are not finite")
    require(rough.shape == exact.shape, record, "logits under bfloat16 autocast have another shape")
    turned = _answer(
        network.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    )
    network.to(memory_format=torch.contiguous_format)
    require(near(turned, exact), record, "channels_last must answer like the contiguous layout")
