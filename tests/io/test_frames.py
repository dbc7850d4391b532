"""Dataframes of every library, dask dataframes, and dask arrays."""

import gc
import pickle
from pathlib import Path

import dask
import dask.array
import dask.dataframe
import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kullback import PosteriorFileError, compare
from kullback.io.frames import array_column, frame_columns
from kullback.io.posteriors import models_of

RNG = np.random.default_rng(9)
ROWS = 53
MU = RNG.standard_normal((ROWS, 4)).astype(np.float32)
X = RNG.standard_normal(ROWS)
IDS = np.arange(ROWS) + 2**60
NAMES = [f"image {i}" for i in range(ROWS)]
WANT = {"mu": MU, "x": X, "id": IDS, "name": np.array(NAMES, object)}


def plain():
    return pandas.DataFrame({"mu": list(MU), "x": X, "id": IDS, "name": NAMES})


def of_polars():
    return polars.DataFrame({"mu": MU, "x": X, "id": IDS, "name": NAMES})


def of_arrow():
    mu = pa.FixedSizeListArray.from_arrays(pa.array(MU.ravel()), 4)
    whole = pa.table({"mu": mu, "x": X, "id": IDS, "name": NAMES})
    return pa.concat_tables([whole[:20], whole[20:21], whole[21:]])


def of_dask():
    # dask makes text of the objects of pandas; a list of Arrow stays one.
    types = {"mu": pandas.ArrowDtype(pa.list_(pa.float32()))}
    return dask.dataframe.from_pandas(plain().astype(types), npartitions=4)


FRAMES = {
    "pandas": plain,
    "pandas, index": lambda: plain().set_index("id"),
    "pandas, Arrow": lambda: of_arrow().to_pandas(types_mapper=pandas.ArrowDtype),
    "Polars": of_polars,
    "Polars, lists": lambda: of_polars().cast({"mu": polars.List(polars.Float32)}),
    "Polars, lazy": lambda: of_polars().lazy(),
    "PyArrow": of_arrow,
    "dask": of_dask,
    "dask, index": lambda: of_dask().set_index("id"),
}


@pytest.fixture(scope="module", params=FRAMES)
def columns(request):
    return frame_columns(FRAMES[request.param]())


def test_columns_of_a_frame_are_read_in_batches(columns):
    assert set(columns) == set(WANT)
    for name, want in WANT.items():
        column = columns[name]
        assert column.shape == want.shape
        np.testing.assert_array_equal(column(), want)
        assert column().dtype.kind == want.dtype.kind
        for start, stop, size in ((0, ROWS, 7), (3, 50, 100), (20, 21, 1)):
            batches = list(column.batches(start, stop, size))
            assert [len(x) for x in batches] == [min(size, stop - i) for i in range(start, stop, size)]
            np.testing.assert_array_equal(np.concatenate(batches), want[start:stop])
        for row in list(column.breaks)[:5]:
            np.testing.assert_array_equal(next(column.batches(row, ROWS, 3)), want[row : row + 3])


def test_they_can_be_sent_to_another_process(columns):
    again = pickle.loads(pickle.dumps(columns["mu"]))
    np.testing.assert_array_equal(again(), MU)


def test_what_is_no_frame_is_none():
    assert [frame_columns(x) for x in (MU, {"mu": MU}, "a.npz", None, (1, 2))] == [None] * 5
    assert [array_column(x) for x in (MU, plain(), "a.npz")] == [None] * 3


def test_arrays_by_name_are_columns():
    names = np.array(NAMES)
    mapping = {"mu": torch.from_numpy(MU), "logvar": polars.Series("x", MU.tolist()), "id": NAMES, "note": object()}
    columns = frame_columns(mapping)
    assert set(columns) == {"mu", "logvar", "id"}
    for name, want in {"mu": MU, "logvar": MU, "id": names}.items():
        assert columns[name].shape == want.shape
        np.testing.assert_array_equal(columns[name](), want)
        np.testing.assert_array_equal(next(columns[name].batches(3, 9, 4)), want[3:7])
    with pytest.raises(TypeError, match=r"'mu' is a DataFrame, .* no place for its index"):
        frame_columns({"mu": pandas.DataFrame(MU), "logvar": MU})


@pytest.mark.parametrize("cell", [np.asarray, list])
def test_nan_in_a_cell_of_pandas_stays_nan(cell):
    mu = MU.astype(float)
    mu[4, 2] = np.nan
    frame = pandas.DataFrame({"mu": [cell(row) for row in mu]})
    np.testing.assert_array_equal(frame_columns(frame)["mu"](), mu)
    frame.loc[7, "mu"] = None
    mu[7] = np.nan
    np.testing.assert_array_equal(frame_columns(frame)["mu"](), mu)
    models = [frame.assign(logvar=list(np.zeros_like(mu))) for _ in range(2)]
    with pytest.raises(PosteriorFileError, match="row 4, dimension 2: nan"):
        compare(*models)
    left = compare(*models, on_bad="skip", align=(), aggregate=False).summary.skipped
    assert [("nan" in text, "null" in text) for text in left.first] == [(True, False), (False, True)]


