"""Estimates from samples: right on average for Gaussians, near for others, honest about errors, clear about input."""

import math
import re
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from scipy.spatial.distance import cdist
from torch import distributions

from kullback import Gaussian, Mixture, NotPositiveDefinite, ShapeError, kl_divergence, kl_estimate
from kullback.estimate.samples import distances, neighbours
from kullback.estimate.samples import gaussianize as marginals


def generator(seed):
    return torch.Generator().manual_seed(seed)


def random_pair(d, seed, shift=0.5):
    g = generator(seed)
    noise = torch.randn(2, d, d, generator=g, dtype=torch.float64) / d**0.5
    covariance = 0.5 * noise @ noise.mT + 0.5 * torch.eye(d, dtype=torch.float64)
    mean = shift * torch.randn(d, generator=g, dtype=torch.float64)
    return Gaussian.from_covariance(mean, covariance[0]), Gaussian.from_covariance(torch.zeros(d), covariance[1])


def many(p, q, n, m, repetitions, **options):
    """Estimates from so many pairs of samples."""
    found = []
    for seed in range(repetitions):
        g = generator(seed)
        x, y = p.sample(n, generator=g), q.sample(m, generator=g)
        found.append(kl_estimate(x, y, seed=seed, **options))
    return found


def hold(estimates, truth, kind="interval"):
    return sum(bool(getattr(e, kind)[0] <= truth <= getattr(e, kind)[1]) for e in estimates)


def unbiased(estimates, truth):
    values = np.array([float(e.value) for e in estimates])
    return abs(values.mean() - float(truth)) <= 4.5 * values.std() / len(values) ** 0.5


@pytest.mark.parametrize(("d", "n", "m"), [(1, 200, 300), (3, 300, 150), (8, 200, 400)])
@pytest.mark.parametrize("method", ["auto", "gaussian"])
def test_gaussian_samples_are_estimated_without_bias_and_intervals_hold(d, n, m, method):
    p, q = random_pair(d, seed=d)
    truth = kl_divergence(p, q)
    estimates = many(p, q, n, m, 120, method=method)
    assert unbiased(estimates, truth)
    # 114 of 120 expected; four standard deviations of that.
    assert hold(estimates, truth) >= 104
    assert hold(estimates, truth, "band") >= hold(estimates, truth)
    values = np.array([float(e.value) for e in estimates])
    errors = np.array([float(e.standard_error) for e in estimates])
    # What they say of their error is what they scatter by.
    assert 0.75 < (errors**2).mean() ** 0.5 / values.std() < 1.35


def test_the_same_density_is_no_distance_and_its_error_holds():
    p = random_pair(6, seed=0)[0]
    estimates = many(p, p, 150, 150, 150)
    assert unbiased(estimates, 0.0)
    assert any(float(e.value) < 0 for e in estimates)  # never clipped
    assert hold(estimates, 0.0) >= 132


def test_neighbours_alone_are_low_where_the_default_is_not():
    p, q = random_pair(10, seed=3, shift=1.5)
    truth = float(kl_divergence(p, q))
    x, y = p.sample(1000, generator=generator(0)), q.sample(1000, generator=generator(1))
    alone, default = kl_estimate(x, y, method="knn"), kl_estimate(x, y, seed=0)
    assert truth > 5
    assert float(alone.value) < 0.6 * truth
    assert "low" in alone.warnings[0]
    assert abs(float(default.value) - truth) < 4 * float(default.standard_error)


