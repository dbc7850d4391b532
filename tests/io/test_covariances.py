"""Files that hold full covariances: of one Gaussian, or of each row."""

import numpy as np
import pytest
from click.testing import CliRunner
from truth.reading import whole

from kullback import Gaussian, compare, kl_divergence
from kullback.cli.app import commands
from kullback.io.posteriors import open_posteriors

RNG = np.random.default_rng(0)
MEANS, FACTORS = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 3, 4, 4))
COVARIANCES = FACTORS @ FACTORS.swapaxes(-1, -2) + np.eye(4)


def run(*arguments):
    return CliRunner().invoke(commands, list(map(str, arguments)))


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_statistics_of_a_frechet_distance_are_read():
    for i, name in enumerate("ab"):
        np.savez(f"{name}.npz", mu=np.full(4, i), sigma=np.eye(4) * (i + 1))
    result = run("wasserstein2", "a.npz", "b.npz")
    assert result.exit_code == 0
    # The means are 2 apart, and four standard deviations differ by sqrt 2 - 1.
    want = np.sqrt(4 + 4 * (np.sqrt(2) - 1) ** 2)
    assert float(result.stdout.splitlines()[1].split(",")[1]) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("name", ["cov", "covariance", "sigma"])
def test_each_row_may_have_its_covariance(name):
    for k, file in enumerate("ab"):
        np.savez(f"{file}.npz", **{"mu": MEANS[k], name: COVARIANCES[k], "id": np.array(["x", "y", "z"])})
    p, q = (Gaussian.from_covariance(m, c) for m, c in zip(MEANS, COVARIANCES, strict=True))
    rows = [line.split(",") for line in run("kl", "a.npz", "b.npz").stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == ["x", "y", "z"]
    assert [float(row[1]) for row in rows] == pytest.approx(kl_divergence(p, q).tolist(), rel=1e-12)
    found = compare("a.npz", "b.npz", align=(), aggregate=False).scalars()["kl_ab.mean"]
    assert found == pytest.approx(float(kl_divergence(p, q).mean()), rel=1e-9)


def test_what_is_no_covariance_ends_in_one_line():
    np.savez("a.npz", mu=np.zeros(4), sigma=-np.eye(4))
    np.savez("b.npz", mu=np.full(4, np.nan), sigma=np.eye(4))
    np.savez("c.npz", mu=np.zeros((5, 4)), cov=np.ones((5, 4)))
    messages = {"a": "not positive semidefinite", "b": "not finite", "c": "holds no covariances of 'mu'"}
    for file, message in messages.items():
        result = run("kl", f"{file}.npz", f"{file}.npz")
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_singular_covariances_are_noted_and_their_infinity_is_told_from_overflow():
    rng = np.random.default_rng(1)
    mean, factor = rng.normal(size=(12, 3)), rng.normal(size=(12, 3, 3))
    covariance = factor @ factor.swapaxes(-1, -2) + np.eye(3)
    np.savez("full.npz", mu=mean, cov=covariance)
    want = kl_divergence(*(Gaussian.from_covariance(mean + x, covariance) for x in (0.1, 0.0)))
    covariance[5] = np.outer(mean[5], mean[5])
    np.savez("one.npz", mu=mean + 0.1, cov=covariance)
    result = run("kl", "one.npz", "full.npz")
    assert "note: one.npz: 1 of 12 covariances is singular" in result.stderr
    assert "full.npz" not in result.stderr
    rows = [float(line.split(",")[1]) for line in result.stdout.splitlines()[1:]]
    assert rows[5] == np.inf
    assert np.delete(rows, 5) == pytest.approx(np.delete(want, 5), rel=1e-9)
    for files in (["one.npz", "full.npz"], ["one.npz"], ["full.npz", "one.npz", "full.npz", "--names", "a,b,c"]):
        result = run("compare", *files, "--brief", "--no-aggregate")
        assert result.exit_code == 0, result.output
        assert "1 of 12 covariances is singular" in result.stderr
        assert "too large for a float64" not in result.stdout
    told = compare("one.npz", aggregate=False).findings()
    assert any("is infinite for 1 of 12 inputs. Some covariances are singular" in x for x in told)
    told += compare("one.npz", "full.npz", aggregate=False).findings()
    assert not any("the largest share of KL" in x for x in told)
    assert not any("scale of each model" in x for x in told)


def test_a_covariance_computed_in_float32_and_saved_as_float64_is_taken_as_float32():
    x, y = (np.random.default_rng(i).normal(size=(n, 128)).astype(np.float32) for i, n in ((0, 50), (1, 500)))
    for file, rows, dtype in (("a", x, np.float32), ("exact", x, np.float64), ("b", y, np.float64)):
        covariance = np.cov(rows, rowvar=False, dtype=dtype).astype(np.float64)
        np.savez(f"{file}.npz", mu=rows.mean(0).astype(np.float64), sigma=covariance)
    found, exact = (run("wasserstein2", file, "b.npz") for file in ("a.npz", "exact.npz"))
    assert found.exit_code == 0, found.output
    assert "note: a.npz: column 'sigma' is positive semidefinite to the precision of float32" in found.stderr
    assert "float32" not in exact.stderr
    # That of the covariances of the same rows in float64.
    values = [float(result.stdout.splitlines()[1].split(",")[1]) for result in (found, exact)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    with pytest.warns(UserWarning, match=r"a\.npz: column 'sigma' .* it is taken as float32"):
        whole(open_posteriors("a.npz").model())
