"""The nearest are those of brute force in float64, whatever float32 products lose, and however q and p are cut."""

import pytest
import torch
from torch.testing import assert_close

import kullback
from kullback import Gaussian, nearest
from kullback.all_pairs import by_products
from kullback.all_pairs import nearest as module

D, N, M, K = 6, 300, 1500, 7


def batch(n, seed, dtype, offset=0.0, spread=1.0, width=1.0, scale=1.0):
    g = torch.Generator().manual_seed(seed)
    mean = offset + scale * spread * torch.randn(n, D, generator=g, dtype=torch.float64)
    std = scale * torch.exp(width * torch.randn(n, D, generator=g, dtype=torch.float64))
    return Gaussian.from_std(mean.to(dtype), std.to(dtype))


REGIMES = {
    "ordinary": {},
    "means around 1e6": {"offset": 1e6},
    "narrow": {"scale": 1e-12},
    "wide": {"scale": 1e12},
    "scales of all sizes": {"width": 6.0},
    "a tight cluster": {"spread": 1e-5, "width": 1e-5},
    "far apart and narrow": {"spread": 1e6, "width": 0.1},
}


def brute_force(p, q):
    """The textbook formula in float64, which rounds to some 1e-16 near p = q."""
    (a, s), (b, t) = ((g.mean.double(), g.scale.value.double()) for g in (p, q))
    s, a = s[:, None], a[:, None]
    ratio = s / t - 1.0
    return (0.5 * (ratio * (ratio + 2.0) + ((a - b) / t) ** 2) - torch.log1p(ratio)).sum(-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("regime", REGIMES)
def test_they_are_those_of_brute_force(regime, dtype):
    p, q = batch(N, 0, dtype, **REGIMES[regime]), batch(M, 1, dtype, **REGIMES[regime])
    all_values = brute_force(p, q)
    found = nearest(p, q, K)
    want = all_values.topk(K, largest=False).values
    at = all_values.gather(1, found.indices)
    # The reference itself rounds: what was found may be farther than what it finds by no more than that.
    rounding = 1e-13 * (1.0 + want)
    assert (at <= want * (1 + 1e-9) + rounding).all()
    exact = kullback.kl_divergence(p.to(torch.float64)[:, None], q.to(torch.float64)).gather(1, found.indices)
    assert_close(found.values.double(), exact, rtol=torch.finfo(dtype).eps, atol=0)
    assert all(len(set(row.tolist())) == K for row in found.indices)


@pytest.mark.parametrize("regime", REGIMES)
def test_what_no_product_settles_is_searched_in_full(regime, monkeypatch):
    monkeypatch.setattr(by_products, "_error", lambda form, divergence: torch.full_like(divergence, torch.inf))
    p, q = batch(40, 0, torch.float64, **REGIMES[regime]), batch(M, 1, torch.float64, **REGIMES[regime])
    want = kullback.kl_divergence(p[:, None], q).topk(K, largest=False)
    found = nearest(p, q, K)
    assert_close(found.values, want.values, rtol=1e-12, atol=0)
    assert_close(found.indices, want.indices)


def test_the_error_bound_holds_for_the_scores():
    for regime, given in REGIMES.items():
        p, q = batch(200, 0, torch.float64, **given), batch(200, 1, torch.float64, **given)
        form = by_products.expanded(p, q, torch.float32)
        scores = torch.full((200, 200), torch.nan, dtype=torch.float64)
        found, columns = by_products.Products(form.right).lowest(form.left, 200)
        scores = scores.scatter(1, columns, found.double()) + form.constant.double()[:, None]
        want = brute_force(p, q)
        bound = torch.stack([by_products._error(form, column) for column in want.unbind(1)], 1)
        assert ((scores - want).abs() <= bound)[bound.isfinite()].all(), regime


@pytest.mark.parametrize("divergence", ["kl", "wasserstein2"])
def test_blocks_of_p_and_of_q_merge(divergence, monkeypatch):
    p, q = batch(N, 0, torch.float32), batch(M, 1, torch.float32)
    whole = nearest(p, q, 80, divergence)
    monkeypatch.setattr(module, "block_size", lambda p, q: 70)
    parts = nearest(p, q, 80, divergence)
    assert_close(parts.values, whole.values, rtol=1e-6, atol=0)
    # Equal but for the order of what float32 does not tell apart.
    assert (parts.indices.sort(1).values == whole.indices.sort(1).values).float().mean() > 0.999


@pytest.mark.parametrize("stds", [[1e24, 1e25, 1e-3, 1e25], [4e19, 1e18, 1e18, 1e18], [1e-30, 1e-10, 1e10, 1e30]])
def test_powers_beyond_the_range_of_float32_leave_no_wrong_neighbour(stds):
    std = torch.tensor(stds, dtype=torch.float64)[:, None]
    mean = torch.tensor([[0.0], [1.0], [2.0], [-3.0]], dtype=torch.float64) * std.amax()
    p = Gaussian.from_std(mean, std)
    found = nearest(p, p, 2)
    assert found.indices[:, 0].tolist() == [0, 1, 2, 3]
    assert (found.values[:, 0] == 0).all()
    want = kullback.kl_divergence(p[:, None], p).topk(2, largest=False)
    assert_close(found.values, want.values, rtol=1e-12, atol=0)


@pytest.fixture
def threads():
    """Sets the threads of torch, and gives them back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_threads_share_the_rows_and_change_nothing(threads, monkeypatch):
    # Of 2,500 rows each in one of 40 parts; the last has fewer.
    monkeypatch.setattr(by_products, "_ROWS", 64)
    g = torch.Generator().manual_seed(0)
    p, q = (Gaussian.from_logvar(*torch.randn(2, n, 5, generator=g)) for n in (2500, 300))
    threads(1)
    alone = nearest(p, q, 4)
    threads(4)
    shared = nearest(p, q, 4)
    assert torch.get_num_threads() == 4
    assert_close(shared.values, alone.values, rtol=0, atol=0)
    assert_close(shared.indices, alone.indices, rtol=0, atol=0)
