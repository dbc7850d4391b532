"""Samples as people store them: chains, named draws, rounded and repeated values, frames, and what is no samples."""

import json
import math

import arviz
import numpy as np
import pandas as pd
import polars
import pytest
import torch
import xarray
from click.testing import CliRunner
from scipy import stats

from kullback import (
    Gaussian,
    ShapeError,
    entropy,
    entropy_estimate,
    kl_estimate,
)
from kullback.cli.app import commands
from kullback.estimate.samples.effective_size import effective_size, period, smallest_effective_size

HALF_LOG_2_PI_E = 1.4189385332046727


def autoregression(rng, rho, *shape):
    """Chains ``(chains, draws, d)`` of a normal autoregression with variance 1."""
    z, x = rng.normal(size=shape), np.empty(shape)
    x[:, 0] = z[:, 0]
    for i in range(1, shape[1]):
        x[:, i] = rho * x[:, i - 1] + z[:, i] * (1 - rho**2) ** 0.5
    return x


def hold(estimates, truth, kind="interval"):
    return sum(bool(getattr(e, kind)[0] <= truth <= getattr(e, kind)[1]) for e in estimates)


def near(estimates, truth, standard_errors=4.0):
    """Whether the mean of estimates is near the truth, by their scatter."""
    values = np.array([float(e.value) for e in estimates])
    return abs(values.mean() - truth) <= standard_errors * values.std(ddof=1) / len(values) ** 0.5


def said(estimate, text):
    return any(text in warning for warning in estimate.warnings)


# Chains.


@pytest.mark.parametrize("rho", [0.9, 0.97])
@pytest.mark.parametrize("as_rows", [False, True])
def test_chains_of_4000_draws_in_8_coordinates_hold_the_divergence(rho, as_rows):
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = (autoregression(rng, rho, 2, 4000, 8) + shift for shift in ((2 * 0.196 / 8) ** 0.5, 0.0))
        x, y = (v.reshape(-1, 8) if as_rows else v for v in (x, y))
        found.append(kl_estimate(x, y, seed=seed))
    assert hold(found, 0.196) >= 18
    assert near(found, 0.196)
    assert all(said(e, "effective sample size") for e in found)


def test_A17_an_autocorrelated_chain_holds_the_truth():
    found = []
    for seed in range(40):
        x = autoregression(np.random.default_rng(seed), 0.95, 1, 4000, 1)[0]
        found.append(kl_estimate(x, Gaussian.standard(1), seed=seed))
    assert hold(found, 0.0) >= 37
    assert near(found, 0.0)


def test_A17_chains_in_three_dimensions_are_taken():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 1000, 2)), rng.normal(size=(4, 1000, 2))
    found = kl_estimate(x, y, seed=0)
    # Of independent draws all are used: the numbers are those of the rows.
    assert found.value == kl_estimate(x.reshape(-1, 2), y.reshape(-1, 2), seed=0).value
    assert found.warnings == ("p is taken as 4 chains of 1,000 draws", "q is taken as 4 chains of 1,000 draws")
    assert found.n == 8000
    against = kl_estimate(torch.tensor(x), Gaussian.standard(2), seed=0)
    assert against.interval[0] <= 0 <= against.interval[1]
    with pytest.raises(ShapeError, match=r"\(100, 28, 28\).*flatten them"):
        kl_estimate(rng.normal(size=(100, 28, 28)), rng.normal(size=(100, 28, 28)))


@pytest.mark.parametrize("n_chains", [1, 2, 4])
@pytest.mark.parametrize("draws", [4, 5, 10, 33, 100, 1001])
def test_the_effective_sample_size_is_that_of_arviz(n_chains, draws):
    rng = np.random.default_rng(draws)
    for rho in (-0.9, 0.0, 0.5, 0.99):
        for spoil in (lambda x: x, lambda x: x + np.arange(len(x))[:, None], np.round, np.exp):
            x = spoil(autoregression(rng, rho, n_chains, draws, 1)[:, :, 0])
            np.testing.assert_allclose(effective_size(x), arviz.ess(x, method="bulk"), rtol=1e-10)


