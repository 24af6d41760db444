"""Watch a model while it runs, and note which layers its calls of torch functions stand for.

The model itself runs, in its own number formats and with its own random draws; what is noted is the graph of one run.
"""

from __future__ import annotations

import dataclasses
import re
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode

from workloads.capture.arguments import list_tensors
from workloads.capture.attention import SPELLED_OUT
from workloads.capture.call_table import make_table
from workloads.capture.calls import (
    Call,
    FoldedCall,
    LayerCall,
    MovedBatch,
    PaddedTensor,
    SameTensor,
    ScaledLoss,
    ScaledTensor,
    Tensor,
    UnknownCall,
    UnmappedCallError,
    add_padding,
    find_edge,
)
from workloads.capture.factors import find_part, fold_factors
from workloads.capture.places import ModulePaths, describe_function
from workloads.capture.reshaping import follow_move
from workloads.capture.seen import SeenGraph, SeenLayer
from workloads.kinds.table import KINDS
from workloads.network import INPUT

# What hands a tensor's values, or a shape that depends on them, to the program that then goes on by them.
VALUE_READS = frozenset(
    ("__bool__", "__int__", "__float__", "__index__", "__complex__", "__contains__", "item", "tolist", "numpy",
     "__array__", "nonzero", "masked_select", "unique", "equal", "allclose", "is_nonzero")
)  # fmt: skip
LOSS_PARTS = frozenset({"log_softmax"})
# What may read a trained tensor, as a class token or positions are, beside a layer's output.
SPREADING = frozenset({"add", "subtract", "multiply"})
PARAMETER_READERS = SPREADING | {"concat", "matmul"}


@dataclass(frozen=True, slots=True)
class TrackedTensor:
    """A tensor that is a layer's output.

    Attributes:
        shares: Of a loss, the weight of each loss layer in it.
        maker: The call that made it, which may be a part of what reads it.
        maker_version: Of that call's input.
    """

    reference: Any
    name: str
    version: int
    shares: Mapping[str, float] | None = None
    maker: FoldedCall | LayerCall | None = None
    maker_version: int = 0


@dataclass(frozen=True, eq=False)
class PreparedCall:
    """What is known of a call before it is carried out.

    Attributes:
        inputs: The layers that it reads.
    """

    call: Call | UnknownCall
    inputs: tuple[str, ...]
    edges: tuple[tuple[Any, int] | None, ...]
    reason: str | None


TakeOperands = Callable[[LayerCall, Tensor], Any]
TakeOutput = Callable[[SeenLayer, Tensor], None]


