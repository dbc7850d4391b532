"""Rows read in batches: the same numbers however data are cut, joined and computed, and what is bad in them."""

import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kullback import compare
from kullback.comparison.compare import DEFAULT_THRESHOLDS
from kullback.comparison.pair import Pair
from kullback.comparison.report import input_figures
from kullback.comparison.statistics import rank_errors
from kullback.engines.dask import Dask
from kullback.engines.local import Local
from kullback.errors import PosteriorFileError, ShapeError
from kullback.numerics.sampling import RowSample

N, D = 240, 3
QUICK = {"aggregate": False, "align": ("permutation",), "thresholds": DEFAULT_THRESHOLDS}


def arrays(seed):
    random = np.random.default_rng(seed)
    return random.normal(size=(N, D)), random.normal(size=(N, D))


A, B = arrays(0), arrays(1)
# By the formula, row by row.
VALUES = 0.5 * (
    (B[1] - A[1]) + (np.exp(A[1]) + (A[0] - B[0]) ** 2) / np.exp(B[1]) - 1.0
).sum(1)  # fmt: skip


def table(mean, logvar, ids=None):
    columns = {"mu": pa.FixedSizeListArray.from_arrays(mean.ravel(), mean.shape[1])}
    columns |= {"logvar": pa.FixedSizeListArray.from_arrays(logvar.ravel(), mean.shape[1])}
    return pa.table(columns | ({} if ids is None else {"id": ids}))


def write(folder, model, cuts, group, ids=None):
    """A model as the files of a folder, cut at these rows, with row groups of this size."""
    folder.mkdir()
    whole = table(*model, ids)
    edges = [0, *sorted(cuts), len(whole)]
    for i, (start, stop) in enumerate(itertools.pairwise(edges)):
        pq.write_table(whole.slice(start, stop - start), folder / f"part-{i}.parquet", row_group_size=group)
    return folder


@pytest.fixture(autouse=True)
def _small_tasks(monkeypatch):
    """Tasks, batches and reads of some tens of rows."""
    monkeypatch.setattr("kullback.comparison.passes._NUMBERS", 64)
    monkeypatch.setattr("kullback.io.rows._READ", 90)
    monkeypatch.setattr("kullback.io.rows._BATCH", 30)