def test_the_smallest_effective_size_of_coordinates_and_of_their_scales_counts():
    rng = np.random.default_rng(0)
    independent, slow = rng.normal(size=(2, 2000, 1)), autoregression(rng, 0.9, 2, 2000, 1)
    both = np.concatenate([independent, slow], 2)
    assert smallest_effective_size(both) <= effective_size(slow[:, :, 0])
    # Uncorrelated, but of a scale that lasts.
    volatile = independent * np.exp(2 * slow)
    assert effective_size(volatile[:, :, 0]) > 3000
    assert smallest_effective_size(volatile) < 1000


@pytest.mark.parametrize("shape", [(1, 20, 1), (1, 60, 3), (1, 50, 20), (4, 100, 4), (1, 500, 2)])
@pytest.mark.parametrize("law", ["normal", "standard_cauchy"])
def test_independent_rows_are_not_taken_for_dependent(shape, law):
    rng = np.random.default_rng(0)
    assert not any(smallest_effective_size(getattr(rng, law)(size=shape)) for _ in range(500))


def test_shuffled_rows_are_as_independent_and_sorted_ones_are_taken_so():
    x = np.random.default_rng(0).normal(size=(600, 1)) + 0.5
    want = kl_estimate(x, Gaussian.standard(1), seed=0)
    ordered = kl_estimate(np.sort(x, 0), Gaussian.standard(1), seed=0)
    assert said(ordered, "sorted by coordinate 0")
    np.testing.assert_allclose(ordered.value, want.value, rtol=1e-9)
    grouped = np.concatenate([x[:300] - 3, x[300:] + 3])
    assert said(
        kl_estimate(np.random.default_rng(1).permutation(grouped), Gaussian.standard(1), seed=0), "not Gaussian"
    )
    with pytest.raises(ValueError, match=r"of which about . are independent.*shuffle them first"):
        kl_estimate(grouped, Gaussian.standard(1), seed=0)


def test_gradients_flow_to_the_rows_of_chains_that_are_used():
    x = torch.tensor(autoregression(np.random.default_rng(0), 0.9, 2, 1000, 2), requires_grad=True)
    found = kl_estimate(x, Gaussian.standard(2), method="gaussian")
    (slope,) = torch.autograd.grad(found.value, x)
    used = slope.abs().sum(-1) > 0
    assert 0 < int(used.sum()) < 200
    assert used[0].equal(used[1])


@pytest.mark.parametrize("as_rows", [False, True])
def test_chains_whose_draws_came_in_turn_hold_the_divergence(as_rows):
    # 40 walkers of 100 draws: a mean of autocorrelation time 39.
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = (autoregression(rng, 0.95, 40, 100, 2) + shift for shift in (0.5, 0.0))
        if as_rows:
            x, y = (v.swapaxes(0, 1).reshape(-1, 2) for v in (x, y))
            found.append(kl_estimate(x, y, seed=seed))
            assert said(
                found[-1],
                "like the 40th before them and unlike those between: they are taken as 40 chains of 100 draws",
            )
        else:
            found.append(kl_estimate(torch.tensor(x), Gaussian.standard(2), seed=seed))
    assert hold(found, 0.25) >= 18
    assert near(found, 0.25)


def test_chains_in_turn_are_the_chains_they_are():
    x = autoregression(np.random.default_rng(0), 0.95, 8, 1000, 3)
    chains = kl_estimate(x, Gaussian.standard(3), seed=0)
    in_turn = np.concatenate([x.swapaxes(0, 1).reshape(-1, 3), x[:5, 0]])
    found = kl_estimate(in_turn, Gaussian.standard(3), seed=0)
    assert found.value == chains.value
    assert found.standard_error == chains.standard_error
    assert said(found, "8 chains of 1,000 draws that give a row in turn, without the last 5 rows")


