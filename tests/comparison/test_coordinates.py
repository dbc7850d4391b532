"""The decomposition of a difference: planted truths, and models that were really trained."""

import functools
import itertools
from importlib.resources import files

import pytest
import torch
from torch.testing import assert_close
from truth.reading import read

from kullback import Gaussian, Thresholds, compare, kl_per_dimension
from kullback.alignment.fitting import is_fitted

MODELS = ("standard", "reseeded", "beta", "wide")
PAIRS = list(itertools.permutations(MODELS, 2))


@functools.cache
def posteriors(name):
    return read(str(files("kullback") / "data" / "digits" / f"{name}.npz")).gaussian


@functools.cache
def trained(a, b):
    return compare(posteriors(a), posteriors(b), names=(a, b), aggregate=False)


def planted():
    g = torch.Generator().manual_seed(0)
    mean = torch.randn(400, 5, generator=g, dtype=torch.float64)
    std = 0.1 + 0.5 * torch.rand(400, 5, generator=g, dtype=torch.float64)
    mean[:, 4], std[:, 4] = 1e-3 * mean[:, 4], 1.0
    return g, mean, std


def test_partners_signs_and_collapsed_dimensions_are_found():
    g, mean, std = planted()
    order, signs = torch.tensor([2, 0, 4, 1, 3]), torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
    other = mean[:, order] * signs
    # Dimension 3 of B, that was 1 of A, has nothing to do with it any more.
    other[:, 3] = torch.randn(400, generator=g, dtype=torch.float64)
    comparison = compare(Gaussian.from_std(mean, std), Gaussian.from_std(other, std[:, order]), names=("x", "y"))
    found = comparison.coordinates
    partners = {match.a: (match.b, match.sign) for match in found.matches if match.are_partners}
    assert partners == {2: (0, 1), 0: (1, -1), 3: (4, 1)}
    assert {match.a for match in found.matches if match.collapsed_a} == {4}
    assert comparison.scalars()["matched_units"] == 3
    text = " ".join(comparison.findings())
    assert "0 is 1 (reversed" in text
    assert "without a partner: dimension 1 of x and dimension 3 of y" in text


def test_the_divergences_of_pairs_of_dimensions_are_those_of_single_calls():
    _, mean, std = planted()
    p, q = Gaussian.from_std(mean, std), Gaussian.from_std(mean.roll(1, 0) - 0.5, std.roll(2, 1))
    comparison = compare(p, q)
    rows = (~is_fitted(torch.arange(400))).nonzero().flatten()
    assert len(rows) == 200
    for a, b in itertools.product(range(5), range(5)):
        candidates = [
            kl_per_dimension(
                Gaussian.from_std(sign * p.mean[rows][:, [a]], std[rows][:, [a]]),
                Gaussian.from_std(q.mean[rows][:, [b]], std.roll(2, 1)[rows][:, [b]]),
            ).mean()
            for sign in (1, -1)
        ]
        assert_close(comparison.coordinates.pair_divergences[b, a], min(candidates), rtol=1e-9, atol=1e-9)


def test_models_that_share_their_coordinates_are_said_to():
    g, mean, std = planted()
    p = Gaussian.from_std(mean, std)
    q = Gaussian.from_std(mean + 0.05 * torch.randn(400, 5, generator=g, dtype=torch.float64), 1.1 * std)
    assert "The models share their coordinates" in compare(p, q).findings()[0]


def test_offsets_and_widths_are_not_taken_for_coordinates():
    _, mean, _ = planted()
    p = Gaussian.from_std(mean[:, :4], 0.1)
    for q in (Gaussian.from_std(mean[:, :4] + 10.0, 0.1), Gaussian.from_std(mean[:, :4], 3.0)):
        first = compare(p, q, aggregate=False).findings()[0]
        assert "offsets or from widths" in first or "no better than chance" in first
        assert "change of coordinates" not in first
    moved = Gaussian.from_std(mean[:, :4] + 10.0, 0.1)
    assert "100% of the difference" in compare(p, moved, align=("rotation+shift",), aggregate=False).findings()[0]
    for same in (p, Gaussian.from_std(mean[:, :4] + 1e-9, 0.1)):
        assert "The models agree as they stand" in compare(p, same, aggregate=False).findings()[0]


def test_models_that_share_some_dimensions_only_are_not_said_to_share_coordinates():
    g, mean, _ = planted()
    other = torch.randn(400, 5, generator=g, dtype=torch.float64)
    other[:, 0] = mean[:, 0]
    first = compare(Gaussian.from_std(mean, 0.3), Gaussian.from_std(other, 0.3), aggregate=False).findings()[0]
    assert "share their coordinates" not in first


def test_a_row_that_decides_the_map_alone_is_named():
    _, mean, _ = planted()
    other = mean.clone()
    row = int(torch.randperm(400, generator=torch.Generator().manual_seed(0))[3])
    other[row] += 1e3
    comparison = compare(Gaussian.from_std(mean, 0.1), Gaussian.from_std(other, 0.1), aggregate=False)
    assert any(f"Row {row} (counted from 0) has" in finding for finding in comparison.findings())


