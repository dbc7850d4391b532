"""Aggregated posteriors: the identity of the rate, independent sums, and when they are not compared."""

import functools
import math
from importlib.resources import files

import pytest
import torch
from truth.reading import read

from kullback import Gaussian, compare
from kullback.comparison import aggregate as aggregate_module

MODELS = ("standard", "reseeded", "beta", "wide")


@functools.cache
def trained(a, b):
    models = (read(str(files("kullback") / "data" / "digits" / f"{name}.npz")).gaussian for name in (a, b))
    return compare(*models, names=(a, b))


@pytest.mark.parametrize(("a", "b"), [("standard", "reseeded"), ("beta", "wide")])
def test_the_rate_is_the_sum_of_its_parts_for_trained_models(a, b):
    comparison = trained(a, b)
    for model, name in zip("ab", (a, b), strict=True):
        of = comparison.aggregate.models[model]
        assert of.rate == pytest.approx(comparison.scalars()[f"rate_{model}.mean"], rel=1e-9)
        assert abs(of.gap) < 4 * of.gap_error < 0.1
        assert 0 < of.total_correlation.value < of.from_prior.value
        assert f"The rate of {name} over these inputs" in " ".join(comparison.findings())
    for pair in comparison.aggregate.pairs.values():
        assert pair.aligned.value < pair.estimate.value


def density(mean, std):
    """The log-density of the aggregated posterior, as torch.distributions gives it."""
    components = torch.distributions.Independent(torch.distributions.Normal(mean, std), 1)
    weights = torch.distributions.Categorical(torch.ones(len(mean), dtype=mean.dtype))
    return torch.distributions.MixtureSameFamily(weights, components)


@pytest.fixture(scope="module")
def small():
    g = torch.Generator().manual_seed(0)
    p_mean, q_mean = torch.randn(2, 40, 2, generator=g, dtype=torch.float64)
    p_std, q_std = 0.3 + torch.rand(2, 40, 2, generator=g, dtype=torch.float64)
    return (p_mean, p_std), (2 * q_mean + 1, q_std)


def test_every_estimate_is_the_mean_over_independent_draws(small):
    (p_mean, p_std), (q_mean, q_std) = small
    comparison = compare(Gaussian.from_std(p_mean, p_std), Gaussian.from_std(q_mean, q_std), align=("affine",))
    found, map_ = comparison.aggregate, comparison.coordinates.best
    p, q = density(p_mean, p_std), density(q_mean, q_std)
    prior = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2).double(), 1.0), 1)
    torch.manual_seed(0)
    x = p.sample((200_000,))
    log_p = p.log_prob(x)
    component = torch.distributions.Independent(torch.distributions.Normal(p_mean, p_std), 1)
    own = torch.distributions.Independent(torch.distributions.Normal(p_mean, p_std), 1).sample((5000,))
    mapped = x @ map_.matrix.mT + map_.shift
    wants = {
        found.pairs["ab"].estimate: log_p - q.log_prob(x),
        found.pairs["ab"].aligned: log_p - torch.linalg.slogdet(map_.matrix)[1] - q.log_prob(mapped),
        found.models["a"].from_prior: log_p - prior.log_prob(x),
        found.models["a"].mutual_information: component.log_prob(own) - p.log_prob(own),
        found.models["a"].total_correlation: log_p
        - sum(density(p_mean[:, [k]], p_std[:, [k]]).log_prob(x[:, [k]]) for k in range(2)),
    }
    for estimate, values in wants.items():
        error = math.hypot(float(estimate.standard_error), float(values.std()) / math.sqrt(values.numel()))
        assert float(estimate.value) == pytest.approx(float(values.mean()), abs=5 * error)
        assert error < 0.02
    for pair in found.pairs.values():
        assert pair.bounds.lower <= pair.estimate.value <= pair.bounds.upper
        assert pair.aligned_bounds.lower <= pair.aligned.value <= pair.aligned_bounds.upper


def test_other_priors_and_image_latents_are_aggregated(small):
    (mean, std), _ = small
    prior = Gaussian.from_std(torch.full((1, 2), 0.5), 2.0, event_dims=2)
    a = Gaussian.from_std(mean.reshape(40, 1, 2), std.reshape(40, 1, 2), event_dims=2)
    b = Gaussian.from_std(mean.reshape(40, 1, 2) + 1, 1.0, event_dims=2)
    of = compare(a, b, prior=prior).aggregate.models["a"]
    assert abs(of.gap) < 4 * of.gap_error < 0.1


def test_of_many_rows_some_are_drawn_and_bounds_are_left_out_where_they_take_long(small, monkeypatch):
    (mean, std), (other, other_std) = small
    monkeypatch.setattr("kullback.comparison.compare.MAX_AGGREGATED", 30)
    monkeypatch.setattr(aggregate_module, "_MAX_DIAGONAL_WORK", 100)
    monkeypatch.setattr(aggregate_module, "_MAX_MATRIX_WORK", 100)
    comparison = compare(Gaussian.from_std(mean, std), Gaussian.from_std(other, other_std))
    assert comparison.scalars()["aggregate.rows"] == 30
    assert comparison.aggregate.pairs["ab"].bounds is None
    text = " ".join(comparison.findings())
    assert "codes of 30 inputs" in text
    assert "proved" not in text
    monkeypatch.setattr(aggregate_module, "_MAX_DIAGONAL_WORK", 2 * 30**2)
    found = compare(Gaussian.from_std(mean, std), Gaussian.from_std(other, other_std), align=("rotation",)).aggregate
    assert found.pairs["ab"].bounds.upper > 0
    assert found.pairs["ab"].aligned_bounds is None
    found = compare(Gaussian.from_std(mean, std), Gaussian.from_std(-mean, std), align=("permutation",)).aggregate
    assert found.pairs["ab"].aligned_bounds.upper < 1e-6


def test_without_an_aggregate_that_was_asked_for_the_reason_is_a_finding(small):
    (mean, std), (other, other_std) = small
    a, b = Gaussian.from_std(mean, std), Gaussian.from_std(other, other_std)
    without = compare(a, b, aggregate=False)
    assert without.aggregate is None
    assert not any("aggregated" in finding for finding in without.findings())
    assert "not asked for" in without.to_dict()["aggregate"]["reason"]
    wide = [Gaussian.from_std(torch.full((5, 513), x), 1.0) for x in (0.0, 1.0)]
    assert any("up to 512 dimensions" in finding for finding in compare(*wide).findings())
