"""The index of dataframes: when it identifies rows, and that rows then meet as they do of files."""

import numpy as np
import pandas
import pytest
from dask.dataframe import from_pandas

from kullback import PosteriorFileError, compare
from kullback.io.indices import with_indices

N, D = 40, 3
LABELS = [f"img{i}.png" for i in range(N)]
ORDER = np.random.default_rng(2).permutation(N)


def frame(seed):
    x = np.random.default_rng(seed).standard_normal((2, N, D))
    return pandas.DataFrame({f"{name}_{i}": x[k, :, i] for k, name in enumerate(("mu", "logvar")) for i in range(D)})


def kl(a, b):
    with pytest.warns(UserWarning, match="are taken for the coordinates"):
        return compare(a, b, align=(), aggregate=False).scalars()["kl_ab.mean"]


def want():
    (mu, logvar), (other, other_logvar) = (np.split(frame(seed).to_numpy(), 2, axis=1) for seed in (0, 1))
    terms = np.exp(logvar - other_logvar) + (mu - other) ** 2 / np.exp(other_logvar) - 1 + other_logvar - logvar
    return pytest.approx(terms.sum(1).mean() / 2, rel=1e-10)


def in_parts(frame):
    return from_pandas(frame, npartitions=3, sort=False)


@pytest.mark.parametrize("kind", [lambda x: x, in_parts])
@pytest.mark.parametrize(
    "index",
    [LABELS, range(N), range(100, 100 + N), pandas.Index(LABELS, name="file"), pandas.Index(LABELS, name="id")],
)
@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1), ORDER])
def test_rows_are_joined_by_the_index(kind, index, order):
    a, b = (frame(seed).set_axis(index) for seed in (0, 1))
    assert kl(kind(a), kind(b.iloc[order])) == want()
    assert kl(kind(a.iloc[order]), b) == want()


def test_frames_in_memory_are_joined_as_their_files_are(tmp_path):
    a, b = (frame(seed).set_axis(LABELS) for seed in (0, 1))
    a.to_parquet(tmp_path / "a.parquet")
    b[::-1].to_parquet(tmp_path / "b.parquet")
    assert kl(tmp_path / "a.parquet", tmp_path / "b.parquet") == kl(a, b[::-1]) == want()


def test_a_column_of_ids_comes_before_the_index():
    a = frame(0).assign(id=LABELS)
    b = frame(1).assign(id=LABELS).iloc[ORDER].set_axis(range(7, 7 + N))
    assert kl(a, b) == want()


@pytest.mark.parametrize("kind", [lambda x: x, in_parts])
def test_default_indices_are_no_ids(kind):
    a, b = kind(frame(0)), kind(frame(1))
    assert [*map(id, with_indices({"a": a, "b": b}))] == [id(a), id(b)]
    # Of a dask frame that was read from files, or reset, each partition counts from 0.
    parts = in_parts(frame(1).iloc[ORDER]).reset_index(drop=True)
    assert [*map(id, with_indices({"a": a, "b": parts}))] == [id(a), id(parts)]


@pytest.mark.parametrize("kind", [lambda x: x, in_parts])
def test_an_index_that_does_not_identify_rows_is_an_error(kind):
    a, b = frame(0).set_axis(LABELS), frame(1)
    disjoint = b.set_axis([f"other{i}" for i in range(N)])
    for other, says in ((disjoint, "lacks 40 of the ids"), (b, "ids of a are strings, .* those of b are integers")):
        with pytest.raises(PosteriorFileError, match=says):
            kl(kind(a), kind(other))
    with pytest.raises(PosteriorFileError, match=r"b: the index .* has '3' twice. .* reset_index\(drop=True\)"):
        compare(kind(a), kind(b.set_axis([*range(N - 1), 3])))


def test_an_index_of_several_levels_needs_one_that_is_called_id():
    a, b = frame(0), frame(1)
    levels = [["run"] * N, LABELS]
    with pytest.raises(PosteriorFileError, match="a: the index has 2 levels"):
        compare(a.set_axis(pandas.MultiIndex.from_arrays(levels)), b)
    named = pandas.MultiIndex.from_arrays(levels, names=["run", "id"])
    assert kl(a.set_axis(named), b.set_axis(named)[::-1]) == want()
