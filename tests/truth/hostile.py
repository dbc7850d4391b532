"""Files that are damaged, odd or meant to do harm: by kind, what writes them into the folder where it is called, the
arguments that read them, and what the error says.
"""

import datetime
import decimal
import io
import json
import os
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import torch

MU, LOGVAR = np.random.default_rng(0).standard_normal((2, 6, 3)).astype(np.float32)
KINDS = {}
"""The makers by kind, with what the error says; None if the file is odd and is read all the same."""


def kind(name, says):
    """Register a maker, which returns the arguments."""

    def register(make):
        assert name not in KINDS
        KINDS[name] = make, says
        return make

    return register


def write_good(*names):
    """Ordinary files of one model."""
    for name in names:
        np.savez(name, mu=MU + 1, logvar=LOGVAR)


# Arrays of NumPy.


def npy(shape, dtype="<f4", *, fortran=False, content=b""):
    """The bytes of a ``.npy`` file with this header."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": fortran, "shape": shape})
    return file.getvalue() + content


def zipped(path, members, method=zipfile.ZIP_STORED):
    """An archive of these members, of which two may have one name."""
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name, content)


def _array(name, says, data):
    @kind(f"{name}, two .npy", says)
    def _pair():
        for part in ("mu", "logvar"):
            Path(f"a_{part}.npy").write_bytes(data)
        write_good("b.npz")
        return ["kl", "a_mu.npy,a_logvar.npy", "b.npz"]

    @kind(f"{name}, .npz", says)
    def _archive():
        zipped("a.npz", [("mu.npy", data), ("logvar.npy", data)])
        write_good("b.npz")
        return ["kl", "a.npz", "b.npz"]

    @kind(f"{name}, samples", says or "needs at least")
    def _samples():
        Path("a.npy").write_bytes(data)
        return ["estimate", "a.npy"]


for _power in (8, 10, 14, 18, 30):
    _array(f"claims of 10^{_power} rows", "damaged", npy((10**_power, 3)))
for _name, _says, _data in (
    ("a negative shape", "damaged", npy((-5, 3))),
    ("no rows of many columns", "no rows", npy((0, 10**18))),
    ("no columns", "no rows", npy((6, 0))),
    ("no dimensions", "no rows", npy((), content=b"\0" * 4)),
    ("more dimensions than NumPy has", "damaged", npy((1,) * 70, content=b"\0" * 4)),
    ("fields", "expected numbers", npy((3,), [("a", "<f4"), ("b", "<f4")], content=b"\0" * 24)),
    ("items without size", "expected numbers", npy((10**12, 3), "|V0")),
    ("huge items", "damaged", npy((3, 3), "|V2000000000")),
    ("times", "expected numbers", npy((3, 3), "<M8[s]", content=b"\0" * 72)),
    ("16 bytes to a number", "expected numbers", npy((3, 3), "<f16", content=b"\0" * 144)),
    ("a header that nests", "damaged", b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000),
    ("a header of 2 GB", "damaged", b"\x93NUMPY\x03\x00" + struct.pack("<I", 2**31 - 1) + b"{}"),
    ("big-endian numbers", None, npy((6, 3), ">f4", content=MU.astype(">f4").tobytes())),
    ("the order of Fortran", None, npy((6, 3), fortran=True, content=MU.tobytes(order="F"))),
):
    _array(_name, _says, _data)


def _archive(name, says):
    def register(write):
        @kind(name, says)
        def _make():
            write()
            write_good("b.npz")
            return ["kl", "a.npz", "b.npz"]

    return register


_WHOLE = npy((6, 3), content=MU.tobytes())


@_archive("two members of one name", "'mu'")
def _two_members():
    zipped("a.npz", [("mu.npy", _WHOLE), ("mu.npy", _WHOLE), ("logvar.npy", _WHOLE)])


@_archive("a bomb", r"memory|damaged")
def _bomb():
    with zipfile.ZipFile("a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("mu.npy", "logvar.npy"):
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(npy((10**12,)))
                for _ in range(50):
                    member.write(bytes(10**6))


@_archive("a member that lies about its size", r"memory|damaged")
def _lying():
    data = npy((10**13,), content=bytes(1000))
    zipped("a.npz", [("mu.npy", data), ("logvar.npy", data)], zipfile.ZIP_DEFLATED)
    _in_directory("a.npz", 24, struct.pack("<I", 2**32 - 2))


@_archive("an encrypted member", "damaged")
def _encrypted():
    zipped("a.npz", [("mu.npy", _WHOLE), ("logvar.npy", _WHOLE)])
    _in_directory("a.npz", 8, b"\x01")


@_archive("an unknown compression", "damaged")
def _unknown_compression():
    zipped("a.npz", [("mu.npy", _WHOLE), ("logvar.npy", _WHOLE)])
    _in_directory("a.npz", 10, b"a")


@_archive("thousands of members", "no posteriors found")
def _many_members():
    zipped("a.npz", [(f"m{i}.npy", b"x") for i in range(5000)])


@_archive("thousands of models", r"holds 2000 models .*…\)\. Choose")
def _many_models():
    zipped("a.npz", [(f"{name}_{i}.npy", _WHOLE) for i in range(2000) for name in ("mu", "logvar")])


def _in_directory(path, offset, content):
    """Overwrite a field of every entry of an archive's directory."""
    data, at = bytearray(Path(path).read_bytes()), 0
    while (at := data.find(b"PK\x01\x02", at)) != -1:
        data[at + offset : at + offset + len(content)] = content
        at += 4
    Path(path).write_bytes(data)


