"""What people already hold: objects of other libraries, and torch's own registry."""

import subprocess
import sys
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Gamma, Independent, LowRankMultivariateNormal, MultivariateNormal, Normal
from torch.testing import assert_close

import kullback
from kullback import Gaussian, NoClosedForm


def test_torch_multivariate_normals_are_taken_by_the_factors_they_hold():
    mean = torch.randn(4, 3)
    factor = torch.randn(4, 3, 3).tril(-1) + torch.eye(3)
    p = MultivariateNormal(mean, scale_tril=factor)
    q = LowRankMultivariateNormal(mean + 1, torch.randn(4, 3, 1), torch.ones(4, 3))
    assert_close(kullback.kl_divergence(p, Gaussian.from_scale_tril(mean, factor)), torch.zeros(4), rtol=0, atol=0)
    assert_close(kullback.kl_divergence(p, q), torch.distributions.kl_divergence(p, q), rtol=1e-4, atol=1e-5)
    assert_close(kullback.kl_divergence(q, p), torch.distributions.kl_divergence(q, p), rtol=1e-4, atol=1e-5)
    with pytest.raises(NoClosedForm, match="add up"):
        kullback.kl_divergence(Independent(p, 1), Independent(p, 1))
    with pytest.raises(NoClosedForm, match="Gamma"):
        kullback.kl_divergence(Gamma(1.0, 1.0), p)


def test_gpytorch_is_taken_exactly_where_it_would_estimate():
    gpytorch = pytest.importorskip("gpytorch")
    g = torch.Generator().manual_seed(0)
    d = 30
    a, b = (torch.randn(d, d, generator=g, dtype=torch.float64) for _ in range(2))
    p, q = (gpytorch.distributions.MultivariateNormal(x[0], x @ x.T + torch.eye(d)) for x in (a, b))
    want = torch.distributions.kl_divergence(*(MultivariateNormal(x.loc, x.covariance_matrix) for x in (p, q)))
    assert_close(kullback.kl_divergence(p, q), want, rtol=1e-9, atol=0)


def test_diffusers_posteriors_are_image_latents_and_say_when_their_clamp_was_active():
    vae = pytest.importorskip("diffusers.models.autoencoders.vae")
    parameters = torch.randn(2, 8, 4, 4)
    posterior = vae.DiagonalGaussianDistribution(parameters)
    value = kullback.kl_divergence(posterior, Gaussian.standard((4, 4, 4)))
    assert_close(value, posterior.kl(), rtol=1e-4, atol=1e-4)
    parameters[0, 4:] = 50.0
    with pytest.warns(UserWarning, match="64 of 128 log-variances are at the clamp"):
        kullback.kl_divergence(vae.DiagonalGaussianDistribution(parameters), Gaussian.standard((4, 4, 4)))
    with pytest.raises(ValueError, match="deterministic"):
        kullback.kl_divergence(vae.DiagonalGaussianDistribution(parameters, deterministic=True), posterior)


class ModelOutput(OrderedDict):
    """As that of pythae: what is set as an item is an attribute too, and the other way round."""

    def __setattr__(self, name, value):
        super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)


@pytest.mark.parametrize("make", [ModelOutput, dict, SimpleNamespace])
def test_pythae_outputs_are_recognized_by_the_names_of_their_fields(make):
    mean, logvar = torch.randn(2, 5, 3, dtype=torch.float64)
    p = kullback.as_gaussian(make(embedding=mean, log_covariance=logvar))
    want = torch.distributions.kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum(1)
    assert_close(kullback.kl_divergence(p, Gaussian.standard(3)), want)
    assert p.scale.parameterization == "logvar"
    image = torch.zeros(5, 2, 4, 4)
    assert kullback.as_gaussian(make(embedding=image, log_covariance=image)).event_shape == (2, 4, 4)
    single = kullback.as_gaussian(make(embedding=mean[0], log_covariance=logvar[0]))
    assert (single.batch_shape, single.event_shape) == ((), (3,))


@pytest.mark.parametrize(
    "fields",
    [
        {"embedding": torch.zeros(5, 3)},
        {"embedding": torch.zeros(5, 3), "log_covariance": torch.zeros(5, 3, 3)},
        {"embedding": [0.0], "log_covariance": [0.0]},
        {"mean": torch.zeros(5, 3), "sigma": torch.ones(5, 3)},
    ],
)
def test_outputs_with_other_fields_are_not_guessed(fields):
    with pytest.raises(TypeError, match=r"must be a Gaussian.*got ModelOutput"):
        kullback.as_gaussian(ModelOutput(fields))


