"""Normals of NumPyro and Pyro, and objects with the attributes that those of distrax and TensorFlow Probability have.

The newest releases of these two do not import beside the JAX that the tests pin. Their objects are made after distrax
0.1.5 and TensorFlow Probability 0.25.0 on JAX 0.5.3, with which each case below was run once.
"""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as nd
import pyro.distributions as pd
import pytest
import torch
from torch import distributions as D
from torch.testing import assert_close

from kullback import Gaussian, NoClosedForm, ShapeError, as_gaussian, kl_divergence, kl_estimate

MEAN = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]], np.float32)
STD = np.array([[1.0, 0.5, 2.0], [0.3, 1.5, 1.0]], np.float32)
TRIL = np.array([[1.0, 0.0, 0.0], [0.5, 2.0, 0.0], [-0.3, 0.2, 0.7]], np.float32)
FACTOR = np.array([[1.0], [-0.5], [0.25]], np.float32)


def made(library, *names, **attributes):
    """An object of a class whose ancestors have these names, in a library that is not installed."""
    kind = object
    for name in reversed(names):
        kind = type(name, (kind,), {"__module__": f"{library}.distributions"})
    x = kind()
    for name, value in attributes.items():
        setattr(x, name, value)
    return x


def methods(**values):
    return {name: lambda value=value: jnp.asarray(value) for name, value in values.items()}


def of_distrax(*names, event_shape=(), **attributes):
    return made("distrax", *names, "Distribution", event_shape=event_shape, **attributes)


def of_tfp(*names, event_shape=(), **attributes):
    return made("tensorflow_probability.substrates.jax", *names, "Distribution", event_shape=event_shape, **attributes)


class LinearOperatorDiag:
    pass


class LinearOperatorLowerTriangular:
    def __init__(self, tril):
        self.to_dense = lambda: jnp.asarray(tril)


def torch_of(x):
    return torch.from_numpy(np.array(x))


NORMAL = D.Normal(torch_of(MEAN), torch_of(STD))
EVENTS = D.Independent(NORMAL, 1)
FULL = D.MultivariateNormal(torch_of(MEAN), scale_tril=torch_of(TRIL))
LOW_RANK = D.LowRankMultivariateNormal(torch_of(MEAN[0]), torch_of(FACTOR), torch_of(STD[0]))
DISTRAX_NORMAL = of_distrax("Normal", **methods(mean=MEAN, stddev=STD))
TFP_NORMAL = of_tfp("Normal", **methods(mean=MEAN, stddev=STD))

