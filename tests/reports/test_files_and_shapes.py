"""Reports of people about files, about one model, and about the shapes that they typed."""

import re

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import kullback
from kullback import Gaussian, ShapeError, kl_divergence

RNG = np.random.default_rng(0)
MEAN, OTHER = torch.from_numpy(RNG.normal(size=(2, 4, 3)))
COLUMN = torch.from_numpy(RNG.uniform(0.5, 2.0, (4, 1)))


def the_call(error, name="q"):
    """The call that an error writes out for ``name``, made with the tensors ``mean`` and ``std``."""
    found = re.search(rf"each number of {name} stands for several coordinates, it is (.*)\.$", str(error.value))
    assert found
    return lambda **tensors: eval(found[1], {"Gaussian": Gaussian, "np": np}, tensors)


@pytest.mark.parametrize(
    ("shape", "event_dims"),
    [((4,), 1), ((4, 1, 1), 1), ((4, 1, 1), 3), ((4, 1, 1, 1), 1), ((4, 1, 1, 1), 3), ((1, 4, 1, 1), 3), ((4, 1), 1)],
)
def test_A10_one_mean_and_std_for_each_channel_is_told_the_right_call(shape, event_dims):
    posterior = Gaussian.from_logvar(torch.zeros(2, 4, 5, 6), torch.zeros(2, 4, 5, 6), event_dims=3)
    mean, std = torch.arange(4.0).view(shape), torch.ones(shape)
    with pytest.raises(ShapeError) as error:
        kl_divergence(posterior, Gaussian.from_std(mean, std, event_dims=event_dims))
    # Half of 0 + 1 + 4 + 9 for each of 30 pixels.
    assert_close(kl_divergence(posterior, the_call(error)(mean=mean, std=std)), torch.full((2,), 210.0))


def test_A10_volumes_of_channels_and_a_prior_of_one_number():
    posterior = Gaussian.from_logvar(torch.zeros(2, 4, 3, 5, 5), torch.zeros(2, 4, 3, 5, 5), event_dims=4)
    mean, std = torch.arange(4.0).view(4, 1, 1, 1), torch.ones(4, 1, 1, 1)
    with pytest.raises(ShapeError, match=r"Gaussian\.from_std\(mean\.expand\(4, 3, 5, 5\), std\.expand") as error:
        kl_divergence(posterior, Gaussian.from_std(mean, std, event_dims=4))
    assert_close(kl_divergence(posterior, the_call(error)(mean=mean, std=std)), torch.full((2,), 75 * 14 / 2))
    with pytest.raises(ShapeError, match=r"np\.broadcast_to\(mean, \(4, 3, 5, 5\)\)") as error:
        kl_divergence(posterior, Gaussian.from_std(mean.numpy(), std.numpy(), event_dims=4))
    of_arrays = the_call(error)(mean=mean.numpy(), std=std.numpy())
    assert_close(kl_divergence(posterior, of_arrays), torch.full((2,), 75 * 14 / 2))
    with pytest.raises(ShapeError, match=r"it is Gaussian\.standard\(\(4, 3, 5, 5\)\)\.$"):
        kl_divergence(posterior, Gaussian.standard(4))
    with pytest.raises(ShapeError, match="event_dims: 4 for p, 1 for q"):
        kl_divergence(posterior, Gaussian.from_std(torch.zeros(7), torch.ones(7)))


def test_A10_a_scale_for_each_channel_is_told_how_to_expand_in_the_constructor():
    for shape, call in (((3,), r"std\.reshape\(3, 1, 1\)\.expand\(3, 5, 6\)"), ((3, 1, 1), r"std\.expand\(3, 5, 6\)")):
        with pytest.raises(ShapeError, match=f"For one std for several coordinates: {call}"):
            Gaussian.from_std(torch.zeros(4, 3, 5, 6), torch.ones(shape), event_dims=3)


@pytest.mark.parametrize("mean", [np.zeros((4, 1)), torch.zeros(4, 1)])
@pytest.mark.parametrize("make", [Gaussian.from_covariance, Gaussian.from_scale_tril, Gaussian.from_precision])
def test_A21_a_mean_that_is_a_column_is_told_to_be_ravelled(mean, make):
    with pytest.raises(ShapeError, match=r"The mean is a column: ravel it, mean\[\.\.\., 0\]"):
        make(mean, np.eye(4))
    assert make(mean[..., 0], np.eye(4)).event_shape == (4,)


