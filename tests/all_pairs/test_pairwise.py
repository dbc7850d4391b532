"""All pairs, and the nearest ones: as exact as single calls, wherever the expanded product cancels."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from truth.kinds import DIAGONAL, KINDS, MAKE, MATRICES, build
from truth.records import takes

import kullback
from kullback import Gaussian, ShapeError, augmented, kl_divergence, nearest, pairwise

# Worst relative errors of entries kept from the product (the derivation is that of the module), and single roundings.
ERROR = {torch.float32: 2e-6, torch.float64: 2e-12}

SPREADS = {
    "ordinary": (0.0, 1.0),
    "means around 100": (100.0, 1.0),
    "means around 1e4, close together": (1e4, 1e-2),
    "a tight cluster": (0.0, 1e-4),
    "far apart": (0.0, 30.0),
}


def batch(n, d, spread, seed, dtype, given="std"):
    offset, size = SPREADS[spread]
    g = torch.Generator().manual_seed(seed)
    mean = offset + size * torch.randn(n, d, generator=g, dtype=torch.float64)
    log_std = min(size, 1.0) * torch.randn(n, d, generator=g, dtype=torch.float64)
    scale = {"std": log_std.exp(), "variance": (2 * log_std).exp(), "logvar": 2 * log_std}[given]
    return MAKE[given](mean.to(dtype), scale.to(dtype))


def truth(p, q):
    p, q = (g.to(torch.float64) for g in (p, q))
    return kullback.kl_per_dimension(p[:, None], q).sum(-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", DIAGONAL)
@pytest.mark.parametrize("spread", SPREADS)
def test_every_entry_is_as_exact_as_a_single_call(spread, given, dtype):
    p, q = batch(70, 9, spread, 0, dtype, given), batch(50, 9, spread, 1, dtype, given)
    assert_close(pairwise(p, q).double(), truth(p, q), rtol=ERROR[dtype], atol=0)
    itself = pairwise(p, p)
    assert (itself.diagonal() == 0).all()
    assert (itself >= 0).all()
    assert pairwise(p, q).dtype == dtype


def matrices(n, d, spread, seed, dtype, given="covariance", condition=1.0):
    """Full Gaussians: like ``batch``, turned, and with the widths of their axes spread over ``condition``."""
    diagonal = batch(n, d, spread, seed, torch.float64)
    g = torch.Generator().manual_seed(seed)
    turned = torch.linalg.qr(torch.randn(1 if "tight" in spread else n, d, d, generator=g, dtype=torch.float64)).Q
    widths = diagonal.scale.value * torch.logspace(0, -0.5 * math.log10(condition), d, dtype=torch.float64)
    factor = turned * widths[:, None, :]
    cov = factor @ factor.mT
    cov = 0.5 * (cov + cov.mT)
    parts = {
        "covariance": lambda: (cov,),
        "scale_tril": lambda: (torch.linalg.cholesky(cov),),
        "precision": lambda: (torch.linalg.inv(cov),),
        "low_rank": lambda: (factor[..., :2], widths**2),
    }[given]()
    return MAKE[given](diagonal.mean.to(dtype), *(x.to(dtype) for x in parts))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", MATRICES)
@pytest.mark.parametrize("spread", SPREADS)
def test_every_entry_of_full_gaussians_is_as_exact_as_a_single_call(spread, given, dtype):
    p, q = matrices(30, 6, spread, 0, dtype, given), matrices(20, 6, spread, 1, dtype)
    as_exact(pairwise(p, q), kl_divergence, p[:, None], q)
    as_exact(pairwise(q, p, "jeffreys"), kullback.jeffreys, q[:, None], p)
    assert (pairwise(q, q).diagonal() == 0).all()
    values, indices = nearest(p, q, 5)
    for i in range(len(p)):
        as_exact(values[i], kl_divergence, p[i], q[indices[i]])
    # None is farther than the true ones, but for what float32 feels of conditions up to some thousands.
    assert (values <= kl_divergence(p[:, None], q).topk(5, largest=False).values * (1 + 1e-3)).all()


def as_exact(got, divergence, p, q):
    """Each entry is right, or what a single call gives, which feels how the scales were rounded."""
    truth, single = divergence(p.to(torch.float64), q.to(torch.float64)), divergence(p, q)
    error = torch.minimum((got.double() - truth).abs(), (got - single).abs().double())
    assert (error <= ERROR[got.dtype] * truth).all()


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10, 1e13])
def test_ill_conditioned_full_gaussians_keep_what_a_single_call_has(condition):
    p = matrices(30, 6, "ordinary", 0, torch.float64, condition=condition)
    q = matrices(20, 6, "ordinary", 1, torch.float64, condition=condition)
    # Either side feels the condition with which the covariances were rounded.
    sensitivity = 20 * condition * torch.finfo(torch.float64).eps
    assert_close(pairwise(p, q), kl_divergence(p[:, None], q), rtol=max(ERROR[torch.float64], sensitivity), atol=0)


def test_a_matrix_that_no_gaussian_has_gives_nan_and_large_ones_are_exact():
    p = matrices(5, 3, "ordinary", 0, torch.float64)
    broken = p.scale.matrix.clone()
    broken[2] = -torch.eye(3)
    q = Gaussian.from_covariance(p.mean, broken, validate=False)
    values = pairwise(p, q)
    assert values[:, 2].isnan().all()
    assert not values[:, [0, 1, 3, 4]].isnan().any()
    large = matrices(3, 70, "ordinary", 0, torch.float64)
    assert_close(pairwise(large, large), kl_divergence(large[:, None], large), rtol=1e-12, atol=0)
    diagonal = Gaussian.from_std(p.mean, torch.ones(3, dtype=torch.float64))
    assert_close(pairwise(p, diagonal), kl_divergence(p[:, None], diagonal), rtol=1e-12, atol=0)


def test_events_of_several_dimensions_numbers_and_mixed_parameterizations_are_taken():
    x = torch.randn(7, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    p = Gaussian.from_logvar(x, 0.1 * x.flip(0), event_dims=3)
    q = Gaussian.from_std(x[:4] + 1, 0.5, event_dims=3)
    assert_close(pairwise(p, q), kl_divergence(p[:, None], q))
    assert_close(
        pairwise(p, Gaussian.standard((2, 3, 3))[None]), kl_divergence(p, Gaussian.standard((2, 3, 3)))[:, None]
    )
    scalars = Gaussian.from_std([0.0, 1.0], [1.0, 2.0], event_dims=0)
    assert isinstance(pairwise(scalars, scalars), np.ndarray)


NAMES = ("kl", "jeffreys", "hellinger", "wasserstein2", "bhattacharyya", "fisher_rao")


@pytest.mark.parametrize(("name", "kind"), [(n, kind) for n in NAMES for kind in KINDS if takes(n, kind)])
def test_every_divergence_of_every_kind_is_that_of_single_calls(name, kind):
    g = torch.Generator().manual_seed(0)
    p, q = (
        build(kind, *(torch.randn(s, generator=g, dtype=torch.float64) for s in ((n, 3), (n, 3, 3)))) for n in (6, 5)
    )
    single = kullback.kl_divergence if name == "kl" else getattr(kullback, name)
    assert_close(pairwise(p, q, name), single(p[:, None], q), rtol=1e-11, atol=1e-15)
    assert_close(pairwise(p, q, lambda a, b: kullback.renyi(a, b, 0.3)), kullback.renyi(p[:, None], q, 0.3))
    found = nearest(p, q, 2, name)
    want, order = single(p[:, None], q).topk(2, largest=False)
    assert_close(found.values, want, rtol=1e-11, atol=1e-15)
    assert_close(found.indices, order)


@pytest.mark.parametrize("spread", ["ordinary", "means around 100", "a tight cluster"])
def test_gradients_flow_through_all_pairs(spread):
    p, q = batch(6, 4, spread, 0, torch.float64), batch(5, 4, spread, 1, torch.float64)
    leaves = [x.requires_grad_() for g in (p, q) for x in g.tensors()]
    weight = torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(6, 5)
    got = torch.autograd.grad((weight * pairwise(p, q)).sum(), leaves)
    want = torch.autograd.grad((weight * kl_divergence(p[:, None], q)).sum(), leaves)
    # Sums of 5 or 6 parts of both signs, of the size of 1 a nat.
    assert_close(got, want, rtol=1e-9, atol=1e-9)
    full = [matrices(n, 4, spread, n, torch.float64) for n in (6, 5)]
    leaves = [x.requires_grad_() for g in full for x in g.tensors()]
    got = torch.autograd.grad((weight * pairwise(*full)).sum(), leaves)
    want = torch.autograd.grad((weight * kl_divergence(full[0][:, None], full[1])).sum(), leaves)
    assert_close(got, want, rtol=1e-8, atol=1e-8)


def test_under_transforms_and_compilation_the_formula_answers():
    p, q = batch(4, 3, "ordinary", 0, torch.float64), batch(3, 3, "ordinary", 1, torch.float64)
    stacked = Gaussian.stack([p, p])
    assert_close(torch.func.vmap(lambda a: pairwise(a, q))(stacked)[1], pairwise(p, q))
    compiled = torch.compile(pairwise, fullgraph=True, backend="aot_eager")
    assert_close(compiled(p, q), pairwise(p, q))


def test_logvariances_beyond_the_range_of_variances_are_computed_again():
    logvar = torch.tensor([[-900.0], [0.0], [900.0]], dtype=torch.float64)
    p = Gaussian.from_logvar(torch.zeros(3, 1, dtype=torch.float64), logvar)
    assert_close(pairwise(p, p), kl_divergence(p[:, None], p))
    found = nearest(p, p, 1)
    assert found.indices[:, 0].tolist() == [0, 1, 2]
    assert (found.values == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", SPREADS)
def test_the_nearest_are_the_nearest(spread, dtype):
    p, q = batch(70, 5, spread, 0, dtype), batch(3000, 5, spread, 1, dtype)
    for k in (1, 7):
        found = nearest(p, q, k)
        exact = torch.stack([kl_divergence(p[i], q) for i in range(len(p))])
        want = exact.topk(k, largest=False).values
        assert_close(found.values, want, rtol=4 * torch.finfo(dtype).eps, atol=0)
        assert_close(exact.gather(1, found.indices), want, rtol=4 * torch.finfo(dtype).eps, atol=0)
    assert_close(nearest(p, q[:4], 4).values, exact[:, :4].sort(-1).values, rtol=4 * torch.finfo(dtype).eps, atol=0)


def test_augmented_vectors_have_the_divergence_as_inner_product():
    for spread in ("ordinary", "means around 100"):
        p, q = batch(7, 4, spread, 0, torch.float32), batch(5, 4, spread, 1, torch.float32)
        a, b = augmented(p, q)
        assert a.shape == (7, 10)
        assert b.shape == (5, 10)
        assert_close(-a @ b.T, truth(p, q), rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="diagonal"):
        augmented(p, Gaussian.from_covariance(torch.zeros(2, 4), torch.eye(4)))


def test_batches_divergences_and_counts_that_do_not_fit_are_refused():
    p = batch(4, 3, "ordinary", 0, torch.float32)
    with pytest.raises(ShapeError, match=r"p\[None\]"):
        pairwise(p[0], p)
    with pytest.raises(ShapeError, match="event shape"):
        pairwise(p, batch(4, 2, "ordinary", 0, torch.float32))
    with pytest.raises(ValueError, match="divergence is one of kl, jeffreys"):
        pairwise(p, p, "manhattan")
    with pytest.raises(ValueError, match="renyi needs alpha"):
        pairwise(p, p, "renyi")
    for k in (0, 5, True, 2.0):
        with pytest.raises(ValueError, match="k is a whole number from 1 to 4"):
            nearest(p, p, k)
    assert pairwise(p[:0], p).shape == (0, 4)
    assert nearest(p[:0], p, 2).indices.shape == (0, 2)