@pytest.mark.parametrize(("n_chains", "draws", "rho"), [(2, 2000, 0.9), (32, 200, 0.8), (100, 50, 0.9), (7, 300, 0.5)])
def test_the_period_of_rows_is_found_where_there_is_one(n_chains, draws, rho):
    for seed in range(5):
        x = autoregression(np.random.default_rng(seed), rho, n_chains, draws, 2)
        assert period(x.swapaxes(0, 1).reshape(-1, 2)) == n_chains
        # Chains one after another, and independent rows, have none.
        assert period(x.reshape(-1, 2)) is None
        assert period(np.random.default_rng(seed).permutation(x.reshape(-1, 2))) is None


def test_one_chain_of_4000_draws_in_8_coordinates_is_enough():
    found, truth = [], 4000 * 0.03 / 1.97
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = (autoregression(rng, 0.97, 1, 4000, 8)[0] + shift for shift in ((2 * 0.196 / 8) ** 0.5, 0.0))
        found.append(kl_estimate(x, y, seed=seed))
        assert truth / 3 < smallest_effective_size(x[None]) < 3 * truth
    assert hold(found, 0.196) >= 18
    assert near(found, 0.196)


def test_one_slow_coordinate_among_fast_ones_counts():
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(1, 4000, 8))
        x[:, :, 3:4] = autoregression(np.random.default_rng(seed + 100), 0.97, 1, 4000, 1)
        assert smallest_effective_size(x) < 1.5 * effective_size(x[:, :, 3])


def test_dependence_in_a_combination_of_coordinates_is_found():
    # Of the variance of each coordinate a hundredth depends on the row before.
    q = Gaussian.from_covariance(np.zeros(2), np.array([[101.0, -99.0], [-99.0, 101.0]]))
    found = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        slow, noise = autoregression(rng, 0.99, 1, 3000, 1)[0, :, 0], 10 * rng.normal(size=3000)
        found.append(kl_estimate(np.stack([slow + noise, slow - noise], 1), q, seed=seed))
    assert hold(found, 0.0) >= 21
    assert near(found, 0.0)
    assert all(said(e, "effective sample size") for e in found)


# Named draws.


def posterior(seed, shift=0.0, rho=0.0, **more):
    rng = np.random.default_rng(seed)
    x = autoregression(rng, rho, 4, 500, 4) + shift
    return arviz.from_dict(posterior={"mu": x[:, :, 0], "tau": x[:, :, 1:], **more})


def test_inference_data_is_compared_variable_by_variable():
    a, b = posterior(0, 0.3, alone=np.random.default_rng(0).normal(size=(4, 500))), posterior(1)
    draws = [np.concatenate([x.posterior.mu.values[..., None], x.posterior.tau.values], 2) for x in (a, b)]
    want = kl_estimate(*draws, seed=0)
    found = kl_estimate(a, b, seed=0)
    assert found.value == want.value
    assert said(found, "variables ['alone'] are in one of p and q only")
    tree = xarray.DataTree.from_dict({"posterior": b.posterior})
    for q in (b.posterior, tree, b.posterior[["tau", "mu"]]):
        assert kl_estimate(a, q, seed=0).value == want.value
    selected = kl_estimate(a.posterior[["mu"]], b.posterior[["mu"]], seed=0)
    assert selected.value == kl_estimate(draws[0][:, :, :1], draws[1][:, :, :1], seed=0).value
    assert kl_estimate(a.posterior["tau"], Gaussian.standard(3), seed=0).n == 2000
    stacked = kl_estimate(arviz.extract(a)[["mu", "tau"]], arviz.extract(b), seed=0)
    assert stacked.value == want.value
    assert entropy_estimate(a, seed=0).n == 2000


