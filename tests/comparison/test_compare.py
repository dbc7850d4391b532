"""compare: every number against plain NumPy in float64, and what cannot be compared."""

import json
import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

from kullback import Gaussian, PosteriorFileError, ShapeError, compare
from kullback.comparison import OneModel


@pytest.fixture
def posteriors():
    rng = np.random.default_rng(0)
    mu_a, mu_b = rng.standard_normal((2, 500, 4))
    std_a, std_b = rng.uniform(0.2, 2, (2, 500, 4))
    # One dimension of B is the prior, nearly.
    mu_b[:, 2], std_b[:, 2] = 1e-3 * mu_b[:, 2], 1.0
    return mu_a, std_a, mu_b, std_b


def terms(mu_p, std_p, mu_q, std_q):
    """The textbook formula, good enough where p and q are far apart; the parts of the means and of the variances."""
    return (mu_p - mu_q) ** 2 / std_q**2 / 2, (std_p**2 / std_q**2 - 1 - np.log(std_p**2 / std_q**2)) / 2


def test_every_number_is_that_of_numpy(posteriors):
    mu_a, std_a, mu_b, std_b = posteriors
    comparison = compare(Gaussian.from_std(mu_a, std_a), Gaussian.from_variance(mu_b, std_b**2))
    scalars = comparison.scalars()
    zero, one = np.zeros(4), np.ones(4)
    pairs = {
        "kl_ab": ("ab", mu_a, std_a, mu_b, std_b),
        "kl_ba": ("ba", mu_b, std_b, mu_a, std_a),
        "rate_a": ("rate_a", mu_a, std_a, zero, one),
        "rate_b": ("rate_b", mu_b, std_b, zero, one),
    }
    for prefix, (which, *operands) in pairs.items():
        means, variances = terms(*operands)
        rows = (means + variances).sum(1)
        want = {
            "mean": rows.mean(),
            "standard_error": rows.std(ddof=1) / math.sqrt(500),
            "median": np.median(rows),
            "p05": np.quantile(rows, 0.05),
            "p95": np.quantile(rows, 0.95),
            "max": rows.max(),
            "from_means": means.sum(1).mean(),
            "from_variances": variances.sum(1).mean(),
        }
        for name, value in want.items():
            assert scalars[f"{prefix}.{name}"] == pytest.approx(value, rel=1e-10), (prefix, name)
        np.testing.assert_allclose(comparison.per_dimension(which), (means + variances).mean(0), rtol=1e-9, atol=1e-12)
        largest = comparison.summary.divergences[which].largest
        assert list(largest.ids) == np.argsort(-rows, kind="stable")[:10].tolist()
    assert comparison.active("a").tolist() == (mu_a.var(0, ddof=1) > 0.01).tolist()
    assert comparison.collapsed("b").tolist() == [False, False, True, False]
    assert scalars["collapsed_units_b"] == 1
    assert scalars["rows"] == 500


def test_identical_models_are_found_identical():
    p = Gaussian.from_logvar(torch.randn(50, 3), torch.randn(50, 3))
    comparison = compare(p, p)
    assert comparison.scalars()["kl_ab.max"] == 0
    assert "Every posterior of one is that of the other." in comparison.findings()
    json.loads(comparison.to_json())


def test_rows_beyond_one_batch_are_all_counted(monkeypatch):
    monkeypatch.setattr("kullback.comparison.passes._NUMBERS", 14)
    monkeypatch.setattr("kullback.io.rows._BATCH", 6)
    done = []
    p = Gaussian.from_std(torch.zeros(50, 2), torch.ones(2))
    comparison = compare(p, Gaussian.from_std(torch.ones(50, 2), 1.0), progress=lambda i, n: done.append((i, n)))
    assert comparison.summary.count == 50
    tasks = [min(7 * i, 50) for i in range(1, 9)]
    assert done == [(n, 150) for n in (0, *tasks, 50, *(50 + n for n in tasks), 112, 125, 138, 150)]
    assert comparison.scalars()["kl_ab.mean"] == 1.0


