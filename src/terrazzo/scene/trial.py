"""A network on trial: on a few windows it is compared with float32, its memory counted, and its passes timed."""

import time
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float32

from terrazzo.bundle import Bundle
from terrazzo.host_memory import free_memory, resident_memory
from terrazzo.models.adaptive import Joining
from terrazzo.models.architecture import Adaptive, Network
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.header import Decisions
from terrazzo.scene.lane_count import lane_count
from terrazzo.scene.memory import device_memory_bytes, memory_bytes
from terrazzo.scene.network import CompiledNetwork, fused_network
from terrazzo.scene.pass_memory import pass_bytes
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.precision import Difference, compare
from terrazzo.scene.products import Products
from terrazzo.scene.recorded import RecordedNetwork
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.views import sights_of
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import WindowScores
from terrazzo.storage import fingerprint

__all__ = ["Trial"]

# Batches of a group of a network whose windows stop by themselves: so many times are free places filled again.
_BATCHES_OF_STEPS = 4
# What kernels use inside and the allocator keeps, over the tensors that live at once; measured 1.4 to 2.4.
_SCRATCH = 2
_LARGEST_BATCH = 256
# Passes that are timed, the fastest of which counts; of slow networks one tells enough.
_REPEATS, _TIMED_SECONDS = 3, 0.25
# Bytes of a pass, by what decides them: a few words for each model and shape that this process has mapped with.
_COUNTED: dict[str, int] = {}
# Share of a device's free memory that is taken.
_DEVICE_SHARE = 0.9