def test_named_draws_that_do_not_fit_are_said_by_name():
    a = posterior(0)
    with pytest.raises(ValueError, match=r"p has the variables \['mu', 'tau'\], q has \['nu'\]: none is in both"):
        kl_estimate(a, a.posterior[["mu"]].rename(mu="nu"))
    with pytest.raises(ShapeError, match="variable 'tau' has 3 numbers in p and 1 in q"):
        kl_estimate(a, a.posterior[["mu"]].rename(mu="tau"))
    with pytest.raises(ValueError, match="no posterior"):
        kl_estimate(arviz.from_dict(prior={"mu": np.zeros((2, 50))}), a)
    with pytest.raises(ShapeError, match="variable 'x' has the dimensions"):
        kl_estimate(xarray.Dataset({"x": ("row", np.arange(50.0))}), a)
    # An array of xarray without draws is an array.
    x = np.random.default_rng(0).normal(size=(200, 2))
    assert kl_estimate(xarray.DataArray(x), a.posterior["tau"][..., :2], seed=0).n == 2200


# Rounded and repeated values.


@pytest.mark.parametrize(("n", "decimals"), [(1000, 2), (1000, 1), (5000, 3), (5000, 1)])
def test_F6_measurements_rounded_to_hundredths(n, decimals):
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = (rng.normal(mean, 2, (n, 1)).round(decimals) for mean in (20, 21))
        found.append(kl_estimate(x, y, seed=seed))
    assert hold(found, 0.125) >= 17  # 19 expected; two of the standard deviation
    assert near(found, 0.125)
    assert all(said(e, f"rounded, to multiples of {10**-decimals:g}: each value is moved") for e in found)
    again = kl_estimate(x[np.random.default_rng(0).permutation(n)], y, seed=19)
    np.testing.assert_allclose(again.value, found[-1].value, atol=1e-3)


ROUNDED = {
    "three coordinates to tenths": lambda x: x.round(1),
    "three significant digits": lambda x: np.vectorize(lambda v: float(f"{v:.3g}"))(x),
    "a float32 of hundredths": lambda x: x.round(2).astype(np.float32).astype(float),
    "whole grams": lambda x: (500 + 100 * x).round(0),
    "whole degrees in another unit": lambda x: ((68 + 5 * x).round(0) - 32) * 5 / 9,
    "bfloat16": lambda x: torch.tensor(x).bfloat16().float(),
    "two digits of log-normals": lambda x: np.vectorize(lambda v: float(f"{v:.2g}"))(np.exp(x)),
}


@pytest.mark.parametrize("kind", ROUNDED)
def test_other_roundings_are_estimated_within_their_resolution(kind):
    d = 3 if kind.startswith("three coordinates") else 1
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(0.5, 1, (1500, d)), rng.normal(size=(1400, d))
        found.append(kl_estimate(ROUNDED[kind](x), ROUNDED[kind](y), seed=seed))
    assert hold(found, 0.125 * d, "band") >= 9
    assert abs(np.mean([float(e.value) for e in found]) - 0.125 * d) < 0.03
    assert all(said(e, "moved at random within its rounding cell") for e in found)


@pytest.mark.parametrize("d", [1, 2])
def test_one_row_in_500_that_repeats_does_not_matter(d):
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(0.5, 1, (3000, d)), rng.normal(size=(3000, d))
        x[:7] = x[7]
        found.append(kl_estimate(x, y, seed=seed))
    assert hold(found, 0.125 * d) >= 17
    assert near(found, 0.125 * d)
    assert all(said(e, "7 of the 3000 rows of p repeat others") for e in found)


@pytest.mark.parametrize("rate", [0.5, 3, 20, 60])
def test_counts_and_classes_are_refused(rate):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"at distance 0: rows that repeat have no density.*compare frequencies"):
        kl_estimate(rng.poisson(rate, (2000, 1)), rng.poisson(rate, (1500, 1)))
    with pytest.raises(ValueError, match="at distance 0"):
        kl_estimate(rng.choice([0.1, 0.2, 0.5], (2000, 1)), rng.normal(size=(1500, 1)))
    with pytest.raises(ValueError, match="in q, at distance 0"):
        kl_estimate(rng.normal(size=(1500, 1)), rng.poisson(rate, (2000, 1)))
    assert math.isfinite(kl_estimate(rng.poisson(20, (500, 1)), rng.poisson(21, (400, 1)), method="gaussian").value)


