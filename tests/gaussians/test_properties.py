"""Variances, covariances, precisions, marginals and affine images, for every parameterization."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from truth.kinds import DIAGONAL, KINDS

from kullback import Gaussian, NotPositiveDefinite, ShapeError, as_gaussian, kl_divergence

D = 4


def parts(kind, batch=(3,), seed=0, dtype=torch.float64):
    """A mean and what is given for a scale, and the covariance by plain linear algebra in float64."""
    g = torch.Generator().manual_seed(seed)
    mean, raw = (torch.randn(*batch, *shape, generator=g, dtype=torch.float64) for shape in ((D,), (D, D)))
    std = (0.5 * raw.diagonal(dim1=-2, dim2=-1)).exp()
    factor = (0.3 * raw).tril(-1) + std.diag_embed()
    covariance = factor @ factor.mT
    given = {
        "std": (std,),
        "variance": (std.square(),),
        "logvar": (2.0 * std.log(),),
        "covariance": (covariance,),
        "scale_tril": (factor,),
        "precision": (torch.linalg.inv(covariance),),
        "low_rank": (raw[..., :2], std),
    }[kind]
    if kind == "precision":
        given = (0.5 * (given[0] + given[0].mT),)
        covariance = torch.linalg.inv(given[0])
    if kind in DIAGONAL:
        covariance = std.square().diag_embed()
    if kind == "low_rank":
        covariance = std.diag_embed() + raw[..., :2] @ raw[..., :2].mT
    return mean.to(dtype), tuple(x.to(dtype) for x in given), covariance


def make(kind, mean, given):
    return getattr(Gaussian, f"from_{kind}")(mean, *given)


@pytest.mark.parametrize("kind", KINDS)
def test_variances_covariances_and_precisions_are_those_of_linear_algebra(kind):
    mean, given, covariance = parts(kind)
    p = make(kind, mean, given)
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)
    assert_close(p.variance, diagonal, rtol=1e-13, atol=0)
    assert_close(p.stddev, diagonal.sqrt(), rtol=1e-13, atol=0)
    assert_close(p.covariance_matrix, covariance, rtol=1e-13, atol=1e-14)
    assert_close(p.precision_matrix, torch.linalg.inv(covariance), rtol=1e-12, atol=1e-12)
    assert (p.covariance_matrix == p.covariance_matrix.mT).all()
    assert_close(p.precision_matrix, p.precision_matrix.mT, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_those_of_torch(kind):
    mean, given, _ = parts(kind)
    p = make(kind, mean, given)
    theirs = p.to_torch()
    assert_close(p.variance, theirs.variance)
    assert_close(p.stddev, theirs.stddev)
    if kind not in DIAGONAL:
        assert_close(p.covariance_matrix, theirs.covariance_matrix)
        assert_close(p.precision_matrix, theirs.precision_matrix, rtol=1e-9, atol=1e-9)


def test_what_was_given_is_returned_as_it_is():
    mean, (variance,), _ = parts("variance")
    assert (Gaussian.from_variance(mean, variance).variance == variance).all()
    mean, (std,), _ = parts("std")
    assert (Gaussian.from_std(mean, std).stddev == std).all()
    mean, (precision,), _ = parts("precision")
    assert (Gaussian.from_precision(mean, precision).precision_matrix == precision).all()
    logvar = torch.tensor([-80.0, 80.0])
    exact = torch.tensor([-80.0, 80.0], dtype=torch.float64)
    p = Gaussian.from_logvar(torch.zeros(2), logvar)
    assert_close(p.variance.double(), exact.exp(), rtol=1e-6, atol=0)
    assert_close(p.precision_matrix.diagonal().double(), (-exact).exp(), rtol=1e-6, atol=0)


def test_events_of_several_dimensions_numbers_and_broadcast_batches():
    image = Gaussian.from_std(torch.zeros(5, 2, 3), torch.rand(5, 2, 3) + 0.1, event_dims=2)
    assert image.variance.shape == (5, 2, 3)
    assert image.covariance_matrix.shape == (5, 6, 6)
    assert_close(image.covariance_matrix.diagonal(dim1=-2, dim2=-1), image.variance.reshape(5, 6))
    one = Gaussian.from_std(torch.zeros(5), torch.full((5,), 2.0), event_dims=0)
    assert one.covariance_matrix.tolist() == [[[4.0]]] * 5
    standard = Gaussian.standard(3)
    assert (standard.covariance_matrix == torch.eye(3)).all()
    assert (standard.precision_matrix == torch.eye(3)).all()
    assert standard.stddev.tolist() == [1.0] * 3
    shared = Gaussian.from_covariance(torch.zeros(7, 2), torch.eye(2))
    assert shared.variance.shape == (7, 2)
    assert shared.precision_matrix.shape == (7, 2, 2)
    assert Gaussian.from_std(torch.zeros(4, 3).half(), 0.5).variance.dtype == torch.float32
    normal = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
    assert as_gaussian(normal).variance.shape == (3,)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_differentiable_twice(kind):
    mean, given, _ = parts(kind, batch=())
    leaves = [x.clone().requires_grad_() for x in given]

    def symmetric(x):
        return x.tril() if kind == "scale_tril" else 0.5 * (x + x.mT) if kind in ("covariance", "precision") else x

    for name in ("variance", "stddev", "covariance_matrix", "precision_matrix"):

        def value(*x, name=name):
            return getattr(make(kind, mean, [symmetric(v) for v in x]), name)

        assert torch.autograd.gradcheck(value, leaves), name
        assert torch.autograd.gradgradcheck(value, leaves), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dims", [[0, 1], [3, 0, 2], [-1], 2, [1, 0, 2, 3]])
def test_a_marginal_is_the_block_of_the_covariance(kind, dims):
    mean, given, covariance = parts(kind)
    p = make(kind, mean, given).marginal(dims)
    index = [dims] if isinstance(dims, int) else dims
    assert p.batch_shape == (3,)
    assert p.event_shape == (len(index),)
    assert (p.mean == mean[..., index]).all()
    assert_close(p.covariance_matrix, covariance[..., index, :][..., index], rtol=1e-12, atol=1e-13)
    assert (kl_divergence(p, p) == 0).all()


def test_marginals_keep_what_was_given_where_they_can():
    for kind in ("std", "variance", "logvar", "covariance", "scale_tril", "low_rank"):
        mean, given, _ = parts(kind)
        assert make(kind, mean, given).marginal([2, 0]).scale.parameterization == kind
    wide = Gaussian.from_low_rank(torch.zeros(100_000), torch.ones(100_000, 2), 0.5)
    assert wide.marginal(range(50_000)).scale.factor.shape == (50_000, 2)
    mean, (factor,), _ = parts("scale_tril")
    leading = Gaussian.from_scale_tril(mean, factor).marginal([0, 1])
    assert (leading.scale.factor == factor[..., :2, :2]).all()


def test_a_marginal_of_the_standard_normal_still_takes_the_type_of_what_it_meets():
    marginal = Gaussian.standard(4).marginal([0, 2])
    assert marginal.event_shape == (2,)
    half = Gaussian.from_std(torch.ones(2, dtype=torch.float16), torch.ones(2, dtype=torch.float16))
    assert kl_divergence(half, marginal).item() == 1.0
    assert isinstance(kl_divergence(Gaussian.from_std([1.0, 1.0], 1.0), marginal), np.floating | np.ndarray)


def test_marginals_that_make_no_sense_are_refused():
    p = Gaussian.standard(4)
    with pytest.raises(IndexError, match="coordinate 4 is out of range"):
        p.marginal([0, 4])
    with pytest.raises(ValueError, match="occurs twice"):
        p.marginal([0, -4])
    with pytest.raises(ShapeError, match="one event dimension"):
        Gaussian.standard((2, 2)).marginal(0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 3, 4])
def test_an_affine_image_has_the_moments_that_it_must(kind, k):
    mean, given, covariance = parts(kind)
    g = torch.Generator().manual_seed(1)
    matrix = torch.randn(k, D, generator=g, dtype=torch.float64)
    shift = torch.randn(3, k, generator=g, dtype=torch.float64)
    image = make(kind, mean, given).affine(matrix, shift)
    assert image.batch_shape == (3,)
    assert image.event_shape == (k,)
    assert_close(image.mean, mean @ matrix.T + shift, rtol=1e-13, atol=1e-13)
    assert_close(image.covariance_matrix, matrix @ covariance @ matrix.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_common_invertible_map_leaves_the_divergence_as_it_was(kind):
    mean, given, _ = parts(kind, seed=1)
    p, q = make(kind, mean, given), make(kind, *parts(kind, seed=2)[:2])
    matrix = torch.randn(3, D, D, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    moved = [g.affine(matrix, torch.ones(D, dtype=torch.float64)) for g in (p, q)]
    assert_close(kl_divergence(*moved), kl_divergence(p, q), rtol=1e-9, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_affine_image_is_differentiable_twice(kind):
    mean, given, _ = parts(kind, batch=())
    matrix = torch.randn(2, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    leaves = [x.clone().requires_grad_() for x in (mean, *given)]

    def symmetric(x):
        return x.tril() if kind == "scale_tril" else 0.5 * (x + x.mT) if kind in ("covariance", "precision") else x

    def value(matrix, mean, *x):
        image = make(kind, mean, [symmetric(v) for v in x]).affine(matrix)
        return image.mean.sum() + image.covariance_matrix.square().sum()

    assert torch.autograd.gradcheck(value, (matrix, *leaves))
    assert torch.autograd.gradgradcheck(value, (matrix, *leaves))


def test_affine_maps_of_low_rank_form_nothing_large():
    p = Gaussian.from_low_rank(torch.zeros(50_000), torch.ones(50_000, 2), 0.5)
    image = p.affine(torch.full((2, 50_000), 1e-3) * torch.tensor([[1.0], [-2.0]]) + torch.eye(2, 50_000))
    assert image.event_shape == (2,)


@pytest.mark.parametrize(("given", "a", "b", "kind"), [
    (np, np, None, np), (np, torch, None, torch), (torch, np, None, torch), (np, np, torch, torch), (np, np, np, np),
])  # fmt: skip
def test_an_affine_image_is_numpy_only_if_everything_was(given, a, b, kind):
    p = Gaussian.from_std(given.zeros(2), given.ones(2))
    image = p.affine(a.eye(2), None if b is None else b.ones(2))
    assert isinstance(image.entropy(), torch.Tensor) == (kind is torch)


def test_affine_maps_broadcast_with_the_batch_or_say_that_they_cannot():
    p = Gaussian.from_std(torch.zeros(5, 3), torch.ones(5, 3))
    image = p.affine(torch.ones(4, 1, 2, 3) + torch.eye(3)[:2], torch.zeros(5, 2))
    assert image.batch_shape == (4, 5)
    for a, b in (
        (torch.ones(4, 2, 3), None),
        (torch.eye(3), torch.zeros(4, 3)),
        (torch.ones(1, 2, 3), np.zeros((4, 2))),
    ):
        with pytest.raises(ShapeError, match=r"the batches of the Gaussians \(5,\), of A .* do not broadcast"):
            p.affine(a, b)


def test_affine_maps_that_do_not_fit_are_refused():
    p = Gaussian.standard(3, dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"A must have shape \(\*batch, k, 3\), got \(2, 2\)"):
        p.affine(torch.eye(2))
    with pytest.raises(ShapeError, match=r"b must have shape \(\*batch, 2\)"):
        p.affine(torch.eye(3)[:2], torch.zeros(3))
    with pytest.raises(NotPositiveDefinite, match="4 rows for 3 coordinates"):
        p.affine(torch.ones(4, 3))
    with pytest.raises(ShapeError, match="one event dimension"):
        Gaussian.standard((2, 2)).affine(torch.eye(2))


def test_numpy_in_numpy_out_of_divergences_of_images():
    p = Gaussian.from_covariance(np.zeros(2), np.eye(2)).affine(np.array([[2.0, 0.0], [0.0, 1.0]]))
    assert isinstance(kl_divergence(p, Gaussian.standard(2)), np.ndarray)


def test_expanding_broadcasts_without_copying():
    p = Gaussian.from_std(torch.zeros(3), torch.ones(3)).expand((5, 2))
    assert p.batch_shape == (5, 2)
    assert p.mean.stride() == (0, 0, 1)
    assert Gaussian.standard(3).expand((4,)).batch_shape == (4,)
