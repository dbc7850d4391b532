"""What compare is given: columns by name, labels of arrays, engines, and rows with values that are not possible."""

import dask.array
import numpy as np
import pandas
import polars
import pytest
import torch
from torch.distributions import Independent, Normal

from kullback import Gaussian, ShapeError, compare, compare_all

N, D, BAD = 30, 4, 7
RNG = np.random.default_rng(3)
MU, OTHER_MU = RNG.standard_normal((2, N, D))
LOGVAR, OTHER_LOGVAR = RNG.standard_normal((2, N, D))


def kl(keep=slice(None)):
    terms = np.exp(LOGVAR - OTHER_LOGVAR) + (MU - OTHER_MU) ** 2 / np.exp(OTHER_LOGVAR) - 1 + OTHER_LOGVAR - LOGVAR
    return pytest.approx(terms[keep].sum(1).mean() / 2, rel=1e-6)


def compared(a, b, **options):
    return compare(a, b, align=(), aggregate=False, **options)


def test_arrays_by_name_are_read_as_the_columns_of_a_file(tmp_path):
    np.savez(tmp_path / "a.npz", mu=MU, logvar=LOGVAR)
    b = {"mean": OTHER_MU, "log_var": torch.tensor(OTHER_LOGVAR, requires_grad=True)}
    with np.load(tmp_path / "a.npz") as a:
        assert compared(a, b).scalars()["kl_ab.mean"] == kl()
    order = RNG.permutation(N)
    a = {"mu": MU, "logvar": LOGVAR, "id": [f"i{i}" for i in range(N)]}
    b = {"mu": OTHER_MU[order], "logvar": OTHER_LOGVAR[order], "id": [f"i{i}" for i in order]}
    assert compared(a, b).scalars()["kl_ab.mean"] == kl()
    found = compare_all({"x": a, "y": b}, align=())
    assert found["x", "y"].scalars()["kl_ab.mean"] == kl()
    with pytest.raises(TypeError, match=r"Its keys, 'mu', name no mean and scale"):
        compare({"mu": MU})


def test_arrays_with_labels_in_another_order_are_refused():
    a, b = (pandas.DataFrame(x, index=[f"i{i}" for i in range(N)]) for x in (MU, OTHER_MU))
    with pytest.raises(ShapeError, match="a and b have the same labels in another order"):
        compared((a, LOGVAR), (b[::-1], OTHER_LOGVAR[::-1]), scale="logvar")


@pytest.mark.parametrize("engine", ["dask", "local", 2, Normal])
def test_what_is_no_engine_is_told_which_are(engine):
    with pytest.raises(TypeError, match=r"kullback.engines.dask.Dask\(address\)"):
        compared((MU, LOGVAR), (OTHER_MU, OTHER_LOGVAR), scale="logvar", engine=engine)


def dask_pair(mu, logvar):
    return tuple(dask.array.from_array(x, chunks=(8, D)) for x in (mu, logvar))


def of_covariances(mu, logvar):
    return Gaussian.from_covariance(torch.tensor(mu), torch.tensor(np.exp(logvar)).diag_embed(), validate=False)


KINDS = {
    "NumPy": lambda mu, logvar: (mu, logvar),
    "list": lambda mu, logvar: [mu, logvar],
    "torch": lambda mu, logvar: (torch.tensor(mu), torch.tensor(logvar)),
    "dask": dask_pair,
    "mixed": lambda mu, logvar: (dask_pair(mu, mu)[0], logvar),
    "mapping": lambda mu, logvar: {"mu": mu, "logvar": logvar},
    "pandas": lambda mu, logvar: pandas.DataFrame({"mu": list(mu), "logvar": list(logvar)}),
    "Polars": lambda mu, logvar: polars.DataFrame({"mu": mu, "logvar": logvar}),
    "Gaussian": lambda mu, logvar: Gaussian.from_logvar(torch.tensor(mu), torch.tensor(logvar), validate=False),
    "covariances": of_covariances,
    "torch.distributions": lambda mu, logvar: Independent(
        Normal(torch.tensor(mu), torch.tensor(np.exp(logvar / 2)), validate_args=False), 1
    ),
    "Gaussians": lambda mu, logvar: [Gaussian.from_logvar(*of, validate=False) for of in zip(mu, logvar, strict=True)],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["mean", "scale"])
def test_a_row_that_is_not_possible_is_told_or_left_out(kind, where):
    mu, logvar = MU.copy(), LOGVAR.copy()
    {"mean": mu, "scale": logvar}[where][BAD, 2] = np.nan
    a, b = KINDS[kind](mu, logvar), (OTHER_MU, OTHER_LOGVAR)
    with pytest.raises(ValueError, match=rf"a: .*(row {BAD},|\[{BAD}, 2)"):
        compared(a, b, scale="logvar")
    found = compared(a, b, scale="logvar", on_bad="skip")
    assert found.scalars()["kl_ab.mean"] == kl(np.arange(N) != BAD)
    assert found.scalars()["skipped_rows"] == 1
    assert f"row {BAD}" in found.to_dict()["skipped"]["first"][0]


def test_a_scale_that_is_not_positive_is_left_out():
    std = np.exp(LOGVAR / 2)
    std[BAD, 1] = -1.0
    b = Gaussian.from_logvar(OTHER_MU, OTHER_LOGVAR)
    found = compared((MU, std), b, scale="std", on_bad="skip")
    assert found.scalars()["kl_ab.mean"] == kl(np.arange(N) != BAD)
    with pytest.raises(ValueError, match="Is it a log-variance"):
        compared((MU, std), b, scale="std")