# Text and times as ids.


def _ids(name, says, ids, *command):
    @kind(f"ids: {name}", says)
    def _make():
        for path, shift in (("a.npz", 0), ("b.npz", 1)):
            np.savez(path, mu=MU + shift, logvar=LOGVAR, id=ids)
        return [command[0], "a.npz", "b.npz", *command[1:]]


_SURROGATES = np.array(["a", "b\udfff", "c", "d", "e\ud800", "f"])
_BEYOND = np.array([97, 98, 0x110000, 0xFFFFFFFF, 99, 100], np.uint32).view("<U1")
for _command in (
    ["kl"],
    *(["kl", "-o", f"out.{s}"] for s in ("npz", "csv", "parquet")),
    ["compare", "--report", "o.html"],
):
    _ids(f"lone surrogates, {' '.join(_command)}", "column 'id', row 1: .*not Unicode", _SURROGATES, *_command)
    _ids(f"beyond Unicode, {' '.join(_command)}", "column 'id', row 2: .*not Unicode", _BEYOND, *_command)
_ids("big-endian and beyond Unicode", "row 2: .*not Unicode", _BEYOND.astype(_BEYOND.dtype.newbyteorder()), "kl")
_ids("times", "holds times", np.arange(6).astype("M8[ns]"), "kl")
_ids("truth values", "all integers or all strings", np.arange(6) > 2, "kl")
_ids("empty text", "occurs more than once", np.array([""] * 6), "kl")


# Files of torch.


def _pt(name, says, make):
    @kind(f"torch: {name}", says)
    def _make():
        with warnings.catch_warnings():
            # torch warns of kinds of tensors that it may change.
            warnings.simplefilter("ignore")
            torch.save(make(), "a.pt")
        write_good("b.npz")
        return ["kl", "a.pt", "b.npz"]


def _model(**columns):
    return {"mu": torch.from_numpy(MU), "logvar": torch.from_numpy(LOGVAR), **columns}


def _nested(**options):
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], **options)


for _power in (11, 12, 14, 17):
    _rows = 10**_power
    _pt(f"10^{_power} rows of one number", "needs about", lambda n=_rows: _model(mu=torch.zeros(1).expand(n, 3)))
_pt("10^12 ids that are one", "needs about", lambda: _model(id=torch.zeros(1, dtype=torch.int64).expand(10**12)))
_pt("scales of 10^13 rows", "needs about", lambda: _model(logvar=torch.zeros(1).expand(10**13)))
_pt("10^14 rows of what is not read", None, lambda: _model(other=torch.zeros(1).expand(10**14)))
_pt("10^14 pixels", None, lambda: _model(image=torch.zeros(1).expand(6, 10**14)))
_pt("one scale for all rows", None, lambda: _model(logvar=torch.zeros(1).expand(6, 3)))
for _column in ("mu", "id"):
    for _name, _make in {
        "sparse": lambda: torch.sparse_coo_tensor([[0], [0]], [1.0], (10**12, 3), check_invariants=True),
        "meta": lambda: torch.empty(10**15, 3, device="meta"),
        "nested": _nested,
        "nested jagged": lambda: _nested(layout=torch.jagged),
        "quantized": lambda: torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8),
    }.items():
        says = f"column '{_column}' is a {_name.split()[0]} tensor"
        _pt(f"{_name} {_column}", says, lambda column=_column, make=_make: _model(**{column: make()}))
_pt("a nested tensor alone", "holds one array", _nested)
_pt("a nested tensor in a tuple", "nested tensor", lambda: (_nested(), torch.eye(3)))
_pt("complex numbers", "expected plain real", lambda: _model(mu=torch.eye(3) + 0j))
_pt("truth values", "expected plain real", lambda: _model(mu=torch.eye(3).bool()))
_pt("more dimensions than torch has", "71 dimensions", lambda: _model(mu=torch.zeros(2, *[1] * 70)))
_pt("one name twice", "two columns 'a.mu'", lambda: {"a.mu": torch.eye(3), "a": {"mu": torch.eye(3)}})
_pt("a list of text that is not Unicode", "not Unicode", lambda: _model(id=["a", "b\ud800", "c", "d", "e", "f"]))


