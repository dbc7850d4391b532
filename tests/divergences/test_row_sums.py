"""Divergences of rows and what their terms add up to, by the library and by the formula."""

import math

import mpmath
import numpy as np
import pytest
import torch
from truth import oracle
from truth.kinds import DIAGONAL, MAKE
from truth.regimes import REGIMES, pair
from truth.scalars import CONTRACT
from truth.twins import PRESENT, operands

from kullback import Gaussian, kernels
from kullback.comparison.divergence_summary import Batch, BatchDivergences, DivergenceSummary
from kullback.comparison.summary import ModelSummary
from kullback.divergences.row_sums import kl_sums
from kullback.kernels import choice

BODIES = ["reference", *(name for name in PRESENT if name == "native")]


@pytest.fixture(params=BODIES)
def by(request):
    with kernels.use(request.param):
        yield request.param


def total(values):
    return float(mpmath.fsum(values))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", DIAGONAL)
@pytest.mark.parametrize("regime", REGIMES)
def test_rows_are_right_to_the_last_digits_of_float64_whatever_they_are_given_in(by, given, regime, dtype):
    x = pair(regime, given, dtype)
    sums = kl_sums(*(MAKE[given](mean[:, None], scale[:, None]) for mean, scale in (x[:2], x[2:])))
    want = [truth.value for truth in oracle.truths(tuple(v.double() for v in x), given, given)]
    assert oracle.ulps(sums.values, want) <= CONTRACT
    both = float(sums.from_means + sums.from_variances)
    assert both == pytest.approx(total(want), rel=1e-14) or (math.isinf(both) and total(want) > 1e308)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 31, 64, 255, 256, 257, 511, 512, 513, 1500])
def test_rows_of_any_length_and_layout_are_those_of_numpy(by, n, dtype):
    rows = 1200 if n < 100 else 30
    mean_p, var_p, mean_q, var_q = operands(rows, n, dtype=dtype)
    wide = torch.cat([var_p, mean_p], 1)
    layouts = {
        "full": Gaussian.from_variance(mean_q, var_q),
        "one row for all": Gaussian.from_variance(mean_q[0], var_q[0]),
        "one variance for all": Gaussian.from_variance(mean_q, var_q[0, :1].expand(n)),
        "numbers": Gaussian.standard(n),
    }
    p = Gaussian.from_variance(wide[:, n:], wide[:, :n])
    for q in layouts.values():
        b, s = (x.double().broadcast_to(rows, n).numpy() for x in (q.mean, q.scale.variances(q.event_shape)))
        from_means, from_variances = by_numpy(mean_p, var_p, b, s)
        sums = kl_sums(p, q)
        np.testing.assert_allclose(sums.values, (from_means + from_variances).sum(1), rtol=1e-12)
        np.testing.assert_allclose(sums.from_means, from_means.sum(0), rtol=1e-12)
        np.testing.assert_allclose(sums.from_variances, from_variances.sum(0), rtol=1e-11)


def by_numpy(mean_p, var_p, mean_q, var_q):
    """The textbook formula in float64: the term of the means and that of the variances, of each coordinate."""
    mean_p, var_p, mean_q, var_q = (np.asarray(x, np.float64) for x in (mean_p, var_p, mean_q, var_q))
    return 0.5 * (mean_p - mean_q) ** 2 / var_q, 0.5 * (var_p / var_q - 1 - np.log(var_p / var_q))


def test_nothing_is_rounded_in_float32_before(by):
    mean, scale, mean_q, scale_q = operands(40, 5)
    std, third = scale.double(), scale_q.double() / 3
    cases = [  # 0.1 and 0.3 are no float32, and neither are logarithms and square roots
        (Gaussian.from_std(mean, scale), Gaussian.from_std([0.1] * 5, 0.3), std**2, 0.1, 0.3**2),
        (Gaussian.from_std(mean, scale), Gaussian.from_std(mean_q.double(), third), std**2, mean_q, third**2),
        (
            Gaussian.from_logvar(mean, scale),
            Gaussian.from_std(mean_q, scale_q),
            std.exp(),
            mean_q,
            scale_q.double() ** 2,
        ),
        (Gaussian.from_variance(mean, scale), Gaussian.from_std(mean_q, scale_q), std, mean_q, scale_q.double() ** 2),
    ]
    for p, q, var_p, mean_q_as_given, var_q in cases:
        from_means, from_variances = by_numpy(mean, var_p, mean_q_as_given, var_q)
        sums = kl_sums(p, q)
        assert sums.values.dtype == sums.from_means.dtype == torch.float64
        np.testing.assert_allclose(sums.values, (from_means + from_variances).sum(1), rtol=1e-12)
        np.testing.assert_allclose(sums.from_means, from_means.sum(0), rtol=1e-12)
        np.testing.assert_allclose(sums.from_variances, from_variances.sum(0), rtol=1e-12)
    halves = Gaussian.from_variance(mean.half(), scale.half())
    want = by_numpy(mean.half(), scale.half(), 0.0, 1.0)
    np.testing.assert_allclose(kl_sums(halves, Gaussian.standard(5)).values, sum(want).sum(1), rtol=1e-12)


