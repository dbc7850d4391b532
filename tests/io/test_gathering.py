"""Wide tables, and moments side by side."""

import resource
import warnings

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
from truth.reading import read, whole

from kullback import PosteriorFileError
from kullback.io.frames import frame_columns
from kullback.io.gathering import gathered
from kullback.io.posteriors import open_posteriors
from kullback.io.reading import Reading

RNG = np.random.default_rng(7)
MU, LOGVAR = RNG.standard_normal((2, 30, 12))


def wide(mean="mu_{}", scale="logvar_{}", first=0, d=12):
    return {pattern.format(i + first): x[:, i].copy() for i in range(d) for pattern, x in ((mean, MU), (scale, LOGVAR))}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(("mean", "scale"), [("mu_{}", "logvar_{}"), ("z_mean.{}", "z_log_var.{}"), ("mu{}", "var{}")])
@pytest.mark.parametrize("first", [0, 1])
def test_a_column_for_each_coordinate_is_one_model(suffix, mean, scale, first, tmp_path):
    # In the order of their numbers, not of their names or places.
    table = pandas.DataFrame(dict(reversed(list(wide(mean, scale, first).items()))))
    table.insert(0, "id", range(5, 35))
    path = tmp_path / f"wide{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    told = f"{mean.format(first)} … {mean.format(first + 11)}"
    with pytest.warns(UserWarning, match=told):
        [name] = (file := open_posteriors(path)).models
    assert name == "wide"
    column = file.columns[told]
    assert column.shape == (30, 12)
    np.testing.assert_array_equal(np.concatenate(list(column.batches(4, 29, 7))), MU[4:29])
    np.testing.assert_array_equal(column(), MU)
    np.testing.assert_array_equal(file.columns[file.models["wide"].mean](), MU)
    if "log" in scale:
        found = whole(file.model())
        np.testing.assert_array_equal(found.gaussian.scale.value, LOGVAR)
        assert found.ids == list(range(5, 35))


def test_several_models_may_each_have_a_column_for_each_coordinate():
    columns = {**wide("plain_mu_{}", "plain_logvar_{}"), **wide("beta_mu_{}", "beta_logvar_{}", d=4)}
    with pytest.warns(UserWarning, match="the coordinates of 2 models"):
        found, models = gathered(frame_columns(pandas.DataFrame(columns)), "a.csv")
    assert [model.label for model in models] == ["plain", "beta"]
    assert found[models[1].scales["logvar"]].shape == (30, 4)


UNLIKE = {
    "a gap": lambda c: c.pop("mu_3") is c.pop("logvar_3"),
    "more means": lambda c: c.pop("logvar_11"),
    "more scales": lambda c: c.pop("mu_11"),
    "a mean without number": lambda c: c.update(mu=MU[:, 0]),
    "lists": lambda c: c.update(mu_0=list(MU)),
    "two of a number": lambda c: c.update(mean_01=MU[:, 0]),
    "two kinds": lambda c: (c.pop("logvar_3"), c.update(std_3=MU[:, 0])),
    "from 2": lambda c: [c.pop(f"{name}_{i}") for name in ("mu", "logvar") for i in (0, 1)],
}


@pytest.mark.parametrize("name", UNLIKE)
def test_what_is_not_numbered_alike_is_not_gathered(name):
    columns = wide()
    UNLIKE[name](columns)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gathered(frame_columns(pandas.DataFrame(columns)), "a.csv") is None


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".npz"])
def test_one_list_among_numbers_is_an_error(suffix, tmp_path):
    path, columns = tmp_path / f"a{suffix}", wide()
    columns["mu_5"] = MU if suffix == ".npz" else list(MU)
    if suffix == ".npz":
        np.savez(path, **columns)
    elif suffix == ".parquet":
        pyarrow.parquet.write_table(pa.table(columns), path)
    else:
        pyarrow.feather.write_feather(pa.table(columns), path)
    with (
        pytest.warns(UserWarning, match="taken for"),
        pytest.raises(PosteriorFileError, match="holds lists, where"),
    ):
        read(path)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_thousand_columns_in_several_files_open_each_file_once_at_a_time(suffix, tmp_path):
    d, x = 600, RNG.standard_normal((2, 40, 600))
    for i, rows in enumerate((slice(0, 15), slice(15, 40))):
        table = pa.table({f"{k}_{j}": x[n, rows, j] for n, k in enumerate(("mu", "logvar")) for j in range(d)})
        write = pyarrow.parquet.write_table if suffix == ".parquet" else pyarrow.feather.write_feather
        write(table, tmp_path / f"{i}{suffix}")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    try:
        with pytest.warns(UserWarning, match="mu_0 … mu_599"):
            found = read(tmp_path).gaussian
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    np.testing.assert_array_equal(found.mean, x[0])
    np.testing.assert_array_equal(found.scale.value, x[1])


def test_columns_of_one_coordinate_are_models_where_labels_choose_them(tmp_path):
    pyarrow.parquet.write_table(pa.table(wide()), tmp_path / "a.parquet")
    [found] = Reading(labels=("3",)).models([tmp_path / "a.parquet"])
    np.testing.assert_array_equal(found.read().mean[:, 0], MU[:, 3])


@pytest.mark.parametrize("event", [(8,), (8, 4, 4)])
def test_moments_are_means_and_after_them_log_variances(event, tmp_path):
    moments = torch.randn(10, *event)
    torch.save({"moments": moments}, tmp_path / "a.pt")
    found = read(tmp_path / "a.pt").gaussian
    mean, logvar = moments.chunk(2, dim=1)
    assert torch.equal(found.mean, mean)
    assert torch.equal(found.scale.value, logvar)
    assert found.scale.parameterization == "logvar"
    np.savez(tmp_path / "b.npz", plain_moments=moments, beta_moments=moments + 1)
    beta = Reading(labels=("plain", "beta")).models([tmp_path / "b.npz"])[1].read()
    assert torch.equal(beta.mean, mean + 1)
    column = open_posteriors(tmp_path / "b.npz").columns["logvar of plain_moments"]
    np.testing.assert_array_equal(np.concatenate(list(column.batches(1, 10, 4))), logvar[1:])
    np.savez(tmp_path / "c.npz", moments=np.zeros((4, 7)))
    with pytest.raises(PosteriorFileError, match=r"column 'moments' of shape \(4, 7\) has no halves along its axis 1"):
        read(tmp_path / "c.npz")


def test_an_id_that_is_left_out_is_said(tmp_path):
    np.savez(tmp_path / "a.npz", mu=MU, logvar=LOGVAR, id=np.arange(30), image_id=np.arange(30) + 7)
    with pytest.warns(UserWarning, match="rows are identified by 'id', not by 'image_id'"):
        assert read(tmp_path / "a.npz").ids == list(range(30))
