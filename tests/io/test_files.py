"""Posteriors from files: every kind, every name that people use, and everything that can be wrong with them."""

import io
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
import zipfile

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet
import pytest
import safetensors.torch
import torch
from truth.kinds import DIAGONAL
from truth.processes import heeds_interrupts
from truth.reading import read, whole

from kullback import PosteriorFileError
from kullback.io.columns import Named
from kullback.io.joining import joined
from kullback.io.output import whole_file
from kullback.io.posteriors import distinct_names, open_posteriors
from kullback.io.reading import Reading

RNG = np.random.default_rng(0)
MU, LOGVAR = RNG.standard_normal((6, 3)).astype(np.float32), RNG.standard_normal((6, 3)).astype(np.float32)


def npz(path, **columns):
    np.savez(path, **columns)


def safetensors_file(path, **columns):
    safetensors.torch.save_file({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in columns.items()}, path)


def pt(path, **columns):
    torch.save({k: torch.from_numpy(v) for k, v in columns.items()}, path)


def parquet(path, **columns):
    pyarrow.parquet.write_table(pa.table({k: list(v) for k, v in columns.items()}), path, row_group_size=4)


def parquet_fixed(path, **columns):
    table = {
        k: pa.FixedSizeListArray.from_arrays(pa.array(v.ravel()), v.shape[1]) if v.ndim == 2 else pa.array(v)
        for k, v in columns.items()
    }
    pyarrow.parquet.write_table(pa.table(table), path)