@pytest.fixture(scope="module")
def dask():
    with Dask(workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def undivided():
    """The comparison of both models in memory."""
    return compare(A, B, scale="logvar", names=("a", "b"), **QUICK)


def close(found, expected):
    """Whether two JSON values are the same up to 1e-12 of their numbers."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-13)
    return found == expected


cut = st.fixed_dictionaries(
    {"cuts": st.lists(st.integers(0, N), max_size=4), "group": st.sampled_from([1, 7, 50, 64, 1000])}
)


def check_divided(first, second, engine, undivided):
    with tempfile.TemporaryDirectory() as name:
        a, b = (write(Path(name, x), m, **c) for x, m, c in (("a", A, first), ("b", B, second)))
        found = compare(a, b, names=("a", "b"), engine=engine, **QUICK)
    for pair in Pair:
        assert torch.equal(found.summary.rows(pair), undivided.summary.rows(pair))
    np.testing.assert_allclose(found.summary.rows(Pair.AB), VALUES, rtol=1e-12)
    assert close(json.loads(found.to_json()), json.loads(undivided.to_json()))
    for model in "ab":
        np.testing.assert_allclose(
            found.summary.models[model].means.variance, undivided.summary.models[model].means.variance, rtol=1e-12
        )


@given(cut, cut, st.integers(1, 2))
@settings(max_examples=12)
def test_data_that_are_cut_anywhere_give_the_same_numbers(undivided, first, second, workers):
    check_divided(first, second, Local(workers), undivided)


@given(cut, cut)
@settings(max_examples=4)
def test_the_processes_of_a_cluster_give_the_same_numbers(dask, undivided, first, second):
    check_divided(first, second, dask, undivided)


def test_quantiles_of_a_sample_are_as_near_as_is_said():
    random, count, capacity = np.random.default_rng(0), 3 * 2**20, 2**20
    values = random.exponential(size=count)
    numbers = torch.arange(count)
    sample = RowSample.of(numbers[:0], [torch.empty(0, dtype=torch.float64)], capacity)
    for start in range(0, count, 2**18):
        part = slice(start, start + 2**18)
        sample = sample.merge(RowSample.of(numbers[part], [torch.from_numpy(values[part])], capacity))
        if len(sample.numbers) and start + 2**18 <= capacity:
            assert np.array_equal(sample.rows()[1][0], values[: start + 2**18])
    kept = sample.rows()[1][0].numpy()
    assert capacity / 2 < len(kept) <= capacity
    for name, q in (("p05", 0.05), ("median", 0.5), ("p95", 0.95)):
        rank = (values <= np.quantile(kept, q)).mean()
        assert abs(rank - q) < 4 * rank_errors(len(kept))[name]
        assert rank_errors(len(kept))[name] == pytest.approx(math.sqrt(q * (1 - q) / len(kept)))


def test_a_result_says_that_quantiles_are_of_a_sample(monkeypatch, tmp_path, undivided):
    assert undivided.to_dict()["sampled_rows"] is None
    for module in ("summary", "leftover"):
        monkeypatch.setattr(f"kullback.comparison.{module}.VALUES", 100)
    monkeypatch.setattr(input_figures, "_MAX_POINTS", 20)
    found = compare(A, B, scale="logvar", **QUICK)
    sampled = found.to_dict()["sampled_rows"]
    assert 40 <= sampled <= 100
    assert found.to_dict()["rank_standard_errors"] == rank_errors(sampled)
    assert found.scalars()["kl_ab.mean"] == pytest.approx(VALUES.mean(), rel=1e-12)
    assert f"of a sample of {sampled})" in " ".join(found.findings())
    assert f"sampled_rows: {sampled}" in str(found)
    found.report(tmp_path / "report.html")
    said = (tmp_path / "report.html").read_text()
    assert f"those of a random sample of {sampled} inputs: the standard error of the rank is" in said
    assert said.count("The inputs are a random sample.") >= 2
    axes = {name: figure.axes[0] for name, figure in found.figures().items()}
    assert axes["directions"].get_title() == f"20 of {N} inputs, drawn at random"
    assert axes["distribution"].get_ylabel() == f"inputs, of a sample of {sampled}"


@pytest.mark.parametrize("sorts", [False, True], ids=["in memory", "by files"])
@pytest.mark.parametrize("kind", [int, str])
@pytest.mark.filterwarnings("ignore:.*are sorted by id")
def test_rows_in_another_order_are_joined_by_their_ids(kind, sorts, tmp_path, monkeypatch, undivided):
    if sorts:
        monkeypatch.setattr("kullback.io.reordering._IN_MEMORY", 0)
        monkeypatch.setattr("kullback.io.reordering.ROWS_AT_ONCE", 70)
    order = np.random.default_rng(2).permutation(N)
    ids = [kind(7 * i - 100) for i in range(N)]
    a = write(tmp_path / "a", A, [50], 40, ids)
    b = write(tmp_path / "b", (B[0][order], B[1][order]), [100, 101], 30, [ids[i] for i in order])
    found = compare(a, b, **QUICK)
    for pair in Pair:
        assert torch.equal(found.summary.rows(pair), undivided.summary.rows(pair))
    assert found.summary.divergences["ab"].largest.ids == tuple(ids[i] for i in np.argsort(-VALUES)[:10])

    # Ten ids of a that b does not have, and ten of b that a does not have.
    c = write(tmp_path / "c", (B[0][order], B[1][order]), [20], 30, [kind(7 * i - 100) for i in order + 10])
    with pytest.raises(PosteriorFileError, match=r"lacks 10 of the ids of the other file, first '-?\d+', ") as caught:
        compare(a, c, **QUICK)
    assert "\n" not in str(caught.value)
    found = compare(a, c, on_bad="skip", **QUICK)
    by_id = dict(zip((order + 10).tolist(), order.tolist(), strict=True))
    rows = np.arange(10, N)
    partners = [by_id[i] for i in rows]
    expected = compare(tuple(x[rows] for x in A), tuple(x[partners] for x in B), scale="logvar", **QUICK)
    assert torch.equal(found.summary.rows(Pair.AB), expected.summary.rows(Pair.AB))
    skipped = found.to_dict()["skipped"]
    assert skipped["count"] == found.scalars()["skipped_rows"] == 20
    first = next(i for i in order + 10 if i >= N)
    assert skipped["first"][0] == f"id '{7 * first - 100}' of {c} is not in {a}"
    (said,) = (text for text in found.findings() if "left out" in text)
    assert said.startswith("20 rows were left out, for a value that is not possible or an id that only one model has; ")
    assert said.endswith(f"the first: id '{7 * first - 100}' of {c} is not in {a}.")


@pytest.mark.parametrize("column", ["mu", "logvar", "std"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -2.0])
def test_a_bad_value_in_a_row_group_is_found(column, value, tmp_path):
    if column != "std" and math.isfinite(value):
        return
    scale = "std" if column == "std" else "logvar"
    mean, given_scale = A[0].copy(), (np.exp(0.5 * A[1]) if scale == "std" else A[1].copy())
    for row in (130, 131, 177):
        (mean if column == "mu" else given_scale)[row, 2] = value
    (tmp_path / "a").mkdir()
    whole = table(mean, given_scale).rename_columns(["mu", scale])
    pq.write_table(whole.slice(0, 100), tmp_path / "a" / "one.parquet", row_group_size=25)
    pq.write_table(whole.slice(100), tmp_path / "a" / "two.parquet", row_group_size=20)
    b = write(tmp_path / "b", B, [], 60)
    with pytest.raises(PosteriorFileError) as caught:
        compare(tmp_path / "a", b, engine=Local(1), **QUICK)
    said = str(caught.value)
    assert "\n" not in said
    for part in (
        "two.parquet",
        "row group 1",
        "row 30",
        f"column '{column}'",
        "dimension 2",
        f"{value:g} is not a valid",
    ):
        assert part in said, said
    found = compare(tmp_path / "a", b, on_bad="skip", **QUICK)
    good = np.delete(np.arange(N), [130, 131, 177])
    np.testing.assert_allclose(found.summary.rows(Pair.AB), VALUES[good], rtol=1e-12)
    assert found.scalars()["kl_ab.mean"] == pytest.approx(VALUES[good].mean(), rel=1e-12)
    assert (found.summary.count, found.summary.skipped.count) == (N - 3, 3)
    assert [f"row {row}" in text for row, text in zip((30, 31, 77), found.summary.skipped.first, strict=True)] == [
        True
    ] * 3


def test_each_row_that_is_left_out_is_told_with_its_own_value(tmp_path, monkeypatch):
    # The scale of an earlier row and the mean of a later one, and both models in one row.
    mean, logvar, other = A[0].copy(), A[1].copy(), B[0].copy()
    logvar[3, 0], mean[5, 1], mean[8, 2], other[8, 0] = math.nan, math.inf, math.nan, -math.inf
    a, b = write(tmp_path / "a", (mean, logvar), [], 50), write(tmp_path / "b", (other, B[1]), [], 50)
    first = compare(a, b, on_bad="skip", **QUICK).to_dict()["skipped"]
    assert first["count"] == 3
    for text, row, parts in zip(
        first["first"],
        (3, 5, 8),
        (["logvar", "nan"], ["mu", "inf"], ["dimension 2: nan", "dimension 0: -inf"]),
        strict=True,
    ):
        assert text.startswith(f"id '{row}': ")
        assert all(part in text for part in parts)


@pytest.mark.filterwarnings("ignore:.*are sorted by id")
def test_bad_rows_of_sorted_files_are_told_as_they_lie_in_their_file(tmp_path, monkeypatch):
    monkeypatch.setattr("kullback.io.reordering._IN_MEMORY", 0)
    mean = B[0][::-1].copy()
    mean[100:140, 1] = math.nan
    a = write(tmp_path / "a", A, [], 60, list(range(N)))
    b = write(tmp_path / "b", (mean, B[1][::-1]), [], 60, list(range(N))[::-1])
    with pytest.raises(
        PosteriorFileError, match=r"'mu', part-0.parquet, row group 2, row 139, dimension 1: nan"
    ) as caught:
        compare(a, b, **QUICK)
    assert "\n" not in str(caught.value)
    skipped = compare(a, b, on_bad="skip", **QUICK).summary.skipped
    assert skipped.count == 40
    assert [f"row {row}," in text for row, text in zip(range(139, 129, -1), skipped.first, strict=True)] == [True] * 10


def test_no_row_that_is_left_is_an_error_of_one_line(tmp_path):
    a = write(tmp_path / "a", (np.full_like(A[0], math.nan), A[1]), [30], 40)
    with pytest.raises(ShapeError, match=r"^none of 240 rows is left: id '0': [^\n]*nan is not a valid mean[^\n]*$"):
        compare(a, write(tmp_path / "b", B, [], 60), on_bad="skip", **QUICK)


PEAK = """
import re, sys
from kullback import compare
from kullback.engines.local import Local
compare(*sys.argv[1:], aggregate=False, align=("permutation",), engine=Local(1))
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux tells the peak of memory")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    random, d = np.random.default_rng(0), 32
    whole = table(*(random.normal(size=(60_000, d)).astype(np.float32) for _ in range(2)))
    peaks, sizes = [], []
    for blocks in (4, 20):  # the smaller data are two tasks, which are as large as any
        paths = [tmp_path / f"{name}{blocks}.parquet" for name in "ab"]
        for path in paths:
            with pq.ParquetWriter(path, whole.schema, compression="none", use_dictionary=False) as file:
                for _ in range(blocks):
                    file.write_table(whole, row_group_size=20_000)
        ran = subprocess.run([sys.executable, "-c", PEAK, *paths], capture_output=True, text=True, check=True)
        peaks.append(1024 * int(ran.stdout))
        sizes.append(sum(path.stat().st_size for path in paths))
        for path in paths:
            path.unlink()
    assert sizes[1] - sizes[0] > 450e6
    assert peaks[1] - peaks[0] < 0.5 * (sizes[1] - sizes[0])
