"""Reports of singular covariances: Fréchet distances of few images, Gaussians on subspaces, discs turned in space."""

import warnings

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from truth.singular import squared_wasserstein2

from kullback import Gaussian, NotPositiveDefinite, kl_divergence, wasserstein2
from kullback.cli.app import commands

# Rows of features, of two models: fewer than features, or a few of them.
FEW_P = [
    [1.60943, -1.07997, 2.5009, 2.88113, -2.90207, -1.60436, 1.25568],
    [0.367515, 0.966398, -0.706088, 2.7588, 2.55558, 1.13206, 3.25448],
    [1.93502, -0.718585, 1.7375, -0.917765, 2.7569, 0.900148, 0.630275],
    [-0.361859, 3.44508, 0.690941, 0.143344, 0.295733, 2.06462, 1.73089],
]
FEW_Q = [
    [0.412733, 0.430821, 2.14165, -0.406415, -0.512243, -0.813773, 0.615979],
    [1.12897, -0.113947, -0.840156, -0.824481, 0.650593, 0.743254, 0.543154],
    [-0.66551, 0.232161, 0.116686, 0.218689, 0.871429, 0.223596, 0.678914],
    [0.0675791, 0.289119, 0.631288, -1.45716, -0.319671, -0.470373, -0.638878],
    [-0.275142, 1.49494, -0.865831, 0.968278, -1.68287, -0.334885, 0.162753],
]
TWO_P = [[0.586222, 0.711227, 0.793347, -0.348725, -0.462352], [0.857976, -0.191304, -1.27569, -1.13329, -0.919452]]
TWO_Q = [
    [0.497161, 0.142426, 0.690485, -0.427253, 0.15854],
    [0.62559, -0.309347, 0.456775, -0.661926, -0.363054],
    [-0.381738, -1.19584, 0.486972, -0.469402, 0.0124941],
    [0.480747, 0.446531, 0.665385, -0.0984855, -0.423298],
    [-0.0797182, -1.68733, -1.44711, -1.3227, -0.997247],
    [0.399774, -0.905479, -0.378163, 1.29923, -0.356264],
]


def of_rows(x):
    return Gaussian.from_samples(x, structure="low_rank")


def of_statistics(x):
    return Gaussian.from_covariance(x.mean(0), np.cov(x.T), singular=True)


@pytest.mark.parametrize("build", [of_rows, of_statistics])
@pytest.mark.parametrize(
    ("p", "q", "truth"),
    [(FEW_P, FEW_Q, 18.9438159989418720047), (FEW_P, FEW_P, 0.0), (TWO_P, TWO_Q, 3.04121146101336744181)],
)
def test_frechet_distances_of_few_rows(p, q, truth, build):
    value = wasserstein2(build(np.array(p)), build(np.array(q)), squared=True)
    assert value == pytest.approx(truth, rel=1e-13, abs=0)


@pytest.mark.parametrize("build", [of_rows, of_statistics])
def test_F2_frechet_distance_of_fewer_samples_than_features(build):
    r = np.random.default_rng(0)
    x, y = r.normal(size=(40, 64)), r.normal(size=(40, 64)) * 1.2 + 0.1
    factors = [(a - a.mean(0)).T / np.sqrt(39) for a in (x, y)]
    traces = sum((f**2).sum() for f in factors)
    nuclear = np.linalg.svd(factors[0].T @ factors[1])[1].sum()
    truth = ((x.mean(0) - y.mean(0)) ** 2).sum() + traces - 2 * nuclear
    assert truth == pytest.approx(66.756422770, abs=1e-8)
    assert wasserstein2(build(x), build(y), squared=True) == pytest.approx(truth, rel=1e-12)
    x[:, 5] = y[:, 5] = 1.0  # a feature that is dead
    assert 0 < wasserstein2(build(x), build(y), squared=True) < truth


def test_F3_a_gaussian_on_a_line():
    """One is the other doubled along it: as far as the line's vector is long."""
    w, zero = torch.tensor([[1.0], [2.0], [0.5]], dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for build in (
        lambda c: Gaussian.from_low_rank(zero, c * w, 0.0),
        lambda c: Gaussian.from_covariance(zero, c * c * w @ w.T, singular=True),
    ):
        assert float(wasserstein2(build(1.0), build(2.0))) == pytest.approx(2.29128784747792, rel=1e-14)
        assert float(kl_divergence(build(1.0), build(2.0))) == pytest.approx(np.log(2) + 0.125 - 0.5, rel=1e-13)
        other = Gaussian.from_low_rank(zero, torch.ones(3, 1, dtype=torch.float64), 0.0)
        assert kl_divergence(build(1.0), other) == np.inf


def test_F4_discs_turned_in_space_are_never_taken_by_luck():
    torch.manual_seed(0)
    discs = []
    for _ in range(200):
        turn = torch.linalg.qr(torch.randn(3, 3))[0]
        discs.append(turn @ torch.diag(torch.tensor([1.0, 0.25, 0.0])) @ turn.T)
        with warnings.catch_warnings():
            # Either an error or a warning, which is one here.
            warnings.simplefilter("error")
            with pytest.raises((NotPositiveDefinite, UserWarning), match="singular"):
                Gaussian.from_covariance(torch.zeros(3), discs[-1])
    both = Gaussian.from_covariance(torch.zeros(3), torch.stack(discs), singular=True)
    assert both.scale.factor.shape[-1] == 2
    assert torch.isinf(kl_divergence(both[:100], both[100:])).all()
    values = wasserstein2(both[0], both[1], squared=True)
    roots = [np.linalg.svd(x.double().numpy())[0][:, :2] * [1.0, 0.5] for x in discs[:2]]
    truth = squared_wasserstein2([0] * 3, roots[0].tolist(), [0] * 3, roots[1].tolist())
    assert float(values) == pytest.approx(float(truth), rel=1e-5)


def test_files_of_statistics_of_few_images(tmp_path):
    for name, rows in (("a", np.array(FEW_P)), ("b", np.array(FEW_Q))):
        np.savez(tmp_path / f"{name}.npz", mu=rows.mean(0), sigma=np.cov(rows.T))
    files = [str(tmp_path / f"{name}.npz") for name in "ab"]
    result = CliRunner().invoke(commands, ["wasserstein2", *files])
    assert result.exit_code == 0, result.output
    assert float(result.stdout.split(",")[-1]) == pytest.approx(18.9438159989418720047**0.5, rel=1e-13)
    result = CliRunner().invoke(commands, ["kl", *files])
    assert result.stdout.split(",")[-1].strip() == "inf"