def test_rounding_is_no_reason_to_leave_the_support_of_a_density():
    x = np.random.default_rng(0).exponential(size=(3000, 1)).round(2)
    assert (x == 0).any()
    q = torch.distributions.Independent(torch.distributions.Exponential(torch.ones(1)), 1)
    found = kl_estimate(x, q, seed=0)
    assert found.band[0] <= 0 <= found.band[1]


# Entropy.


def test_F7_entropy_of_a_sample():
    found = [
        entropy_estimate(np.random.default_rng(seed).normal(size=(5000, 1)).round(2), seed=seed) for seed in range(20)
    ]
    assert hold(found, HALF_LOG_2_PI_E) >= 18
    assert near(found, HALF_LOG_2_PI_E)
    assert found[0].method == "calibrated"
    assert not any("log n" in w or "below 0" in w for e in found for w in e.warnings)


LAWS = {
    "exponential": (stats.expon(), 1),
    "uniform": (stats.uniform(0, 10), 1),
    "narrow normal": (stats.norm(5, 1e-3), 2),
    "Student": (stats.t(5), 1),
}


@pytest.mark.parametrize("name", LAWS)
def test_entropies_of_other_samples_are_those_of_scipy(name):
    law, d = LAWS[name]
    found = [entropy_estimate(law.rvs((1500, d), random_state=seed), seed=seed) for seed in range(15)]
    truth = d * law.entropy()
    assert hold(found, truth, "band") >= 13
    assert abs(np.mean([float(e.value) for e in found]) - truth) < 0.02


def test_the_entropy_of_chains_allows_for_their_dependence():
    found = [
        entropy_estimate(autoregression(np.random.default_rng(seed), 0.9, 4, 1000, 2), seed=seed) for seed in range(20)
    ]
    assert hold(found, 2 * HALF_LOG_2_PI_E) >= 17
    assert near(found, 2 * HALF_LOG_2_PI_E)


def test_exact_entropy_of_samples_names_the_estimate():
    for x in (np.zeros((5, 2)), torch.zeros(5, 2), [[0.0], [1.0]], pd.DataFrame({"a": [1.0, 2.0]})):
        with pytest.raises(TypeError, match=r"entropy_estimate\(p\)"):
            entropy(x)
    with pytest.raises(ValueError, match="n is the number of points"):
        entropy_estimate(np.zeros((5, 2)), n=100)
    with pytest.raises(ValueError, match="does not vary"):
        entropy_estimate(np.ones((50, 1)))
    with pytest.raises(ValueError, match="cannot carry gradients"):
        entropy_estimate(torch.randn(50, 1, requires_grad=True))


def test_the_command_takes_one_file_for_the_entropy_and_chains(tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 300, 2))
    np.save(tmp_path / "x.npy", x)
    result = CliRunner().invoke(commands, ["estimate", str(tmp_path / "x.npy"), "--seed", "0", "--json"])
    want = entropy_estimate(x, seed=0)
    found = json.loads(result.stdout)
    assert found["entropy"] == float(want.value)
    assert found["n"] == [600]
    text = CliRunner().invoke(commands, ["estimate", str(tmp_path / "x.npy"), "--seed", "0"]).stdout
    assert text.startswith("entropy: ")
    assert "from 600 samples" in text
    refused = CliRunner().invoke(commands, ["estimate", str(tmp_path / "x.npy"), "--method", "knn"])
    assert refused.exit_code == 2


# What is no samples, or no number.