# Files of safetensors.


def _safetensors(name, says, entry, size=36):
    @kind(f"safetensors: {name}", says)
    def _make():
        start = entry["data_offsets"][1]
        scale = {"dtype": "F32", "shape": [3, 3], "data_offsets": [start, start + 36]}
        header = json.dumps({"mu": entry, "logvar": scale}).encode()
        Path("a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(size + 36))
        write_good("b.npz")
        return ["kl", "a.safetensors", "b.npz"]


def _entry(dtype, shape, size):
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}


_safetensors("claims of more than it has", "damaged", _entry("F32", [10**12, 3], 12 * 10**12))
_safetensors("a shape of more than it has", "damaged", _entry("F32", [10**12, 3], 36))
_safetensors("a shape that overflows", "damaged", _entry("F32", [2**40, 2**40], 36))
_safetensors("no columns", "no rows", _entry("F32", [10**12, 0], 0), 0)
_safetensors("a scalar", "no rows", _entry("F32", [], 4), 4)
_safetensors("numbers of four bits", r"expected plain real|torch lacks", _entry("F4", [3, 4], 6), 6)
_safetensors("truth values", "expected plain real", _entry("BOOL", [3, 3], 9), 9)


# Columns of Arrow.


def lists(x):
    """Rows of numbers as a column of lists."""
    return pa.array(x.tolist(), pa.list_(pa.float32()))


def _parquet(name, says, **columns):
    @kind(f"parquet: {name}", says)
    def _make():
        table = {"mu": lists(MU), "logvar": lists(LOGVAR), **columns}
        pyarrow.parquet.write_table(pa.table(table), "a.parquet")
        write_good("b.npz")
        return ["kl", "a.parquet", "b.npz"]


_DAYS = [datetime.date(2020, 1, day) for day in range(1, 7)]
_DECIMALS = [decimal.Decimal(i) for i in range(6)]
for _name, _values in {
    "dates": pa.array(_DAYS),
    "times with a zone": pa.array(_DAYS).cast(pa.timestamp("ns", "UTC")),
    "durations": pa.array([datetime.timedelta(day) for day in range(6)]),
    "decimals": pa.array(_DECIMALS),
    "structs": pa.array([{"a": i} for i in range(6)]),
    "lists": pa.array([[i] for i in range(6)]),
    "bytes": pa.array([bytes([200, i]) for i in range(6)]),
    "truth values": pa.array([True, False] * 3),
}.items():
    _parquet(f"ids are {_name}", "ids must be|one id for each", id=_values)
_parquet("an id is missing", "column 'id', row 1: empty", id=pa.array([1, None, 3, 4, 5, 6]))
_parquet("all ids are missing", "column 'id', row 0: empty", id=pa.nulls(6))
_parquet("ids are a dictionary", None, id=pa.array(list("abcdef")).dictionary_encode())
_parquet("ids are large", None, id=pa.array([2**64 - 1 - i for i in range(6)], pa.uint64()))
_parquet("means are dates", "expected numbers", mu=pa.array(_DAYS))
_parquet("means are decimals", "expected numbers", mu=pa.array(_DECIMALS))
_parquet("means are structs", "expected numbers", mu=pa.array([{"a": 1.0}] * 6))
_parquet("means are lists of text", "expected numbers", mu=pa.array([["a"] * 3] * 6))
_parquet("means are lists of nothing", "row 0, dimension 0: null", mu=pa.array([[None] * 3] * 6))
_parquet("means are lists of structs", "expected numbers", mu=pa.array([[{"a": 1}]] * 6))
_parquet("means have no columns", "no rows", mu=pa.array([[]] * 6, pa.list_(pa.float32())))


@kind("parquet: two columns of one name", "mu")
def _two_columns():
    table = pa.Table.from_arrays([lists(MU), lists(MU), lists(LOGVAR)], names=["mu", "mu", "logvar"])
    pyarrow.parquet.write_table(table, "a.parquet")
    write_good("b.npz")
    return ["kl", "a.parquet", "b.npz"]


@kind("parquet: no columns at all", "no posteriors found")
def _no_columns():
    pyarrow.parquet.write_table(pa.table({}), "a.parquet")
    write_good("b.npz")
    return ["kl", "a.parquet", "b.npz"]


@kind("parquet: no rows", "no rows")
def _no_rows():
    pyarrow.parquet.write_table(pa.table({"mu": lists(MU), "logvar": lists(LOGVAR)}).slice(0, 0), "a.parquet")
    write_good("b.npz")
    return ["kl", "a.parquet", "b.npz"]


# Tables of text.

