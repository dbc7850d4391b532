"""Rows that call for different forms in one batch: near and far, well and ill conditioned, and what is no covariance.

Where values can be read, each form computes the rows that it is for. So the batch is compared with the truth row by
row: as it stands, with gradients recorded, and under a transform, where every form computes every row.
"""

import math

import numpy as np
import pytest
import torch
from flint import arb
from torch.testing import assert_close
from truth import pairs
from truth.quantities import QUANTITIES, SENSITIVITIES, ULPS, grid, truths

import kullback
from kullback import Gaussian, kernels
from kullback.divergences.registry import RECORDS

NAMES = (
    "kl_divergence", "jeffreys", "renyi, order 0.3", "renyi, order 0.001", "renyi, order 3", "bhattacharyya",
    "hellinger, squared", "wasserstein2, squared", "wasserstein2",
)  # fmt: skip


def rows(kind, dtype="float64", d=8):
    """All pairs of this kind in the grid: conditions of up to 1e12, at steps from 2⁻² to 2⁻³⁰ and far apart; with
    factors also one of 1e18, whose product with another is singular in rounded numbers.
    """
    found = [c for c in grid(dtype) if c.p.kind == c.q.kind == kind and len(c.p.mean) == d and "condition" in c.regime]
    if kind == "scale_tril":
        rng = np.random.default_rng(0)
        scales = [pairs.scale_of(kind, rng, d, condition=1e18) for _ in range(2)]
        found.append(pairs.Case("condition 1e18", *(pairs.Given(kind, np.zeros(d), x) for x in scales), dtype))
    assert len(found) >= 12
    return found


def batch(cases, side):
    given = [getattr(case, side) for case in cases]
    return [torch.tensor(np.stack([x.mean for x in given])), torch.tensor(np.stack([x.parts[0] for x in given]))]


def allowed_and_true(name, case):
    truth = QUANTITIES[name][0]
    exact_case, moved = truths(case)
    want = truth(exact_case)
    sensitivity = max(float(abs(truth(x) - want).upper()) for x in moved)
    return max(ULPS * np.finfo(case.dtype).eps * abs(float(want)), SENSITIVITIES * sensitivity), want


@pytest.mark.parametrize("kind", ["covariance", "scale_tril"])
@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_within_the_contract_by_every_route(name, kind):
    function, make = QUANTITIES[name][1], getattr(Gaussian, f"from_{kind}")
    cases = rows(kind)

    def f(*x):
        return function(make(*x[:2], validate=False), make(*x[2:], validate=False))

    inputs = [*batch(cases, "p"), *batch(cases, "q")]
    leaves = [x.clone().requires_grad_() for x in inputs]
    routes = {"values": f(*inputs), "gradients": f(*leaves).detach(), "vmap": torch.func.vmap(f)(*inputs)}
    for i, case in enumerate(cases):
        allowed, want = allowed_and_true(name, case)
        for route, got in routes.items():
            value = float(got[i])
            if not want.is_finite():
                assert math.isinf(value), (route, case.regime)
            else:
                assert float(abs(arb(value) - want).upper()) <= allowed, (route, case.regime, value)
                assert value >= 0


@pytest.mark.parametrize("name", NAMES)
def test_a_row_that_is_no_covariance_is_nan_and_changes_no_other(name):
    function, cases = QUANTITIES[name][1], rows("covariance")
    inputs = [*batch(cases, "p"), *batch(cases, "q")]
    broken = [x.clone() for x in inputs]
    broken[1][0] *= -1.0
    broken[3][1, 2, 3] = torch.nan
    broken[3][2, 0, 0] = torch.inf
    for gradients in (False, True):
        values = []
        for x in (inputs, broken):
            mean_p, cov_p, mean_q, cov_q = (v.clone().requires_grad_(gradients) for v in x)
            p, q = (Gaussian.from_covariance(m, c, validate=False) for m, c in ((mean_p, cov_p), (mean_q, cov_q)))
            values.append(function(p, q).detach())
        assert torch.isnan(values[1][:3]).all()
        assert_close(values[1][3:], values[0][3:], rtol=0, atol=0)