def test_A16_supports_that_differ_are_warned_of():
    rng = np.random.default_rng(0)
    found = kl_estimate(rng.uniform(0, 10, (5000, 1)), rng.uniform(0, 1, (5000, 1)), seed=0)
    assert said(found, "% of the rows of p lie, in coordinate 0, above the largest of q (1), where q ends abruptly")
    assert said(found, "the divergence is infinite")
    assert found.band[1] == math.inf
    below = kl_estimate(rng.exponential(size=(2000, 1)), 0.1 + rng.exponential(size=(2000, 1)), seed=0)
    assert said(below, "below the smallest of q (0.10")
    assert said(below, "where q ends abruptly")
    assert below.band[1] == math.inf
    inside = kl_estimate(rng.uniform(0, 1, (5000, 1)), rng.uniform(0, 10, (5000, 1)), seed=0)
    assert not said(inside, "infinite")
    assert math.isfinite(inside.band[1])
    # Tails do not end.
    for law in ("normal", "standard_cauchy", "laplace"):
        for size in (100, 3000):
            x, y = (getattr(rng, law)(size=(size, 2)) for _ in range(2))
            assert not said(kl_estimate(x + 0.7, y, seed=0), "infinite")


def test_A20_log_probabilities_of_drawn_tokens_are_recognised():
    torch.manual_seed(0)
    new = torch.log(0.05 + 0.9 * torch.rand(256, 20))
    ref = new + 0.05 * torch.randn(256, 20)
    for p, q in ((new, ref), (new.flatten(), ref.flatten()), (new.numpy(), ref.numpy())):
        with pytest.raises(
            ValueError, match="log-probabilities that two models give to the same drawn tokens"
        ) as raised:
            kl_estimate(p, q)
        line = str(raised.value).partition("k3 over tokens: ")[2].partition(". For")[0]
        names = {"p": p, "q": q, "torch": torch, "np": np}
        statement, _, expression = line.partition("; ")
        exec(statement, names)
        assert abs(float(eval(expression, names)) - 0.0012) < 2e-4
    # Negative numbers that are not paired are samples.
    assert math.isfinite(kl_estimate(-new.exp(), -new.flip(0).exp(), seed=0, method="gaussian").value)


def test_a_frame_with_a_text_column_is_told_which():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=100), "city": ["Bonn"] * 100, "open": [True] * 100, "k": range(100)})
    for call in (lambda: kl_estimate(frame, frame), lambda: entropy_estimate(frame)):
        with pytest.raises(TypeError, match=r"^p: column 'city' holds \w+, column 'open' holds bool, no real numbers"):
            call()
    numbers = frame[["x"]]
    assert kl_estimate(numbers, Gaussian.standard(1), seed=0).value == (
        kl_estimate(numbers.to_numpy(), Gaussian.standard(1), seed=0).value
    )


# Names, labels and shapes of stored draws, and transforms of functions.


def named(draws, variables="t", **labels):
    """A dataset with draws ``(chains, draws, d)`` as one variable, or with a variable for each coordinate."""
    if len(variables) == 1:
        return xarray.Dataset({variables: (("chain", "draw", "school"), draws)}, coords=labels)
    return xarray.Dataset({v: (("chain", "draw"), draws[:, :, i]) for i, v in enumerate(variables)})


def far_coordinates(seed):
    """Coordinates that differ by far, so that a divergence of those that are exchanged is large."""
    return np.random.default_rng(seed).normal((0.0, 5.0), size=(4, 500, 2))


def test_labels_and_dimensions_of_variables_in_another_order_are_refused():
    x, y = far_coordinates(0), far_coordinates(1)
    p, q = named(x, school=["x", "y"]), named(y[:, :, ::-1], school=["y", "x"])
    for other in (q, arviz.extract(q), arviz.extract(q)["t"], q["t"].rename(None)):
        with pytest.raises(ShapeError, match="same labels in another order, 'x', 'y' and 'y', 'x'"):
            kl_estimate(p, other)
    frame = pd.DataFrame(y.reshape(-1, 2)[:, ::-1], columns=["y", "x"])
    with pytest.raises(ShapeError, match="same labels in another order"):
        kl_estimate(p, frame)
    plane = np.random.default_rng(0).normal(size=(2, 50, 2, 2))
    p, q = (xarray.Dataset({"t": (("chain", "draw", *dims), plane)}) for dims in ("ab", "ba"))
    with pytest.raises(ShapeError, match="same dimensions in another order, 'a', 'b' and 'b', 'a'"):
        kl_estimate(p, q)
    # In one order they are compared.
    found = kl_estimate(named(x, school=["x", "y"]), arviz.extract(named(y, school=["x", "y"])), seed=0)
    assert found.value == kl_estimate(x, y, seed=0).value