WRITERS = {
    "npz": (npz, ".npz"),
    "safetensors": (safetensors_file, ".safetensors"),
    "pt": (pt, ".pt"),
    "parquet": (parquet, ".parquet"),
    "parquet, fixed size": (parquet_fixed, ".parquet"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_holds_the_same_posteriors(kind, tmp_path):
    write, suffix = WRITERS[kind]
    path = tmp_path / f"model{suffix}"
    write(path, mu=MU, logvar=LOGVAR, id=np.arange(10, 16))
    found = read(path)
    assert found.name == "model"
    assert found.ids == list(range(10, 16))
    assert found.gaussian.scale.parameterization == "logvar"
    assert found.gaussian.dtype == torch.float32
    np.testing.assert_array_equal(found.gaussian.mean, MU)
    np.testing.assert_array_equal(found.gaussian.scale.value, LOGVAR)


def test_bfloat16_and_image_latents_are_kept(tmp_path):
    x = torch.randn(2, 4, 8, 8, dtype=torch.bfloat16)
    safetensors.torch.save_file({"mean": x, "log_var": x.clone()}, tmp_path / "a.safetensors")
    found = read(tmp_path / "a.safetensors")
    assert found.gaussian.event_shape == (4, 8, 8)
    assert found.gaussian.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("mean", "scale", "given", "label"),
    [
        ("mu", "logvar", "logvar", None),
        ("mean", "log_var", "logvar", None),
        ("loc", "scale", "std", None),
        ("mu", "std", "std", None),
        ("Mu", "StdDev", "std", None),
        ("mu", "var", "variance", None),
        ("mu", "variance", "variance", None),
        ("z_mean", "z_log_var", "logvar", None),
        ("encoder.mu", "encoder.logvar", "logvar", None),
        ("mu1", "std1", "std", None),
        ("mu_1", "logvar_1", "logvar", None),
    ],
)
def test_names_people_use_are_understood(mean, scale, given, label, tmp_path):
    npz(tmp_path / "a.npz", **{mean: MU, scale: np.exp(LOGVAR)})
    found = read(tmp_path / "a.npz")
    assert found.gaussian.scale.parameterization == given


def test_one_file_may_hold_both_models(tmp_path):
    parquet(tmp_path / "both.parquet", mu_1=MU, logvar_1=LOGVAR, mu_2=MU + 1, logvar_2=LOGVAR)
    file = open_posteriors(tmp_path / "both.parquet")
    assert list(file.models) == ["model 1", "model 2"]
    np.testing.assert_array_equal(whole(file.model("2")).gaussian.mean, MU + 1)
    with pytest.raises(PosteriorFileError, match=r"holds 2 models \('model 1', 'model 2'\)\. Choose with --models"):
        whole(file.model())
    torch.save({n: {"mu": torch.zeros(2, 3), "std": torch.ones(2, 3)} for n in ("plain", "beta")}, tmp_path / "x.pt")
    assert list(open_posteriors(tmp_path / "x.pt").models) == ["plain", "beta"]


def test_a_role_in_the_name_of_a_model_does_not_confuse(tmp_path):
    npz(
        tmp_path / "a.npz",
        **{"mean_teacher.mu": MU, "mean_teacher.std": MU**2, "scale_model/mu": MU, "scale_model/std": MU**2},
    )
    assert list(open_posteriors(tmp_path / "a.npz").models) == ["mean_teacher", "scale_model"]


def test_a_table_with_a_column_for_each_coordinate_is_not_taken_for_models(tmp_path):
    columns = {f"{name}_{i}": x[:, i] for i in range(2) for name, x in (("mu", MU), ("logvar", LOGVAR))}
    parquet(tmp_path / "wide.parquet", **columns)
    with pytest.warns(UserWarning, match="mu_0 … mu_1, logvar_0 … logvar_1 are taken for the coordinates of one"):
        [whole] = Reading().models([tmp_path / "wide.parquet"])
    np.testing.assert_array_equal(whole.read().mean, MU[:, :2])
    np.testing.assert_array_equal(whole.read().scale.value, LOGVAR[:, :2])
    parquet(tmp_path / "gap.parquet", **{k: v for k, v in columns.items()}, mu_7=MU[:, 0], logvar_7=MU[:, 0])
    with pytest.raises(PosteriorFileError, match="there is no 'mu_2', 'mu_3', 'mu_4', 'mu_5', 'mu_6', 'logvar_2',"):
        Reading().models([tmp_path / "gap.parquet"])
    p, _ = Reading(labels=("0", "1")).models([tmp_path / "wide.parquet"])
    assert p.event_shape == p.read().event_shape == (1,)


def test_what_is_not_asked_for_cannot_fail(tmp_path):
    table = {
        "mu": list(MU),
        "std": list(MU**2),
        "mu_bad": list(MU),
        "std_bad": list(-(MU**2)),
        "label": ["a", None] * 3,
    }
    pyarrow.parquet.write_table(pa.table(table), tmp_path / "a.parquet")
    assert len(whole(open_posteriors(tmp_path / "a.parquet").model("a"))) == 6
    npz(tmp_path / "a.npz", mu=MU, std=MU**2, other=np.array([Bomb()]), id=[1, 1, 1, 1, 1, 1])
    assert len(whole(open_posteriors(tmp_path / "a.npz").model(ids=False))) == 6


def test_each_model_may_have_its_own_ids(tmp_path):
    order = RNG.permutation(6)
    ids = np.arange(6)
    npz(tmp_path / "a.npz", mu_1=MU, std_1=MU**2, id_1=ids, mu_2=MU[order], std_2=MU[order] ** 2, id_2=ids[order])
    p, q = joined(*Reading().models([tmp_path / "a.npz"])).gaussians()
    np.testing.assert_array_equal(p.mean, q.mean)


def test_id_goes_before_index_and_several_others_ask_which(tmp_path):
    npz(tmp_path / "a.npz", mu=MU, std=MU**2, index=np.arange(6), id=np.arange(6) + 10)
    assert read(tmp_path / "a.npz").ids == list(range(10, 16))
    npz(tmp_path / "b.npz", mu=MU, std=MU**2, image_id=np.arange(6))
    assert read(tmp_path / "b.npz").ids == list(range(6))
    npz(tmp_path / "c.npz", mu=MU, std=MU**2, image_id=np.arange(6), index=np.arange(6))
    with pytest.raises(PosteriorFileError, match="may all identify the rows"):
        read(tmp_path / "c.npz")


def test_sigma_is_ambiguous_until_it_is_said_what_it_is(tmp_path):
    npz(tmp_path / "a.npz", mu=MU, sigma=np.exp(LOGVAR))
    with pytest.raises(PosteriorFileError, match=r"--scale std\|variance\|logvar"):
        read(tmp_path / "a.npz")
    for given in DIAGONAL:
        found = read(tmp_path / "a.npz", scale=given)
        assert found.gaussian.scale.parameterization == given


def test_several_scales_ask_which(tmp_path):
    npz(tmp_path / "a.npz", mu=MU, std=np.exp(LOGVAR / 2), logvar=LOGVAR)
    with pytest.raises(PosteriorFileError, match=r"--scale std\|logvar"):
        read(tmp_path / "a.npz")
    found = read(tmp_path / "a.npz", scale="logvar")
    np.testing.assert_array_equal(found.gaussian.scale.value, LOGVAR)


def test_rows_are_joined_by_their_ids_or_by_order(tmp_path):
    order = RNG.permutation(6)
    ids = np.array(["a", "b", "c", "d", "e", "f"])
    npz(tmp_path / "a.npz", mu=MU, logvar=LOGVAR, id=ids)
    npz(tmp_path / "b.npz", mu=MU[order], logvar=LOGVAR[order], id=ids[order])
    npz(tmp_path / "c.npz", mu=MU[order], logvar=LOGVAR[order])
    [a], [b], [c] = (Reading().models([tmp_path / f"{name}.npz"]) for name in "abc")
    batch = joined(a, b).together(range(6))
    assert batch.ids.tolist() == list("abcdef")
    p, q = batch.gaussians
    np.testing.assert_array_equal(p.mean, q.mean)
    p, q = joined(a, c).gaussians()
    np.testing.assert_array_equal(q.mean, MU[order])


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def _truncated(path, suffix):
    npz(path, mu=MU, logvar=LOGVAR)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _zip(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


WRONG = {
    "missing.npz": (lambda p: None, "no such file"),
    "what.xyz": (lambda p: p.write_bytes(b"x"), "unknown kind of file"),
    "truncated.npz": (lambda p: _truncated(p, ".npz"), "damaged"),
    "empty.npz": (lambda p: p.write_bytes(b""), "no .npz archive"),
    "empty.parquet": (lambda p: p.write_bytes(b""), "damaged"),
    "empty.safetensors": (lambda p: p.write_bytes(b""), "damaged"),
    "empty.pt": (lambda p: p.write_bytes(b""), "damaged"),
    "text.parquet": (lambda p: p.write_text("mu,logvar\n1,2\n"), "damaged"),
    "object.npz": (lambda p: npz(p, mu=np.array([Bomb()]), logvar=LOGVAR), "column 'mu' is pickled"),
    "bomb.npz": (lambda p: p.write_bytes(pickle.dumps(Bomb())), "no .npz archive"),
    "bomb.pt": (lambda p: torch.save({"mu": Bomb()}, p), "holds more than tensors"),
    "list.pt": (lambda p: torch.save([torch.zeros(2)], p), "holds one array, and a model needs two"),
    "numbers.pt": (lambda p: torch.save([1.0, 2.0], p), "expected a dict"),
    "nothing.npz": (lambda p: npz(p, latents=MU), "no posteriors found"),
    "half.npz": (lambda p: npz(p, mu=MU), "no posteriors found"),
    "shapes.npz": (lambda p: npz(p, mu=MU, logvar=LOGVAR[:, :2]), r"differ in shape, \(6, 3\) and \(6, 2\)"),
    "rows.npz": (lambda p: npz(p, mu=MU[:0], logvar=LOGVAR[:0]), "no rows"),
    "text.npz": (lambda p: npz(p, mu=np.array(["a"]), logvar=np.array(["b"])), "expected numbers"),
    "complex.npz": (lambda p: npz(p, mu=MU * 1j, logvar=LOGVAR), "expected numbers"),
    "nan.npz": (
        lambda p: npz(p, mu=MU, logvar=np.where(np.arange(18).reshape(6, 3) == 7, np.nan, LOGVAR)),
        "column 'logvar', row 2, dimension 1: nan",
    ),
    "negative.npz": (lambda p: npz(p, mu=MU, std=-np.ones((6, 3))), "column 'std', row 0, dimension 0: -1"),
    "zero.npz": (lambda p: npz(p, mu=MU, var=np.zeros((6, 3))), "column 'var', row 0"),
    "infinite.npz": (lambda p: npz(p, mu=MU + np.inf, var=np.ones((6, 3))), "column 'mu', row 0, dimension 0: inf"),
    "twice.npz": (lambda p: npz(p, mu=MU, logvar=LOGVAR, id=[1, 2, 3, 4, 5, 1]), "'1' occurs more than once"),
    "ids.npz": (lambda p: npz(p, mu=MU, logvar=LOGVAR, id=[1, 2]), "one id for each"),
    "floats.npz": (lambda p: npz(p, mu=MU, logvar=LOGVAR, id=MU[:, 0]), "all integers or all strings"),
    "weights.pt": (lambda p: torch.save(torch.nn.BatchNorm1d(3).state_dict(), p), "weights of a model"),
    "sparse.pt": (lambda p: torch.save({"mu": torch.eye(3).to_sparse(), "std": torch.eye(3)}, p), "plain real"),
    "text_member.npz": (lambda p: _zip(p, mu="text", logvar="text"), "member 'mu' is no array"),
    "header.npz": (lambda p: _zip(p, **{"mu.npy": b"\x93NUMPY\x01\x00\x05\x00(1,1 ", "std.npy": b""}), "damaged"),
    "ragged.parquet": (
        lambda p: pyarrow.parquet.write_table(pa.table({"mu": [[1.0], [1.0, 2.0]], "var": [[1.0], [1.0]]}), p),
        "column 'mu', row 1: 2 numbers where row 0 has 1",
    ),
    "null.parquet": (
        lambda p: pyarrow.parquet.write_table(pa.table({"mu": [[1.0], None], "var": [[1.0], [1.0]]}), p),
        "column 'mu', row 1, dimension 0: null is not a valid mean",
    ),
    "inner.parquet": (
        lambda p: pyarrow.parquet.write_table(pa.table({"mu": [[1.0, 2.0], [None, 1.0]], "var": [[1.0, 1.0]] * 2}), p),
        "column 'mu', row 1, dimension 0: null is not",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_gives_one_line_that_names_it_and_runs_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, says = WRONG[name]
    make(tmp_path / name)
    with pytest.raises(PosteriorFileError, match=says) as caught:
        read(tmp_path / name)
    message = str(caught.value)
    assert name in message
    assert "\n" not in message
    assert not (tmp_path / "exploded").exists()


def test_an_array_that_claims_to_be_huge_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("mu.npy", header.getvalue())
        archive.writestr("std.npy", header.getvalue())
    with pytest.raises(PosteriorFileError, match="damaged"):
        read(tmp_path / "huge.npz")


def test_names_from_files_cannot_steer_the_terminal(tmp_path):
    npz(tmp_path / "a.npz", **{"mu\x1b[31m": MU, "logvar\x1b[31m": LOGVAR, "std\x1b[31m": MU})
    with pytest.raises(PosteriorFileError) as caught:
        read(tmp_path / "a.npz")
    assert str(caught.value).isprintable()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")

    class Interrupted(BaseException):
        pass

    def fail():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise Interrupted

    with pytest.raises(Interrupted):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_run_leaves_no_output(tmp_path):
    script = textwrap.dedent(
        """
        import time
        from kullback.io.output import whole_file
        with whole_file("out.csv") as temporary:
            temporary.write_text("half")
            print("writing", flush=True)
            time.sleep(60)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=heeds_interrupts,
    )
    assert process.stdout.readline() == "writing\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_names_of_models_are_told_apart_by_their_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("x", "y"):
        (tmp_path / folder / "model").mkdir(parents=True)
        for name in ("mean", "logvar"):
            np.save(tmp_path / folder / "model" / f"{name}.npy", np.zeros((2, 3)))
            np.save(tmp_path / folder / f"{name}.npy", np.zeros((2, 3)))
    for sources in (["x/model", "y/model"], ["x/model/", str(tmp_path / "y" / "model")]):
        names = [read(source).name for source in sources]
        assert names == ["model", "model"]
        assert distinct_names(names, sources) == ["x/model", "y/model"]
    pairs = [f"{folder}/mean.npy,{folder}/logvar.npy" for folder in ("x", "y")]
    names = [read(pair).name for pair in pairs]
    assert distinct_names(names, pairs) == ["x/mean", "y/mean"]
    monkeypatch.chdir(tmp_path / "x")
    assert [read(path).name for path in (".", "../y", "model/..")] == ["x", "y", "x"]


def test_only_what_has_no_names_is_an_ordered_pair(tmp_path):
    pair = torch.zeros(4, 3), torch.ones(4, 3)
    torch.save(pair, tmp_path / "pair.pt")
    found = read(tmp_path / "pair.pt", scale="std").gaussian
    assert torch.equal(found.mean, pair[0])
    assert torch.equal(found.stddev, pair[1])
    np.savez(tmp_path / "named.npz", **{"0": pair[0].numpy(), "1": pair[1].numpy()})
    torch.save({0: pair[0], 1: pair[1]}, tmp_path / "named.pt")
    for name in ("named.npz", "named.pt"):
        with pytest.raises(PosteriorFileError, match=r"there is no mean\. Columns are '0'"):
            read(tmp_path / name, scale="std")


TEXT = {
    "one word in a list column": ({"mu": [["1"], ["2"], ["x"]]}, ".parquet", "column 'mu', row 2: 'x' is text"),
    "numbers as text": ({"mu": ["1", "2", "3"]}, ".parquet", "column 'mu', row 0: '1' is text"),
    "a word in a cell": ({"mu": [1, "oops", 3]}, ".csv", "column 'mu', row 1: 'oops' is text"),
    "of several coordinates": (
        {"mu_0": [1.5, 2, 3], "mu_1": [1.5, 2, "oops"], "std_0": [1.0] * 3, "std_1": [1.0] * 3},
        ".csv",
        "column 'mu_1', row 2: 'oops' is text",
    ),
    "of several coordinates of Parquet": (
        {"mu_0": [1.5, 2, 3], "mu_1": ["1.5", "2", "oops"], "std_0": [1.0] * 3, "std_1": [1.0] * 3},
        ".parquet",
        "column 'mu_1', row 2: 'oops' is text",
    ),
}


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.filterwarnings("ignore:.*are taken for")
def test_text_among_numbers_is_named_with_its_column_row_and_value(name, tmp_path):
    columns, suffix, says = TEXT[name]
    table = pandas.DataFrame({"std": [1.0] * 3} | columns if "mu" in columns else columns)
    path = tmp_path / f"a{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    with pytest.raises(PosteriorFileError, match=f"{says}, expected numbers"):
        read(path)


@pytest.mark.filterwarnings("ignore:.*are taken for")
def test_a_negative_scale_names_the_option_that_reads_it_as_a_log_variance(tmp_path):
    npz(tmp_path / "a.npz", mu=MU, var=LOGVAR - 9)
    with pytest.raises(PosteriorFileError, match=r"--mean mu --logvar var \(in Python, rename it to 'logvar'\)"):
        read(tmp_path / "a.npz")
    [model] = Reading(named=(Named("mu", "var", "logvar"),)).models([tmp_path / "a.npz"])
    np.testing.assert_array_equal(model.read().scale.value, LOGVAR - 9)
    npz(tmp_path / "b.npz", mu=MU, sigma=LOGVAR - 9)
    with pytest.raises(PosteriorFileError, match=r"--scale logvar \(in Python, scale='logvar'\)"):
        read(tmp_path / "b.npz", scale="std")
    npz(tmp_path / "c.npz", **{f"{n}_{i}": x[:, i] for n, x in (("mu", MU), ("var", LOGVAR - 9)) for i in (0, 1)})
    with pytest.raises(PosteriorFileError, match=r"Then call the columns logvar_0, logvar_1, …"):
        read(tmp_path / "c.npz")


@pytest.mark.parametrize("lacking", [("mu_3",), ("logvar_3",), ("mu_3", "logvar_3"), ("mu_0",), ("mu_5",)])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_coordinate_that_is_not_there_is_named(suffix, lacking, tmp_path):
    table = pandas.DataFrame({f"{name}_{i}": [0.5, 1.0] for name in ("mu", "logvar") for i in range(6)})
    path = tmp_path / f"a{suffix}"
    table = table.drop(columns=list(lacking))
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    listed = ", ".join(map(repr, lacking))
    with pytest.raises(PosteriorFileError, match=f"coordinates of one model, there is no {listed}\\. If each"):
        read(path)


@pytest.mark.parametrize("columns", [2, 5])
def test_a_csv_without_a_header_is_said(columns, tmp_path):
    np.savetxt(tmp_path / "a.csv", np.ones((4, columns)), delimiter=",")
    with pytest.raises(PosteriorFileError, match="has no header: its first line is of numbers"):
        read(tmp_path / "a.csv")
