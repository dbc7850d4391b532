"""Ids of rows that are read in batches: integers of any type, strings, and none."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from kullback.errors import PosteriorFileError
from kullback.io.joining import alone, joined
from kullback.io.reading import Reading

ROWS = 23
IDS = {
    "i1": np.arange(-5, ROWS - 5, dtype="i1"),
    "u4": np.arange(2**32 - ROWS, 2**32).astype("u4"),
    ">i8": np.arange(-3, ROWS - 3).astype(">i8"),
    "u8": np.uint64(2**63 - 4) + np.arange(ROWS, dtype="u8"),
    "text": np.array(["", *(f"cell {i}" for i in range(1, ROWS))]),
}


def rows_of(folder, ids, order, *, skip=False):
    """The rows of two archives, of which the second has the ids in this order, and its ids as means."""
    means = np.arange(len(ids), dtype=float)[:, None] * [1.0, -1.0]
    np.savez(folder / "a.npz", id=ids, mu=means, logvar=np.zeros((len(ids), 2)))
    np.savez(folder / "b.npz", id=ids[order], mu=means[order], logvar=np.zeros((len(order), 2)))
    [a], [b] = (Reading().models([folder / name]) for name in ("a.npz", "b.npz"))
    return joined(a, b, skip=skip)


@pytest.mark.parametrize("order", [range(ROWS), range(ROWS - 1, -1, -1)], ids=["same", "reversed"])
@pytest.mark.parametrize("kind", IDS)
def test_ids_are_integers_and_strings_of_python_and_join_rows(kind, order, tmp_path):
    rows = rows_of(tmp_path, IDS[kind], np.array(order))
    found = [batch for start in (0, 9) for batch in rows.batches(range(start, start + 9 if start == 0 else ROWS))]
    ids = [key for batch in found for key in batch.ids]
    assert ids == IDS[kind].tolist()
    assert {type(key) for key in ids} == {str if kind == "text" else int}
    for batch in found:
        p, q = batch.gaussians
        np.testing.assert_array_equal(p.mean, q.mean)


@pytest.mark.parametrize("kind", IDS)
def test_an_id_that_occurs_twice_is_named(kind, tmp_path):
    ids = IDS[kind].copy()
    ids[17] = ids[4]
    with pytest.raises(PosteriorFileError, match=rf"'?{ids[4]}'? occurs more than once"):
        rows_of(tmp_path, ids, np.arange(ROWS))


def test_the_empty_string_is_no_partner_of_0(tmp_path):
    for name, ids in (("a.npz", [0]), ("b.npz", [""])):
        np.savez(tmp_path / name, id=ids, mu=np.ones((1, 2)), logvar=np.ones((1, 2)))
    [a], [b] = (Reading().models([tmp_path / name]) for name in ("a.npz", "b.npz"))
    with pytest.raises(
        PosteriorFileError, match=r"a\.npz are integers, first 0, and those of .*b\.npz are strings, first ''"
    ):
        joined(a, b)


@pytest.mark.parametrize("groups", [1, 2, 5, 23])
def test_row_groups_of_any_size_give_the_same_rows(groups, tmp_path):
    mean = np.random.default_rng(0).normal(size=(ROWS, 2)).astype("f4")
    table = pa.table({"id": np.arange(ROWS), "mu": list(mean), "logvar": list(mean)})
    with pa.parquet.ParquetWriter(tmp_path / "a.parquet", table.schema) as writer:
        writer.write_table(table[:0])
        writer.write_table(table, row_group_size=groups)
    [model] = Reading().models([tmp_path / "a.parquet"])
    for start, stop, size in ((0, ROWS, 4), (3, 19, 7), (22, 23, 9)):
        found = [np.asarray(batch.gaussian.mean) for batch in model.batches(start, stop, size)]
        assert [len(x) for x in found[:-1]] == [size] * (len(found) - 1)
        np.testing.assert_array_equal(np.concatenate(found), mean[start:stop])
        ids = [key for batch in model.ids_of(start, stop, size) for key in batch]
        assert ids == list(range(start, stop))


def two(folder, ids, others, *, d=2):
    """Two models with these ids; None for none."""
    models = []
    for name, of in (("a", ids), ("b", others)):
        columns = {} if of is None else {"id": np.array(of)}
        rows = 3 if of is None else len(of)
        np.savez(folder / f"{name}.npz", mu=np.ones((rows, d)), logvar=np.ones((rows, d)), **columns)
        models += Reading().models([folder / f"{name}.npz"])
    return models


def test_integers_that_are_equal_modulo_2_64_are_not_joined(tmp_path):
    a, b = two(tmp_path, np.array([-1, 5]), np.array([2**64 - 1, 5], np.uint64))
    for one, other in ((a, b), (b, a)):
        with pytest.raises(PosteriorFileError, match=r"from -1 to 18446744073709551615, which need more than 64 bits"):
            joined(one, other, skip=True)
    a, b = two(tmp_path, np.array([-1, 5]), np.array([2**63, 5], np.uint64))
    assert joined(a, b, skip=True).together(range(2)).ids.tolist() == [5]


@pytest.mark.parametrize("others", [["y", "z"], ["z", "y"], ["z", "y", "more"]], ids=["same", "other", "fewer"])
def test_two_strings_of_one_hash_are_not_joined(others, tmp_path, monkeypatch):
    # Two such strings are found once in 2**32 tries, so the first hash is replaced.
    monkeypatch.setattr("kullback.io.joining.hash", lambda x: {"x": 1, "y": 1}.get(x, hash(x)), raising=False)
    a, b = two(tmp_path, ["x", "z"], others)
    with pytest.raises(PosteriorFileError, match=r"a\.npz and .*b\.npz: two different ids have the same hash"):
        joined(a, b, skip=True)
    a, b = two(tmp_path, ["x", "z"], ["z", "x"])
    assert joined(a, b).together(range(2)).ids.tolist() == ["x", "z"]


@pytest.mark.parametrize("swapped", [False, True])
def test_ids_of_one_model_beside_none_are_unique_too(swapped, tmp_path):
    models = two(tmp_path, ["x", "y", "x"], None)
    with pytest.raises(PosteriorFileError, match="'x' occurs more than once"):
        joined(*(models[::-1] if swapped else models))


@pytest.mark.parametrize(
    ("ids", "row", "value"),
    [([1, 2, 2.5], 2, "2.5"), ([1, np.nan, 2], 1, "nan"), ([1, 2, np.inf], 2, "inf")],
)
def test_the_id_that_is_no_integer_is_named(ids, row, value, tmp_path, monkeypatch):
    monkeypatch.setattr("kullback.io.joining.ROWS_AT_ONCE", 2)
    with pytest.raises(PosteriorFileError, match=rf"column 'id', row {row}: '{value}'; ids must be"):
        joined(*two(tmp_path, ids, [1, 2, 3]))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_whole_floating_point_ids_are_integers(dtype, tmp_path):
    rows = joined(*two(tmp_path, np.array([3, -1, 2], dtype), [2, 3, -1])).together(range(3))
    assert rows.ids.tolist() == [3, -1, 2]
    assert rows.ids.dtype.kind == "i"
    largest = {"f2": 2**11, "f4": 2**24, "f8": 2**53}[dtype]
    with pytest.raises(PosteriorFileError, match=rf"column 'id', row 1: {largest} is too large to be exact"):
        joined(*two(tmp_path, np.array([largest - 1, largest], dtype), [2, 3]))


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([b"x" * 16, b"y" * 16], pa.binary(16)),
        pa.array([1, 2]).cast(pa.decimal128(20, 0)),
        pa.array([1, 2], pa.timestamp("us")),
        pa.array([True, False]),
        pa.array([1.5, 2.5]),
    ],
    ids=str,
)
def test_what_is_no_id_is_told_with_what_to_do(ids, tmp_path):
    table = pa.table({"id": ids, "mu": [[1.0], [2.0]], "std": [[1.0], [2.0]]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    [model] = Reading().models([tmp_path / "a.parquet"])
    with pytest.raises(
        PosteriorFileError, match=r"Save the column as strings, .* Name another column by --id .*--by-order"
    ):
        alone(model)


CODES = {
    "zeros": ["007", "010", "100"],
    "zeros in one part": ["7", "8", "0100"],
    "floats": ["1.50", "2.0", "3"],
    "dates": ["2024-01-01", "2024-01-02", "2024-01-03"],
    "exponents": ["1e5", "2", "3"],
    "signs": ["+1", "2", "-3"],
}


@pytest.mark.parametrize("kind", CODES)
def test_ids_of_csv_that_are_no_integers_stay_the_text_they_are(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("kullback.io.formats.csv._BLOCK", 8)
    ids = CODES[kind]
    (tmp_path / "a").mkdir()
    for part, rows in enumerate((ids[:2], ids[2:])):
        text = "id,mu,std\n" + "".join(f"{i},1.5,2\n" for i in rows)
        (tmp_path / "a" / f"{part}.csv").write_text(text)
    table = pa.table({"id": ids[::-1], "mu": [1.5] * 3, "std": [2.0] * 3})
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    [a], [b] = (Reading().models([tmp_path / name]) for name in ("a", "b.parquet"))
    assert joined(a, b).together(range(3)).ids.tolist() == ids


@pytest.mark.parametrize(("texts", "ids"), [(["5", " 6", "0"], [5, 6, 0]), (["5.0", "6.0", "-7.0"], [5, 6, -7])])
def test_ids_of_csv_that_are_integers_are_integers(texts, ids, tmp_path):
    (tmp_path / "a.csv").write_text("id,mu,std\n" + "".join(f"{i},1.5,2\n" for i in texts))
    [a] = Reading().models([tmp_path / "a.csv"])
    assert alone(a).together(range(3)).ids.tolist() == ids


def test_a_code_that_is_missing_is_an_error(tmp_path):
    (tmp_path / "a.csv").write_text("id,mu,std\n007,1.5,2\n,1.5,2\n")
    [a] = Reading().models([tmp_path / "a.csv"])
    with pytest.raises(PosteriorFileError, match="column 'id', row 1: empty"):
        alone(a)
