"""Rows of a second file in another order: moved in memory, or sorted into temporary files."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kullback import PosteriorFileError
from kullback.io.joining import joined
from kullback.io.posteriors import open_posteriors

ROWS = 9
MEANS = np.arange(2.0 * ROWS).reshape(ROWS, 2)
ORDER = np.array([4, 8, 0, 2, 7, 6, 1, 5, 3])


@pytest.fixture(params=["in memory", "by files"])
def way(request, monkeypatch):
    """The way in which rows are moved."""
    if request.param == "by files":
        monkeypatch.setattr("kullback.io.reordering._IN_MEMORY", 0)
        monkeypatch.setattr("kullback.io.reordering.ROWS_AT_ONCE", 4)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*are sorted by id")
        yield


def model(path, order=range(ROWS), ids=range(ROWS), **wrong):
    means, order = MEANS.copy(), list(order)
    for row, value in wrong.items():
        means[int(row.removeprefix("row")), 1] = value
    np.savez(path, mu=means[order], logvar=np.zeros((len(order), 2)), id=np.array(ids)[order])
    return open_posteriors(path).model()


def every(rows):
    """All rows, of tasks of two rows at least."""
    batches = [batch for task in rows.tasks(4) for batch in rows.batches(task)]
    ids = [i for batch in batches for i in batch.ids]
    p, q = (np.concatenate([batch.gaussians[i].mean for batch in batches]) for i in (0, 1))
    return ids, p, q, [text for batch in batches for text in batch.skipped.first]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("swapped", [False, True])
def test_bad_rows_of_either_file_are_left_out(swapped, tmp_path):
    models = [model(tmp_path / "a.npz", row5=np.inf), model(tmp_path / "b.npz", ORDER, row2=np.nan, row7=np.nan)]
    a, b = models[::-1] if swapped else models
    ids, p, q, told = every(joined(a, b, skip=True))
    kept = [i for i in (ORDER if swapped else range(ROWS)) if i not in (2, 5, 7)]
    assert ids == kept
    np.testing.assert_array_equal(p, MEANS[kept])
    np.testing.assert_array_equal(q, MEANS[kept])
    # Each is told by its id, and by the place and the value in its file.
    assert sorted(told) == [
        f"id '{i}': column 'mu', row {row}, dimension 1: {value} is not a valid mean (rows and dimensions are counted "
        "from 0)."
        for i, row, value in ((2, 3, "nan"), (5, 5, "inf"), (7, 4, "nan"))
    ]
    with pytest.raises(PosteriorFileError, match="is not a valid mean"):
        every(joined(a, b))


@pytest.mark.usefixtures("way")
def test_rows_without_a_partner_are_left_out_beside_bad_ones(tmp_path):
    a = model(tmp_path / "a.npz")
    b = model(tmp_path / "b.npz", ORDER[ORDER != 6], row0=np.nan)
    rows = joined(a, b, skip=True)
    ids, p, q, told = every(rows)
    assert ids == [1, 2, 3, 4, 5, 7, 8]
    np.testing.assert_array_equal(p, q)
    assert told[1] == f"id '6': no partner in {b.source}"
    rows = joined(b, a, skip=True)
    assert rows.unmatched.first == (f"id '6' of {a.source} is not in {b.source}",)
    assert every(rows)[0] == [i for i in ORDER if i not in (0, 6)]


@pytest.mark.usefixtures("way")
def test_of_many_bad_rows_the_first_ten_are_told(tmp_path):
    n = 40
    x = np.full((n, 1), np.nan)
    np.savez(tmp_path / "a.npz", mu=np.ones((n, 1)), logvar=np.ones((n, 1)), id=np.arange(n))
    np.savez(tmp_path / "b.npz", mu=x, logvar=x, id=np.arange(n)[::-1])
    rows = joined(*(open_posteriors(tmp_path / f"{name}.npz").model() for name in "ab"), skip=True)
    skipped = rows.together(range(n)).skipped
    assert skipped.count == n
    assert [f"row {n - 1 - i}," in text for i, text in enumerate(skipped.first)] == [True] * 10


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn])
def test_numbers_of_every_type_are_moved_as_they_are(dtype, tmp_path):
    means, order = torch.from_numpy(MEANS).to(dtype), torch.from_numpy(ORDER)
    for name, x, ids in (("a", means, torch.arange(ROWS)), ("b", means[order], order)):
        save_file({"mu": x, "logvar": x.clone(), "id": ids}, tmp_path / f"{name}.safetensors")
    p, q = joined(*(open_posteriors(tmp_path / f"{name}.safetensors").model() for name in "ab")).gaussians()
    assert p.mean.dtype == q.mean.dtype
    assert torch.equal(p.mean, q.mean)
    assert torch.equal(p.scale.value, q.scale.value)


@pytest.mark.usefixtures("way")
def test_a_copy_of_another_process_reads_the_same_rows(tmp_path):
    rows = joined(model(tmp_path / "a.npz"), model(tmp_path / "b.npz", ORDER))
    _, q = pickle.loads(pickle.dumps(rows)).gaussians()
    np.testing.assert_array_equal(q.mean, MEANS)