CASES = {
    "numpyro Normal": (nd.Normal(jnp.asarray(MEAN), jnp.asarray(STD)), NORMAL),
    "numpyro Normal of numbers": (nd.Normal(1.0, 2.0), D.Normal(torch.tensor(1.0), torch.tensor(2.0))),
    "numpyro scale of a number": (
        nd.Normal(jnp.asarray(MEAN), 2.0).to_event(1),
        D.Independent(D.Normal(torch_of(MEAN), 2.0), 1),
    ),
    "numpyro to_event": (nd.Normal(MEAN, STD).to_event(1), EVENTS),
    "numpyro to_event twice": (nd.Normal(MEAN, STD).to_event(2), D.Independent(NORMAL, 2)),
    "numpyro expand": (
        nd.Normal(0.5, 2.0).expand([2, 3]).to_event(1),
        D.Independent(D.Normal(torch.full((2, 3), 0.5), 2.0), 1),
    ),
    "numpyro MultivariateNormal": (nd.MultivariateNormal(MEAN, scale_tril=TRIL), FULL),
    "numpyro covariance": (nd.MultivariateNormal(MEAN, covariance_matrix=TRIL @ TRIL.T), FULL),
    "numpyro low rank": (nd.LowRankMultivariateNormal(MEAN[0], FACTOR, STD[0]), LOW_RANK),
    "distrax Normal": (DISTRAX_NORMAL, NORMAL),
    "distrax log std": (
        of_distrax("LogStddevNormal", "Normal", **methods(mean=MEAN, stddev=STD), log_scale=jnp.log(STD)),
        NORMAL,
    ),
    "distrax Independent of log std": (
        of_distrax(
            "Independent", event_shape=(3,), **methods(mean=MEAN, stddev=np.tile(STD[0], (2, 1))),
            distribution=of_distrax("LogStddevNormal", "Normal", log_scale=jnp.log(STD[0])),
        ),
        D.Independent(D.Normal(torch_of(MEAN), torch_of(STD[0])), 1),
    ),
    "distrax Independent": (
        of_distrax("Independent", event_shape=(3,), distribution=DISTRAX_NORMAL, **methods(mean=MEAN, stddev=STD)),
        EVENTS,
    ),
    "distrax diagonal": (
        of_distrax(
            "MultivariateNormalDiag", "MultivariateNormalFromBijector", "Transformed", event_shape=(3,),
            **methods(mean=MEAN, stddev=STD),
        ),
        EVENTS,
    ),
    "distrax triangular": (
        of_distrax(
            "MultivariateNormalTri", "MultivariateNormalFromBijector", event_shape=(3,), is_lower=True, scale_tri=TRIL,
            **methods(mean=MEAN),
        ),
        FULL,
    ),
    "distrax upper triangular": (
        of_distrax(
            "MultivariateNormalTri", "MultivariateNormalFromBijector", event_shape=(3,), is_lower=False,
            **methods(mean=MEAN, covariance=TRIL @ TRIL.T),
        ),
        FULL,
    ),
    "distrax low rank": (
        of_distrax(
            "MultivariateNormalDiagPlusLowRank", "MultivariateNormalFromBijector", event_shape=(3,),
            **methods(mean=MEAN[0], covariance=np.diag(STD[0]) + FACTOR @ FACTOR.T),
        ),
        LOW_RANK,
    ),
    "tfp Normal": (TFP_NORMAL, NORMAL),
    "tfp Independent": (
        of_tfp("Independent", event_shape=(3,), distribution=TFP_NORMAL, **methods(mean=MEAN, stddev=STD)),
        EVENTS,
    ),
    "tfp Sample": (
        of_tfp("Sample", event_shape=(2, 3), distribution=of_tfp("Normal"), **methods(mean=MEAN, stddev=STD)),
        D.Independent(NORMAL, 2),
    ),
    "tfp diagonal": (
        of_tfp(
            "MultivariateNormalDiag", "MultivariateNormalLinearOperator", event_shape=(3,), scale=LinearOperatorDiag(),
            **methods(mean=MEAN, stddev=STD),
        ),
        EVENTS,
    ),
    "tfp triangular": (
        of_tfp(
            "MultivariateNormalTriL", "MultivariateNormalLinearOperator", event_shape=(3,),
            scale=LinearOperatorLowerTriangular(TRIL), **methods(mean=MEAN),
        ),
        FULL,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_normal_is_that_of_torch_and_numpy_comes_back(case):
    given, same = CASES[case]
    p, want = as_gaussian(given), as_gaussian(same)
    assert (p.batch_shape, p.event_shape) == (want.batch_shape, want.event_shape)
    assert p.mean.dtype == torch.float32
    q = Gaussian.from_std(np.zeros(p.event_shape), 1.5, event_dims=p.event_dims)
    value = kl_divergence(given, q)
    assert isinstance(value, np.ndarray)
    np.testing.assert_allclose(value, kl_divergence(same, q).numpy(), rtol=2e-5, atol=1e-6)
    assert isinstance(kl_divergence(given, same), torch.Tensor)
    assert_close(kl_divergence(given, same), torch.zeros(want.batch_shape), rtol=0, atol=1e-5)


PYRO = {
    "Normal": (pd.Normal(torch_of(MEAN), torch_of(STD)), NORMAL),
    "to_event": (pd.Normal(torch_of(MEAN), torch_of(STD)).to_event(1), EVENTS),
    "expand": (pd.Normal(0.5, 2.0).expand([3]).to_event(1), D.Independent(D.Normal(torch.full((3,), 0.5), 2.0), 1)),
    "ExpandedDistribution": (
        pd.ExpandedDistribution(pd.Normal(torch_of(MEAN[:1]), torch_of(STD[:1])), [2, 3]).to_event(1),
        D.Independent(NORMAL.__class__(torch_of(MEAN[:1]).expand(2, 3), torch_of(STD[:1]).expand(2, 3)), 1),
    ),
    "MultivariateNormal": (pd.MultivariateNormal(torch_of(MEAN), scale_tril=torch_of(TRIL)), FULL),
}


@pytest.mark.parametrize("case", PYRO)
def test_the_normals_of_pyro_are_those_of_torch(case):
    given, same = PYRO[case]
    p, want = as_gaussian(given), as_gaussian(same)
    assert (p.batch_shape, p.event_shape) == (want.batch_shape, want.event_shape)
    assert_close(kl_divergence(given, same), torch.zeros(want.batch_shape), rtol=0, atol=0)


def test_logarithms_inside_an_independent_of_distrax_are_kept():
    log_scale = np.array([-120.0, 0.0, 100.0], np.float32)  # whose exponentials float32 does not hold
    inside = of_distrax("LogStddevNormal", "Normal", log_scale=jnp.asarray(log_scale))
    x = of_distrax("Independent", event_shape=(3,), distribution=inside, **methods(mean=MEAN))
    found = as_gaussian(x)
    assert (found.scale.parameterization, found.batch_shape, found.event_shape) == ("log_std", (2,), (3,))
    assert_close(found.scale.value, torch_of(log_scale).expand(2, 3))
    assert isinstance(kl_divergence(found, found), np.ndarray)


@pytest.mark.parametrize(
    "masked",
    [nd.Normal(MEAN, STD).mask(np.array([[True, False, True]] * 2)), pd.Normal(0.0, 1.0).mask(torch.tensor([True]))],
)
def test_a_mask_is_not_looked_through(masked):
    with pytest.raises(NoClosedForm, match=r"MaskedDistribution, which is no density where it is masked.*base_dist"):
        as_gaussian(masked)


def test_independent_multivariate_normals_add_up():
    full = of_distrax("MultivariateNormalTri", "MultivariateNormalFromBijector")
    of_tfp_full = of_tfp("MultivariateNormalTriL", "MultivariateNormalLinearOperator", scale=TRIL)
    for x in (
        nd.MultivariateNormal(MEAN, scale_tril=TRIL).to_event(1),
        of_distrax("Independent", distribution=full),
        of_tfp("Independent", distribution=of_tfp_full),
    ):
        with pytest.raises(NoClosedForm, match=r"x is a number of independent multivariate Gaussians.*add up"):
            as_gaussian(x)


def test_other_distributions_of_these_libraries_are_densities():
    p = Gaussian.from_std(np.array([0.3]), np.array([0.5]))
    laplace = D.Independent(D.Laplace(torch.zeros(1), torch.ones(1)), 1)
    of_numpyro = nd.Laplace(jnp.zeros(1), 1.0).to_event(1)
    want = kl_estimate(p, laplace, seed=0).value
    log_prob = {"log_prob": lambda x: jnp.asarray(laplace.log_prob(torch.from_numpy(np.array(x))).numpy())}
    others = [of_distrax("Laplace", batch_shape=(), event_shape=(1,), dtype=np.float32, **log_prob),
              of_tfp("Laplace", batch_shape=(), event_shape=(1,), dtype=np.float32, **log_prob)]  # fmt: skip
    for q in (of_numpyro, *others):
        found = kl_estimate(p, q, seed=0).value
        assert isinstance(found, np.ndarray)
        assert float(found) == pytest.approx(float(want), rel=1e-5)
    drawn = kl_estimate(of_numpyro, p, seed=0)
    # The variance of Laplace is 2; scipy's quadrature of log p - log q.
    assert abs(float(drawn.value) - 2.712644) < 5 * float(drawn.standard_error) < 0.3
    assert float(kl_estimate(of_numpyro, p, seed=0).value) == float(drawn.value)
    with pytest.raises(NoClosedForm, match="Independent with a log-density"):
        kl_divergence(of_numpyro, p)
    with pytest.raises(ShapeError, match=r"q is a batch \(2,\) of numpyro distributions.*to_event"):
        kl_estimate(p, nd.Laplace(jnp.zeros(2), 1.0))
    with pytest.raises(ShapeError, match=r"p has event shape \(1,\), q has \(\)"):
        kl_estimate(p, nd.Laplace(0.0, 1.0))


def test_distrax_and_tfp_are_drawn_from_as_their_signatures_say():
    calls = []

    def log_prob(x):
        return jnp.asarray(-0.5 * np.square(np.asarray(x)).sum(-1) - 0.9189385)

    def distrax_sample(*, seed, sample_shape=()):
        calls.append(sample_shape)
        return np.random.default_rng(seed).normal(size=(*sample_shape, 1)).astype(np.float32)

    def tfp_sample(sample_shape=(), seed=None, name="sample"):
        calls.append(sample_shape)
        return np.random.default_rng(np.asarray(seed)).normal(size=(sample_shape, 1)).astype(np.float32)

    shapes = {"batch_shape": (), "event_shape": (1,)}
    for p in (
        of_distrax("Gamma", sample=distrax_sample, log_prob=log_prob, **shapes),
        of_tfp("Gamma", sample=tfp_sample, log_prob=log_prob, **shapes),
    ):
        found = kl_estimate(p, Gaussian.from_std(np.ones(1), np.ones(1)), seed=0)
        assert abs(float(found.value) - 0.5) < 5 * float(found.standard_error) < 0.05
    assert calls == [(65536,), 65536]


def test_namespaces_with_the_same_names_are_nobodys():
    with pytest.raises(TypeError, match="got SimpleNamespace"):
        as_gaussian(SimpleNamespace(loc=MEAN, scale=STD))