def test_nothing_of_others_is_imported():
    code = "import sys, kullback; kullback.kl_divergence(kullback.Gaussian.standard(2), kullback.Gaussian.standard(2));"
    code += "print([m for m in ('gpytorch', 'diffusers', 'linear_operator') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_registering_adds_the_missing_pairs_once_and_leaves_the_rest():
    code = """
import torch, kullback
from torch.distributions import *
from torch.distributions.kl import _KL_REGISTRY
before = dict(_KL_REGISTRY)
added = kullback.register_with_torch()
print(len(added), kullback.register_with_torch(), all(_KL_REGISTRY[k] is v for k, v in before.items()))
p = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
q = MultivariateNormal(torch.ones(2), torch.eye(2))
r = LowRankMultivariateNormal(torch.zeros(2), torch.zeros(2, 1), torch.ones(2))
print([float(kl_divergence(a, b)) for a, b in ((p, q), (q, p), (p, r), (r, p))])
"""
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "4 [] True\n[1.0, 1.0, 0.0, 0.0]\n"


def test_lists_arrays_and_numbers_become_full_gaussians():
    p = Gaussian.from_covariance([0.0, 0.0], [[2.0, 1.0], [1.0, 2.0]])
    value = kullback.kl_divergence(p, Gaussian.from_precision(0.0, np.eye(2)))
    assert isinstance(value, np.ndarray)
    np.testing.assert_allclose(value, 0.5 * (4 - 2 - np.log(3)), rtol=1e-15)
    bounds = kullback.fisher_rao_bounds(p, Gaussian.standard(2))
    assert isinstance(bounds.lower, np.ndarray)
    parts = kullback.kl_decomposition(p, p)
    assert parts.total_correlation is None


def test_what_was_read_before_does_not_decide_what_an_object_of_the_same_type_is():
    p = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    assert kullback.as_gaussian(p).event_shape == (3,)
    with pytest.raises(NoClosedForm, match="Gamma"):
        kullback.as_gaussian(Independent(Gamma(torch.ones(3), torch.ones(3)), 1))
    nested = Independent(Independent(Normal(torch.zeros(2, 3), 1.0), 1), 1)
    assert kullback.as_gaussian(nested).event_shape == (2, 3)


@pytest.mark.parametrize(
    ("keys", "call"),
    [
        (("mu", "logvar"), "from_logvar(p['mu'], p['logvar'])"),
        (("log_var", "z_mean"), "from_logvar(p['z_mean'], p['log_var'])"),
        (("embedding_mean", "log_covariance"), "from_logvar(p['embedding_mean'], p['log_covariance'])"),
        (("mu", "variance"), "from_variance(p['mu'], p['variance'])"),
        (("loc", "scale"), "from_std(p['loc'], p['scale'])"),
        (("mu", "sigma"), "from_std(p['mu'], p['sigma'])"),
        (("mu", "log_std"), "from_log_std(p['mu'], p['log_std'])"),
        (("mean", "cov"), "from_covariance(p['mean'], p['cov'])"),
    ],
)
def test_a_mapping_is_told_the_constructor_that_its_names_say(keys, call):
    with pytest.raises(TypeError) as error:
        kullback.kl_divergence(dict.fromkeys(keys, torch.ones(2, 3)), Gaussian.standard(3))
    assert str(error.value).endswith(f"got dict. Gaussian.{call}.")


def test_a_mapping_whose_names_say_nothing_is_told_so():
    with pytest.raises(TypeError, match=r"Its keys, 'z', 'loss', name no mean and scale. Build one"):
        kullback.kl_divergence({"z": 1, "loss": 2}, Gaussian.standard(3))


def test_what_stands_for_files_is_told_what_compare_takes(tmp_path):
    import pyarrow as pa
    from pyarrow import dataset, parquet

    table = pa.table({"mu": [[1.0, 2.0]], "logvar": [[0.0, 0.0]]})
    path = tmp_path / "a.parquet"
    parquet.write_table(table, path)
    told = {
        "a pattern such as 'run/*.parquet'": [str(path), path],
        "its folder as a path, or the table in it: a.to_table()": dataset.dataset(tmp_path),
        "the table in it: a.read_all()": table.to_reader(),
        "the table in it: a.read()": parquet.ParquetFile(path),
    }
    for says, x in told.items():
        with pytest.raises(TypeError) as error:
            kullback.compare(x)
        assert says in str(error.value)
    with pytest.raises(TypeError, match="compare"):
        kullback.kl_divergence(str(path), str(path))
