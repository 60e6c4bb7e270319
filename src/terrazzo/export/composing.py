"""ONNX models joined to one graph: what comes before the network, the network or the loop over its steps, and after.

Each piece keeps its own names behind a prefix, and pieces meet in Identity operators, which ONNX Runtime removes: so
the network, or its parts, can be cut out of the whole again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from terrazzo.models.adaptive import NEVER
from terrazzo.models.halting import HaltingRule
from terrazzo.models.onnx_graph import StepGraphs
from terrazzo.models.onnx_sessions import OnnxPart

__all__ = ["Composition", "LoopParts"]

_TYPES = {"float": np.float32, "int": np.int64, "bool": np.bool_}
# The messages of onnx have no types that mypy could read.
Model = Any


@dataclass
class Composition:
    """A graph that grows piece by piece.

    Attributes:
        onnx: The package.
        opset: Version of the operators.
        nodes: Operators of the main graph.
        constants: Of all graphs.
        infos: Types of tensors at which the graph can be cut.
        functions: Functions that pieces call.
    """

    onnx: ModuleType
    opset: int
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    infos: list[Any] = field(default_factory=list)
    functions: list[Any] = field(default_factory=list)

    def place(self, model: Model, prefix: str, given: Mapping[str, str], *, into: "Composition | None" = None) -> None:
        """Put a piece into the graph.

        Args:
            model: The piece.
            prefix: What its names begin with from now on.
            given: Which tensor of the graph each of its inputs is.
            into: The body of a loop to put it into; constants stay outside.
        """
        piece = self.onnx.compose.add_prefix(model, prefix=prefix)
        target = into or self
        for info in piece.graph.input:
            target.link(given[info.name.removeprefix(prefix)], info.name)
        target.nodes.extend(piece.graph.node)
        target.infos.extend((*piece.graph.input, *piece.graph.output))
        self.constants.extend(piece.graph.initializer)
        self.functions.extend(piece.functions)

    def link(self, source: str, target: str) -> None:
        """Give a tensor a second name."""
        self.add("Identity", [source], target)

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Add an operator and return the name of its answer."""
        name = f"{output}/{kind}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def constant(self, name: str, values: object, kind: str) -> str:
        """Add a constant and return its name."""
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(values, dtype=_TYPES[kind]), name))
        return name

    def model(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Model:
        """Return the whole as a model."""
        graph = self.onnx.helper.make_graph(
            self.nodes, name, list(inputs), list(outputs), self.constants, value_info=self.infos
        )
        model = self.onnx.helper.make_model(
            graph, opset_imports=[self.onnx.helper.make_opsetid("", self.opset)], functions=self.functions
        )
        # The oldest that knows these operators, so that older runtimes take it.
        model.ir_version = min(model.ir_version, self.onnx.helper.find_min_ir_version_for(model.opset_import))
        return model


@dataclass(frozen=True)
class LoopParts:
    """The parts of a network that answers in steps, as ONNX models; None where it does without.

    Attributes:
        start: From the image to the state.
        step: What a step changes.
        answer: From the state to logits.
        halt: From the state to probabilities.
        freeze: From the state and thresholds to what freezing changes.
        skipped: From the state to the steps that pixels did without.
        writes_step: Places of the tensors that a step changes.
        writes_freeze: Places of those that freezing changes.
        count: Tensors of the state.
    """

    start: Model
    step: Model
    answer: Model
    halt: Model | None
    freeze: Model | None
    skipped: Model | None
    writes_step: tuple[int, ...]
    writes_freeze: tuple[int, ...]
    count: int

    def place(self, whole: Composition, rule: HaltingRule, *, image: str) -> StepGraphs:
        """Put start, the loop and the answer into a graph.

        The graph's tensors are afterwards `answer/logits`, `steps`, which each image ran, and, where cells settle,
        `skipped/skipped`.

        Args:
            whole: The graph.
            rule: When a tile is done; the threshold may be given anew at run time, as `tau`.
            image: Tensor of the normalised image.
        """
        whole.place(self.start, "start/", {"image": image})
        state = [f"start/state_{place}" for place in range(self.count)]
        carried = sorted({*self.writes_step, *self.writes_freeze})
        final = self._loop(whole, rule, state, carried)
        whole.place(self.answer, "answer/", _names(final))
        if self.skipped is not None:
            whole.place(self.skipped, "skipped/", _names(final))
        return self._graphs(rule)

    def _loop(self, whole: Composition, rule: HaltingRule, state: Sequence[str], carried: Sequence[int]) -> list[str]:
        """Put the loop into a graph; return the names of the state after it."""
        helper, kinds = whole.onnx.helper, whole.onnx.TensorProto
        body = Composition(whole.onnx, whole.opset)
        stopping = self.halt is not None
        for name, value, kind in (
            ("loop/first", rule.first, "int"),
            ("loop/last", rule.last, "int"),
            ("loop/one", 1, "int"),
            ("loop/never", NEVER, "float"),
            ("loop/true", True, "bool"),
        ):
            whole.constant(name, value, kind)
        ranks = {place: len(info.type.tensor_type.shape.dim) for place, info in enumerate(self.start.graph.output)}
        types = {place: info.type.tensor_type.elem_type for place, info in enumerate(self.start.graph.output)}
        now = list(state)
        for place in carried:
            now[place] = f"loop/state_{place}"
        body.add("Add", ["loop/iteration", "loop/one"], "loop/number")
        whole.place(self.step, "step/", _names(now), into=body)
        for rank in sorted({ranks[place] for place in self.writes_step}):
            axes = whole.constant(f"loop/axes_{rank}", list(range(1, rank)), "int")
            body.add("Unsqueeze", ["loop/done", axes], f"loop/done_{rank}")
        for place in self.writes_step:
            # An image that is done keeps its answer, whoever goes on beside it.
            inputs = [f"loop/done_{ranks[place]}", now[place], f"step/next_{place}"]
            now[place] = body.add("Where", inputs, f"loop/kept_{place}")
        body.add("Not", ["loop/done"], "loop/going")
        body.add("Cast", ["loop/going"], "loop/counted", to=kinds.INT64)
        body.add("Add", ["loop/steps", "loop/counted"], "loop/steps_out")
        if stopping:
            self._halting(whole, body, now)
        else:
            body.link("loop/done", "loop/done_out")
        body.add("Not", ["loop/done_out"], "loop/going_on")
        body.add("Cast", ["loop/going_on"], "loop/going_number", to=kinds.INT64)
        body.add("ReduceMax", ["loop/going_number"], "loop/any_going", keepdims=0)
        body.add("Cast", ["loop/any_going"], "loop/condition_out", to=kinds.BOOL)
        outputs = []
        for place in carried:
            body.link(now[place], f"loop/out_{place}")
            outputs.append(helper.make_tensor_value_info(f"loop/out_{place}", types[place], [None] * ranks[place]))
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            body.nodes,
            "loop",
            [
                info("loop/iteration", kinds.INT64, []),
                info("loop/condition", kinds.BOOL, []),
                info("loop/done", kinds.BOOL, [None]),
                info("loop/steps", kinds.INT64, [None]),
                *(info(f"loop/state_{place}", types[place], [None] * ranks[place]) for place in carried),
            ],
            [
                info("loop/condition_out", kinds.BOOL, []),
                info("loop/done_out", kinds.BOOL, [None]),
                info("loop/steps_out", kinds.INT64, [None]),
                *outputs,
            ],
            value_info=body.infos,
        )
        whole.add("Shape", [state[0]], "loop/batch", start=0, end=1)
        whole.add(
            "ConstantOfShape",
            ["loop/batch"],
            "loop/none_done",
            value=helper.make_tensor("value", kinds.BOOL, [1], [False]),
        )
        whole.add(
            "ConstantOfShape", ["loop/batch"], "loop/no_steps", value=helper.make_tensor("value", kinds.INT64, [1], [0])
        )
        final = list(state)
        for place in carried:
            final[place] = f"final/state_{place}"
        whole.nodes.append(
            helper.make_node(
                "Loop",
                ["loop/last", "loop/true", "loop/none_done", "loop/no_steps", *(state[place] for place in carried)],
                ["final/done", "steps", *(final[place] for place in carried)],
                name="loop",
                body=graph,
            )
        )
        whole.functions.extend(body.functions)
        return final

    def _halting(self, whole: Composition, body: Composition, now: list[str]) -> None:
        """Let cells settle and images stop."""
        body.add("GreaterOrEqual", ["loop/number", "loop/first"], "loop/not_before")
        body.add("Less", ["loop/number", "loop/last"], "loop/not_after")
        body.add("And", ["loop/not_before", "loop/not_after"], "loop/asked")
        if self.freeze is not None:
            body.add("Where", ["loop/asked", "tau", "loop/never"], "loop/limit")
            body.add("Shape", ["loop/done"], "loop/batch_here")
            body.add("Expand", ["loop/limit", "loop/batch_here"], "loop/limits")
            whole.place(self.freeze, "freeze/", {**_names(now), "threshold": "loop/limits"}, into=body)
            for place in self.writes_freeze:
                now[place] = f"freeze/frozen_{place}"
        whole.place(self.halt, "halt/", _names(now), into=body)
        body.add("GreaterOrEqual", ["halt/probability", "tau"], "loop/sure")
        body.add("And", ["loop/sure", "loop/asked"], "loop/halted")
        body.add("Or", ["loop/done", "loop/halted"], "loop/done_out")

    def _graphs(self, rule: HaltingRule) -> StepGraphs:
        """Return where the parts lie in the graph."""
        everything = tuple(range(self.count))

        def part(prefix: str, model: Model, writes: tuple[int, ...] = ()) -> OnnxPart:
            inputs = [info.name for info in model.graph.input]
            reads = tuple(int(name.removeprefix("state_")) for name in inputs if name.startswith("state_"))
            return OnnxPart(
                inputs=tuple(prefix + name for name in inputs),
                outputs=tuple(prefix + info.name for info in model.graph.output),
                reads=reads,
                writes=writes,
            )

        return StepGraphs(
            first=rule.first,
            last=rule.last,
            threshold=rule.threshold,
            start=part("start/", self.start, everything),
            step=part("step/", self.step, self.writes_step),
            answer=part("answer/", self.answer),
            halt=None if self.halt is None else part("halt/", self.halt),
            freeze=None if self.freeze is None else part("freeze/", self.freeze, self.writes_freeze),
            skipped=None if self.skipped is None else part("skipped/", self.skipped),
        )


def _names(state: Sequence[str]) -> dict[str, str]:
    """Return which tensor each input of a part is."""
    return {f"state_{place}": name for place, name in enumerate(state)}