def test_a_single_row_has_no_standard_error_and_says_so():
    comparison = compare(Gaussian.from_std([[0.0]], 1.0), Gaussian.from_std([[1.0]], 1.0))
    assert math.isnan(comparison.scalars()["kl_ab.standard_error"])
    assert json.loads(comparison.to_json())["scalars"]["kl_ab.standard_error"] is None
    assert comparison.figures()


def test_image_latents_torch_objects_and_other_priors():
    mean, std = torch.randn(20, 2, 3, 3), torch.rand(20, 2, 3, 3) + 0.1
    a = Gaussian.from_std(mean, std, event_dims=3)
    b = Independent(Normal(mean + 1, std), 3)
    prior = Gaussian.from_std(torch.zeros(2, 3, 3), 2.0, event_dims=3)
    comparison = compare(a, b, prior=prior)
    want = torch.distributions.kl_divergence(b, prior.to_torch()).double().mean().item()
    assert comparison.scalars()["rate_b.mean"] == pytest.approx(want, rel=1e-5)
    assert comparison.dimension_name(17) == "1,2,2"


def test_a_log_variance_of_700_does_not_overflow():
    p = Gaussian.from_logvar(torch.zeros(5, 2), torch.full((5, 2), -200.0))
    q = Gaussian.from_logvar(torch.zeros(5, 2), torch.full((5, 2), 200.0))
    assert math.isfinite(compare(p, q).scalars()["kl_ba.mean"])


def test_what_overflows_is_said_and_drawn_without_a_crash():
    mean = torch.zeros(6, 2, dtype=torch.float64)
    mean[2, 0] = 1e200
    comparison = compare(Gaussian.from_std(mean, 1.0), Gaussian.from_std(torch.zeros(6, 2), 1.0))
    assert any("too large for a float64 for 1 of 6 inputs" in finding for finding in comparison.findings())
    assert comparison.figures()
    json.loads(comparison.to_json())
    wide = torch.zeros(50, 4)
    wide[7, 2] = 400.0
    huge = compare(Gaussian.from_logvar(torch.zeros(50, 4), wide), Gaussian.from_std(torch.zeros(50, 4), 1.0))
    assert huge.scalars()["kl_ab.standard_error"] == pytest.approx(huge.scalars()["kl_ab.mean"], rel=1e-6)
    assert huge.findings()
    assert huge.figures()


def test_gradients_and_default_devices_do_not_matter():
    p = Gaussian.from_std(torch.zeros(5, 3, requires_grad=True), torch.ones(5, 3, requires_grad=True))
    prior = Gaussian.from_std(torch.zeros(3, requires_grad=True), 1.0)
    assert compare(p, p, prior=prior).scalars()["kl_ab.mean"] == 0
    with torch.device("meta"):
        assert compare(p, p).scalars()["rate_a.mean"] == 0


@pytest.mark.parametrize(
    ("a", "b", "error", "says"),
    [
        (Normal(torch.zeros(5, 3), 1.0), Gaussian.standard(3), ShapeError, r"Independent\(Normal\(mean, std\), 1\)"),
        (Gaussian.standard(3), Gaussian.standard(3), ShapeError, "one Gaussian for each input"),
        (Gaussian.from_std(torch.zeros(5, 3), 1.0), Gaussian.from_std(torch.zeros(4, 3), 1.0), ShapeError, "5 rows"),
        (Gaussian.from_std(torch.zeros(0, 3), 1.0), Gaussian.from_std(torch.zeros(0, 3), 1.0), ShapeError, "0 rows"),
        (torch.zeros(5, 3), torch.zeros(5, 3), TypeError, "samples"),
        ("nowhere.npz", "nowhere.npz", PosteriorFileError, "no such file"),
    ],
)
def test_what_cannot_be_compared_says_why(a, b, error, says):
    with pytest.raises(error, match=says):
        compare(a, b)


