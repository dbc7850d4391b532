"""Every divergence over the grid of ``truth/pairs.py``, against ball arithmetic.

The contract: within 450 units in the last place, or 20 times what rounding the inputs otherwise by half a unit would
change: no algorithm that is given the rounded numbers can be asked for more.
"""

import math

import numpy as np
import pytest
import torch
from flint import arb
from truth import exact, pairs
from truth.quantities import QUANTITIES, SENSITIVITIES, ULPS, applies, grid, truths

# The factor a million times the size of the standard deviations beside it: there derivatives keep fewer digits than the
# contract asks for (see CHANGELOG).
HARD = "factor 1e3, variance 1e-3"


def error(name: str, case: pairs.Case) -> float | None:
    """The error of one quantity as a fraction of what the contract allows; None where the truth overflows."""
    truth, function = QUANTITIES[name]
    exact_case, moved_cases = truths(case)
    want = truth(exact_case)
    got = float(function(case.p.gaussian(), case.q.gaussian()))
    if not want.is_finite():
        return 0.0 if math.isinf(got) else math.inf
    size = abs(float(want))
    if size > float(np.finfo(case.dtype).max):
        return None
    moved = [truth(pair) for pair in moved_cases]
    sensitivity = max(float(abs(m - want).upper()) if m.is_finite() else math.inf for m in moved)
    allowed = max(ULPS * np.finfo(case.dtype).eps * size, SENSITIVITIES * sensitivity, float(np.finfo(case.dtype).tiny))
    assert name in ("entropy", "cross_entropy") or got >= 0, f"{name} of {case.name} is {got}"
    return float(abs(arb(got) - want).upper()) / allowed if math.isfinite(got) else math.inf


def test_the_grid_has_more_than_three_hundred_pairs():
    assert sum(len(grid(dtype)) for dtype in ("float64", "float32")) >= 300
    assert {(c.p.kind, c.q.kind) for c in grid("float64")} == {(a, b) for a in pairs.KINDS for b in pairs.KINDS}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", QUANTITIES)
def test_values_are_within_the_contract(name, dtype):
    errors = {case.name: error(name, case) for case in grid(dtype) if applies(name, case)}
    wrong = {case: e for case, e in errors.items() if e is not None and e > 1}
    assert not wrong
    assert sum(e is not None for e in errors.values()) > 20


STEP = arb("1e-40")


def moved_pair(case: pairs.Case, side: int, which: int, index: tuple[int, ...], sign: int) -> tuple[exact.Pair, float]:
    """The pair with one input moved by a step far below every digit, symmetrically in a symmetric matrix."""
    built = []
    for i, given in enumerate((case.p, case.q)):
        arrays = [given.mean, *given.parts]
        numbers = [np.array([exact.number(v) for v in x.ravel()], dtype=object).reshape(x.shape) for x in arrays]
        if i == side:
            size = float(np.abs(arrays[which]).max())
            numbers[which][index] += STEP * size * sign
            if given.kind in ("covariance", "precision") and which == 1 and index[0] != index[1]:
                numbers[which][index[::-1]] += STEP * size * sign
        built.append((exact.column(numbers[0]), exact.COVARIANCE[given.kind](*numbers[1:])))
    return exact.Pair(*built[0], *built[1]), size


def derivative(truth, case: pairs.Case, side: int, which: int, index: tuple[int, ...]) -> float:
    (above, size), (below, _) = (moved_pair(case, side, which, index, sign) for sign in (1, -1))
    return float((truth(above) - truth(below)) / (2 * STEP * size))


DIFFERENTIATED = ("kl_divergence", "jeffreys", "renyi, order 0.3", "hellinger, squared", "wasserstein2, squared")


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_gradients_are_within_the_contract(name):
    """One entry of every input of every pair up to d = 8, in float64: 1e-12, or 20 times the sensitivity."""
    truth, function = QUANTITIES[name]
    rng, checked = np.random.default_rng(3), 0
    for case in grid("float64"):
        if len(case.p.mean) > 8 or HARD in case.regime or (case.p.kind != case.q.kind and rng.random() < 0.5):
            continue
        leaves = [
            [torch.tensor(x, requires_grad=True) for x in (given.mean, *given.parts)] for given in (case.p, case.q)
        ]
        value = function(*(g.gaussian(x) for g, x in zip((case.p, case.q), leaves, strict=True)))
        gradients = iter(torch.autograd.grad(value, [*leaves[0], *leaves[1]]))
        moved = [
            pairs.Case(case.regime, *(g.rounded_otherwise(rng) for g in (case.p, case.q)), case.dtype) for _ in range(2)
        ]
        for side, inputs in enumerate(leaves):
            for which, x in enumerate(inputs):
                gradient = next(gradients)
                index = tuple(int(rng.integers(n)) for n in x.shape)
                kind = (case.p, case.q)[side].kind
                if kind == "scale_tril" and which == 1:
                    index = (max(index), min(index))
                got = float(gradient[index])
                if kind in ("covariance", "precision") and which == 1 and index[0] != index[1]:
                    got += float(gradient[index[::-1]])
                want = derivative(truth, case, side, which, index)
                if not abs(want) < 1e300:
                    continue
                sensitivity = max(abs(derivative(truth, other, side, which, index) - want) for other in moved)
                rounding = 4 * torch.finfo(x.dtype).eps * float(gradient.abs().max())
                allowed = max(1e-12 * abs(want), SENSITIVITIES * sensitivity, rounding, 1e-60 if value < 1 else 0.0)
                assert abs(got - want) <= allowed, (case.name, side, which, index, got, want)
                checked += 1
    assert checked > 300