@pytest.mark.parametrize("library", [pd, polars])
def test_columns_of_a_frame_are_variables_beside_named_draws(library):
    x, y = far_coordinates(0), far_coordinates(1)
    draws, frame = named(x, "mt"), library.DataFrame({"t": y[:, :, 1].ravel(), "m": y[:, :, 0].ravel()})
    want = kl_estimate(x, y.reshape(-1, 2), seed=0)
    assert kl_estimate(draws, frame, seed=0).value == want.value
    back = kl_estimate(frame, draws, seed=0)
    assert back.value == kl_estimate(y.reshape(-1, 2)[:, ::-1], x[:, :, ::-1], seed=0).value
    more = kl_estimate(draws, library.DataFrame({"town": ["Bonn"] * 2000, "m": y[:, :, 0].ravel()}), seed=0)
    assert said(more, "variables ['t', 'town'] are in one of p and q only")
    with pytest.raises(ValueError, match=r"q has the columns \['u', 'v'\], p has the variables \['m', 't'\]"):
        kl_estimate(draws, library.DataFrame({"u": y[:, :, 1].ravel(), "v": y[:, :, 0].ravel()}))


def test_an_array_of_xarray_without_a_name_is_compared_by_position():
    x, y = far_coordinates(0), far_coordinates(1)
    unnamed, want = xarray.DataArray(y, dims=("chain", "draw", "school")), kl_estimate(x, y, seed=0).value
    for p in (named(x), named(x, "mt"), named(x)["t"], named(x)["t"].rename(None)):
        assert kl_estimate(p, unnamed, seed=0).value == want


def test_images_are_no_chains_and_few_named_draws_are():
    rng = np.random.default_rng(0)
    for shape in ((10, 28, 28), (2, 28, 28), (30, 40, 2), (1, 20, 30)):
        with pytest.raises(ShapeError, match="10 times as many draws as chains"):
            kl_estimate(rng.normal(size=shape), rng.normal(size=shape))
    x, y = rng.normal(size=(2, 30, 40, 2))
    found = kl_estimate(named(x), named(y), seed=0)
    assert found.value == kl_estimate(x.reshape(-1, 2), y.reshape(-1, 2), seed=0).value
    assert not said(found, "is taken as")


def test_few_negative_numbers_and_sorted_ones_are_samples():
    # 4 of 300 such pairs are correlated by more than 0.5.
    for seed in range(300):
        x, y = -np.random.default_rng(seed).exponential(size=(2, 20, 1))
        assert math.isfinite(kl_estimate(x, y, method="gaussian").value)
    x, y = np.sort(-np.random.default_rng(0).exponential(size=(2, 500, 1)), 1)
    found = kl_estimate(x, y, seed=0)
    assert said(found, "p is sorted by coordinate 0")
    assert found.band[0] <= 0 <= found.band[1]
    # Few numbers that are paired are still told.
    drawn = -np.random.default_rng(0).exponential(size=25)
    with pytest.raises(ValueError, match="the same drawn tokens"):
        kl_estimate(drawn + 0.01 * np.sin(np.arange(25)) - 0.01, drawn)


def test_gradients_to_samples_under_transforms_of_functions_are_those_of_autograd():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(300, 2, generator=generator) + 0.5, torch.randn(250, 2, generator=generator)
    for q in (y, Gaussian.standard(2)):
        shift = torch.zeros(2, requires_grad=True)
        (want,) = torch.autograd.grad(kl_estimate(x + shift, q, method="gaussian").value, shift)
        under = torch.func.grad(lambda shift, q=q: kl_estimate(x + shift, q, method="gaussian").value)
        torch.testing.assert_close(under(torch.zeros(2)), want)
    with pytest.raises(ValueError, match="searches for neighbours, which is not possible inside a transform"):
        torch.func.grad(lambda shift: kl_estimate(x + shift, y).value)(torch.zeros(2))
