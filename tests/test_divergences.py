"""What holds for every divergence: its record, the axioms, and the cases of other libraries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_every_pair import KINDS, build
from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal, Normal
from torch.testing import assert_close

import kullback
from kullback import Gaussian, NoClosedForm, NotPositiveDefinite, ShapeError
from kullback.divergences.registry import RECORDS as TABLE

RECORDS = {record.module: record for record in TABLE}
FULL = [name for name, record in RECORDS.items() if not record.diagonal_only]


def of(name: str):
    function = getattr(kullback, RECORDS[name].name)
    return (lambda p, q: function(p, q, 0.4)) if RECORDS[name].required else function


@st.composite
def full_pairs(draw, kinds=KINDS):
    """Two Gaussians in general position, far or near."""
    seed, scale = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([1e-6, 1e-2, 1.0, 3.0]))
    g = torch.Generator().manual_seed(seed)
    mean, raw = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((3,), (3, 3)))
    moved = [x + scale * torch.randn(x.shape, generator=g, dtype=torch.float64) for x in (mean, raw)]
    kind = draw(st.sampled_from(kinds))
    other = kind if scale < 1 else draw(st.sampled_from(kinds))
    return build(kind, mean, raw), build(other, *moved)


def as_matrices(p: Gaussian, shift=None, transform=None) -> Gaussian:
    cov = kullback.pairs.dispatch._covariance(p.scale, p.event_shape)
    if transform is None:
        return Gaussian.from_covariance(p.mean, cov)
    return Gaussian.from_covariance(p.mean @ transform.T + shift, transform @ cov @ transform.T)


@pytest.mark.parametrize("name", RECORDS)
def test_the_record_says_what_it_must(name):
    record = RECORDS[name]
    function = getattr(kullback, record.name)
    assert record.name == function.__name__
    assert function.__module__ == f"kullback.divergences.{record.module}"
    assert record.reference
    assert record.tex
    assert "Reference:" in function.__doc__


@pytest.mark.parametrize("name", FULL)
@given(full_pairs())
@settings(max_examples=60)
def test_non_negative_and_symmetric_or_bounded_where_declared(name, pair):
    record, function = RECORDS[name], of(name)
    p, q = pair
    value = function(p, q)
    assert value >= 0
    assert not torch.isnan(value)
    if record.bounded:
        assert value <= 1
    if record.symmetric:
        assert_close(function(q, p), value, rtol=1e-6, atol=1e-300)
    assert function(p, p) == 0


def test_what_is_not_declared_symmetric_is_not():
    p, q = Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([0.5], [1.2])
    for name, record in RECORDS.items():
        same = abs(float(of(name)(p, q)) - float(of(name)(q, p))) < 1e-12
        assert same == record.symmetric, name


@pytest.mark.parametrize("name", FULL)
@given(full_pairs(), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_common_map_changes_nothing_where_declared(name, pair, seed):
    p, q = pair
    g = torch.Generator().manual_seed(seed)
    transform, _ = torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=torch.float64))
    if RECORDS[name].invariance == "affine":
        transform = transform * torch.tensor([0.5, 2.0, 4.0])
    shift = torch.randn(3, generator=g, dtype=torch.float64)
    value = of(name)(as_matrices(p), as_matrices(q))
    moved = of(name)(as_matrices(p, shift, transform), as_matrices(q, shift, transform))
    # The map itself rounds means and covariances, which nearby Gaussians feel.
    assert_close(moved, value, rtol=1e-5 if value < 1e-6 else 1e-9, atol=1e-13)


@given(full_pairs(("std", "variance", "logvar")), st.tuples(*[st.sampled_from([-4.0, 0.25, 1.0, 8.0])] * 3))
@settings(max_examples=40)
def test_of_diagonals_a_common_map_of_each_coordinate_changes_nothing(pair, factors):
    p, q = (Gaussian.from_std(g.mean, g.scale.stds(g.event_shape)) for g in pair)
    factors, shift = torch.tensor(factors, dtype=torch.float64), torch.tensor([0.0, 1.0, -2.0], dtype=torch.float64)
    a, b = (Gaussian.from_std(g.mean * factors + shift, g.scale.value * factors.abs()) for g in (p, q))
    for name in [n for n in RECORDS if RECORDS[n].invariance == "affine"]:
        # Only the shift rounds: by half a unit in the last place of a mean of at most 30, or 4e-15.
        distance = float(of(name)(p, q))
        assert_close(float(of(name)(a, b)), distance, rtol=1e-7 if distance < 1e-6 else 1e-9, atol=1e-13)


@pytest.mark.parametrize("name", [n for n in FULL if RECORDS[n].additive])
@given(full_pairs(("covariance",)), full_pairs(("covariance",)))
@settings(max_examples=30)
def test_additive_over_independent_blocks(name, one, two):
    joint = [
        Gaussian.from_covariance(torch.cat([a.mean, b.mean]), torch.block_diag(a.scale.matrix, b.scale.matrix))
        for a, b in zip(one, two, strict=True)
    ]
    assert_close(of(name)(*joint), of(name)(*one) + of(name)(*two), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", [n for n in FULL if RECORDS[n].monotone])
@given(full_pairs(("covariance",)))
@settings(max_examples=40)
def test_marginals_are_no_farther_apart(name, pair):
    p, q = (Gaussian.from_covariance(g.mean[:2], g.scale.matrix[:2, :2]) for g in pair)
    whole = of(name)(*pair)
    assert of(name)(p, q) <= whole * (1 + 1e-9)


@pytest.mark.parametrize("name", [n for n in RECORDS if RECORDS[n].metric])
@given(full_pairs(), full_pairs())
@settings(max_examples=40)
def test_metrics_obey_the_triangle_inequality(name, one, two):
    a, b, c = one[0], one[1], two[0]
    if RECORDS[name].diagonal_only:
        a, b, c = (kullback.nearest_diagonal(g) for g in (a, b, c))
    f = of(name)
    assert f(a, c) <= (f(a, b) + f(b, c)) * (1 + 1e-12)


@given(full_pairs(("scale_tril", "covariance", "std", "low_rank")))
@settings(max_examples=40)
def test_renyi_approaches_kl_from_both_sides(pair):
    p, q = pair
    kl = kullback.kl_divergence(p, q)
    for alpha in (1 - 1e-13, 1 + 1e-13):
        assert_close(kullback.renyi(p, q, alpha), kl, rtol=1e-10, atol=0)
    assert_close(kullback.renyi(p, q, 1.0), kl, rtol=4 * torch.finfo(torch.float64).eps, atol=0)


@given(full_pairs(("scale_tril",)))
@settings(max_examples=40)
def test_parameterizations_of_one_gaussian_agree(pair):
    p, q = pair
    if kullback.kl_divergence(p, q) < 1e-2:
        return
    forms = [
        [g, as_matrices(g), Gaussian.from_precision(g.mean, torch.cholesky_inverse(g.scale.factor))] for g in (p, q)
    ]
    for name in FULL:
        want = of(name)(p, q)
        for a in forms[0]:
            for b in forms[1]:
                assert_close(of(name)(a, b), want, rtol=1e-9, atol=0)


@given(full_pairs())
@settings(max_examples=60)
def test_the_decomposition_sums_to_the_divergence_whatever_the_order_of_coordinates(pair):
    p, q = pair
    q = kullback.nearest_diagonal(q)
    parts = kullback.kl_decomposition(p, q)
    assert_close(parts.mean + parts.covariance, kullback.kl_divergence(p, q), rtol=1e-9, atol=1e-15)
    assert_close(parts.marginal_scales + parts.total_correlation, parts.covariance, rtol=1e-9, atol=1e-15)
    assert all(x >= 0 for x in parts)
    order = torch.tensor([2, 0, 1])
    p = as_matrices(p)
    p = Gaussian.from_covariance(p.mean[order], p.scale.matrix[order][:, order])
    q = Gaussian.from_std(q.mean[order], q.scale.stds(q.event_shape)[order])
    again = kullback.kl_decomposition(p, q)
    # Small parts feel the conversions.
    for a, b in zip(parts, again, strict=True):
        assert_close(a, b, rtol=1e-7, atol=1e-9)


@given(full_pairs(("scale_tril", "covariance", "low_rank")))
@settings(max_examples=60)
def test_fisher_rao_bounds_hold_and_do_not_cross(pair):
    p, q = pair
    lower, upper = kullback.fisher_rao_bounds(p, q)
    assert 0 <= lower <= upper
    assert upper <= 3 * lower + 1e-12
    a, b = (kullback.nearest_diagonal(g) for g in (p, q))
    assert kullback.fisher_rao_bounds(a, b).lower == kullback.fisher_rao(a, b)
    # Seen as full covariances, the bounds hold the distance in the family of diagonals from below.
    lower, _ = kullback.fisher_rao_bounds(as_matrices(a), b)
    assert lower <= kullback.fisher_rao(a, b) * (1 + 1e-9)


@given(full_pairs())
@settings(max_examples=40)
def test_projections_are_nearest(pair):
    p, _ = pair
    for project, dims in ((kullback.nearest_diagonal, 3), (kullback.nearest_isotropic, 1)):
        for direction, kl in (
            ("forward", lambda q: kullback.kl_divergence(p, q)),
            ("reverse", lambda q: kullback.kl_divergence(q, p)),
        ):
            best = project(p, direction=direction)
            stds = best.scale.stds(best.event_shape)
            for k in range(dims):
                for factor in (0.9, 1.1):
                    change = torch.ones(3, dtype=torch.float64)
                    change[k if dims == 3 else slice(None)] = factor
                    assert kl(best) < kl(Gaussian.from_std(best.mean, stds * change)) + 1e-12


# The cases of torch's own TestKL: for batches of 3, 2-dimensional full, low-rank and diagonal Gaussians with random
# parameters, against its formulas or, where it has none, against their dense form.
def torch_cases():
    g = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=g, dtype=torch.float64)

    def lower(*batch):
        return normal(*batch, 2, 2).tril(-1) + normal(*batch, 2).exp().diag_embed()

    for p_batch, q_batch in (((), ()), ((3,), (3,)), ((3,), ()), ((), (3,)), ((2, 3), (3,)), ((1, 3), (2, 1))):
        make = {
            "diagonal": lambda b: Independent(Normal(normal(*b, 2), normal(*b, 2).exp()), 1),
            "full": lambda b: MultivariateNormal(normal(*b, 2), scale_tril=lower(*b)),
            "covariance": lambda b: MultivariateNormal(normal(*b, 2), (x := lower(*b)) @ x.mT),
            "low rank": lambda b: LowRankMultivariateNormal(normal(*b, 2), normal(*b, 2, 1), normal(*b, 2).exp()),
        }
        for a in make:
            for b in make:
                yield make[a](p_batch), make[b](q_batch)


def dense(d):
    covariance = d.variance.diag_embed() if isinstance(d, Independent) else d.covariance_matrix
    return MultivariateNormal(d.mean, covariance)


def test_the_cases_of_torch_give_its_numbers_or_those_of_the_dense_form():
    for p, q in torch_cases():
        want = torch.distributions.kl_divergence(dense(p), dense(q))
        got = kullback.kl_divergence(p, q)
        assert got.shape == want.shape
        assert_close(got, want, rtol=1e-10, atol=1e-12)


def test_the_edge_cases_of_torch():
    p = Normal(torch.zeros(3), torch.ones(3))
    assert (kullback.kl_divergence(p, p) == 0).all()
    assert_close(kullback.kl_divergence(Normal(0.0, 1.0), Normal(1.0, 2.0)), torch.tensor(math.log(2) + 0.25 - 0.5))


# NumPyro's grid: every pair of these batch shapes, for one event.
@pytest.mark.parametrize("p_shape", [(), (3,), (2, 1), (2, 3), (4, 1, 3)])
@pytest.mark.parametrize("q_shape", [(), (3,), (2, 1), (2, 3), (4, 1, 3)])
def test_batches_broadcast_as_in_numpyro(p_shape, q_shape):
    shape = np.broadcast_shapes(p_shape, q_shape)
    for kind_p in KINDS:
        for kind_q in KINDS:
            p, q = (
                build(kind, torch.zeros(*b, 3, dtype=torch.float64), torch.ones(*b, 3, 3, dtype=torch.float64))
                for kind, b in ((kind_p, p_shape), (kind_q, q_shape))
            )
            assert kullback.kl_divergence(p, q).shape == shape


# distrax mixes full, triangular, diagonal and isotropic covariances of equal content.
def test_mixed_pairs_agree_as_in_distrax():
    rng = np.random.default_rng(0)
    mean_p, mean_q, std_p, std_q = rng.standard_normal((4, 5, 4))
    std_p, std_q = np.exp(std_p), np.exp(std_q)
    forms = [
        [
            Gaussian.from_std(mean, std),
            Gaussian.from_variance(mean, std**2),
            Gaussian.from_scale_tril(mean, std[:, None] * np.eye(4)),
            Gaussian.from_covariance(mean, std[:, None] ** 2 * np.eye(4)),
            Gaussian.from_precision(mean, std[:, None] ** -2 * np.eye(4)),
            Gaussian.from_low_rank(mean, np.zeros((5, 4, 1)), std**2),
        ]
        for mean, std in ((mean_p, std_p), (mean_q, std_q))
    ]
    want = kullback.kl_divergence(forms[0][0], forms[1][0])
    for p in forms[0]:
        for q in forms[1]:
            np.testing.assert_allclose(kullback.kl_divergence(p, q), want, rtol=1e-12)
            for name in FULL:
                np.testing.assert_allclose(of(name)(p, q), of(name)(forms[0][0], forms[1][0]), rtol=1e-10)


def test_undefined_renyi_divergences_are_infinite_row_by_row():
    p = Gaussian.from_covariance(torch.zeros(2, 2), torch.stack([torch.eye(2), 3 * torch.eye(2)]))
    value = kullback.renyi(p, Gaussian.standard(2), 2.0)
    assert value.tolist() == [0.0, math.inf]
    assert kullback.chi_squared(p, Gaussian.standard(2)).tolist() == [0.0, math.inf]
    diagonal = Gaussian.from_std(torch.zeros(2, 2), torch.tensor([[1.0, 1.0], [2.0, 1.0]]))
    assert kullback.renyi(diagonal, Gaussian.standard(2), 2.0).tolist() == [0.0, math.inf]


@pytest.mark.parametrize("alpha", [-0.5, math.inf, math.nan, True, "2"])
def test_orders_that_make_no_sense_are_refused(alpha):
    with pytest.raises(ValueError, match="alpha is a number from 0 up"):
        kullback.renyi(Gaussian.standard(2), Gaussian.standard(2), alpha)


def test_what_has_no_closed_form_says_what_to_call():
    p = Gaussian.from_covariance(torch.zeros(2), torch.eye(2))
    with pytest.raises(NoClosedForm, match="fisher_rao_bounds"):
        kullback.fisher_rao(p, p)
    with pytest.raises(NoClosedForm, match="kl_decomposition"):
        kullback.kl_per_dimension(p, p)
    with pytest.raises(ShapeError, match="event shape"):
        kullback.kl_divergence(p, Gaussian.standard(3))


def test_matrices_that_no_gaussian_has_raise_with_index_and_pivot():
    good, bad = torch.eye(3), torch.eye(3)
    bad[2, 2] = -2.0
    for make in (Gaussian.from_covariance, Gaussian.from_precision):
        with pytest.raises(NotPositiveDefinite, match=r"\[1\] is not positive definite \(pivot 2 is -2\)"):
            make(torch.zeros(3), torch.stack([good, bad]))
        with pytest.raises(NotPositiveDefinite, match=r"is (singular|not positive definite) \(pivot 1 is"):
            make(torch.zeros(2), torch.ones(2, 2))
        with pytest.raises(ValueError, match="not symmetric"):
            make(torch.zeros(2), torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
        with pytest.raises(ValueError, match="not finite"):
            make(torch.zeros(2), torch.full((2, 2), torch.nan))
        with pytest.raises(ShapeError, match="event shape"):
            make(torch.zeros(2), torch.eye(3))
        with pytest.raises(ShapeError, match="must have shape"):
            make(torch.zeros(3), torch.ones(3))
    with pytest.raises(NotPositiveDefinite, match=r"pivot 2 is -2"):
        Gaussian.from_scale_tril(torch.zeros(3), bad)
    with pytest.raises(ValueError, match="not lower triangular"):
        Gaussian.from_scale_tril(torch.zeros(2), torch.ones(2, 2))
    with pytest.raises(ValueError, match="negative"):
        Gaussian.from_low_rank(torch.zeros(2), torch.ones(2, 1), -torch.ones(2))


@pytest.mark.parametrize("name", FULL)
def test_what_slipped_past_validation_gives_nan(name):
    bad = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    zero = torch.zeros(2)
    good = Gaussian.from_covariance(zero, torch.eye(2))
    for wrong in (
        Gaussian.from_covariance(zero, bad, validate=False),
        Gaussian.from_precision(zero, bad, validate=False),
        Gaussian.from_scale_tril(zero, -torch.eye(2), validate=False),
        Gaussian.from_low_rank(zero, torch.ones(2, 1), -torch.ones(2), validate=False),
    ):
        for pair in ((wrong, good), (good, wrong), (wrong, wrong)):
            assert torch.isnan(of(name)(*pair)), (name, wrong)


def test_a_nan_mean_propagates():
    p = Gaussian.from_covariance(torch.tensor([0.0, torch.nan]), torch.eye(2))
    for name in FULL:
        assert torch.isnan(of(name)(p, Gaussian.standard(2))), name


def test_low_rank_pairs_of_many_dimensions_take_no_square_matrix():
    """10 GB for one d × d matrix, were there any; values against the matrix-determinant lemma in float64."""
    g = torch.Generator().manual_seed(0)
    d, r = 50_000, 4
    w, v = torch.randn(d, r, generator=g, dtype=torch.float64), torch.rand(d, generator=g, dtype=torch.float64) + 0.5
    leaf = w.clone().requires_grad_()
    p = Gaussian.from_low_rank(torch.zeros(d, dtype=torch.float64), leaf, v)
    q = Gaussian.from_low_rank(torch.zeros(d, dtype=torch.float64), w * 1.1, v * 1.01)
    value = kullback.kl_divergence(p, q)
    (gradient,) = torch.autograd.grad(value, leaf)
    torch_p, torch_q = (LowRankMultivariateNormal(x.mean, x.scale.factor, x.scale.variance) for x in (p, q))
    assert_close(value, torch.distributions.kl_divergence(torch_p, torch_q), rtol=1e-9, atol=0)
    assert torch.isfinite(gradient).all()
    assert kullback.bhattacharyya(p, q) > 0
    for same in (kullback.kl_divergence, kullback.bhattacharyya, kullback.hellinger):
        assert same(p, p) == 0
    assert kullback.entropy(p) > 0


def test_samples_in_full_structure_recover_the_gaussian():
    g = torch.Generator().manual_seed(0)
    p = Gaussian.from_covariance(torch.tensor([1e4, 0.0]), torch.tensor([[1.0, 0.8], [0.8, 2.0]]))
    fit = Gaussian.from_samples(p.sample(20_000, generator=g), structure="full")
    assert fit.scale.parameterization == "scale_tril"
    assert kullback.kl_divergence(fit, p) < 1e-3
    x = np.random.default_rng(0).standard_normal((50, 3))
    np.testing.assert_allclose(
        Gaussian.from_samples(x, structure="full").scale.covariance(), np.cov(x.T), rtol=1e-12, atol=1e-15
    )
    with pytest.raises(NotPositiveDefinite, match="more samples than coordinates"):
        Gaussian.from_samples(x[:3], structure="full")


@pytest.mark.parametrize("kind", KINDS)
def test_densities_samples_and_torch_objects_agree(kind):
    g = torch.Generator().manual_seed(0)
    p = build(kind, torch.randn(2, 3, generator=g), torch.randn(2, 3, 3, generator=g))
    theirs = p.to_torch()
    x = torch.randn(5, 2, 3, generator=g)
    assert_close(p.log_prob(x), theirs.log_prob(x), rtol=1e-4, atol=1e-4)
    assert_close(p.entropy(), theirs.entropy(), rtol=1e-5, atol=1e-5)
    fit = Gaussian.from_samples(p.sample(20_000, generator=g), structure="full")
    assert (kullback.kl_divergence(fit, p) < 5e-3).all()
    assert p[0].batch_shape == ()
    assert p[None].batch_shape == (1, 2)
    stacked = Gaussian.stack([p, Gaussian.standard(3)])
    assert stacked.batch_shape == (2, 2)
    assert_close(kullback.kl_divergence(stacked[0], p), torch.zeros(2), rtol=0, atol=1e-9)
