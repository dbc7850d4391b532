"""Samples from data sets of several files, and of every format."""

import numpy as np
import pandas
import pytest
import torch

from kullback import PosteriorFileError
from kullback.io.samples import read_samples

X = np.random.default_rng(2).standard_normal((40, 3))


def test_samples_of_several_files_are_rows(tmp_path):
    for i, rows in enumerate((slice(0, 9), slice(9, 10), slice(10, 40))):
        np.save(tmp_path / f"{i}.npy", X[rows])
        (tmp_path / "tables").mkdir(exist_ok=True)
        pandas.DataFrame(X[rows], columns=list("abc")).assign(id=range(len(X[rows]))).to_parquet(
            tmp_path / "tables" / f"part.{i}.parquet"
        )
        pandas.DataFrame(X[rows]).to_csv(tmp_path / "tables" / f"part.{i}.csv", index=False, header=False)
    for path in (tmp_path, f"{tmp_path}/*.npy", f"{tmp_path}/tables/*.parquet", f"{tmp_path}/tables/*.csv"):
        np.testing.assert_array_equal(read_samples(path), X)
    np.testing.assert_array_equal(read_samples(f"{tmp_path}/tables/*.parquet", "b"), X[:, 1])
    with pytest.raises(PosteriorFileError, match=r"2\.npy,.*1\.npy: no such file"):
        read_samples(f"{tmp_path}/2.npy,{tmp_path}/1.npy")


def test_means_and_scales_in_a_folder_are_no_samples(tmp_path):
    np.save(tmp_path / "mu.npy", X)
    np.save(tmp_path / "logvar.npy", X)
    with pytest.raises(PosteriorFileError, match="holds the parameters of Gaussians"):
        read_samples(tmp_path)


def test_samples_that_memory_cannot_hold_are_refused_before_they_are_read(tmp_path):
    # A sparse file of 2 TB.
    for i in range(2):
        with (tmp_path / f"{i}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f8", "fortran_order": False, "shape": (2**37 // 64, 64)}
            )
            file.truncate(file.tell() + 2**40)
    for path in (tmp_path, tmp_path / "1.npy"):
        with pytest.raises(MemoryError, match=r"reading all samples, which estimates need, needs about [\d,]+ GB"):
            read_samples(path)


def test_floats_keep_their_dtype(tmp_path):
    torch.save(torch.from_numpy(X).float(), tmp_path / "a.pt")
    assert read_samples(tmp_path / "a.pt").dtype == torch.float32
