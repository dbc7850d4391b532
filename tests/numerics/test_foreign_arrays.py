"""Tables, labelled arrays, JAX's arrays and what offers DLPack, as means, scales and samples."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
import xarray as xr
from torch.testing import assert_close

from kullback import Gaussian, Mixture, ShapeError, compare, kl_divergence, kl_estimate
from kullback.numerics.arrays import ArrayKind, from_callers_type, to_callers_type, to_tensor

VALUES = np.array([[1.0, 2.0], [0.5, 4.0], [3.0, 0.25]])
COVARIANCE = np.array([[2.0, 0.5], [0.5, 1.0]])


def table(make):
    return lambda x: make(np.array(x), [f"z{i}" for i in range(np.shape(x)[-1])])


KINDS = {
    "pandas": table(lambda x, names: pd.DataFrame(x, columns=names) if x.ndim == 2 else pd.Series(x, names)),
    "pandas, types of its own": table(
        lambda x, names: (pd.DataFrame(x, columns=names) if x.ndim == 2 else pd.Series(x, names)).astype("Float64")
    ),
    "pandas on arrow": table(
        lambda x, names: (pd.DataFrame(x, columns=names) if x.ndim == 2 else pd.Series(x)).astype("double[pyarrow]")
    ),
    "polars": table(lambda x, names: pl.DataFrame(x, names) if x.ndim == 2 else pl.Series("z", x)),
    "xarray": lambda x: xr.DataArray(np.array(x), dims=("row", "z")[-np.ndim(x) :]),
    "jax": lambda x: jnp.asarray(x, jnp.float32),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_constructor_takes_them_and_numpy_comes_back(kind):
    make, prior = KINDS[kind], Gaussian.from_std(np.zeros(2), np.ones(2))
    factor = np.linalg.cholesky(COVARIANCE)
    given = {
        "from_std": (VALUES, VALUES),
        "from_variance": (VALUES, VALUES),
        "from_logvar": (VALUES, -VALUES),
        "from_log_std": (VALUES, -VALUES),
        "from_covariance": (VALUES[0], COVARIANCE),
        "from_precision": (VALUES[0], COVARIANCE),
        "from_scale_tril": (VALUES[0], factor),
        "from_factor": (VALUES[0], factor),
        "from_low_rank": (VALUES[0], factor, VALUES[1]),
    }
    for name, arguments in given.items():
        build = getattr(Gaussian, name)
        found, want = kl_divergence(build(*map(make, arguments)), prior), kl_divergence(build(*arguments), prior)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, want, rtol=1e-6 if kind == "jax" else 1e-15, err_msg=name)
    assert isinstance(kl_divergence(Gaussian.from_std(make(VALUES), torch.ones(3, 2)), prior), torch.Tensor)
    np.testing.assert_allclose(Gaussian.from_samples(make(VALUES)).mean, VALUES.mean(0), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_samples_points_weights_and_posteriors(kind):
    x, y = np.random.default_rng(0).normal(size=(2, 200, 2)).round(6)
    make = KINDS[kind]
    found, want = kl_estimate(make(x), make(y), seed=0).value, kl_estimate(x, y, seed=0).value
    np.testing.assert_allclose(found, want, rtol=1e-4 if kind == "jax" else 1e-12)
    p = Gaussian.from_std(make(VALUES[0]), make(VALUES[1]))
    np.testing.assert_allclose(p.log_prob(make(x)), p.log_prob(x), rtol=1e-5)
    weights = Mixture(make(np.array([0.25, 0.75])), Gaussian.from_std(make(VALUES[:2]), 1.0)).log_weights
    assert_close(weights.exp().double(), torch.tensor([0.25, 0.75], dtype=torch.float64))
    posteriors = make(VALUES), make(VALUES)
    assert "3 rows" in repr(compare(posteriors, posteriors, scale="std"))


def test_whole_numbers_and_columns_of_several_types_are_numbers():
    for frame in (pd.DataFrame({"a": [1, 2], "b": [0.5, 4.0]}), pl.DataFrame({"a": [1, 2], "b": [0.5, 4.0]})):
        assert_close(to_tensor(frame, "x")[0], torch.tensor([[1.0, 0.5], [2.0, 4.0]], dtype=torch.float64))
    whole = pd.DataFrame({"a": [1, 2]}, dtype="Int64")
    assert to_tensor(whole, "x")[0].tolist() == [[1.0], [2.0]]
    large = pd.DataFrame({"a": [2**53, 2**53 - 1]}, dtype="Int64")
    assert to_tensor(large, "x", integers=torch.float64)[0].tolist() == [[2.0**53], [2.0**53 - 1]]
    assert to_tensor(pl.DataFrame({"a": [], "b": []}, {"a": pl.Float64, "b": pl.Float64}), "x")[0].shape == (0, 2)
    assert to_tensor(pd.DataFrame(index=range(3)), "x")[0].shape == (3, 0)
    nested = pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.Array(pl.Float64, 2))
    assert to_tensor(nested, "x")[0].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    repeated = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    assert to_tensor(repeated, "x")[0].tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (pd.DataFrame({"a": [1.0, 2.0], "name": ["x", "y"]}), TypeError, "mean: column 'name' holds str"),
        (
            pd.DataFrame({"a": [1.0, 2.0], "day": pd.to_datetime(["2020", "2021"])}),
            TypeError,
            "column 'day' holds date",
        ),
        (pd.DataFrame({"a": [1.0, 2.0], "b": [True, False]}), TypeError, "column 'b' holds bool"),
        (pd.DataFrame({"a": ["1.0", "2.0"]}, dtype="string"), TypeError, "column 'a' holds string"),
        (pl.DataFrame({"a": [1.0, 2.0], "name": ["x", "y"]}), TypeError, "mean: column 'name' holds String"),
        (pd.DataFrame({"a": [1, 2], "b": [1, None]}, dtype="Int64"), ValueError, "column 'b' has no value in row 1"),
        (pl.DataFrame({"a": [None, 2], "b": [1, None]}), ValueError, "column 'a' has no value in row 0; 1 of 2"),
        (pl.Series([1.0, None, None]), ValueError, "mean has no value in row 1; 2 of 3 values are missing"),
        (pd.Series([1.0, None], dtype="double[pyarrow]"), ValueError, "mean has no value in row 1"),
        (pd.DataFrame({"a": [1.0, np.nan]}), ValueError, r"the mean is NaN \(at \[1, 0\]\)"),
        (pa.table({"a": [1.0, None]}), ValueError, "mean: column 'a' has no value in row 1; 1 of 2"),
        (pa.record_batch({"a": [1.0, None]}), ValueError, "mean: column 'a' has no value in row 1; 1 of 2"),
        (pa.chunked_array([[1.0], [None]]), ValueError, "mean has no value in row 1; 1 of 2"),
        (pa.array([1, None]), ValueError, "mean has no value in row 1; 1 of 2"),
        (pa.array(["a"]), TypeError, "mean holds string, no real numbers"),
        (pl.LazyFrame({"a": [1.0]}), TypeError, r"got LazyFrame. Collect it first: mean\.collect\(\)"),
        (xr.Dataset({"a": ("x", [1.0])}), TypeError, "mean is a Dataset, and no array"),
        (xr.DataArray(["x"]), TypeError, "must hold real numbers"),
        (jnp.ones(2, jnp.complex64), TypeError, "must hold real numbers"),
        (jnp.ones(2, jnp.float8_e4m3fn), TypeError, "array of dtype float8_e4m3fn"),
    ],
)
def test_what_holds_no_numbers_or_misses_some_is_refused_with_its_place(given, error, says):
    with pytest.raises(error, match=says):
        Gaussian.from_std(given, 1.0)


def test_the_same_labels_in_another_order_are_refused():
    frame, labelled = pd.DataFrame(VALUES, columns=["a", "b"]), xr.DataArray(VALUES, dims=("row", "z"))
    square = xr.DataArray(COVARIANCE, dims=("x", "y"), coords={"x": [0, 1]})
    matrix = pd.DataFrame(COVARIANCE, ["a", "b"], ["a", "b"])
    for mean, scale in (
        (frame, frame[["b", "a"]]),
        (frame, frame.iloc[::-1]),
        (frame["a"], frame["a"].iloc[::-1]),
        (pl.DataFrame(frame), pl.DataFrame(frame)[["b", "a"]]),
        (square, square.T),
        (square, square[::-1]),
    ):
        with pytest.raises(ShapeError, match=r"mean and std have the same .* in another order"):
            Gaussian.from_std(mean, scale)
    with pytest.raises(ShapeError, match=r"mean and covariance have the same labels in another order, 'a', 'b' and"):
        Gaussian.from_covariance(frame.iloc[0], matrix[["b", "a"]])
    with pytest.raises(ShapeError, match=r"p and q have the same labels in another order"):
        kl_estimate(pd.DataFrame(np.eye(9, 2), columns=["a", "b"]), pd.DataFrame(np.eye(9, 2), columns=["b", "a"]))
    # Other labels say nothing of the order, and samples have none.
    means, stds = frame.add_prefix("mean_"), frame.add_prefix("std_")
    assert Gaussian.from_std(means, stds).batch_shape == (3,)
    assert Gaussian.from_std(labelled, VALUES).batch_shape == (3,)
    assert Gaussian.from_std(labelled, labelled.rename(z="w")).batch_shape == (3,)
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["a", "b"])
    assert np.isfinite(kl_estimate(x, x.iloc[::-1] + 1e-3, seed=0).value)


class Recorded(pd.DataFrame):
    """A table of a library built on pandas, as those of GeoPandas are."""

    __module__ = "recorded.tables"

    @property
    def _constructor(self):
        return Recorded


LABELLED = {
    "pandas": lambda names: pd.DataFrame(np.eye(2) + 1, columns=names),
    "built on pandas": lambda names: Recorded(np.eye(2) + 1, columns=names),
    "polars": lambda names: pl.DataFrame(np.eye(2) + 1, names),
    "pyarrow table": lambda names: pa.table(list(np.eye(2) + 1), names=names),
    "pyarrow batch": lambda names: pa.record_batch([pa.array(x) for x in np.eye(2) + 1], names=names),
    "xarray": lambda names: xr.DataArray(np.eye(2) + 1, dims=("row", "z"), coords={"z": names}),
}


@pytest.mark.parametrize("scale", LABELLED)
@pytest.mark.parametrize("mean", LABELLED)
def test_the_labels_of_all_kinds_are_compared(mean, scale):
    assert Gaussian.from_std(LABELLED[mean](["a", "b"]), LABELLED[scale](["a", "b"])).batch_shape == (2,)
    with pytest.raises(ShapeError, match=r"the same labels in another order, 'a', 'b' and 'b', 'a'"):
        Gaussian.from_std(LABELLED[mean](["a", "b"]), LABELLED[scale](["b", "a"]))


@pytest.mark.parametrize("kind", LABELLED)
def test_labels_of_which_some_are_in_common_are_refused(kind):
    make = LABELLED[kind]
    with pytest.raises(ShapeError, match=r"some labels in common but not all, 'z', 'b' and 'b', 'a'"):
        Gaussian.from_std(make(["z", "b"]), make(["b", "a"]))
    assert Gaussian.from_std(make(["a_mean", "b_mean"]), make(["a_std", "b_std"])).batch_shape == (2,)


def test_the_dimensions_of_variables_of_xarray_are_compared():
    x = xr.Variable(("row", "z"), np.ones((2, 2)))
    assert Gaussian.from_std(x, x).batch_shape == (2,)
    with pytest.raises(ShapeError, match=r"the same dimensions in another order"):
        Gaussian.from_std(x, x.T)


def test_the_labels_of_every_argument_are_compared():
    mean, other = pd.Series([0.0, 1.0], ["a", "b"]), pd.Series([2.0, 1.0], ["b", "a"])
    factor = pd.DataFrame(np.ones((2, 1)), ["a", "b"])
    turn = pd.DataFrame(np.eye(2), ["a", "b"], ["a", "b"])
    means = xr.DataArray(np.zeros((2, 2)), dims=("row", "z"), coords={"row": [0, 1]})
    covariances = xr.DataArray(np.stack([np.eye(2)] * 2), dims=("row", "z", "w"), coords={"row": [1, 0]})
    for build, names in (
        (lambda: Gaussian.from_low_rank(mean, np.ones((2, 1)), other), "mean and variance"),
        (lambda: Gaussian.from_low_rank(np.zeros(2), factor, other), "variance and factor"),
        (lambda: Gaussian.from_rotation_scale(mean, np.eye(2), other), "mean and scale"),
        (lambda: Gaussian.from_rotation_scale(mean, np.eye(2), log_scale=other), "mean and log_scale"),
        (lambda: Gaussian.from_rotation_scale(other, turn, [2.0, 1.0]), "mean and rotation"),
        (lambda: Gaussian.from_rotation_scale([0.0, 1.0], turn, other), "rotation and scale"),
        (lambda: Gaussian.from_covariance(means, covariances), "mean and covariance"),
    ):
        with pytest.raises(ShapeError, match=f"{names} have the same labels in another order"):
            build()
    assert Gaussian.from_low_rank(mean, factor, other[["a", "b"]]).event_shape == (2,)
    assert Gaussian.from_rotation_scale(mean, turn, other[["a", "b"]]).event_shape == (2,)
    assert Gaussian.from_covariance(means, covariances[::-1]).batch_shape == (2,)


@pytest.mark.parametrize("dtype", ["float64", "Float64", "double[pyarrow]"])
def test_labels_that_are_names_of_attributes_are_labels(dtype):
    names = ["type", "dims", "dtype", "isna", "collect"]
    series = pd.Series([1.0, 2.0, 3.0, 4.0, 5.0], names, dtype=dtype)
    assert Gaussian.from_std(series, series).mean.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert Gaussian.from_std(series.to_frame().T, series.to_frame().T).mean.tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0]]
    with pytest.raises(ShapeError, match=r"in another order, 'type', 'dims'"):
        Gaussian.from_std(series, series[::-1])


def test_bfloat16_of_jax_is_that_of_torch():
    x = jnp.asarray([1.0, -0.3, 1e30, 7.0], jnp.bfloat16)
    tensor, kind = to_tensor(x, "x")
    assert (tensor.dtype, kind) == (torch.bfloat16, ArrayKind.NUMPY)
    assert tensor.float().tolist() == np.asarray(x, np.float32).tolist()
    value = kl_divergence(Gaussian.from_std(x[:2], jnp.ones(2, jnp.bfloat16)), Gaussian.standard(2))
    assert (type(value), value.dtype) == (np.ndarray, np.float32)
    np.testing.assert_allclose(value, 0.5 * (1 + float(x[1]) ** 2), rtol=1e-6)
    assert to_callers_type(tensor, ArrayKind.NUMPY) is tensor
    assert from_callers_type(x).dtype == torch.bfloat16


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, jax.grad])
def test_what_jax_traces_has_no_values_and_says_so(transform):
    with pytest.raises(TypeError, match=r"mean is traced by JAX.*Call outside of jit, grad and vmap"):
        transform(lambda mean: kl_divergence(Gaussian.from_std(mean, 1.0), Gaussian.standard(1)))(jnp.ones((1,)))


class OnADevice:
    """As arrays of CuPy: no copy to NumPy unless it is asked for, and DLPack."""

    def __init__(self, tensor):
        self.tensor, self.shape, self.ndim = tensor, tensor.shape, tensor.ndim

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __dlpack__(self, **named):
        return self.tensor.__dlpack__(**named)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


class OnlyDLPack:
    def __init__(self, tensor):
        self.tensor = tensor

    __dlpack__, __dlpack_device__ = OnADevice.__dlpack__, OnADevice.__dlpack_device__


@pytest.mark.parametrize("kind", [OnADevice, OnlyDLPack])
def test_arrays_that_numpy_must_not_copy_are_taken_where_they_lie(kind):
    mean = torch.randn(4, 3)
    tensor, array_kind = to_tensor(kind(mean), "x")
    assert tensor.data_ptr() == mean.data_ptr()
    assert array_kind is ArrayKind.NUMPY
    value = kl_divergence(Gaussian.from_std(kind(mean), kind(torch.ones(4, 3))), Gaussian.standard(3))
    np.testing.assert_allclose(value, 0.5 * mean.square().sum(1), rtol=1e-6)
    x = torch.randn(100, 2)
    assert_close(kl_estimate(kind(x), Gaussian.standard(2), seed=0).value, kl_estimate(x.numpy(), Gaussian.standard(2),
                 seed=0).value)  # fmt: skip


def test_what_torch_cannot_take_from_its_device_says_so():
    class Elsewhere(OnADevice):
        def __dlpack__(self, **_):
            raise BufferError("device 99 is not supported")

    with pytest.raises(TypeError, match=r"Elsewhere that this torch cannot take from its device by DLPack: device 99"):
        to_tensor(Elsewhere(torch.zeros(2)), "x")


def test_none_of_them_is_imported():
    code = "import sys, numpy, kullback; kullback.kl_divergence(kullback.Gaussian.from_std(numpy.zeros(2), 1.0),"
    code += (
        "kullback.Gaussian.standard(2)); print([m for m in ('pandas', 'polars', 'xarray', 'jax') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