def test_a_row_that_is_none_stays_alone(by):
    mean, logvar = torch.zeros(2, 30, 4)
    mean[7, 1], mean[20, 2], logvar[25, 3] = math.nan, math.inf, 89.0
    sums = kl_sums(Gaussian.from_logvar(mean, logvar, validate=False), Gaussian.standard(4))
    assert sums.values.isnan().nonzero().flatten().tolist() == [7]
    assert sums.values.isinf().nonzero().flatten().tolist() == [20]
    assert float(sums.values[25]) == pytest.approx(0.5 * (math.exp(89) - 90), rel=1e-15)
    assert sums.from_means[1:3].isnan().tolist() == [True, False]
    assert sums.from_variances.isfinite().all()


def test_numpy_gives_tensors(by):
    mean, scale, mean_q, scale_q = (x.double().numpy() for x in operands(6, 3))
    sums = kl_sums(Gaussian.from_std(mean, scale), Gaussian.from_std(mean_q, scale_q))
    np.testing.assert_allclose(sums.values, sum(by_numpy(mean, scale**2, mean_q, scale_q**2)).sum(1), rtol=1e-12)
    assert all(isinstance(x, torch.Tensor) for x in sums)


def test_events_of_several_dimensions_and_no_rows(by):
    mean, scale, mean_q, scale_q = operands(6, 2, 3, 4)
    p, q = Gaussian.from_std(mean, scale, event_dims=3), Gaussian.from_std(mean_q, scale_q, event_dims=3)
    sums = kl_sums(p, q)
    from_means, from_variances = by_numpy(mean, scale.double() ** 2, mean_q, scale_q.double() ** 2)
    np.testing.assert_allclose(sums.from_means, from_means.sum(0), rtol=1e-12)
    np.testing.assert_allclose(sums.from_variances, from_variances.sum(0), rtol=1e-12)
    none = kl_sums(p[:0], q[:0])
    assert none.values.shape == (0,)
    assert none.from_means.shape == (2, 3, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", [*DIAGONAL, "log_std"])
@pytest.mark.parametrize("n", [1, 3, 64, 300, 600])
def test_moments_of_rows_are_those_of_numpy(by, given, n, dtype):
    mean, scale = operands(700, n, dtype=dtype)[:2]
    mean = 1e4 + mean
    make = {"log_std": Gaussian.from_log_std}.get(given, MAKE.get(given))
    batch = Batch(make(mean, scale))
    rate = DivergenceSummary.of(BatchDivergences.of(batch, batch), batch, batch, range(700), torch.arange(700), 1)
    found = ModelSummary.of(rate, batch)
    x, s = mean.double().numpy(), scale.double().numpy()
    variances = {"std": s**2, "variance": s, "logvar": np.exp(s), "log_std": np.exp(2 * s)}[given]
    np.testing.assert_allclose(found.means.mean, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.means.variance, x.var(0, ddof=1), rtol=1e-7)
    np.testing.assert_allclose(found.variances.mean, variances.mean(0), rtol=1e-13)
    assert found.means.count == 700


def test_the_library_answers_where_it_can():
    p = Gaussian.from_logvar(*operands(5, 3)[:2])
    with kernels.use("reference"):
        assert choice.accelerated_kl_sums(p, p) is None
        assert choice.accelerated_moments(p) is None
    if "native" in BODIES:
        with kernels.use("native"):
            assert choice.accelerated_kl_sums(p, Gaussian.standard(3)) is not None
            assert choice.accelerated_moments(p) is not None
    # What would be rounded before, and what is not diagonal, it leaves to the formula.
    other = Gaussian.from_std(*operands(5, 3)[:2])
    full = Gaussian.from_covariance(torch.zeros(5, 3), torch.eye(3).expand(5, 3, 3))
    for q in (other, full, Gaussian.from_std([0.1] * 3, 1.0)):
        assert choice.accelerated_kl_sums(p, q) is None
