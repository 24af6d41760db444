"""The values of a step, product by product in the order in which a PE adds them: plain loops over the definition.

Of fp16 and bf16 a product and a sum are a float32 multiplication and a float32 addition. Of int16 the product of two
whole numbers is shifted down, rounded to the even one of two that are as near, and added to a whole number. A sum is
that of each part of a cut reduction, from 0; the parts are added one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.shapes import ConvShape, LinearShape, MatmulShape, Step, TransposedConvShape

Index = tuple[int, ...]


@dataclass(frozen=True)
class Term:
    """A product: the output that it is added to, its place in the reduction, and its factors' places."""

    output: Index
    place: Index
    first: Index
    second: Index


def list_terms(shape: Any, step: Step) -> tuple[tuple[str, str], tuple[int, ...], Iterator[Term]]:
    """Name the two tensors that a step multiplies, give its result's shape, and list its products in a PE's order."""
    names = {
        Step.FORWARD: ("input", "weight"),
        Step.GTA: ("grad_output", "weight"),
        Step.GTW: ("grad_output", "input"),
    }
    if isinstance(shape, TransposedConvShape):
        exchanged = {Step.FORWARD: Step.GTA, Step.GTA: Step.FORWARD, Step.GTW: Step.GTW}[step]
        _, size, terms = list_terms(shape.conv, exchanged)
        return (names[step] if step is not Step.GTW else ("input", "grad_output")), size, terms
    sizes = {Step.FORWARD: shape.output_shape, Step.GTA: shape.input_shape, Step.GTW: shape.weight_shape}
    if isinstance(shape, ConvShape):
        return names[step], sizes[step], list_conv_terms(shape, step)
    assert isinstance(shape, LinearShape)
    return names[step], sizes[step], list_linear_terms(shape, step)