for _name, _says, _content in (
    ("nothing", "damaged", b""),
    ("empty lines", "damaged", b"\n\n\n"),
    ("a header alone", "expected numbers|no rows", b"a,b\n"),
    ("dates", "expected numbers", b"a,b\n2020-01-01,2\n2020-01-02,3\n"),
    ("ragged rows", "Row #2: Expected 2 columns, got 1", b"1,2\n3\n"),
    ("a quote without an end", "damaged", b'"a,b\n1,2\n'),
    ("UTF-16", "damaged", "a,b\n1,2\n".encode("utf-16")),
    ("all bytes", "Expected 2 columns, got 1", bytes(range(256)) * 10),
    ("a long field", "damaged", b'"' + b"x" * 200_000 + b'",b\n1,2\n'),
    ("one name twice", "a", b"a,a\n1,2\n3,4\n"),
    ("infinity", "row 0: inf", b"a\ninf\n1\n"),
    ("more than a number holds", "row 0: inf", b"a\n1e400\n1\n"),
    ("a missing number", "row 1, coordinate 0: null|row 0, coordinate 1: null", b"a,b\n1,\n,2\n"),
    ("zero bytes", "expected numbers", b"a,b\n1,\0\n2,3\n"),
    ("truth values", "expected numbers", b"a\ntrue\nfalse\n"),
):

    @kind(f"csv: {_name}", _says)
    def _csv(content=_content):
        Path("a.csv").write_bytes(content)
        return ["estimate", "a.csv"]


# Paths.


def loop(name):
    """Two links that lead to each other."""
    os.symlink(name, f"other-{name}")
    os.symlink(f"other-{name}", name)


def _path(name, says, make, *arguments):
    @kind(f"path: {name}", says)
    def _make():
        write_good("a.npz", "b.npz")
        make()
        return list(arguments)


_KL, _OUT = ("kl", "a.npz", "b.npz"), ("kl", "a.npz", "b.npz", "-o", "o.npz")
_path("a loop of links is read", "symbolic links", lambda: loop("c.npz"), "kl", "c.npz", "b.npz")
_path("a pipe is read", "no regular file", lambda: os.mkfifo("c.npz"), "kl", "c.npz", "b.npz")
_path("a device is read", "no regular file", lambda: os.symlink("/dev/zero", "c.npz"), "kl", "c.npz", "b.npz")
_path("stdin is read", "unknown kind of file", lambda: None, "kl", "/dev/stdin", "b.npz")
_path("a folder like a file is read", "is a folder", lambda: os.mkdir("c.npz"), "kl", "c.npz", "b.npz")
_path(
    "a folder of folders is read", "without files of a known kind", lambda: os.makedirs("c/mu.npy"), "kl", "c", "b.npz"
)
_path("a link to nothing is read", "no such file", lambda: os.symlink("nowhere", "c.npz"), "kl", "c.npz", "b.npz")
_path("a name of 300 characters is read", "too long", lambda: None, "kl", "c" * 300 + ".npz", "b.npz")
_path("a loop of links is written", "symbolic links", lambda: loop("o.npz"), *_OUT)
_path("a loop of folders is written", "symbolic links", lambda: loop("o"), *_KL, "-o", "o/o.npz")
for _option, _file in (("--report", "o.html"), ("--json", "o.json")):
    _path(
        f"a loop is written by {_option}",
        "symbolic links",
        lambda f=_file: loop(f),
        "compare",
        *_KL[1:],
        _option,
        _file,
    )
_path("a link to a missing folder is written", "there is no folder", lambda: os.symlink("x/o.npz", "o.npz"), *_OUT)
_path("a folder is written", "is a folder", lambda: os.mkdir("o.npz"), *_OUT)
_path("a pipe is written", "pipe or a device", lambda: os.mkfifo("o.npz"), *_OUT)
_path("a device is written", "pipe or a device", lambda: os.symlink("/dev/null", "o.npz"), *_OUT)
_path("a hard link to an input is written", "is an input", lambda: os.link("a.npz", "o.npz"), *_OUT)
_path("a link to an input is written", "is an input", lambda: os.symlink("a.npz", "o.npz"), *_OUT)
_path("an input is written through a folder", "is an input", lambda: os.symlink(".", "d"), *_KL, "-o", "d/a.npz")
_path("below a file", "no folder", lambda: None, *_KL, "-o", "a.npz/o.npz")
_path("a name of 300 characters is written", "too long", lambda: None, *_KL, "-o", "o" * 300 + ".npz")
_path("where no file can be", "cannot be written|not writable", lambda: None, *_KL, "-o", "/proc/o.npz")
_path("a folder with control characters", r"no folder x\\n\\x1b\[31m", lambda: None, *_KL, "-o", "x\n\x1b[31m/o.npz")
_path("a label with control characters", "no model 'x", lambda: None, "kl", "a.npz", "--models", "x\n\x1b[31m")
