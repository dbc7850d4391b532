"""compare: posteriors in memory as other libraries give them, against the textbook formula in plain torch."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal
from torch.distributions import kl_divergence as torch_kl

from kullback import Gaussian, PosteriorFileError, ShapeError, compare

OF_VARIANCE = {"std": torch.sqrt, "variance": torch.clone, "logvar": torch.log}


def kl(mean_p, variance_p, mean_q, variance_q):
    """The mean over rows of the divergence of diagonal Gaussians."""
    terms = variance_p / variance_q + (mean_p - mean_q) ** 2 / variance_q - 1 - torch.log(variance_p / variance_q)
    return 0.5 * terms.flatten(1).sum(1).mean().item()


def posteriors(*event, n=60):
    mean, other_mean = torch.randn(2, n, *event, dtype=torch.float64)
    variance, other_variance = 0.1 + torch.rand(2, n, *event, dtype=torch.float64)
    return mean, variance, other_mean, other_variance


@pytest.mark.parametrize("scale", OF_VARIANCE)
@pytest.mark.parametrize("event", [(3,), (2, 3, 3)])
@pytest.mark.parametrize("numpy", [False, True])
def test_a_mean_and_a_scale_are_what_scale_says(scale, event, numpy):
    mean, variance, other_mean, other_variance = posteriors(*event)
    a, b = (mean, OF_VARIANCE[scale](variance)), [other_mean, OF_VARIANCE[scale](other_variance)]
    if numpy:
        a, b = tuple(x.numpy() for x in a), [x.numpy() for x in b]
    comparison = compare(a, b, scale=scale, align=(), aggregate=False)
    assert comparison.event_shape == event
    want = kl(mean, variance, other_mean, other_variance)
    assert comparison.scalars()["kl_ab.mean"] == pytest.approx(want, rel=1e-10)


def test_what_states_its_scale_is_not_affected():
    mean, variance, other_mean, other_variance = posteriors(3)
    b = Independent(Normal(other_mean, other_variance.sqrt()), 1)
    comparison = compare((mean, variance), b, scale="variance", align=(), aggregate=False)
    want = kl(mean, variance, other_mean, other_variance)
    assert comparison.scalars()["kl_ab.mean"] == pytest.approx(want, rel=1e-10)


@pytest.mark.parametrize("make", [Gaussian.from_std, lambda mean, std: Independent(Normal(mean, std), 1)])
def test_a_list_of_gaussians_has_one_for_each_input(make):
    mean, variance, other_mean, other_variance = posteriors(3)
    a, b = (list(map(make, m, v.sqrt())) for m, v in ((mean, variance), (other_mean, other_variance)))
    comparison = compare(a, b, align=(), aggregate=False)
    assert comparison.scalars()["kl_ab.mean"] == pytest.approx(
        kl(mean, variance, other_mean, other_variance), rel=1e-10
    )
    with pytest.raises(ShapeError, match="a is a list of batches of Gaussians"):
        compare([make(mean, variance), make(mean, variance)])
    with pytest.raises(TypeError, match="not in a tuple"):
        compare(tuple(a))
    with pytest.raises(TypeError, match=r"expected two tensors or arrays, \(mean, scale\)"):
        compare([[0.0, 1.0], [1.0, 1.0]])


def test_tensors_of_the_inference_mode_are_compared():
    with torch.inference_mode():
        mean, variance, other_mean, other_variance = posteriors(3)
    kinds = ("permutation", "rotation", "rotation+shift", "affine")
    comparison = compare((mean, variance), (other_mean, other_variance), scale="variance", align=kinds, aggregate=False)
    want = kl(mean, variance, other_mean, other_variance)
    assert comparison.scalars()["kl_ab.mean"] == pytest.approx(want, rel=1e-10)
    assert set(comparison.coordinates.alignments) == set(kinds)


@pytest.mark.parametrize("as_files", [(True, True), (True, False), (False, True)])
def test_scale_says_what_sigma_holds_in_a_file(as_files, tmp_path):
    mean, variance, other_mean, other_variance = posteriors(3)
    sides = []
    for name, is_file, *arrays in (("a", as_files[0], mean, variance), ("b", as_files[1], other_mean, other_variance)):
        np.savez(tmp_path / f"{name}.npz", mu=arrays[0].numpy(), sigma=arrays[1].numpy())
        sides.append(tmp_path / f"{name}.npz" if is_file else arrays)
    comparison = compare(*sides, scale="variance", align=(), aggregate=False)
    want = kl(mean, variance, other_mean, other_variance)
    assert comparison.scalars()["kl_ab.mean"] == pytest.approx(want, rel=1e-10)
    with pytest.raises(PosteriorFileError, match=r"'sigma' may hold .* in Python scale="):
        compare(tmp_path / "a.npz", tmp_path / "b.npz")


def test_what_scvi_returns_is_a_mean_and_a_variance():
    # get_latent_representation(return_dist=True): NumPy arrays, in float32.
    mean, variance, other_mean, other_variance = (x.float() for x in posteriors(10))
    a, b = (mean.numpy(), variance.numpy()), (other_mean.numpy(), other_variance.numpy())
    want = kl(*(x.double() for x in (mean, variance, other_mean, other_variance)))
    assert compare(a, b, scale="variance", align=(), aggregate=False).scalars()["kl_ab.mean"] == pytest.approx(
        want, rel=1e-5
    )
    # As a distribution.
    normals = Normal(mean, variance.sqrt()), Normal(other_mean, other_variance.sqrt())
    with pytest.raises(ShapeError, match=r"Independent\(Normal\(mean, std\), 1\)"):
        compare(*normals)
    comparison = compare(*(Independent(normal, 1) for normal in normals), align=(), aggregate=False)
    assert comparison.scalars()["kl_ab.mean"] == pytest.approx(want, rel=1e-5)


def test_what_pythae_returns_is_a_mean_and_a_log_variance():
    mean, variance, other_mean, other_variance = posteriors(4)
    a = OrderedDict(embedding=mean, log_covariance=variance.log())
    b = OrderedDict(embedding=other_mean, log_covariance=other_variance.log())
    want = kl(mean, variance, other_mean, other_variance)
    assert compare(a, b, align=(), aggregate=False).scalars()["kl_ab.mean"] == pytest.approx(want, rel=1e-10)


def test_what_diffusers_returns_is_read_through_its_output():
    vae = pytest.importorskip("diffusers.models.autoencoders.vae")
    outputs = pytest.importorskip("diffusers.models.modeling_outputs")
    parameters = torch.randn(2, 20, 8, 3, 3, dtype=torch.float64)
    a, b = (outputs.AutoencoderKLOutput(latent_dist=vae.DiagonalGaussianDistribution(x)) for x in parameters)
    (mean, logvar), (other_mean, other_logvar) = (x.chunk(2, 1) for x in parameters)
    comparison = compare(a, b, align=(), aggregate=False)
    assert comparison.event_shape == (4, 3, 3)
    want = kl(mean, logvar.exp(), other_mean, other_logvar.exp())
    assert comparison.scalars()["kl_ab.mean"] == pytest.approx(want, rel=1e-10)


MEAN, STD = torch.zeros(5, 3), torch.ones(5, 3)


@pytest.mark.parametrize(
    ("a", "scale", "error", "says"),
    [
        ((MEAN, STD), None, ValueError, r"^a is two arrays.*State what the second one is: scale='std', 'variance', "),
        ((MEAN, STD), "sigma", ValueError, "scale says what the second of two arrays is: .*, got 'sigma'"),
        ((MEAN, STD, STD), "std", TypeError, r"^a is a tuple of 3 \(Tensor, Tensor, Tensor\); expected two"),
        ([Normal(MEAN, STD), MEAN], "std", TypeError, r"^a is a list of 2 \(Normal, Tensor\)"),
        ((MEAN, -STD), "std", ValueError, "^a: from_std got negative values .*Is it a log-variance"),
        ((MEAN, STD[:, :2]), "std", ShapeError, "^a: mean has event shape"),
        ((np.zeros((5, 3), complex), STD), "std", TypeError, "^a: mean must hold real numbers"),
        ((MEAN[:, 0], STD[:, 0]), "std", ShapeError, r"^a has a mean of shape \(5,\).*mean\[:, None\]"),
    ],
)
def test_what_is_no_mean_and_scale_says_why(a, scale, error, says):
    with pytest.raises(error, match=says):
        compare(a, Gaussian.from_std(MEAN, STD), scale=scale)


def test_an_unknown_scale_is_refused_for_files_too():
    with pytest.raises(ValueError, match="got 'sigma'"):
        compare("a.npz", "b.npz", scale="sigma")


def correlated(n, d, dtype=torch.float64):
    factor = 0.3 * torch.randn(n, d, d, dtype=dtype).tril() + torch.eye(d, dtype=dtype)
    return torch.randn(n, d, dtype=dtype), factor


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("numpy", [False, True])
def test_a_diagonal_side_against_a_full_one(swapped, numpy):
    mean, factor = correlated(50, 3)
    scale = 0.5 + torch.rand(50, 3, dtype=torch.float64)
    peers = [MultivariateNormal(mean, scale_tril=factor), Independent(Normal(mean.flip(0), scale), 1)]
    sides = [Gaussian.from_covariance(mean, factor @ factor.mT), Gaussian.from_std(mean.flip(0), scale)]
    if numpy:
        sides[0] = Gaussian.from_covariance(mean.numpy(), (factor @ factor.mT).numpy())
    if swapped:
        peers, sides = peers[::-1], sides[::-1]
    full = [MultivariateNormal(peer.mean, peer.covariance_matrix) if i == swapped else
            MultivariateNormal(peer.mean, torch.diag_embed(peer.variance)) for i, peer in enumerate(peers)]  # fmt: skip
    comparison = compare(*sides, align=("permutation", "rotation", "affine"))
    numbers = comparison.scalars()
    prior = MultivariateNormal(torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    marginals = [Normal(peer.mean, peer.variance.sqrt()) for peer in peers]
    for key, (p, q) in {"ab": full, "ba": full[::-1], "rate_a": (full[0], prior)}.items():
        want = torch_kl(p, q)
        assert comparison.summary.rows(key).numpy() == pytest.approx(want.numpy(), rel=1e-9)
    assert numbers["kl_ab.mean"] == pytest.approx(
        numbers["kl_ab.from_means"] + numbers["kl_ab.from_variances"] + numbers["kl_ab.from_correlations"], rel=1e-12
    )
    by_dimension = torch_kl(*marginals).mean(0)
    assert comparison.per_dimension("ab").numpy() == pytest.approx(by_dimension.numpy(), rel=1e-9)
    assert set(comparison.coordinates.alignments) == {"permutation", "rotation", "affine"}
    assert isinstance(numbers["aggregate.kl_ab.aligned.mean"], float)
    assert "from correlations between dimensions" in " ".join(comparison.findings())


def test_a_rotation_of_a_diagonal_side_is_found_to_be_one():
    mean, _ = correlated(400, 4)
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    a = Gaussian.from_std(mean, torch.tensor([0.1, 0.2, 0.3, 0.4]))
    b = a.affine(turn, torch.zeros(4, dtype=torch.float64))
    numbers = compare(a, b, aggregate=False).scalars()
    assert numbers["kl_ab.rotation.mean"] < 1e-3 < numbers["kl_ab.permutation.mean"]


def test_low_rank_posteriors_are_compared():
    mean = torch.randn(40, 5, dtype=torch.float64)
    a = Gaussian.from_low_rank(mean, torch.randn(40, 5, 2, dtype=torch.float64), torch.ones(5, dtype=torch.float64))
    b = Gaussian.from_std(mean, 1.0)
    found = compare(a, b, aggregate=False)
    want = torch_kl(MultivariateNormal(mean, a.covariance_matrix), MultivariateNormal(mean, torch.eye(5).double()))
    assert found.scalars()["kl_ab.mean"] == pytest.approx(want.mean().item(), rel=1e-9)
    with pytest.raises(ShapeError, match="batch shape"):
        compare(Gaussian.from_low_rank(mean[0], torch.randn(5, 2).double(), 1.0), b)