@pytest.mark.parametrize("kind", ["std", "variance", "logvar", "log_std"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_scale_for_each_row_is_that_of_each_of_its_coordinates(kind, dtype):
    # The same numbers written out, in everything that is asked of a Gaussian.
    make = getattr(Gaussian, f"from_{kind}")
    mean, other, column = MEAN.to(dtype), OTHER.to(dtype), COLUMN.to(dtype)
    p, whole = make(mean, column), make(mean, column.expand(4, 3).contiguous())
    q = make(other, column.flip(0).expand(4, 3).contiguous())
    for record in kullback.divergences.registry.RECORDS:
        function = getattr(kullback, record.module if record.module != "kl" else "kl_divergence")
        parameters = {parameter.name: 0.4 for parameter in record.parameters if parameter.default is None}
        assert_close(function(p, q, **parameters), function(whole, q, **parameters), rtol=0, atol=0)
        assert_close(function(q, p, **parameters), function(q, whole, **parameters), rtol=0, atol=0)
    assert_close(kullback.entropy(p), kullback.entropy(whole), rtol=0, atol=0)
    assert_close(p.log_prob(other), whole.log_prob(other), rtol=0, atol=0)
    assert_close(p.covariance_matrix, whole.covariance_matrix, rtol=0, atol=0)
    assert_close(p[1:3].stddev, whole[1:3].stddev, rtol=0, atol=0)
    assert_close(kullback.pairwise(p, q), kullback.pairwise(whole, q), rtol=0, atol=0)
    samples = [g.sample(5, generator=torch.Generator().manual_seed(0)) for g in (p, whole)]
    assert_close(*samples, rtol=0, atol=0)


def test_one_scale_for_each_row_has_the_closed_form_of_an_isotropic_gaussian():
    # Of 2 by 2 images, as of the steps of a diffusion: n/2 (s² - 1 - log s²) + |mean|²/2.
    mean, std = torch.from_numpy(RNG.normal(size=(6, 1, 2, 2))), torch.linspace(0.2, 2.0, 6, dtype=torch.float64)
    p = Gaussian.from_std(mean, std.view(6, 1, 1, 1), event_dims=3)
    want = 2.0 * (std**2 - 1.0 - (std**2).log()) + 0.5 * mean.square().flatten(1).sum(1)
    assert_close(kl_divergence(p, Gaussian.standard((1, 2, 2))), want, rtol=1e-14, atol=0)
    low = Gaussian.from_low_rank(mean.flatten(1), torch.zeros(6, 4, 1, dtype=torch.float64), std[:, None] ** 2)
    assert_close(kl_divergence(low, Gaussian.standard(4)), want, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_of_one_scale_for_each_row_is_that_of_the_formula(dtype):
    # Of KL from the standard normal by a log-variance that n coordinates share: n/2 (e^logvar - 1).
    logvar = COLUMN.to(dtype).requires_grad_()
    kl_divergence(Gaussian.from_logvar(MEAN.to(dtype), logvar), Gaussian.standard(3)).sum().backward()
    assert_close(logvar.grad, 1.5 * (logvar.detach().exp() - 1.0))
    both = torch.func.vmap(
        torch.func.grad(lambda s, m: kl_divergence(Gaussian.from_logvar(m, s), Gaussian.standard(3)))
    )
    assert_close(both(logvar.detach(), MEAN.to(dtype)), logvar.grad)


@pytest.mark.parametrize(
    ("mean", "std", "ways"),
    [
        ((3,), (3, 1), ["for each coordinate: std[..., 0]", "for each of several Gaussians: std.expand(3, 3)"]),
        ((3,), (8, 1), ["for each of several Gaussians: std.expand(8, 3)"]),
        ((4, 3), (4,), ["for each row: std[:, None]"]),
        ((2, 4, 3), (2, 4), ["for each row: std.reshape(2, 4, 1)"]),
        ((4, 1), (4,), ["for each row: std[:, None]", "one Gaussian of 4 coordinates: mean[..., 0]"]),
    ],
)
def test_a_scale_that_may_mean_several_things_is_refused_with_all_of_them(mean, std, ways):
    with pytest.raises(ShapeError, match="Events do not broadcast") as error:
        Gaussian.from_std(torch.zeros(mean), torch.ones(std))
    assert all(way in str(error.value) for way in ways)


def test_rows_of_scales_that_do_not_fit_the_rows_of_means_are_refused_as_they_were_given():
    with pytest.raises(ShapeError, match=r"batches do not broadcast: mean is \(4, 3\), std is \(5, 1\)"):
        Gaussian.from_std(torch.zeros(4, 3), torch.ones(5, 1))
    with pytest.raises(ValueError, match=r"zeros \(at \[2, 0\]\)"):
        Gaussian.from_std(torch.zeros(4, 3), torch.tensor([[1.0], [1.0], [0.0], [1.0]]))


def test_smaller_things_integers_are_floats_of_the_library_they_come_from():
    # As numpy.mean and torch's division make them.
    for given in ([0, 1], np.array([0, 1]), np.array([0, 1], np.int8)):
        assert Gaussian.from_std(given, [1, 2]).dtype == torch.float64
    assert Gaussian.from_std(torch.tensor([0, 1]), torch.tensor([1, 2])).dtype == torch.float32
    assert kl_divergence(Gaussian.from_std([0, 1], [1, 2]), Gaussian.from_std([0.0, 1.0], [1.0, 2.0])) == 0.0
