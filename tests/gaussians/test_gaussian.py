"""A Gaussian: its batch and event, densities and samples, dtypes and arrays, and what is refused."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Independent, Laplace, Normal
from torch.testing import assert_close
from truth.kinds import DIAGONAL, MAKE

from kullback import (
    Gaussian,
    NoClosedForm,
    NotPositiveDefinite,
    ShapeError,
    as_gaussian,
    kl_divergence,
    kl_per_dimension,
)


def test_what_was_given_is_kept():
    logvar = torch.tensor([-200.0, 200.0])
    p = Gaussian.from_logvar(torch.zeros(2), logvar)
    assert p.scale.value is logvar
    assert p.scale.parameterization == "logvar"


def test_image_latents_have_three_event_dimensions():
    shape = (5, 4, 8, 8)
    p = Gaussian.from_logvar(torch.randn(shape), torch.randn(shape), event_dims=3)
    q = Gaussian.from_std(torch.zeros(4, 8, 8), 1.0, event_dims=3)
    assert p.batch_shape == (5,)
    assert p.event_size == 256
    assert kl_divergence(p, q).shape == (5,)
    assert kl_per_dimension(p, q).shape == shape
    assert_close(kl_divergence(p, q), kl_divergence(p, Gaussian.standard((4, 8, 8))))


def test_no_event_dimensions_means_one_number_for_every_element():
    p = Gaussian.from_std(torch.zeros(3), torch.ones(3), event_dims=0)
    assert p.event_shape == ()
    assert kl_divergence(p, p).shape == (3,)
    assert kl_divergence(Gaussian.from_std(1.0, 1.0, event_dims=0), Gaussian.standard(())) == 0.5


def test_batches_broadcast_between_mean_and_scale_and_between_p_and_q():
    p = Gaussian.from_std(torch.zeros(3), torch.ones(5, 3))
    assert p.batch_shape == (5,)
    q = Gaussian.from_std(torch.zeros(4, 1, 3), 2.0)
    assert kl_divergence(p, q).shape == (4, 5)


def test_indexing_is_that_of_the_batch():
    mean, std = torch.randn(4, 5, 3), torch.rand(4, 5, 3) + 0.1
    p = Gaussian.from_std(mean, std)
    assert_close(p[1, 2].mean, mean[1, 2])
    assert_close(p[..., 0].scale.value, std[:, 0])
    assert_close(p[torch.tensor([0, 3])].mean, mean[[0, 3]])
    mask = torch.rand(4, 5) > 0.5
    assert_close(p[mask].mean, mean[mask])
    assert len(list(p)) == 4
    shared = Gaussian.from_std(mean, 2.0)[0]
    assert shared.scale.value == 2.0
    for wrong in ((0, 0, 0), np.ones((4, 5, 3), dtype=bool), torch.ones(4, 5, 3, dtype=torch.bool)):
        with pytest.raises(IndexError, match="coordinates are not indexed"):
            p[wrong]
    assert_close(p[mask.numpy()].mean, mean[mask])
    assert_close(p[[0, 3]].mean, mean[[0, 3]])
    with pytest.raises(TypeError, match="no length"):
        len(p[0, 0])


def test_stack_keeps_a_common_parameterization():
    p = Gaussian.from_variance(torch.zeros(3), torch.ones(3))
    assert Gaussian.stack([p, p]).scale.parameterization == "variance"
    mixed = Gaussian.stack([p, Gaussian.from_logvar(torch.ones(2, 3), torch.zeros(3)), Gaussian.standard(3)])
    assert mixed.scale.parameterization == "logvar"
    assert mixed.batch_shape == (3, 2)
    assert (kl_divergence(mixed[0], p) == 0).all()
    normal = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    assert Gaussian.stack(as_gaussian(g) for g in (normal, normal)).batch_shape == (2,)
    with pytest.raises(TypeError, match="as_gaussian converts"):
        Gaussian.stack([normal, normal])
    half = Gaussian.from_std(torch.zeros(3).half(), torch.ones(3).half())
    assert Gaussian.stack([half, half]).dtype == torch.float16
    with pytest.raises(ShapeError):
        Gaussian.stack([p, Gaussian.standard(4)])
    with pytest.raises(ValueError, match="at least one"):
        Gaussian.stack([])


def test_samples_have_the_moments_and_carry_gradients():
    mean = torch.tensor([1.0, -2.0], requires_grad=True)
    logvar = torch.tensor([0.0, 2.0], requires_grad=True)
    p = Gaussian.from_logvar(mean, logvar)
    x = p.sample(200_000, generator=torch.Generator().manual_seed(0))
    assert x.shape == (200_000, 2)
    # Five standard errors.
    assert_close(x.mean(0), mean, rtol=0, atol=5 * math.e / math.sqrt(200_000))
    assert_close(x.var(0), logvar.exp(), rtol=5 * math.sqrt(2 / 200_000), atol=0)
    x.sum().backward()
    assert mean.grad is not None
    assert logvar.grad is not None


@pytest.mark.parametrize("given", DIAGONAL)
def test_log_prob_and_entropy_are_those_of_scipy(given):
    rng = np.random.default_rng(0)
    mean, x = rng.standard_normal((2, 6, 3))
    std = rng.uniform(0.1, 3, (6, 3))
    scale = {"std": std, "variance": std**2, "logvar": 2 * np.log(std)}[given]
    p = MAKE[given](mean, scale)
    np.testing.assert_allclose(p.log_prob(x), stats.norm(mean, std).logpdf(x).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(p.entropy(), stats.norm(mean, std).entropy().sum(-1), rtol=1e-12)
    assert isinstance(p.log_prob(x), np.ndarray)
    with pytest.raises(ShapeError):
        p.log_prob(x[:, :2])


def test_from_samples_gives_the_unbiased_moments():
    x = np.random.default_rng(0).standard_normal((50, 3))
    p = Gaussian.from_samples(x)
    np.testing.assert_allclose(p.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(p.stddev**2, x.var(0, ddof=1), rtol=1e-12)
    with pytest.raises(ShapeError, match="n >= 2"):
        Gaussian.from_samples(x[:1])
    with pytest.raises(ValueError, match=r"coordinate \[0\] does not vary"):
        Gaussian.from_samples(np.zeros((5, 2)))


def test_from_samples_keeps_the_variance_under_a_large_mean():
    z = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = (1e4 + 1e-1 * z).float()
    assert_close(Gaussian.from_samples(x).scale.value.double(), x.double().std(0), rtol=1e-5, atol=0)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_from_samples_takes_samples_whose_variance_leaves_the_dtype(size):
    x = size * torch.tensor([[-1.0], [0.0], [1.0]])
    assert_close(Gaussian.from_samples(x).scale.value, torch.tensor([size]))


@pytest.mark.parametrize(
    ("given", "number", "other", "value"),
    [("std", 1e-30, "variance", 2.0), ("std", 1e30, "variance", 2.0), ("logvar", -300.0, "std", 2.0),
     ("logvar", 300.0, "std", 2.0), ("logvar", 2000.0, "variance", 2.0), ("std", 1e-60, "std", 2.0)],
)  # fmt: skip
def test_a_number_may_leave_the_range_that_the_dtype_has_in_the_other_parameterization(given, number, other, value):
    log_var = {"std": lambda x: 2 * math.log(x), "logvar": lambda x: x}[given](number)
    small = MAKE[given](torch.zeros(1), number)
    large = MAKE[other](torch.zeros(1), torch.tensor([value]))
    delta = log_var - {"std": 2 * math.log(value), "variance": math.log(value)}[other]
    assert_close(small.entropy(), torch.tensor(0.5 * (math.log(2 * math.pi) + 1 + log_var)))
    for d, p, q in ((delta, small, large), (-delta, large, small)):
        if d < 80:
            assert kl_divergence(p, q).item() == pytest.approx((math.exp(d) - 1 - d) / 2, rel=1e-6)


def test_dtypes_promote_as_in_torch_and_numbers_do_not():
    f32, f64 = torch.zeros(3), torch.zeros(3, dtype=torch.float64)
    assert Gaussian.from_std(f32, 0.1).dtype == torch.float32
    assert kl_divergence(Gaussian.from_std(f32, 1.0), Gaussian.from_std(f64, 1.0)).dtype == torch.float64
    assert kl_divergence(Gaussian.from_std(f64, 1.0), Gaussian.standard(3)).dtype == torch.float64
    assert Gaussian.from_std(torch.zeros(3, dtype=torch.int64), 1).dtype == torch.float32
    wide = Gaussian.standard(3, dtype=torch.float64)
    assert kl_divergence(Gaussian.from_std(f32, 1.0), wide).dtype == torch.float64
    assert Gaussian.from_std(f32, 1.0).to(torch.float16).dtype == torch.float16
    assert Gaussian.from_std(f32, 1.0).to(dtype=torch.float16, device="cpu").dtype == torch.float16
    with pytest.raises(TypeError, match=r"not torch\.int64"):
        Gaussian.from_std(f32, 1.0).to(torch.int64)
    assert kl_divergence(Gaussian.from_std(f32.half(), 1.0), Gaussian.standard(3)).dtype == torch.float32


def test_numpy_is_remembered():
    assert isinstance(kl_divergence(Gaussian.from_std([0.0], [1.0]), Gaussian.standard(1)), np.ndarray)
    assert isinstance(kl_divergence(Gaussian.standard(1), Gaussian.standard(1)), torch.Tensor)
    p = Gaussian.from_std(np.zeros((4, 3)), 1.0)
    assert p.to("meta").entropy().device.type == "meta"
    assert torch.func.vmap(lambda row: kl_divergence(row, Gaussian.standard(3)))(p).shape == (4,)
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Gaussian.from_std(read_only[::-1], np.ones(3, dtype=">f4"))


def test_torch_distributions_keep_their_own_meaning():
    mean, std = torch.randn(4, 3), torch.rand(4, 3) + 0.5
    normal, other = Normal(mean, std), Normal(mean + 1, 2 * std)
    assert_close(kl_divergence(normal, other), torch.distributions.kl_divergence(normal, other))
    assert kl_divergence(normal, other).shape == (4, 3)
    p, q = Independent(normal, 1), Independent(other, 1)
    assert_close(kl_divergence(p, q), torch.distributions.kl_divergence(p, q))
    nested = Independent(Independent(normal, 1), 1)
    assert kl_divergence(nested, nested).shape == ()
    assert_close(kl_divergence(p, Gaussian.standard(3)), kl_divergence(p, Gaussian.standard(3).to_torch()))


def test_to_torch_gives_the_same_gaussian():
    p = Gaussian.from_logvar(torch.randn(4, 3), torch.randn(3))
    x = torch.randn(4, 3)
    assert_close(p.to_torch().log_prob(x), p.log_prob(x))
    assert isinstance(p.to_torch(), Independent)
    assert isinstance(Gaussian.from_std(0.0, 1.0, event_dims=0).to_torch(), Normal)


def test_the_repr_says_shapes_parameterization_dtype_and_device():
    p = Gaussian.from_logvar(torch.zeros(2, 3), torch.zeros(3))
    assert repr(p) == "Gaussian(batch_shape=(2,), event_shape=(3,), given as logvar, dtype=float32, device=cpu)"


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Gaussian.from_std(torch.zeros(6, 3), torch.full((6, 3), -3.2)), ValueError, "Is it a log-variance"),
        (lambda: Gaussian.from_std([0.0, 0.0], [1.0, float("nan")]), ValueError, r"NaN \(at \[1\]\)"),
        (lambda: Gaussian.from_variance([0.0, 0.0], [0.0, 1.0]), ValueError, r"zeros \(at \[0\]\)"),
        (lambda: Gaussian.from_logvar([0.0], [float("inf")]), ValueError, "infinite"),
        (lambda: Gaussian.from_std([0.0], -1.0), ValueError, "the number given"),
        (lambda: Gaussian.from_std(torch.zeros(3), torch.ones(2)), ShapeError, r"\(3,\), std has \(2,\)"),
        (lambda: Gaussian.from_std(torch.zeros(4, 3), torch.ones(5, 3)), ShapeError, "batches do not broadcast"),
        (lambda: Gaussian.from_std(torch.zeros(3), torch.ones(3, 1)), ShapeError, "expand"),
        (lambda: Gaussian.from_std([torch.zeros(3)], 1.0), TypeError, r"torch\.stack"),
        (lambda: Gaussian.from_std([[0.0], [0.0, 1.0]], 1.0), ValueError, "rectangular"),
        (lambda: Gaussian.from_std("mu", 1.0), TypeError, "got str"),
        (lambda: Gaussian.from_std(np.array([True]), 1.0), TypeError, "dtype bool"),
        (lambda: Gaussian.from_std(torch.zeros(2, dtype=torch.complex64), 1.0), TypeError, "complex64"),
        (lambda: Gaussian.from_samples([[0.0], [1.0]], structure="banded"), ValueError, "banded"),
        (lambda: Gaussian.standard(-1), TypeError, "got -1"),
        (lambda: Gaussian.standard(2.0), TypeError, "got 2.0"),
        (lambda: Gaussian.standard(2).sample((5,)), TypeError, r"got \(5,\)"),
        (lambda: Gaussian.from_std([0.0], 1.0, event_dims=1.0), TypeError, "event_dims"),
        (lambda: Gaussian(torch.zeros(2), torch.ones(2)), TypeError, "from_std"),
        (lambda: kl_divergence(torch.zeros(2), 1.0, torch.zeros(2), 1.0), TypeError, "takes two Gaussians"),
        (lambda: kl_divergence(Gaussian.standard(3), Gaussian.standard(4)), ShapeError, r"\(3,\), q has \(4,\)"),
        (lambda: kl_divergence(Normal(torch.zeros(3), 1.0), Gaussian.standard(3)), ShapeError, r"Independent\(p, 1\)"),
        (lambda: kl_divergence(torch.zeros(3), Gaussian.standard(3)), TypeError, "samples"),
        (lambda: kl_divergence(None, Gaussian.standard(3)), TypeError, "from_std"),
        (lambda: kl_divergence(Gaussian.standard(1), Laplace(0.0, 1.0)), NoClosedForm, "Laplace"),
        (
            lambda: kl_divergence(Gaussian.from_std(torch.zeros(2, 3), 1.0), Gaussian.from_std(torch.zeros(4, 3), 1.0)),
            ShapeError,
            r"\(2,\), q has batch shape \(4,\)|batch shape \(2,\)",
        ),
    ],
)
def test_bad_input_says_what_where_got_and_what_to_do(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_a_nan_mean_is_refused_with_its_place_and_propagates_where_validation_is_off():
    Gaussian.from_std(torch.zeros(2), -torch.ones(2), validate=False)
    mean = torch.tensor([[0.0, 0.0], [torch.nan, 0.0]])
    with pytest.raises(ValueError, match=r"the mean is NaN \(at \[1, 0\]\)"):
        Gaussian.from_std(mean, 1.0)
    for make, scale in ((Gaussian.from_logvar, torch.zeros(2, 2)), (Gaussian.from_covariance, torch.eye(2))):
        with pytest.raises(ValueError, match="the mean is NaN"):
            make(mean, scale)
        assert torch.isnan(kl_divergence(make(mean, scale, validate=False), Gaussian.standard(2))).tolist() == [
            False,
            True,
        ]
    # An infinite mean is infinitely far away, and the sum of two is no NaN of theirs.
    infinite = Gaussian.from_std(torch.tensor([torch.inf, -torch.inf]), 1.0)
    assert kl_divergence(infinite, Gaussian.standard(2)) == torch.inf


def test_two_numbers_are_a_one_dimensional_gaussian():
    for p in (Gaussian.from_std(5.0, 3.0), Gaussian.from_std(torch.tensor(5.0), 3.0), Gaussian.from_variance(5, 9)):
        assert p.event_shape == p.batch_shape == ()
        assert float(kl_divergence(p, Gaussian.standard(()))) == pytest.approx((9 - 1 - 2 * math.log(3) + 25) / 2)
    with pytest.raises(ShapeError, match="event_dims=0"):
        Gaussian.from_std(0.0, torch.ones(5))


@pytest.mark.parametrize(
    ("mean", "message"),
    [
        (lambda: torch.zeros(3).to_sparse(), r"mean is a sparse tensor.*mean\.to_dense"),
        (lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), "mean is a nested tensor"),
        (lambda: np.ma.masked_greater(np.array([0.0, 1e9]), 1e6), "1 of whose 2 values are masked"),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_what_hides_values_is_refused(mean, message):
    with pytest.raises(TypeError, match=message):
        Gaussian.from_std(mean(), 1.0)


def test_a_masked_array_that_masks_nothing_is_an_array():
    assert Gaussian.from_std(np.ma.masked_array([1.0, 2.0]), 1.0).mean.tolist() == [1.0, 2.0]


def test_a_covariance_that_is_positive_definite_only_by_rounding_is_said_to_be_so():
    doubtful = 0
    for seed in range(60):
        turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)))[0]
        disc = turn @ torch.diag(torch.tensor([1.0, 0.25, 0.0])) @ turn.T
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                Gaussian.from_covariance(torch.zeros(3), disc)
        except NotPositiveDefinite:
            continue
        assert "positive definite only by rounding" in str(caught[0].message)
        doubtful += 1
    assert 5 < doubtful < 55


def test_samples_of_numbers_and_of_batches_that_may_be_chains():
    x = torch.randn(50, dtype=torch.float64)
    p = Gaussian.from_samples(x)
    assert p.event_shape == p.batch_shape == ()
    assert_close(p.mean, x.mean())
    assert_close(p.stddev, x.std())
    chains = torch.randn(4, 100, 3)
    with pytest.raises(ShapeError, match=r"4 samples of each of 100 Gaussians.*x\.reshape\(-1, 3\)"):
        Gaussian.from_samples(chains)
    assert Gaussian.from_samples(chains, batch_dims=1).batch_shape == (100,)
    assert Gaussian.from_samples(chains.swapaxes(0, 1)).batch_shape == (4,)
    with pytest.raises(ShapeError, match="batch_dims=2"):
        Gaussian.from_samples(chains, batch_dims=2)