def test_the_unbiased_divergence_is_that_of_the_formula_in_fifty_digits():
    mp.dps = 60
    p, q = random_pair(3, seed=5)
    x, y = p.sample(20, generator=generator(0)), q.sample(15, generator=generator(1))
    n, m, d = 20, 15, 3

    def moments(rows):
        rows = mp.matrix(rows.tolist())
        mean = [mp.fsum(rows[i, j] for i in range(rows.rows)) / rows.rows for j in range(d)]
        centred = mp.matrix(rows.rows, d)
        for i in range(rows.rows):
            for j in range(d):
                centred[i, j] = rows[i, j] - mean[j]
        return mp.matrix(mean), centred.T * centred / (rows.rows - 1)

    def bias(nu):
        return mp.fsum(mp.digamma(mp.mpf(nu - i + 1) / 2) for i in range(1, d + 1)) + d * mp.log(mp.mpf(2) / nu)

    (mean_x, s_p), (mean_y, s_q) = moments(x), moments(y)
    inverse, delta, nu = s_q**-1, mean_x - mean_y, m - 1
    product = inverse * s_p
    trace = mp.fsum(product[i, i] for i in range(d))
    quadratic = mp.mpf(nu - d - 1) / nu * ((1 - mp.mpf(1) / n) * trace + (delta.T * inverse * delta)[0])
    determinants = mp.log(mp.det(s_q)) - mp.log(mp.det(s_p))
    want = (quadratic - mp.mpf(d) / m - d + determinants - bias(m - 1) + bias(n - 1)) / 2
    found = kl_estimate(x, y, method="gaussian")
    assert abs(float(found.value) - float(want)) < 1e-11 * abs(float(want))
    assert found.n == n + m


def test_affine_maps_of_both_samples_change_nothing():
    p, q = random_pair(4, seed=1)
    x, y = p.sample(300, generator=generator(0)), q.sample(300, generator=generator(1))
    turn = torch.randn(4, 4, generator=generator(2), dtype=torch.float64)
    scale = torch.tensor([1e-6, 1.0, 1e3, 1e8], dtype=torch.float64)

    def moved(rows):
        return (rows @ turn) * scale + 1e3 * scale

    for method in ("auto", "gaussian", "knn"):
        one, other = kl_estimate(x, y, seed=0, method=method), kl_estimate(moved(x), moved(y), seed=0, method=method)
        assert abs(float(one.value) - float(other.value)) < (0.05 if method == "auto" else 1e-6)


def test_the_distances_are_exact():
    for d in (1, 3, 8, 9, 20):
        g = generator(d)
        x = torch.randn(700, d, generator=g, dtype=torch.float64)
        # Clusters so narrow that float32 sees each as one point.
        narrow = torch.randn(7, d, generator=g, dtype=torch.float64).repeat(100, 1) + 1e-9 * x
        for points, references, own in ((x, x, True), (x[:50], x + 0.1, False), (narrow, narrow, True)):
            want = np.sort(cdist(points.numpy(), references.numpy()), 1)[:, [own, 4 + own, 9 + own]]
            found = distances.nearest_distances(points, references, (1, 5, 10), own=own)
            np.testing.assert_allclose(found.numpy(), want, rtol=1e-6 if points is narrow else 1e-9)


def test_neighbours_are_those_of_a_loop():
    x, y = (torch.randn(n, 2, generator=generator(n), dtype=torch.float64) for n in (60, 80))
    own, other = cdist(x, x), cdist(x, y)
    np.fill_diagonal(own, np.inf)
    rho, nu = np.sort(own, 1)[:, 4], np.sort(other, 1)[:, 4]
    want = 2 * np.log(nu / rho).mean() + math.log(80 / 59)
    assert abs(float(neighbours.divergence(x, y, (5,), slice(None)).mean()) - want) < 1e-12
    entropy = 2 * np.log(rho).mean() + math.log(math.pi) + float(mp.digamma(60) - mp.digamma(5))
    assert abs(float(neighbours.entropy(x, (5,), slice(None)).mean()) - entropy) < 1e-12