class GraphObserver(TorchFunctionMode):  # type: ignore[misc]
    """Notes a graph while it is active.

    Attributes:
        take_operands: Makes what is kept of a layer that the accelerator executes, from its call and its output.
        take_output: Told of each layer and its output tensor.
    """

    def __init__(self, paths: ModulePaths, take_operands: TakeOperands, take_output: TakeOutput | None = None) -> None:
        super().__init__()
        self.graph = SeenGraph()
        self.in_loss = False
        self._paths = paths
        self._take_operands = take_operands
        self._take_output = take_output
        self._table = make_table()
        self._tracked: dict[int, TrackedTensor] = {}

    def track(
        self,
        tensor: Tensor,
        name: str,
        shares: Mapping[str, float] | None = None,
        maker: FoldedCall | LayerCall | None = None,
    ) -> None:
        """Say that a tensor is a layer's output, or the network's input."""
        version = 0 if maker is None else maker.inputs[0]._version
        self._tracked[id(tensor)] = TrackedTensor(weakref.ref(tensor), name, tensor._version, shares, maker, version)

    def find(self, tensor: Any) -> TrackedTensor | None:
        """Find what a tensor is the output of."""
        found = self._tracked.get(id(tensor))
        return found if found is not None and found.reference() is tensor else None

    def find_maker(self, tensor: Tensor) -> FoldedCall | LayerCall | None:
        """Find the call that made a tensor, as long as neither the tensor nor what that call read has changed."""
        found = self.find(tensor)
        if found is None or found.maker is None or found.version != tensor._version:
            return None
        return found.maker if found.maker.inputs[0]._version == found.maker_version else None

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry a call out, and note what it stands for."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        read = [tensor for tensor in list_tensors((args, kwargs)) if self.find(tensor) is not None]
        if not read:
            return func(*args, **kwargs)
        refusal = None
        if func in SPELLED_OUT:
            try:
                with self:
                    return SPELLED_OUT[func](*args, **kwargs)
            except UnmappedCallError as error:
                refusal = str(error)
        if name in VALUE_READS and not self.in_loss:
            self.graph.value_reads.append((self._paths.place(), name))
        # Where inputs come from is asked before the call, which may write into one of them.
        found = self._read_call(func, name, args, kwargs, read) if refusal is None else [
            UnknownCall(name, tuple(self._move_back(one) for one in read), refusal, has_weights=True)
        ]  # fmt: skip
        calls = [self._prepare(call) for call in found]
        output = func(*args, **kwargs)
        tensors = list_tensors(output)
        if len(calls) != len(tensors):
            unknown = UnknownCall(
                name.strip("_"), tuple(read), f"torch's {name.strip('_')} gives out something else here"
            )
            calls = [calls[0] if calls[0].reason else self._prepare(unknown)] * len(tensors)
        for prepared, tensor in zip(calls, tensors, strict=True):
            self._note(prepared, tensor)
        return output

    def _read_call(self, func: Any, name: str, args: Any, kwargs: Any, read: list[Tensor]) -> list[Call | UnknownCall]:
        """Give what a call stands for, one for each tensor that it gives out."""
        reader = self._table.get(func)
        words = name.strip("_") or "call"
        has_weights = any(isinstance(one, torch.nn.Parameter) for one in list_tensors((args, kwargs)))
        try:
            if reader is None:
                raise UnmappedCallError(f"torch's {words} is no layer that is known")
            calls = reader(*args, **kwargs)
        except UnmappedCallError as error:
            return [UnknownCall(words, tuple(read), str(error), has_weights)]
        except (TypeError, ValueError, AttributeError, IndexError):
            reason = f"torch's {words} is called here in a way that is not known"
            return [UnknownCall(words, tuple(read), reason, has_weights)]
        return [calls] if isinstance(calls, LayerCall | SameTensor | FoldedCall | ScaledLoss) else list(calls)

    def _prepare(self, call: Call | UnknownCall) -> PreparedCall:
        if isinstance(call, MovedBatch) or (isinstance(call, LayerCall) and call.kind == "transpose"):
            call = self._follow_move(call)
        if isinstance(call, LayerCall):
            call = fold_factors(call, self.find_maker) if call.kind == "matmul" else self._unpad(call)
        edges = tuple(find_edge(one) for one in call.inputs)
        if isinstance(call, LayerCall):
            inputs, fault = self._name_inputs(call)
            return PreparedCall(call, inputs, edges, fault or find_fault(call))
        names = tuple(found.name for one in call.inputs if (found := self.find(one)) is not None)
        return PreparedCall(
            call, names, edges, call.reason if isinstance(call, UnknownCall | ScaledTensor | MovedBatch) else None
        )

    def _follow_move(self, call: LayerCall | MovedBatch) -> Call:
        """Read another order of axes with one before it that moved the batch; what stands for no layer may move it."""
        found, moved = self.find(call.inputs[0]), self.find_maker(call.inputs[0])
        if isinstance(moved, MovedBatch):
            return follow_move(call, moved)
        seen = None if found is None else self.graph.layers.get(found.name)
        is_told = isinstance(call, MovedBatch) and seen is not None and seen.reason is not None
        return SameTensor(call.inputs[0]) if is_told else call

    def _move_back(self, tensor: Tensor) -> Tensor:
        """Give the tensor of which one is another order of axes that moved the batch, or itself."""
        moved = self.find_maker(tensor)
        return moved.input if isinstance(moved, MovedBatch) else tensor

    def _unpad(self, call: LayerCall) -> LayerCall:
        """Let a convolution pad what it reads, in place of the call before it."""
        padded = self.find_maker(call.inputs[0])
        if call.kind != "conv2d" or not isinstance(padded, PaddedTensor):
            return call
        padding = add_padding(call.fields["padding"], padded.sides)
        return dataclasses.replace(call, inputs=(padded.input,), fields={**call.fields, "padding": padding})

    def _note(self, prepared: PreparedCall, tensor: Tensor) -> None:
        call = prepared.call
        if isinstance(call, ScaledLoss):
            self._note_loss(call, tensor)
        elif isinstance(call, PaddedTensor):
            self._note_padding(call, tensor)
        elif isinstance(call, ScaledTensor) and (product := self._find_product(call)) is not None:
            self._scale_product(product, call, tensor)
        elif isinstance(call, SameTensor) and tensor.requires_grad == call.input.requires_grad:
            found, maker = self.find(call.input), self.find_maker(call.input)
            if found is not None:
                self.track(tensor, found.name, found.shares, maker if isinstance(maker, FoldedCall) else None)
        else:
            self._note_layer(prepared, tensor)

    def _note_padding(self, call: PaddedTensor, tensor: Tensor) -> None:
        found, padded = self.find(call.input), self.find_maker(call.input)
        assert found is not None
        if isinstance(padded, PaddedTensor):
            sides = [own + more for own, more in zip(padded.sides, call.sides, strict=True)]
            call = PaddedTensor(padded.input, (sides[0], sides[1], sides[2], sides[3]))
        self.track(tensor, found.name, maker=call)

    def _find_product(self, call: ScaledTensor) -> SeenLayer | None:
        """Find the product of matrices whose result alone a call scales."""
        found = self.find(call.input)
        seen = None if found is None else self.graph.layers.get(found.name)
        if seen is None or found is None or seen.kind != "matmul" or found.version != call.version:
            return None
        is_read = any(seen.name in other.inputs for other in self.graph.layers.values())
        return None if is_read or seen.in_loss != self.in_loss else seen

    def _scale_product(self, product: SeenLayer, call: ScaledTensor, tensor: Tensor) -> None:
        """Have a product scale its result: what it was before is no layer's output any more."""
        place = self._paths.place()
        name = self._name_layer("unscaled", place.module)
        reason = "a product of matrices is scaled here, and read without its scale as well"
        self.graph.layers[name] = dataclasses.replace(product, name=name, place=place, reason=reason, operands=None)
        fields = {**product.fields, "scale": product.fields.get("scale", 1.0) * call.factor}
        self.graph.layers[product.name] = dataclasses.replace(product, fields=fields, output=find_edge(tensor))
        for key, one in self._tracked.items():
            if one.name == product.name:
                self._tracked[key] = dataclasses.replace(one, name=name)
        self.track(tensor, product.name)

    def _note_loss(self, call: ScaledLoss, tensor: Tensor) -> None:
        shares: dict[str, float] = {}
        for part, factor in call.shares:
            found = self.find(part)
            if found is None:
                continue
            for name, weight in (found.shares or {found.name: 1.0}).items():
                shares[name] = shares.get(name, 0.0) + factor * weight
        first = next(iter(shares))
        self.track(tensor, first, shares)

    def _note_layer(self, prepared: PreparedCall, tensor: Tensor) -> None:
        call, place, inputs = prepared.call, self._paths.place(), prepared.inputs
        assert not isinstance(call, ScaledLoss)
        reason = prepared.reason
        if reason is None and any(one.requires_grad for one in call.inputs) and not tensor.requires_grad:
            reason = "the gradient is cut here"
        has_gradient = tensor.requires_grad or any(prepared.edges)
        has_weights = call.weight is not None if isinstance(call, LayerCall) else getattr(call, "has_weights", False)
        prepares = bool(reason and inputs) and not has_gradient and not has_weights and tensor.is_floating_point()
        if self.in_loss:
            self.graph.loss_reads += inputs
        kinds, operands = [(call.kind, call.fields)], None
        if isinstance(call, LayerCall):
            kinds += call.then
            is_computed = call.kind in KINDS and KINDS[call.kind].traits.is_computed
            operands = self._take_operands(call, tensor) if is_computed and reason is None else None
        for number, (kind, fields) in enumerate(kinds):
            is_last = number == len(kinds) - 1
            seen = SeenLayer(
                name=self._name_layer(kind, place.module), kind=kind, fields=fields, inputs=inputs, place=place,
                shape=tuple(tensor.shape) if is_last else None, reason=reason if number == 0 else find_missing(kind),
                edges=prepared.edges if number == 0 else (None,), output=find_edge(tensor) if is_last else None,
                in_loss=self.in_loss, prepares=prepares and not self.in_loss, operands=operands,
            )  # fmt: skip
            self.graph.layers[seen.name] = seen
            inputs = (seen.name,)
        self.track(tensor, seen.name, maker=find_part(call, tensor))
        if self._take_output is not None:
            self._take_output(seen, tensor)

    def _name_inputs(self, call: LayerCall) -> tuple[tuple[str, ...], str | None]:
        """Name the layers whose outputs a call reads; and say why it cannot be told of all."""
        names: list[str] = []
        fault = None
        for tensor in call.inputs:
            found = self.find(tensor)
            maker = tensor.grad_fn
            if isinstance(maker, BackwardCFunction):
                words = f"the custom autograd function {describe_function(maker)} is no layer"
                if found is None:
                    fault = fault or words
                    continue
                self._replace_custom(found.name, maker, words)
            if found is None and tensor.requires_grad and self._may_be_parameter(call):
                names.append(self._note_parameter(tensor, call))
                continue
            if found is None:
                fault = fault or "it reads a tensor that comes from no layer"
                continue
            if isinstance(found.maker, PaddedTensor):
                fault = fault or "only a convolution may read what has zeros around it"
            if found.version != tensor._version:
                fault = fault or f"the output of '{found.name}' was changed in place through a tensor that shares it"
            seen = self.graph.layers.get(found.name)
            if call.behind is None or seen is None:
                names.append(found.name)
                continue
            names += seen.inputs
            if seen.kind != call.behind:
                fault = fault or f"{call.kind} is known only behind {call.behind}"
        return tuple(names), fault or self._find_rank_fault(call)

    def _find_rank_fault(self, call: LayerCall) -> str | None:
        """Say why layers' outputs cannot be spread over each other: torch would put a batch beside positions."""
        ranks = {one.dim() for one in call.inputs if self.find(one) is not None}
        if call.kind not in SPREADING or len(ranks) < 2 or all(one.shape[0] == 1 for one in call.inputs):
            return None
        return f"{call.kind} reads tensors of {min(ranks)} and {max(ranks)} axes, so that one's batch is another's axis"

    def _may_be_parameter(self, call: LayerCall) -> bool:
        """Tell whether a trained tensor may stand beside a layer's output here."""
        others = [one.dim() for one in call.inputs if self.find(one) is not None]
        return call.kind in PARAMETER_READERS and max(others, default=0) > 1

    def _note_parameter(self, tensor: Tensor, call: LayerCall) -> str:
        """Note a trained tensor that is read beside layers' outputs; without the batch, axes as many as theirs."""
        shape = [int(size) for size in tensor.shape]
        axes = max(one.dim() for one in call.inputs if self.find(one) is not None)
        batches = {int(one.shape[0]) for one in call.inputs if self.find(one) is not None}
        if len(shape) == axes and shape[0] in {1, *batches}:
            shape = shape[1:]
        shape = [1] * (axes - 1 - len(shape)) + shape
        place = self._paths.place()
        name = self._name_layer("parameter", place.module)
        reason = find_missing("parameter")
        self.graph.layers[name] = SeenLayer(name, "parameter", {"shape": shape}, (), place, None, reason)
        return name

    def _replace_custom(self, name: str, maker: Any, reason: str) -> None:
        """Note a custom autograd function in place of the calls inside it, which autograd does not see."""
        edges = {edge for edge in maker.next_functions if edge[0] is not None}
        inputs = [seen.name for seen in self.graph.layers.values() if seen.output in edges]
        seen = self.graph.layers[name]
        self.graph.layers[name] = dataclasses.replace(seen, kind="custom", inputs=tuple(inputs), reason=reason)

    def _name_layer(self, kind: str, path: str) -> str:
        module = self._paths.module[1]
        is_torch = module is not None and type(module).__module__.startswith("torch.nn.modules.")
        is_layer = is_torch and path and not any(module.children())
        base = path if is_layer else f"{path}.{kind}" if path else kind
        base = re.sub(r"[^A-Za-z0-9_.\-]", "_", base)
        base = base if re.match(r"[A-Za-z_]", base) else f"model.{base}"
        if base != INPUT and base not in self.graph.layers:
            return base
        return next(name for number in range(2, 2**24) if (name := f"{base}-{number}") not in self.graph.layers)


def find_fault(call: LayerCall) -> str | None:
    """Say why a call stands for no layer of a network although it is known, if so."""
    if call.kind not in LOSS_PARTS and (missing := find_missing(call.kind)) is not None:
        return missing
    return None


def find_missing(kind: str) -> str | None:
    """Say of a layer kind that it is not there, if so."""
    return None if kind in KINDS else f"the layer kind '{kind}' is not there"