# Standard deviations of p beside those of q, in common axes: near, equal, far, very different.
RATIOS = torch.tensor([[1 + 1e-7, 1 - 2e-7, 1.0], [1.0, 1.0, 1.0], [2.0, 0.5, 3.0], [1e-3, 1e3, 7.0]])


@pytest.mark.parametrize("squared", [True, False])
def test_wasserstein2_of_common_axes_and_its_gradient_are_those_of_numbers(squared):
    """W² = Σ (s − t)², of derivative 1 − t/s in the variance s² along an axis; those of W are half of it over W."""
    rng = np.random.default_rng(0)
    axes = torch.tensor(pairs.orthogonal(rng, 3))
    t = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    s = RATIOS.double() * t
    cov_p, cov_q = (((axes * x.unsqueeze(-2).square()) @ axes.mT) for x in (s, t))
    leaf = cov_p.clone().requires_grad_()
    p, q = Gaussian.from_covariance(torch.zeros(3), leaf), Gaussian.from_covariance(torch.zeros(3), cov_q)
    value = kullback.wasserstein2(p, q, squared=squared)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    want, slopes = (s - t).square().sum(-1), 1 - t / s
    if not squared:
        want = want.sqrt()
        slopes = slopes / (2 * torch.where(want > 0, want, 1.0))[:, None]
    # The covariances are rounded: by 1e-16 of numbers up to 4 where s − t is 1e-7 of them, more where they are 1e12.
    assert_close(value.detach(), want, rtol=1e-8, atol=1e-15)
    assert_close(kullback.wasserstein2(p.detach(), q, squared=squared), value.detach(), rtol=1e-8, atol=1e-15)
    along = (axes.mT @ gradient @ axes).diagonal(dim1=-2, dim2=-1)
    # The slopes of a distance of 1e-7 are those of its square over 1e-7, and so are their rounding errors.
    assert_close(along[:3], slopes[:3], rtol=1e-7, atol=1e-14 if squared else 1e-8)


def test_values_of_far_pairs_take_no_singular_vectors(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a decomposition with vectors")

    monkeypatch.setattr(torch.linalg, "svd", refuse)
    monkeypatch.setattr(torch.linalg, "eigh", refuse)
    rng = np.random.default_rng(0)
    far = [torch.tensor(pairs.scale_of("covariance", rng, 8)[0]) for _ in range(2)]
    p, q = (Gaussian.from_covariance(torch.zeros(8), x) for x in far)
    assert kullback.wasserstein2(p, q) > 0
    with pytest.raises(AssertionError, match="vectors"):
        kullback.wasserstein2(p, p)


@pytest.mark.parametrize("backend", ["reference", "torch", None])
@pytest.mark.parametrize("kind", ["std", "variance", "logvar", "log_std"])
@pytest.mark.parametrize("other", ["std", "variance", "logvar", "log_std"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_python_number_has_all_the_digits_of_the_dtype_it_meets(kind, other, side, backend):
    """0.1 is no float32; a tensor of one number for each coordinate is what it stands for."""
    generator = torch.Generator().manual_seed(0)
    mean, scale = torch.rand(2, 3, 4, dtype=torch.float64, generator=generator) + 0.1
    beside = getattr(Gaussian, f"from_{other}")(mean, scale)
    build = getattr(Gaussian, f"from_{kind}")
    number, written_out = build(mean + 1, 0.1), build(mean + 1, torch.full_like(mean, 0.1))
    for record in RECORDS:
        further = {parameter.name: 0.5 for parameter in record.required}
        with kernels.use(backend):
            values = [
                getattr(kullback, record.name)(*((g, beside) if side == 0 else (beside, g)), **further)
                for g in (number, written_out)
            ]
        assert_close(*values, rtol=1e-13, atol=0)