MAPS = {
    "exp": torch.exp,
    "cube": lambda x: x + x**3 / 3,
    "tanh": lambda x: torch.tanh(x / 2),
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("d", [1, 4])
def test_bijections_of_gaussians_are_near(name, d):
    p, q = random_pair(d, seed=d + 10)
    truth = float(kl_divergence(p, q))
    found = []
    for seed in range(10):
        g = generator(seed)
        x, y = (MAPS[name](side.sample(800, generator=g)) for side in (p, q))
        found.append(kl_estimate(x, y, seed=seed))
    # Biased, and in the hardest of these (four log-normal coordinates) less than half as far as neighbours alone.
    assert abs(np.mean([float(e.value) for e in found]) - truth) < 0.08 * (1 + truth)
    assert hold(found, truth, "band") >= 8
    assert all(any("not Gaussian" in w for w in e.warnings) for e in found)


def test_gaussianized_coordinates_are_normal_and_their_slopes_are_derivatives():
    x = torch.exp(torch.randn(3000, 2, generator=generator(0), dtype=torch.float64))
    mapped = marginals.MarginalGaussianizer([x])
    z = mapped(x)
    assert not marginals.are_normal([x])
    assert marginals.are_normal([z])
    torch.testing.assert_close(z.mean(0), torch.zeros(2).double(), rtol=0, atol=0.05)
    torch.testing.assert_close(z.std(0), torch.ones(2).double(), rtol=0, atol=0.1)
    step = 1e-6
    at = torch.cat([x[:200], torch.tensor([[-3.0, 50.0], [1e-9, 1e3]], dtype=torch.float64)])
    slope = (mapped(at + step) - mapped(at - step)) / (2 * step)
    torch.testing.assert_close(mapped.log_slope(at), slope.log().sum(1), rtol=1e-4, atol=1e-4)
    ordered = mapped(torch.linspace(-5, 100, 2001, dtype=torch.float64)[:, None].repeat(1, 2))
    assert (ordered.diff(dim=0) > 0).all()


@pytest.mark.parametrize("d", [1, 5])
def test_samples_against_a_gaussian_are_estimated_without_bias_and_intervals_hold(d):
    p, q = random_pair(d, seed=d + 20)
    truth = kl_divergence(p, q)
    for method in ("auto", "gaussian"):
        found = [kl_estimate(p.sample(250, generator=generator(s)), q, seed=s, method=method) for s in range(100)]
        assert unbiased(found, truth)
        assert hold(found, truth) >= 86
    assert found[0].n == 250


def test_samples_meet_any_object_that_has_a_log_density():
    x = torch.distributions.Laplace(0.0, 1.0)
    torch.manual_seed(0)
    rows = x.sample((4000,))
    wide = distributions.Laplace(0.5, 2.0)
    truth = distributions.kl_divergence(x, wide)
    found = kl_estimate(rows, wide, seed=0)
    assert found.value.dtype == torch.float32
    assert found.band[0] <= truth <= found.band[1]
    mixture = Mixture([0.3, 0.7], Gaussian.from_std([[-2.0, 0.0], [2.0, 1.0]], [[1.0, 1.0], [0.5, 2.0]]))
    other = Gaussian.from_std([0.0, 0.0], [2.0, 2.0])
    want = float(kl_estimate(mixture, other, seed=0).value)
    samples = mixture.sample(3000, generator=generator(0))
    for found in (kl_estimate(samples, other, seed=0), kl_estimate(mixture, other.sample(3000), seed=0)):
        assert found.band[0] <= want <= found.band[1]

    class Counting:
        def sample(self, n):
            return np.random.default_rng(0).normal(size=(n, 2))

        def log_prob(self, x):
            return -0.5 * (np.asarray(x) ** 2).sum(1) - math.log(2 * math.pi)

    moved = Counting().sample(500) + 1.0
    for found in (kl_estimate(Counting(), moved, seed=0), kl_estimate(moved, Counting(), seed=0)):
        assert abs(float(found.value) - 1.0) < 4 * float(found.standard_error)


def test_draws_of_a_density_are_estimated_against_samples_without_bias():
    p, q = random_pair(3, seed=30)
    found = [kl_estimate(p, q.sample(300, generator=generator(s)), seed=s, n=600) for s in range(60)]
    assert unbiased(found, kl_divergence(p, q))
    assert hold(found, kl_divergence(p, q)) >= 50
    assert found[0].n == 900
    assert kl_estimate(p, q.sample(300), seed=0).n == 5300


def test_a_seed_repeats_the_estimate_and_results_are_of_the_callers_type():
    x, y = torch.randn(200, 2, generator=generator(0)), torch.randn(300, 2, generator=generator(1))
    one, again, other = (kl_estimate(x, y, seed=s) for s in (1, 1, 2))
    assert one.value.equal(again.value)
    assert one.interval[0].equal(again.interval[0])
    assert not one.value.equal(other.value)
    assert one.value.dtype == torch.float32
    assert one.value.shape == ()
    assert one.method == "calibrated"
    assert one.n == 500
    array = kl_estimate(x.double().numpy(), y.double().numpy(), seed=1)
    assert isinstance(array.value, np.ndarray)
    assert isinstance(array.band[0], np.ndarray)
    lists = kl_estimate(x[:, :1].tolist(), y[:, :1].tolist(), seed=1)
    assert np.isfinite(lists.value)
    loose = kl_estimate(x, y, tolerance=1e-6, seed=0)
    assert "above the tolerance" in loose.warnings[-1]
    assert not kl_estimate(x, y, tolerance=10.0, seed=0).warnings


def test_of_many_rows_a_part_is_enough_and_the_error_holds():
    g = generator(0)
    x = torch.randn(21_000, 2, generator=g) + torch.tensor([1.0, 0.0])
    y = torch.randn(3_000, 2, generator=g)
    found = kl_estimate(x, y, seed=0)
    assert abs(float(found.value) - 0.5) < 4 * float(found.standard_error)
    assert float(found.standard_error) < 0.05
    assert found.n == 24_000


def test_gradients_of_the_plug_in_are_right_and_others_are_refused():
    x = torch.randn(40, 3, generator=generator(0), dtype=torch.float64, requires_grad=True)
    y = torch.randn(50, 3, generator=generator(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: kl_estimate(a, b, method="gaussian").value, (x, y))
    q = Gaussian.from_std(torch.zeros(3, dtype=torch.float64), torch.full((3,), 2.0, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda a: kl_estimate(a, q, method="gaussian").value, (x,))
    std = torch.ones(3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(
        kl_estimate(x.detach(), Gaussian.from_std(torch.zeros(3), std), method="gaussian").value, std
    )
    torch.testing.assert_close(slope, 1 - x.detach().square().mean(0))
    for method in ("auto", "knn"):
        with pytest.raises(ValueError, match="cannot carry gradients"):
            kl_estimate(x, y, method=method)
    with pytest.raises(ValueError, match="cannot carry gradients"):
        kl_estimate(Gaussian.from_std(torch.zeros(3), std), y.detach(), method="gaussian")
    with torch.no_grad():
        assert torch.isfinite(kl_estimate(x, y).value)
    assert torch.isfinite(kl_estimate(x.detach(), y.detach()).value)


def rows(n=100, d=3, seed=0):
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


def test_samples_that_are_identical_are_estimated_at_zero_and_said_to_be_shared():
    x = rows(300)
    found = kl_estimate(x, x, seed=0)
    assert "300 rows are in both" in found.warnings[0]
    assert abs(float(found.value)) < 4 * float(found.standard_error)


def test_columns_that_are_constant_in_both_are_left_out_and_others_are_refused():
    x, y = rows(seed=0), rows(seed=1)
    both = [torch.cat([s, torch.full((100, 1), 7.0)], 1) for s in (x, y)]
    found = kl_estimate(*both, seed=0)
    assert "[3] are the same constant in both" in found.warnings[0]
    assert found.value == kl_estimate(x, y, seed=0).value
    with pytest.raises(ValueError, match="p: coordinate 3 does not vary"):
        kl_estimate(both[0], torch.cat([y, rows(d=1)], 1))
    with pytest.raises(ValueError, match="coordinate 3 does not vary"):
        kl_estimate(both[0], torch.cat([y, torch.full((100, 1), 8.0)], 1))
    with pytest.raises(ValueError, match="no coordinate varies"):
        kl_estimate(torch.ones(50, 2), torch.ones(60, 2))
    with pytest.raises(NotPositiveDefinite, match="linear function of those before"):
        kl_estimate(torch.cat([x, x[:, :1]], 1), torch.cat([y, y[:, :1]], 1))


def test_linearly_dependent_coordinates_of_one_side_are_refused():
    x = rows()
    with pytest.raises(NotPositiveDefinite, match="p"):
        kl_estimate(torch.cat([x, x[:, :1]], 1), rows(d=4, seed=1))


def test_duplicate_rows_are_counted_and_too_many_are_refused():
    x, y = rows(), rows(seed=1)
    found = kl_estimate(torch.cat([x, x[:10]]), y, seed=0)
    assert "10 of the 110 rows of p repeat others" in found.warnings[0]
    shared = kl_estimate(x, torch.cat([y, x[:4]]), seed=0)
    assert "4 rows are in both" in shared.warnings[0]
    with pytest.raises(ValueError, match="at distance 0"):
        kl_estimate(x[:20].repeat(10, 1), y)
    assert torch.isfinite(kl_estimate(x[:20].repeat(10, 1), y, method="gaussian").value)


def test_too_few_rows_are_refused_and_few_rows_are_warned_of():
    with pytest.raises(ValueError, match="p has 1 rows of 3 coordinates: an estimate needs at least 7"):
        kl_estimate(rows(1), rows())
    with pytest.raises(ValueError, match="q has 20 rows of 30 coordinates"):
        kl_estimate(rows(200, 30), rows(20, 30))
    found = kl_estimate(rows(12), rows(9), seed=0)
    assert "p has 12 rows of 3 coordinates, fewer than 5 for each" in found.warnings[0]
    assert torch.isfinite(found.value)
    assert found.standard_error > 0.1
    with pytest.raises(ValueError, match="p has 1 rows"):
        kl_estimate(rows(1), Gaussian.standard(3))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_position(bad):
    x = rows()
    x[17, 2] = bad
    for pair in ((x, rows()), (rows(), x), (x, Gaussian.standard(3)), (Gaussian.standard(3), x)):
        with pytest.raises(ValueError, match=r"\[17, 2\] is"):
            kl_estimate(*pair)


def test_whole_numbers_and_vectors_are_taken_as_samples_and_said_to_be():
    x = torch.randint(0, 1_000_000, (300,), generator=generator(0))
    y = torch.randint(0, 1_000_000, (300,), generator=generator(1))
    found = kl_estimate(x, y, seed=0)
    assert "p has one dimension: taken as 300 samples of one number" in found.warnings
    assert any("p holds whole numbers" in w for w in found.warnings)
    assert abs(float(found.value)) < 4 * float(found.standard_error)
    with pytest.raises(ValueError, match="at distance 0"):
        kl_estimate(torch.randint(0, 3, (300,)), torch.randint(0, 3, (400,)))
    stamps = 1_700_000_000_000 + 37 * torch.arange(50)
    other = 1_700_000_000_001 + 41 * torch.arange(60)
    assert kl_estimate(stamps, other, seed=0).value == kl_estimate(stamps.double(), other.double(), seed=0).value
    with pytest.raises(TypeError, match="bool"):
        kl_estimate(x > 5, y > 5)
    with pytest.raises(TypeError, match="complex"):
        kl_estimate(rows().to(torch.complex64), rows())


def test_a_coordinate_of_few_values_is_warned_of_and_huge_numbers_are_not():
    discrete = torch.randint(0, 4, (100, 1), generator=generator(2)).double()
    found = kl_estimate(torch.cat([rows(), discrete], 1), torch.cat([rows(seed=1), discrete.flip(0)], 1), seed=0)
    assert "coordinate 3 of p takes 4 values in 100 rows: that is no density, and the estimate may mean little" in (
        found.warnings
    )
    huge = kl_estimate(1e300 * rows(), 1e300 * rows(seed=1), seed=0)
    assert not huge.warnings
    np.testing.assert_allclose(huge.value, kl_estimate(rows(), rows(seed=1), seed=0).value, rtol=1e-9)


@pytest.mark.parametrize("seed", [-1, 1.5, True, 2**63, "0"])
def test_seeds_that_are_no_whole_number_from_0_up_are_refused(seed):
    for p, q in ((rows(), rows(seed=1)), (Gaussian.standard(3), Gaussian.standard(3))):
        with pytest.raises(ValueError, match="seed is "):
            kl_estimate(p, q, seed=seed)
    one, same = (kl_estimate(rows(), rows(seed=1), seed=s) for s in (7, np.int64(7)))
    assert one.value == same.value


def test_probabilities_and_histograms_are_refused_as_samples():
    logits = rows(200, 5)
    for bad, what in (
        (logits.softmax(-1), "rows add up to 1"),
        (logits.float().softmax(-1), "rows add up to 1"),
        (logits.log_softmax(-1), "log-probabilities"),
        (logits.float().log_softmax(-1), "log-probabilities"),
        (logits[0].softmax(-1), "frequencies of a histogram"),
    ):
        for pair in ((bad, bad), (logits, bad)):
            with pytest.raises(ValueError, match=what) as raised:
                kl_estimate(*pair)
            assert "F.kl_div(log_q, log_p, log_target=True" in str(raised.value)
    counts = [np.histogram(rows(1000, 1, s), bins=20, range=(-4, 4))[0] for s in (0, 1)]
    with pytest.raises(ValueError, match="counts of a histogram"):
        kl_estimate(*counts)
    # What the messages tell to do is right.
    p, q = logits.softmax(-1), rows(200, 5, 1).softmax(-1)
    said = torch.nn.functional.kl_div(q.log(), p.log(), log_target=True, reduction="none").sum(-1)
    torch.testing.assert_close((p * (p.log() - q.log())).sum(-1), said)


def test_samples_and_densities_of_different_shapes_or_unknown_methods_are_refused():
    with pytest.raises(ShapeError, match="p has 3 coordinates, q has 4"):
        kl_estimate(rows(), rows(d=4))
    with pytest.raises(ShapeError, match="flatten them"):
        kl_estimate(torch.randn(10, 3, 4), torch.randn(10, 3, 4))
    with pytest.raises(ShapeError, match=r"samples of shape \(3,\), the density has event shape \(4,\)"):
        kl_estimate(rows(), Gaussian.standard(4))
    with pytest.raises(ShapeError, match="Independent"):
        kl_estimate(rows(), distributions.Normal(0.0, 1.0))
    with pytest.raises(ShapeError, match=r"q is a batch \(2,\)"):
        kl_estimate(rows(), Gaussian.from_std(torch.zeros(2, 3), 1.0))
    with pytest.raises(ShapeError, match="rows of an array"):
        kl_estimate(torch.empty(0, 3), rows())
    with pytest.raises(ValueError, match="one of auto, calibrated, gaussian, knn for samples"):
        kl_estimate(rows(), rows(), method="k1")
    with pytest.raises(ValueError, match="samples have as many rows"):
        kl_estimate(rows(), rows(), n=1000)
    with pytest.raises(ValueError, match="NaN"):
        kl_estimate(rows(), Gaussian.from_std(torch.tensor([0.0, 0.0, math.nan]), torch.ones(3), validate=False))

    class Broken:
        def sample(self, n):
            return rows(n)

        def log_prob(self, x):
            return self.value

    broken = Broken()
    for value, match in (
        (torch.full((100,), math.inf), "infinite at some points"),
        (torch.zeros(100, 3), "gave 300 numbers for 100 rows"),
        (torch.tensor(0.0), "gave 1 numbers for 100 rows"),
    ):
        broken.value = value
        with pytest.raises(ValueError, match=match):
            kl_estimate(rows(), broken)
    images = torch.randn(200, 2, 3, generator=generator(0))
    density = Gaussian.from_std(torch.zeros(2, 3), torch.ones(2, 3), event_dims=2)
    found = kl_estimate(images, density, seed=0)
    assert abs(float(found.value)) < 4 * float(found.standard_error)


def test_what_samples_cannot_show_is_said():
    p, q = Gaussian.from_std([0.0, 0.0], [1.0, 1.0]), Gaussian.from_std([10.0, 0.0], [1.0, 1.0])
    found = kl_estimate(p.sample(200, generator=generator(0)), q.sample(200, generator=generator(1)), seed=0)
    assert any("more than log n = 5.3" in w for w in found.warnings)
    assert found.band[0] <= 50 <= found.band[1]
    modes = torch.randn(60, 2, generator=generator(2)).repeat_interleave(5, 0)
    g = generator(3)
    x, y = (modes + 1e-4 * torch.randn(300, 2, generator=g) for _ in range(2))
    assert any("narrow modes" in w for w in kl_estimate(x, y, seed=0).warnings)


@pytest.mark.parametrize("validate", [True, False])
def test_samples_outside_the_support_of_a_density_make_the_divergence_infinite(validate):
    options = {"validate_args": validate}
    x = rows(200)
    for q in (
        distributions.Independent(distributions.Uniform(-torch.ones(3), 1.0, **options), 1, **options),
        distributions.Independent(distributions.Exponential(torch.ones(3), **options), 1, **options),
    ):
        found = kl_estimate(x, q, seed=0)
        assert [float(v) for v in (found.value, *found.interval, *found.band)] == [math.inf] * 5
        assert "q is 0 at samples of p" in found.warnings[-1]
    inside = x.abs()
    q = distributions.Independent(distributions.Exponential(torch.ones(3), **options), 1, **options)
    assert math.isfinite(kl_estimate(inside, q, seed=0).value)
    moved = distributions.TransformedDistribution(q, [distributions.AffineTransform(-10.0, 1.0)])
    assert math.isfinite(kl_estimate(x, moved, seed=0).value)


def test_nothing_is_printed_and_nothing_warns(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kl_estimate(rows(), rows(seed=1))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("d", "n", "m", "width"), [(10, 60, 60, 0.3), (8, 60, 60, 0.5), (20, 100, 100, 0.5), (10, 60, 60, 1.0)]
)
def test_errors_of_few_rows_hold_whatever_the_widths(d, n, m, width):
    p, q = (Gaussian.from_std(torch.zeros(d, dtype=torch.float64), std) for std in (width, 1.0))
    truth = float(kl_divergence(p, q))
    found = many(p, q, n, m, 200, method="gaussian")
    assert hold(found, truth) >= 178  # 190 expected; four standard deviations
    alone = [kl_estimate(p.sample(n, generator=generator(s)), q, method="gaussian") for s in range(200)]
    assert hold(alone, truth) >= 178


@st.composite
def anything(draw):
    """Arrays as they come: few rows, copies, constants, numbers of all sizes, of few values, and some that are none."""
    n, d = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    rows = rng.standard_normal((n, d)) * 10.0 ** rng.integers(-9, 9, d) ** draw(st.sampled_from([0, 1]))
    for spoil in draw(
        st.lists(st.sampled_from(["copy", "constant", "two values", "whole", "offset", "line"]), max_size=2)
    ):
        column = draw(st.integers(0, d - 1))
        if spoil == "copy":
            rows[: n // 2] = rows[n - n // 2 :]
        elif spoil == "constant":
            rows[:, column] = rows[0, column]
        elif spoil == "two values":
            rows[:, column] = np.sign(rows[:, column])
        elif spoil == "whole":
            rows = np.round(np.clip(rows, -1e6, 1e6) * 3)
        elif spoil == "offset":
            rows = rows + 1e6 * np.abs(rows).max()
        else:
            rows[:, column] = rows[:, 0] * 2
    if draw(st.integers(0, 9)) == 0:
        rows[draw(st.integers(0, n - 1)), 0] = draw(st.sampled_from([np.nan, np.inf]))
    kind = draw(st.sampled_from([np.float64, np.float64, np.float32, np.float16]))
    with np.errstate(over="ignore"):
        return rows.astype(kind)


@given(anything(), anything(), st.sampled_from(["auto", "gaussian", "knn"]), st.booleans())
@settings(max_examples=100, deadline=None)
def test_whatever_comes_there_is_an_answer_or_a_clear_error(x, y, method, density):
    q = Gaussian.standard(y.shape[1]) if density else y
    try:
        found = kl_estimate(x, q, seed=0, method=method)
    except ValueError as error:
        # One of ours: it says which side, and what to do.
        if re.match(r"[pq][: \[]|no coordinate|these are whole|\d+ rows have", str(error)):
            return
        raise
    numbers = [float(v) for v in (found.value, found.standard_error, *found.interval, *found.band)]
    assert all(math.isfinite(v) for v in numbers), found
    assert found.standard_error >= 0
    assert found.band[0] <= found.interval[0] <= found.value <= found.interval[1] <= found.band[1]
    again = kl_estimate(x[::-1], q, seed=0, method=method)
    # The order of rows says nothing.
    assert abs(float(again.value) - float(found.value)) <= 1e-3 * (1 + abs(float(found.value)))


def test_a_shared_row_and_few_rows_have_a_number():
    found = kl_estimate([0.0, 1.3, 2.1, 3.7, 4.9, 6.2], [0.0, 0.9, 2.2, 3.1, 5.5], seed=0)
    assert all(math.isfinite(float(v)) for v in (found.value, found.standard_error, *found.band))


def test_gradients_to_the_density_of_samples_are_those_of_its_logarithm():
    x = rows(200)
    mean = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    for method in ("auto", "knn", "gaussian"):
        q = Gaussian.from_std(mean, torch.ones(3, dtype=torch.float64))
        (slope,) = torch.autograd.grad(kl_estimate(x, q, seed=0, method=method).value, mean)
        torch.testing.assert_close(slope, -x.mean(0))
    loc = torch.zeros(3, requires_grad=True)
    laplace = distributions.Independent(distributions.Laplace(loc, 1.0), 1)
    with pytest.raises(ValueError, match="cannot carry gradients"):
        kl_estimate(laplace, x, method="gaussian")
    with torch.no_grad():
        assert torch.isfinite(kl_estimate(laplace, x, seed=0).value)


def test_half_precision_is_not_taken_for_probabilities():
    g = generator(0)
    for x in (torch.rand(300, 20, generator=g) * 0.1, -8 * torch.rand(300, 20, generator=g)):
        assert torch.isfinite(kl_estimate(x.bfloat16(), x.flip(0).flip(1).bfloat16(), seed=0, method="gaussian").value)


def test_draws_before_chains_are_told_to_be_swapped():
    x = np.zeros((1000, 4, 2))
    with pytest.raises(ShapeError, match=r"draws of 4 chains: p\.swapaxes\(0, 1\)"):
        kl_estimate(x, x)
    with pytest.raises(ShapeError) as other:
        kl_estimate(np.zeros((20, 30, 2)), x)
    assert "swapaxes" not in str(other.value)
