"""The rows that are kept: the same however they come, and no kind of row more than another."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from kullback import Gaussian, NoClosedForm
from kullback.metrics import MutualInformation, sample
from kullback.metrics.sample import _mixed, _order


def gaussians(n, d=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Gaussian.from_logvar(*torch.randn(2, n, d, generator=generator, dtype=torch.float64))


def kept(g, size=16, seed=0):
    return sample.read(sample.of_gaussians(g, size, seed))[1]


def splitmix64(x):
    """The finalizer, in whole numbers of Python."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def test_the_hash_is_that_of_whole_numbers():
    values = [0, 1, 2**63 - 1, -1, -(2**63), 0x9E3779B97F4A7C15 - 2**64, 12345678901234567]
    assert [int(x) % 2**64 for x in _mixed(torch.tensor(values))] == [splitmix64(x % 2**64) for x in values]


def test_order_and_batches_do_not_matter():
    g = gaussians(200)
    want = sample.of_gaussians(g, 16, 0)
    for seed in range(3):
        shuffled = g[torch.randperm(200, generator=torch.Generator().manual_seed(seed))]
        parts = [sample.of_gaussians(shuffled[i : i + 37], 16, 0) for i in range(0, 200, 37)]
        assert torch.equal(sample.merge(parts, 16), want)
        assert torch.equal(sample.merge([sample.merge(parts[:2], 16), sample.merge(parts[2:], 16)], 16), want)
    assert sample.read(want)[0] == 200


def test_what_is_kept_are_rows_and_other_seeds_keep_others():
    g = gaussians(200)
    rows = {tuple(x) for x in torch.cat(g.flat_parameters("logvar"), 1).tolist()}
    found = [{tuple(x) for x in torch.cat(kept(g, seed=seed).flat_parameters("logvar"), 1).tolist()} for seed in (0, 1)]
    assert all(len(x) == 16 and x <= rows for x in found)
    assert len(found[0] & found[1]) < 8


@pytest.mark.parametrize("scale", [1.0, 1e-6, 2.0**40])
def test_hashes_are_uniform_whatever_the_numbers(scale):
    # Numbers that differ in few bits, as counts do.
    numbers = scale * torch.cartesian_prod(torch.arange(100.0), torch.arange(40.0)).double()
    order = _order(numbers, 0).numpy() / 2**53
    assert kstest(order, "uniform").pvalue > 1e-4
    assert len(np.unique(order)) == len(order)
    assert abs(np.corrcoef(order, numbers.sum(1).numpy())[0, 1]) < 0.06


def test_the_same_numbers_are_the_same_rows():
    assert _order(torch.tensor([[0.0, 1.0]]).double(), 0) == _order(torch.tensor([[-0.0, 1.0]]).double(), 0)
    assert _order(torch.tensor([[0.0, 1.0]]).double(), 0) != _order(torch.tensor([[1.0, 0.0]]).double(), 0)
    repeated = gaussians(1)[[0] * 50]
    assert len(kept(repeated)) == 16


def test_rows_that_are_not_finite_are_kept():
    g = Gaussian.from_logvar(torch.tensor([[torch.nan], [0.0]]), torch.zeros(2, 1), validate=False)
    first = sample.of_gaussians(g.to(torch.float64), 4, 0)
    both = sample.merge([first, sample.of_gaussians(gaussians(100, 1), 4, 0)], 4)
    assert sample.read(both) == (102, None)


def test_full_covariances_are_kept_by_their_factors():
    tril = torch.tensor([[1.0, 0.0], [0.5, 2.0]], dtype=torch.float64).expand(3, 2, 2)
    mean = torch.arange(6.0, dtype=torch.float64).reshape(3, 2)
    rows = kept(Gaussian.from_covariance(mean, tril @ tril.mT))
    assert torch.allclose(rows.covariance_matrix, tril @ tril.mT, rtol=1e-14)
    assert sorted(rows.mean[:, 0].tolist()) == [0.0, 2.0, 4.0]
    singular = Gaussian.from_covariance(np.zeros((1, 2)), np.ones((1, 2, 2)), singular=True)
    with pytest.raises(NoClosedForm, match="density"):
        MutualInformation().update(singular)


def test_the_mutual_information_of_a_sample_is_near_that_of_all_rows():
    # Means spread by 3 standard deviations in one dimension: ½ log(1 + 9), up to the rows.
    generator = torch.Generator().manual_seed(0)
    mean = 3.0 * torch.randn(20_000, 1, generator=generator, dtype=torch.float64)
    metric = MutualInformation(size=2000, n=4096)
    for part in mean.split(999):
        metric.update(Gaussian.from_std(part, 1.0))
    assert float(metric.compute()) == pytest.approx(0.5 * np.log(10.0), abs=0.06)
    assert float(metric.standard_error) < 0.02