def test_arrays_that_dask_made_text_of_are_told_what_to_do():
    frame = pandas.DataFrame({"mu": list(MU), "id": [f"[{i}" for i in range(ROWS)]})
    columns = frame_columns(dask.dataframe.from_pandas(frame, npartitions=3))
    assert columns["id"]()[7] == "[7"
    with pytest.raises(PosteriorFileError, match=r"dask.config.set\({'dataframe.convert-string': False}\)"):
        columns["mu"]()
    with dask.config.set({"dataframe.convert-string": False}):
        columns = frame_columns(dask.dataframe.from_pandas(frame, npartitions=3))
    np.testing.assert_array_equal(columns["mu"](), MU)


def test_a_lazy_frame_is_computed_once_into_a_file_that_goes():
    computed = []

    def note(frame):
        computed.append(len(frame))
        return frame

    lazy = of_polars().lazy().map_batches(note)
    columns = frame_columns(lazy)
    path = Path(columns["mu"].path)
    copy = pickle.loads(pickle.dumps(columns["mu"]))
    for name, want in WANT.items():
        np.testing.assert_array_equal(columns[name](), want)
    assert computed == [ROWS]
    del copy
    gc.collect()
    assert path.exists()
    del columns
    gc.collect()
    assert not path.parent.exists()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.data())
def test_a_dask_array_is_computed_chunk_after_chunk(sizes, data):
    rows = sum(sizes)
    x = RNG.standard_normal((rows, 3, 4))
    column = array_column(dask.array.from_array(x, chunks=(tuple(sizes), 2, 4)))
    assert column.shape == x.shape
    assert tuple(column.breaks) == tuple(np.cumsum([0, *sizes[:-1]]))
    start = data.draw(st.integers(0, rows))
    stop, size = data.draw(st.integers(start, rows)), data.draw(st.integers(1, rows + 3))
    batches = list(column.batches(start, stop, size))
    assert [len(b) for b in batches] == [min(size, stop - i) for i in range(start, stop, size)]
    np.testing.assert_array_equal(np.concatenate([x[:0], *batches]), x[start:stop])


def test_chunks_of_unknown_sizes_are_counted():
    x = dask.array.from_array(np.arange(30.0).reshape(10, 3), chunks=(4, 3))
    kept = x[x[:, 0] > 5]
    column = array_column(kept)
    assert column.shape == (8, 3)
    np.testing.assert_array_equal(column(), np.arange(6.0, 30.0).reshape(8, 3))
    np.testing.assert_array_equal(next(column.batches(2, 8, 3)), np.arange(12.0, 21.0).reshape(3, 3))


def test_images_in_the_cells_of_pandas_are_stacked():
    images = RNG.standard_normal((5, 2, 3))
    column = frame_columns(pandas.DataFrame({"images": list(images)}))["images"]
    np.testing.assert_array_equal(np.concatenate(list(column.batches(0, 5, 2))), images)


@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame, pa.table])
def test_what_is_missing_or_ragged_is_an_error_with_its_row(make):
    lists = [[1.0, 2.0]] * 9
    column = frame_columns(make({"mu": [*lists, [1.0]]}))["mu"]
    with pytest.raises(PosteriorFileError, match="row 9: 1 numbers where row 0 has 2"):
        list(column.batches(0, 10, 4))
    for bad, dimension in (([1.0, None], 1), (None, 0)):
        model = models_of(Path("frame"), frame_columns(make({"mu": [*lists, bad], "std": [[1.0, 1.0]] * 10}))).model()
        with pytest.raises(PosteriorFileError, match=f"column 'mu', row 9, dimension {dimension}: null is not a valid"):
            list(model.batches(0, 10, 4))
        assert [batch.bad.tolist() for batch in model.batches(0, 10, 4, skip=True) if batch.bad is not None] == [
            [False, True]
        ]
    two = pandas.DataFrame(np.zeros((2, 2)), columns=["mu", "mu"])
    with pytest.raises((PosteriorFileError, ValueError), match="mu"):
        frame_columns(two)


@pytest.mark.parametrize("name", ["a", "model.v2"])
def test_a_frame_that_cannot_be_read_is_no_file(name):
    frame = pandas.DataFrame({"mu": [1.0, "x"], "logvar": [0.0, 0.0]})
    with pytest.raises(PosteriorFileError, match=rf"^{name}: cannot be read \(\S.*\)\.$"):
        models_of(Path(name), frame_columns(frame)).model().read()