def list_conv_terms(shape: ConvShape, step: Step) -> Iterator[Term]:
    """List the products of a convolution: those of Forward by c, r, w; of GTA by m, r, q; of GTW by n, h, r, q."""
    (N, C, H, W), (_, M, P, Q) = shape.input_shape, shape.output_shape
    (R, S), G = shape.weight_shape[2:], shape.groups
    (Uh, Uw), (Dh, Dw), (top, left) = shape.stride, shape.dilation, shape.padding[:2]

    def meet(out: int, tap: int, stride: int, dilation: int, before: int, size: int) -> int | None:
        found = out * stride + tap * dilation - before
        return found if 0 <= found < size else None

    columns = [
        (w, q, s) for q in range(Q) for s in range(S) if (w := meet(q, s, Uw, Dw, left, W)) is not None
    ]  # fmt: skip
    rows = [(h, p, r) for p in range(P) for r in range(R) if (h := meet(p, r, Uh, Dh, top, H)) is not None]
    for n in range(N):
        for c in range(C):
            for m in range(c // (C // G) * (M // G), (c // (C // G) + 1) * (M // G)):
                kernel_channel, filter_place = c % (C // G), m % (M // G)
                for h, p, r in sorted(rows, key=lambda row: (row[0], row[2])):
                    for w, q, s in sorted(columns, key=lambda one: one[0 if step is Step.FORWARD else 1]):
                        activation, gradient, weight = (n, c, h, w), (n, m, p, q), (m, kernel_channel, r, s)
                        if step is Step.FORWARD:
                            yield Term(gradient, (kernel_channel, r), activation, weight)
                        elif step is Step.GTA:
                            yield Term(activation, (filter_place, r), gradient, weight)
                        else:
                            yield Term(weight, (n, h), gradient, activation)


def list_linear_terms(shape: LinearShape, step: Step) -> Iterator[Term]:
    """List the products of a fully connected layer of one vector an image."""
    for n in range(shape.batch):
        for m in range(shape.out_features):
            for c in range(shape.in_features):
                if step is Step.FORWARD:
                    yield Term((n, m), (c,), (n, c), (m, c))
                elif step is Step.GTA:
                    yield Term((n, c), (m,), (n, m), (m, c))
                else:
                    yield Term((m, c), (n,), (n, m), (n, c))


def gather(terms: Iterator[Term], runs: Sequence[int]) -> dict[Index, list[list[Term]]]:
    """Sort the products of each output into parts of the reduction and, within them, into the order of its indices.

    Args:
        runs: Run lengths of the first indices of the reduction.
    """
    outputs: dict[Index, dict[Index, list[Term]]] = {}
    for term in terms:
        part = tuple(index // run for index, run in zip(term.place, runs, strict=False))
        outputs.setdefault(term.output, {}).setdefault(part, []).append(term)
    return {
        output: [sorted(parts[part], key=lambda term: term.place) for part in sorted(parts)]
        for output, parts in outputs.items()
    }


def sum_floats(shape: Any, step: Step, tensors: dict[str, NDArray[np.float32]], runs: Sequence[int] = ()) -> Any:
    """Compute a step in float32, product by product; the result is zero where there is none."""
    if isinstance(shape, MatmulShape):
        return compute_product(shape, step, tensors, lambda *one: sum_floats(*one, runs))
    (first, second), size, terms = list_terms(shape, step)
    output = np.zeros(size, dtype=np.float32)
    for place, parts in gather(terms, runs).items():
        sums = []
        for part in parts:
            total = np.float32(0)
            for term in part:
                total = np.float32(total + np.float32(tensors[first][term.first] * tensors[second][term.second]))
            sums.append(total)
        whole = sums[0]
        for total in sums[1:]:
            whole = np.float32(whole + total)
        output[place] = whole
    return output


def sum_integers(
    shape: Any, step: Step, tensors: dict[str, NDArray[np.float32]], exponents: dict[str, int], shift: int,
    acc_bits: int,
) -> Any:  # fmt: skip
    """Compute a step with whole numbers; every sum on the way must fit the accumulator."""
    if isinstance(shape, MatmulShape):
        return compute_product(
            shape, step, tensors, lambda *one: sum_integers(*one, exponents, shift, acc_bits)
        )  # fmt: skip
    (first, second), size, terms = list_terms(shape, step)
    words = {
        name: (tensors[name].astype(np.float64) / 2.0 ** exponents[name]).astype(np.int64) for name in (first, second)
    }
    output, unit = np.zeros(size, dtype=np.float32), 2.0 ** (exponents[first] + exponents[second] + shift)
    for place, parts in gather(terms, ()).items():
        total = 0
        for term in parts[0]:
            product = int(words[first][term.first]) * int(words[second][term.second])
            # Python rounds a tie to the even one.
            total += round(Fraction(product, 1 << shift))
            assert abs(total) < 1 << (acc_bits - 1)
        output[place] = np.float32(total * unit)
    return output


def compute_product(shape: MatmulShape, step: Step, tensors: dict[str, NDArray[np.float32]], compute: Any) -> Any:
    """Compute a product of two activations as fully connected layers, one for each place, and scale it."""
    Z, T, C, M = shape.products, shape.rows, shape.in_features, shape.out_features
    linear = LinearShape(T, C, M)

    def turn(tensor: Any, is_turned: bool) -> Any:
        return np.swapaxes(tensor, -1, -2) if is_turned else tensor

    first = turn(tensors["input"], shape.transpose_a).reshape(Z, T, C)
    # A fully connected layer's weight has a row for each output.
    second = turn(tensors["weight"], not shape.transpose_b).reshape(Z, M, C)
    gradient = tensors["grad_output"].reshape(Z, T, M)
    places = [
        compute(linear, step, {"input": first[z], "weight": second[z], "grad_output": gradient[z]}) for z in range(Z)
    ]
    result = np.stack(places) * np.float32(shape.scale)
    if step is Step.FORWARD:
        return result.reshape(shape.output_shape)
    is_turned = shape.transpose_a if step is Step.GTA else not shape.transpose_b
    size = shape.input_shape if step is Step.GTA else shape.weight_shape
    return turn(result.reshape(*size[:-2], *((size[-1], size[-2]) if is_turned else size[-2:])), is_turned)