@pytest.mark.parametrize("names", [("x", "x"), ("x",), ("x", "y", "z"), "ab"])
def test_two_different_names_are_asked_for_at_once(names):
    p = Gaussian.from_std(torch.zeros(5, 3), 1.0)
    with pytest.raises(ValueError, match="two different names"):
        compare(p, p, names=names)


def test_a_prior_of_another_shape_is_refused():
    p = Gaussian.from_std(torch.zeros(5, 3), 1.0)
    with pytest.raises(ShapeError, match="expected one Gaussian of event shape"):
        compare(p, p, prior=Gaussian.standard(4))


def test_a_number_that_no_dtype_holds_as_given_is_compared_right():
    tiny = Gaussian.from_std(torch.zeros(3, 2), 1e-320)
    other = Gaussian.from_logvar(torch.zeros(3, 2), torch.full((3, 2), -1473.0, dtype=torch.float64))
    delta = 2 * math.log(1e-320) + 1473.0
    want = math.exp(delta) - 1 - delta
    assert compare(tiny, other).scalars()["kl_ab.mean"] == pytest.approx(want, rel=1e-11)


def test_one_model_says_what_it_has():
    alone = compare(Gaussian.from_std(torch.ones(6, 2), 1.0), aggregate=False)
    assert isinstance(alone, OneModel)
    for asked in (alone.statistics, alone.per_dimension, lambda which: alone.most_different(which=which)):
        for which in ("ab", "ba", "rate_b"):
            with pytest.raises(ValueError, match=f"there is one model; expected 'rate_a', got '{which}'"):
                asked(which)
    with pytest.raises(ValueError, match="there is one model; expected 'rate_a', got 'rate_b'"):
        alone.collapsed("b")
    for asked in (alone.active, alone.shrinkage):
        with pytest.raises(ValueError, match="there is one model; expected 'a', got 'b'"):
            asked("b")
    two = compare(*[Gaussian.from_std(torch.ones(6, 2), 1.0)] * 2, align=(), aggregate=False)
    with pytest.raises(ValueError, match="expected one of 'a', 'b', got 'c'"):
        two.shrinkage("c")
    with pytest.raises(ValueError, match="expected one of 'ab', 'ba', 'rate_a', 'rate_b', got 'x'"):
        two.statistics("x")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_supports_are_one_in_the_precision_in_which_they_are_given(dtype):
    rng = np.random.default_rng(0)
    factor, turn = rng.standard_normal((8, 4, 2)), np.linalg.qr(rng.standard_normal((8, 2, 2)))[0]
    p, q = (
        Gaussian.from_factor(np.zeros((8, 4), dtype), x.astype(dtype), singular=True)
        for x in (factor, 2.0 * factor @ turn)
    )
    found = compare(p, q, align=(), aggregate=False)
    # Along their plane, p has half the standard deviation of q in both directions.
    assert found.statistics("ab")["mean"] == pytest.approx(2.0 * (math.log(2.0) + 0.125 - 0.5), rel=1e-5)
    assert found.statistics("ba")["mean"] == pytest.approx(2.0 * (2.0 - 0.5 - math.log(2.0)), rel=1e-5)
    assert found.statistics("rate_a")["mean"] == math.inf


def test_shares_that_are_not_finite_are_left_out():
    """Of a coordinate without variance the divergence along the support is finite, and its parts are not."""
    rng = np.random.default_rng(0)
    mean, factor = rng.normal(size=(12, 3)), rng.normal(size=(12, 3, 2))
    factor[:, 0] = mean[:, 0] = 0.0
    p = Gaussian.from_factor(mean, factor)
    q = Gaussian.from_factor(mean + factor.sum(-1), 2.0 * factor)
    found = compare(p, q, align=())
    # Of two coordinates on the support: ln 4 + (2 / 4 + 2 / 4 - 2) / 2, for the means differ by one of each column.
    assert found.scalars()["kl_ab.mean"] == pytest.approx(np.log(4) - 0.5, rel=1e-6)
    assert not any("nan%" in x or "inf%" in x for x in found.findings())