def test_unrelated_models_are_no_better_than_chance():
    g, mean, std = planted()
    p = Gaussian.from_std(mean, std)
    q = Gaussian.from_std(torch.randn(400, 5, generator=g, dtype=torch.float64), std)
    assert "no better than chance" in compare(p, q).findings()[0]


def test_why_there_is_no_alignment_is_the_first_finding():
    _, mean, std = planted()
    p, q = Gaussian.from_std(mean, std), Gaussian.from_std(mean + 1, std)
    assert "No alignment was asked for" in compare(p, q, align=()).findings()[0]
    assert "at least 4" in compare(p[:3], q[:3]).findings()[0]
    wide = Gaussian.from_std(torch.zeros(9, 600), 1.0)
    assert "at most 512" in compare(wide, Gaussian.from_std(torch.ones(9, 600), 1.0)).findings()[0]
    for align in ("rotation", ("turn",), ("rotation", "turn")):
        with pytest.raises(ValueError, match="align takes kinds"):
            compare(p, q, align=align)


def test_wider_posteriors_explain_why_directions_differ():
    _, mean, std = planted()
    text = compare(Gaussian.from_std(mean, std), Gaussian.from_std(mean + 1, 2 * std), names=("x", "y")).findings()[1]
    assert "the standard deviations of y is 2 times that of x" in text


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_of_trained_models_most_of_the_difference_is_one_of_coordinates(a, b):
    scalars = trained(a, b).scalars()
    unaligned, permutation, rotation = (scalars[f"kl_ab.{k}.mean"] for k in ("unaligned", "permutation", "rotation"))
    assert rotation < 0.7 * permutation < 0.4 * unaligned
    assert unaligned > 0.8 * scalars["kl_ab.permutation.chance"]
    assert trained(a, b).coordinates.best.beats_chance
    assert "is a change of coordinates" in trained(a, b).findings()[0]


def test_what_training_made_true_of_the_digits():
    seeds, beta, wide = (trained("standard", other).scalars() for other in ("reseeded", "beta", "wide"))
    # The KL term of the beta-VAE counts four times: it says less of each input, in fewer dimensions.
    assert beta["rate_b.mean"] < 0.5 * beta["rate_a.mean"]
    assert beta["collapsed_units_b"] > beta["collapsed_units_a"]
    # The posteriors of a beta-VAE are wider, so that the standard VAE is near it, and not the other way round.
    assert beta["kl_ab.aligned.mean"] < 0.3 * beta["kl_ba.aligned.mean"]
    # Another seed or another width leave about as much as the rate; nine tenths of the rest are coordinates.
    for other in (seeds, wide):
        assert other["coordinates_share"] > 0.9
        assert other["kl_ab.aligned.mean"] < 1.1 * other["rate_a.mean"]


@pytest.mark.parametrize(("a", "b"), PAIRS[:4])
def test_results_hardly_depend_on_the_seed(a, b):
    from kullback import align

    for kind in ("permutation", "rotation"):
        values = [float(align(posteriors(a), posteriors(b), kind, seed=seed)) for seed in range(4)]
        middle = sum(values) / 4
        assert all(abs(value - middle) < 0.05 * middle for value in values), values


def test_thresholds_decide_what_is_active_collapsed_and_a_partner():
    _, mean, std = planted()
    p, q = Gaussian.from_std(mean, std), Gaussian.from_std(mean + 0.2, std)
    strict = Thresholds(active_variance=2.0, collapsed_nats=1e-9, partner_share=1e-6)
    by_default, strictly = compare(p, q, aggregate=False), compare(p, q, aggregate=False, thresholds=strict)
    assert by_default.active("a").tolist() == [True] * 4 + [False]
    assert not strictly.active("a").any()
    assert by_default.collapsed("a").tolist() == [False] * 4 + [True]
    assert not strictly.collapsed("a").any()
    assert [m.are_partners for m in by_default.coordinates.matches] == [True] * 4 + [False]
    assert not any(m.are_partners for m in strictly.coordinates.matches)
    text = " ".join(strictly.findings())
    assert "above 2)" in text
    assert "below 1e-09 nats" in text


def test_shrinkage_is_that_of_the_mean_posterior_variance():
    _, mean, std = planted()
    prior = Gaussian.from_std(torch.zeros(5, dtype=torch.float64), torch.tensor([1.0, 2, 3, 4, 5], dtype=torch.float64))
    comparison = compare(Gaussian.from_std(mean, std), Gaussian.from_std(mean + 1, 0.5), prior=prior, aggregate=False)
    variances = torch.tensor([1.0, 4, 9, 16, 25], dtype=torch.float64)
    assert_close(comparison.shrinkage("a"), 1 - std.square().mean(0) / variances)
    assert_close(comparison.shrinkage("b"), 1 - 0.25 / variances)
    assert comparison.to_dict()["shrinkage"]["b"] == comparison.shrinkage("b").tolist()
