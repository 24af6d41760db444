"""GELU, SiLU, hard swish and hard sigmoid in the operators that exporters write them in."""

from __future__ import annotations

from math import isclose, pi, sqrt

from workloads.importers.onnx_model.operations import Operation, OperationGraph


def find_activations(graph: OperationGraph) -> None:
    """Put one operation in the place of each activation that is written as several."""
    for finder in (find_hard_sigmoid, find_gelu, find_gated):
        for operation in list(graph.operations):
            if operation in graph.operations:
                finder(graph, operation)


def find_gelu(graph: OperationGraph, start: Operation) -> None:
    """Find x (1 + erf(x / sqrt 2)) / 2, and the form with tanh, from the function in its middle."""
    if start.kind not in ("Erf", "Tanh"):
        return
    found = match_erf(graph, start) if start.kind == "Erf" else match_tanh(graph, start)
    plus = graph.sole_reader(start.output)
    if found is None or plus is None or plus.kind != "Add" or constant_of(graph, plus, start.output) != 1:
        return
    source, inner = found
    chain, factors = collect_product(graph, plus.output, source)
    if factors is None or not isclose(factors, 0.5, rel_tol=1e-4):
        return
    attributes = {"approximate": b"tanh"} if start.kind == "Tanh" else {}
    gone = [*inner, start, plus, *chain]
    graph.replace(gone, Operation("Gelu", chain[-1].name, (source,), chain[-1].outputs, attributes))


def match_erf(graph: OperationGraph, start: Operation) -> tuple[str, list[Operation]] | None:
    """Match erf's argument, x / sqrt 2: give x and what computes it."""
    scaled = graph.made_by(start.input(0), "Div", "Mul")
    if scaled is None or graph.sole_reader(scaled.output) is None:
        return None
    factor = constant_of(graph, scaled)
    wanted = sqrt(2) if scaled.kind == "Div" else sqrt(0.5)
    if factor is None or not isclose(factor, wanted, rel_tol=1e-3):
        return None
    return variable_of(graph, scaled), [scaled]


def match_tanh(graph: OperationGraph, start: Operation) -> tuple[str, list[Operation]] | None:
    """Match tanh's argument, sqrt(2 / pi) (x + 0.044715 x^3): give x and what computes it."""
    scaled = graph.made_by(start.input(0), "Mul")
    if scaled is None or not is_near(constant_of(graph, scaled), sqrt(2 / pi)):
        return None
    plus = graph.made_by(variable_of(graph, scaled), "Add")
    if plus is None:
        return None
    for source, other in (plus.inputs, plus.inputs[::-1]):
        cubic = graph.made_by(other, "Mul")
        if cubic is None or not is_near(constant_of(graph, cubic), 0.044715):
            continue
        power = graph.made_by(variable_of(graph, cubic), "Pow")
        if power is not None and power.input(0) == source and graph.scalar(power.input(1)) == 3:
            return source, [power, cubic, plus, scaled]
    return None


def collect_product(graph: OperationGraph, name: str, source: str) -> tuple[list[Operation], float | None]:
    """Follow products from a value until x was multiplied in: give them, and the product of the numbers among them."""
    chain: list[Operation] = []
    number, has_source = 1.0, False
    while True:
        reader = graph.sole_reader(name)
        if reader is None or reader.kind not in ("Mul", "Div"):
            break
        other = reader.inputs[1] if reader.inputs[0] == name else reader.inputs[0]
        factor = graph.scalar(other)
        half = graph.made_by(other, "Mul", "Div")
        if factor is not None:
            number *= 1 / factor if reader.kind == "Div" else factor
        elif other == source and reader.kind == "Mul" and not has_source:
            has_source = True
        elif half is not None and variable_of(graph, half) == source and not has_source and (
            graph.sole_reader(other) is not None and constant_of(graph, half) is not None
        ):  # fmt: skip
            value = constant_of(graph, half) or 1.0
            number *= 1 / value if half.kind == "Div" else value
            chain.append(half)
            has_source = True
        else:
            break
        chain.append(reader)
        name = reader.output
        if has_source and isclose(number, 0.5, rel_tol=1e-4):
            break
    return chain, number if has_source else None


def find_hard_sigmoid(graph: OperationGraph, start: Operation) -> None:
    """Find clip(x + 3, 0, 6) / 6."""
    if start.kind != "Clip" or bounds_of(graph, start) != (0, 6):
        return
    plus, sixth = graph.made_by(start.input(0), "Add"), graph.sole_reader(start.output)
    if plus is None or constant_of(graph, plus) != 3 or graph.sole_reader(plus.output) is None or sixth is None:
        return
    factor = constant_of(graph, sixth, start.output)
    if sixth.kind not in ("Div", "Mul"):
        return
    source = variable_of(graph, plus)
    given = {"alpha": 1 / 6, "beta": 0.5}
    if factor is not None and is_near(factor, 6 if sixth.kind == "Div" else 1 / 6):
        graph.replace([plus, start, sixth], Operation("HardSigmoid", sixth.name, (source,), sixth.outputs, given))
    elif sixth.kind == "Mul" and source in sixth.inputs:
        last = graph.sole_reader(sixth.output)
        number = None if last is None else constant_of(graph, last, sixth.output)
        if last is not None and last.kind in ("Div", "Mul") and is_near(number, 6 if last.kind == "Div" else 1 / 6):
            graph.replace([plus, start, sixth, last], Operation("HardSwish", last.name, (source,), last.outputs))


def find_gated(graph: OperationGraph, start: Operation) -> None:
    """Find x sigmoid(x), and x times a hard sigmoid of x."""
    if start.kind not in ("Sigmoid", "HardSigmoid"):
        return
    if start.kind == "HardSigmoid" and not is_near(start.attributes.get("alpha", 0.2), 1 / 6):
        return
    product = graph.sole_reader(start.output)
    if product is not None and product.kind == "Mul" and start.input(0) in product.inputs:
        kind = "Silu" if start.kind == "Sigmoid" else "HardSwish"
        graph.replace([start, product], Operation(kind, product.name, (start.input(0),), product.outputs))


def bounds_of(graph: OperationGraph, clip: Operation) -> tuple[float | None, float | None]:
    """Give the bounds of a clip, as attributes or as constants."""
    low, high = (
        clip.attributes[name] if name in clip.attributes else graph.scalar(clip.input(place))
        for place, name in ((1, "min"), (2, "max"))
    )
    return low, high


def constant_of(graph: OperationGraph, operation: Operation, beside: str = "") -> float | None:
    """Give the one number among two inputs; of a quotient, the divisor."""
    if len(operation.inputs) != 2:
        return None
    places = (1,) if operation.kind in ("Div", "Sub") else (0, 1)
    for place in places:
        if (not beside or operation.inputs[1 - place] == beside) and operation.inputs[place] != beside:
            found = graph.scalar(operation.inputs[place])
            if found is not None:
                return found
    return None


def variable_of(graph: OperationGraph, operation: Operation) -> str:
    """Give the input that is no constant."""
    return next((name for name in operation.inputs if name not in graph.constants), "")


def is_near(number: float | None, wanted: float) -> bool:
    """Tell whether a number is what exporters round in single or half precision."""
    return number is not None and isclose(number, wanted, rel_tol=1e-3)