class Trial:
    """A bundle's network and the decisions that it is tried with.

    Args:
        bundle: The network and what it was trained for.
        plan: How the scene is cut.
        settings: How it becomes a map.
        products: What is decided from the scores.
        windows: What it is tried on.
        decisions: Device, precision and threads to begin with.

    Attributes:
        decisions: What is decided by now.
        window_bytes: Memory of a pass for each window of its batch, once it is measured.

    Raises:
        ConfigError: Steps are asked for that the network does not have.
        ModelError: The network cannot be built.
    """

    def __init__(
        self,
        bundle: Bundle,
        plan: ScenePlan,
        settings: PredictSettings,
        products: Products,
        windows: WindowGroup,
        decisions: Decisions,
    ) -> None:
        self.decisions = decisions
        self.window_bytes = 0
        self._bundle = bundle
        self._plan = plan
        self._settings = settings
        # One view is enough to compare and to time; the others see as many pixels again.
        self._one_view = settings.model_copy(update={"views": ("identity",), "scales": (1.0,)})
        self._products = products
        self._windows = windows
        self._network = fused_network(bundle, fuse=settings.fuse)
        self._made: CompiledNetwork | RecordedNetwork | None = None
        self._exact: Float32[torch.Tensor, "batch class y x"] | None = None
        # Bytes of a pass by the decisions with which it was run.
        self._counted: dict[Decisions, int] = {}

    @property
    def lanes(self) -> int:
        """Passes side by side."""
        return lane_count(
            self.decisions,
            self._plan,
            self._products,
            window_bytes=self.window_bytes,
            room=self._room,
        )

    def check(self) -> Difference | None:
        """Compare the decided precision with float32; None where it is float32."""
        if self.decisions.precision == "float32":
            return None
        exact = self._answer_exactly()
        return self._difference(self._forward(self._sized(1)), exact)

    def return_to_float32(self) -> None:
        """Give up the reduced precision."""
        self.decisions = self.decisions.model_copy(update={"precision": "float32"})
        self._network = fused_network(self._bundle, fuse=self._settings.fuse)

    def measure_memory(self) -> None:
        """Count the memory of a pass; a folder's many small scenes share the count, which takes longer than they do."""
        # Where windows stop by themselves, a pass takes what its pixels ask for.
        known = None if isinstance(self._network, Adaptive) else self._pass_fingerprint()
        if known is None or known not in _COUNTED:
            forward = self._forward(self._sized(1))
            if forward.decisions not in self._counted:
                self._scores(forward, windows=1)
            counted = self._counted[forward.decisions]
        else:
            counted = _COUNTED[known]
        if known is not None:
            _COUNTED[known] = counted
        self.window_bytes = _SCRATCH * counted

    def fits(self, batch: int) -> bool:
        """Whether memory allows a batch."""
        if batch > _LARGEST_BATCH:
            return False
        sized = self._sized(batch)
        sizes = {"batch_size": sized.batch_size, "group_size": sized.group_size, "network_bytes": self.window_bytes}
        if sized.device == "cuda":
            needed = device_memory_bytes(self._plan, self._products, lanes=1, **sizes)
            return needed <= _DEVICE_SHARE * torch.cuda.mem_get_info()[0]
        needed = memory_bytes(self._plan, self._products, lanes=1, device=sized.device, **sizes)
        return needed <= self._room

    def settle(self, batch: int) -> None:
        """Decide the batch."""
        self.decisions = self._sized(batch)

    def rate(self, batch: int) -> float:
        """Return the windows a second that all lanes answer together in such batches, in all their views.

        Raises:
            OutOfMemoryError: The batch has no room.
        """
        decisions = self._sized(batch)
        forward, group = self._forward(decisions), self._group(decisions.group_size)
        lanes = self.lanes
        with ThreadPoolExecutor(lanes) as pool:

            def seconds() -> float:
                begun = time.perf_counter()
                for answer in [pool.submit(forward, group) for _ in range(lanes)]:
                    answer.result()
                _wait(forward.device)
                return time.perf_counter() - begun

            if decisions not in self._counted:
                # The first pass sets up what later ones use.
                seconds()
            times = [seconds()]
            while len(times) < _REPEATS and sum(times) < _TIMED_SECONDS:
                times.append(seconds())
        return lanes * decisions.group_size / min(times) / self._cost()

    def compile(self) -> Difference:
        """Compile the network for the decided batch, compare it with float32, and go on with it.

        Raises:
            ModelError: It cannot be compiled.
        """
        exact = self._answer_exactly()
        decisions = self.decisions.model_copy(update={"compiled": True})
        compiled = CompiledNetwork(self._network)
        difference = self._difference(self._forward(decisions, network=compiled), exact)
        self.decisions, self._made = decisions, compiled
        return difference

    def give_up_compiling(self) -> None:
        """Go on with the network as it was."""
        self.decisions, self._made = self.decisions.model_copy(update={"compiled": False}), None

    def record(self) -> bool:
        """Record passes of the decided batch; go on with that, and return true, where it answers the very same bits.

        Raises:
            ModelError: They cannot be recorded.
            OutOfMemoryError: A recording has no room.
        """
        group = self._group(self.decisions.batch_size)
        plain = self._forward(self.decisions)(group).scores
        decisions = self.decisions.model_copy(update={"recorded": True})
        recorded = RecordedNetwork(self._network)
        forward = self._forward(decisions, network=recorded)
        # The second answer is a replay of what the first one recorded.
        same = all(torch.equal(forward(group).scores, plain) for _ in range(2))
        if same:
            self.decisions, self._made = decisions, recorded
        return same

    def forward(self) -> WindowForward:
        """Return the network ready to work, with all that is decided."""
        return WindowForward(
            self._bundle,
            self._settings,
            self.decisions,
            self._products,
            margin=self._plan.margin,
            lanes=self.lanes,
            network=self._made or self._network,
        )

    def _forward(self, decisions: Decisions, *, network: Network | None = None) -> WindowForward:
        """Return the network ready to see each window in one view."""
        return WindowForward(
            self._bundle,
            self._one_view,
            decisions,
            self._products,
            margin=self._plan.margin,
            network=network or self._made or self._network,
        )

    def _answer_exactly(self) -> Float32[torch.Tensor, "batch class y x"]:
        """Return the answers in float32; before the weights are reduced."""
        if self._exact is None:
            exactly = self._sized(1).model_copy(update={"precision": "float32", "compiled": False})
            self._exact = self._scores(self._forward(exactly))
        return self._exact

    def _difference(self, forward: WindowForward, exact: Float32[torch.Tensor, "batch class y x"]) -> Difference:
        margin, plan = self._plan.margin, self._plan
        inside = slice(margin, margin + plan.rows.size), slice(margin, margin + plan.columns.size)
        valid = self._windows.valid[:, *inside].to(forward.device)
        return compare(self._scores(forward), exact, valid, blend=self._products.blend)

    def _scores(
        self, forward: WindowForward, *, windows: int | None = None
    ) -> Float32[torch.Tensor, "batch class y x"]:
        """Return the scores of the windows' classes; the memory of a pass is counted on the way.

        Args:
            forward: Sees each window by itself, so that lanes share them, and one view of it.
            windows: How many; all if None.
        """
        numbers = range(len(self._windows.windows) if windows is None else windows)
        groups = [self._group(1, first=number) for number in numbers]
        first: list[WindowScores] = []

        def count() -> None:
            self._counted[forward.decisions] = pass_bytes(lambda: first.append(forward(groups[0])))

        # In threads, since a pass settles the threads of whoever calls it.
        with ThreadPoolExecutor(self.lanes) as pool:
            # A compiled network has no operations to be counted.
            counted = pool.submit(count) if not forward.decisions.compiled else None
            others = list(pool.map(forward, groups[1:] if counted else groups))
            if counted is not None:
                counted.result()
        return torch.cat([answer.scores[:, : len(self._bundle.classes)] for answer in (*first, *others)])

    def _group(self, size: int, *, first: int = 0) -> WindowGroup:
        """Return so many windows, those at hand again and again."""
        numbers = [(first + number) % len(self._windows.windows) for number in range(size)]
        return self._windows.taken(numbers)

    def _sized(self, batch: int) -> Decisions:
        """Return the decisions for a batch."""
        refilled = batch > 1 and isinstance(self._network, Joining)
        group = batch * (_BATCHES_OF_STEPS if refilled else 1)
        return self.decisions.model_copy(update={"batch_size": batch, "group_size": group})

    def _pass_fingerprint(self) -> str:
        """Return what decides the tensors of a pass, as one word."""
        shapes = [list(self._plan.window_shape), self._plan.margin, self.decisions.model_dump(mode="json")]
        return fingerprint([self._bundle.fingerprint, self._settings.model_dump(mode="json"), *shapes])

    @property
    def _room(self) -> int:
        """Bytes of the host's memory that there are beside this process with its network."""
        if self._settings.memory_gib is None:
            return free_memory()
        return int(self._settings.memory_gib * 2**30) - resident_memory()

    def _cost(self) -> float:
        """Return how many times the pixels of a window the network sees, over all views and scales."""
        return sum(sight.scale**2 for sight in sights_of(self._settings, None))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
