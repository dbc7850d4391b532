"""The kernel of low-rank pairs is the formula's twin, near and far, alone and in batches of both."""

import pytest
import torch
from torch.testing import assert_close
from truth.quantities import QUANTITIES, ULPS, grid

from kullback import Gaussian, kernels, kl_divergence
from kullback.kernels import low_rank_kernel, selected


def operands(rows, d, rank, distance, seed=0):
    """Both Gaussians' means, factors and variances; q is moved away from p."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    p = [draw(rows, d), draw(rows, d, rank) / 3, draw(rows, d).exp()]
    steps = [draw(rows, d), draw(rows, d, rank) / 3, draw(rows, d)]
    return [*p, p[0] + distance * steps[0], p[1] + distance * steps[1], p[2] * (distance * steps[2]).exp()]


PAIRS = {
    "low rank, low rank": lambda a, b, c, d, e, f: (Gaussian.from_low_rank(a, b, c), Gaussian.from_low_rank(d, e, f)),
    "ranks that differ": lambda a, b, c, d, e, f: (
        Gaussian.from_low_rank(a, b, c),
        Gaussian.from_low_rank(d, e[..., :1], f),
    ),
    "low rank, diagonal": lambda a, b, c, d, e, f: (Gaussian.from_low_rank(a, b, c), Gaussian.from_variance(d, f)),
    "diagonal, low rank": lambda a, b, c, d, e, f: (Gaussian.from_variance(a, c), Gaussian.from_low_rank(d, e, f)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("rows", "d", "rank"), [(5, 3, 2), (7, 100, 4), (300, 300, 3)])
def test_values_and_gradients_are_those_of_the_formula(rows, d, rank, pair, dtype):
    for distance in (1.0, 0.1, 1e-7):
        x = [v.to(dtype) for v in operands(rows, d, rank, distance)]
        leaves, wide = ([v.detach().clone().to(t).requires_grad_() for v in x] for t in (dtype, torch.float64))
        with kernels.use("torch"):
            p, q = PAIRS[pair](*leaves)
            assert selected(p, q).backend == "torch"
            value = kl_divergence(p, q)
            found = torch.autograd.grad(value.mean(), leaves, allow_unused=True)
        with kernels.use("reference"):
            want = kl_divergence(*PAIRS[pair](*wide))
            truths = torch.autograd.grad(want.mean(), wide, allow_unused=True)
        eps = ULPS * torch.finfo(dtype).eps
        assert value.dtype == dtype
        assert_close(value.double(), want, rtol=eps, atol=0)
        for got, truth in zip(found, truths, strict=True):
            if truth is not None:
                assert_close(got.double(), truth, rtol=eps, atol=eps * float(truth.abs().max()))


def test_it_answers_far_pairs_and_leaves_near_and_extreme_ones_to_the_formula(monkeypatch):
    seen = []

    def counted(p, q):
        seen.append(len(p.mean))
        return make_pair(p, q)

    make_pair = low_rank_kernel.make_pair
    monkeypatch.setattr(low_rank_kernel, "make_pair", counted)
    far, near = operands(6, 50, 3, 1.0), operands(3, 50, 3, 1e-9)
    leaves = [torch.cat(x).requires_grad_() for x in zip(far, near, strict=True)]
    with torch.no_grad():
        for x in leaves[2::3]:
            x[0] *= 1e-300
    with kernels.use("torch"):
        values = kl_divergence(*PAIRS["low rank, low rank"](*leaves))
    assert seen == [4]
    gradients = torch.autograd.grad(values.sum(), leaves)
    assert all(torch.isfinite(x[1:]).all() for x in gradients)
    with kernels.use("reference"):
        assert_close(values, kl_divergence(*PAIRS["low rank, low rank"](*leaves)), rtol=1e-13, atol=0)
    with kernels.use("torch"):
        p, _ = PAIRS["low rank, low rank"](*far)
        assert (kl_divergence(p, p) == 0).all()


def test_second_derivatives_batches_of_any_shape_and_broken_variances_are_the_formulas():
    x = [v.requires_grad_() for v in operands(1, 4, 2, 1.0)]
    with kernels.use("torch"):
        f = lambda *v: kl_divergence(*PAIRS["low rank, low rank"](*v))  # noqa: E731
        assert torch.autograd.gradcheck(f, x)
        assert torch.autograd.gradgradcheck(f, x)
        many = [v.detach() for v in operands(6, 4, 2, 1.0)]
        assert_close(f(*(v.unflatten(0, (2, 3)) for v in many)).flatten(), f(*many), rtol=1e-14, atol=0)
        assert_close(f(*(v[0] for v in many)), f(*many)[0], rtol=1e-14, atol=0)
        p = Gaussian.from_low_rank(many[0], many[1], -many[2], validate=False)
        assert kl_divergence(p, Gaussian.from_low_rank(*many[3:])).isnan().all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_agree_with_ball_arithmetic(dtype):
    truth, checked = QUANTITIES["kl_divergence"][0], 0
    for case in grid(dtype):
        kinds = {case.p.kind, case.q.kind}
        if kinds == {"low_rank"} and ("ordinary" in case.regime or "near, 2^-2" in case.regime):
            p, q = (g.gaussian([torch.from_numpy(v.copy()) for v in (g.mean, *g.parts)]) for g in (case.p, case.q))
            with kernels.use("torch"):
                got = kl_divergence(p, q).double()
            want = torch.tensor(float(truth(case.exact())), dtype=torch.float64)
            assert_close(got, want, rtol=ULPS * torch.finfo(p.mean.dtype).eps, atol=0)
            checked += 1
    assert checked >= 5
