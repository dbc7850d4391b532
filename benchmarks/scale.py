"""Claim: time grows with the rows and memory does not; a divergence of every row costs a small multiple of reading it.

Two models' posteriors over the same inputs, as Parquet with pyarrow's defaults (snappy, dictionaries): an int64 id, and
mean and logvar as lists of 64 float32, in files of 10^6 rows with row groups of 65,536. The latent of A has scales from
2.5 to 0.02, most of them collapsed; B is A rotated, with noise. They are written in bounded memory, once for a folder.

Each command is a process of its own. Seconds are wall time of the whole process, with what Python and torch take to
start, and after the files were read, so that they are in the page cache where they fit. Memory is the largest sum of
resident sets over the process and those that it starts, sampled every 20 ms; "own" leaves out pages of mapped files,
which the system takes back when it needs them. What grows is told by two rows of a table: "µs per further row" is the
difference of their times, "x pyarrow" that difference as a multiple of the one for pyarrow reading the same columns of
both models and doing nothing, by the faster of a dataset scanner and of iter_batches in two threads, and "slope" the
exponent of the growth of the time without start.

    python benchmarks/scale.py FOLDER [--rows 10000,100000,1000000,10000000] [--workers 1,2] [--codec none]
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# This process imports neither torch nor pyarrow: a child begins with the peak memory of its parent.
HERE = Path(__file__).resolve()
D, GROUP, PART = 64, 65_536, 1_000_000
COLUMNS = ["id", "mean", "logvar"]
PAGE = os.sysconf("SC_PAGE_SIZE")


# The data.


def batches(rows: int, seed: int) -> Iterator[tuple[object, ...]]:
    """The ids, and the mean and logvar of both models, of a row group at a time."""
    import numpy as np

    rng = np.random.default_rng(seed)
    scales = np.geomspace(2.5, 0.02, D).astype(np.float32)
    rotation = np.linalg.qr(rng.standard_normal((D, D)))[0].astype(np.float32)
    # The posterior of a linear model: the variance of the code beside that of the prior, 1.
    variances = 1 / (1 + scales**2)
    for start in range(0, rows, GROUP):
        n = min(GROUP, rows - start)
        mean = scales * rng.standard_normal((n, D), np.float32)
        logvar = np.log(variances) + 0.2 * rng.standard_normal((n, D), np.float32)
        turned = mean @ rotation + 0.1 * rng.standard_normal((n, D), np.float32)
        width = np.log(np.exp(logvar) @ rotation**2) + 0.1 * rng.standard_normal((n, D), np.float32)
        yield np.arange(start, start + n), (mean, logvar), (turned, width)


def write(folder: Path, rows: int, seed: int, codec: str) -> None:
    """Write both models."""
    import pyarrow as pa
    import pyarrow.parquet

    schema = pa.schema([("id", pa.int64()), *((name, pa.list_(pa.float32())) for name in COLUMNS[1:])])
    options = {} if codec == "default" else {"compression": codec, "use_dictionary": False}
    writers: dict[str, pyarrow.parquet.ParquetWriter] = {}
    written = 0

    def close() -> None:
        for writer in writers.values():
            writer.close()
        writers.clear()

    def put(model: str, table: pa.Table) -> None:
        part = f"part-{written // PART:03}.parquet"
        writer = writers.get(model)
        if writer is None:
            (folder / model).mkdir(parents=True, exist_ok=True)
            writer = writers[model] = pyarrow.parquet.ParquetWriter(folder / model / part, schema, **options)
        writer.write_table(table, row_group_size=GROUP)

    for ids, *models in batches(rows, seed):
        n, first = len(ids), 0  # type: ignore[arg-type]
        while first < n:
            last = min(n, first + PART - written % PART)
            for model, values in zip("AB", models, strict=True):
                offsets = pa.array(range(0, (last - first) * D + 1, D), pa.int32())
                lists = [pa.ListArray.from_arrays(offsets, pa.array(x[first:last].ravel())) for x in values]
                put(model, pa.table([pa.array(ids[first:last]), *lists], schema=schema))  # type: ignore[index]
            written, first = written + last - first, last
            if written % PART == 0:
                close()
    close()


def model(folder: Path, name: str) -> Path:
    """What is given to a command: the only file of a model, or the folder of several."""
    parts = sorted((folder / name).glob("*.parquet"))
    return parts[0] if len(parts) == 1 else folder / name


# What is measured.


def read_by_dataset(folder: Path) -> None:
    """Pyarrow reads all columns of both models, by a scanner with its own threads."""
    import pyarrow.dataset as ds

    for name in "AB":
        for _ in ds.dataset(folder / name).scanner(columns=COLUMNS, batch_size=GROUP).to_batches():
            pass


def read_by_batches(folder: Path) -> None:
    """Pyarrow reads all columns, one model in each of two threads."""
    from pyarrow.parquet import ParquetFile

    def read(name: str) -> None:
        for path in sorted((folder / name).glob("*.parquet")):
            with ParquetFile(path, memory_map=True) as file:
                for _ in file.iter_batches(GROUP, columns=COLUMNS):
                    pass

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(read, "AB"))


READERS = {"dataset": read_by_dataset, "batches": read_by_batches}


@dataclass(frozen=True)
class Run:
    """What a process took."""

    seconds: float
    memory: float
    """The largest sum of the resident sets of the process and its children, in bytes."""
    own: float
    """The same without pages of mapped files."""
    code: int
    error: str

    def memory_text(self) -> str:
        """Gigabytes, and in brackets its own."""
        return f"{self.memory / 1e9:.2f} ({self.own / 1e9:.2f})"


def measured(arguments: list[str], timeout: float) -> Run:
    """Run a process, and watch it and those that it starts."""
    peak = [0, 0]
    ended = threading.Event()

    def watch(pid: int) -> None:
        while not ended.is_set():
            sums = [0, 0]
            for child in tree(pid):
                try:
                    _, resident, shared, *_ = map(int, Path(f"/proc/{child}/statm").read_text().split())
                except OSError:  # It has ended.
                    continue
                sums[0] += resident * PAGE
                sums[1] += (resident - shared) * PAGE
            peak[:] = [max(a, b) for a, b in zip(peak, sums, strict=True)]
            ended.wait(0.02)

    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=errors)
        watcher = threading.Thread(target=watch, args=(process.pid,))
        watcher.start()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        seconds = time.perf_counter() - started
        ended.set()
        watcher.join()
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines() or [""]
    return Run(seconds, peak[0], peak[1], process.returncode, lines[-1])


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))
    except OSError:  # It has ended.
        return


def check(folder: Path, output: Path) -> None:
    """Compare the divergences of the first row group with the formula in NumPy, float64."""
    import numpy as np
    import pyarrow.parquet as pq

    def first(name: str) -> list[np.ndarray]:
        path = sorted((folder / name).glob("*.parquet"))[0]
        table = pq.ParquetFile(path).read_row_group(0)
        return [np.stack(table[c].to_numpy()).astype(float) for c in COLUMNS[1:]]

    (m, v), (n, w) = first("A"), first("B")
    expected = 0.5 * (np.exp(v - w) + (m - n) ** 2 / np.exp(w) - 1 - v + w).sum(1)
    found = next(pq.ParquetFile(output).iter_batches(len(expected), columns=["kl"]))["kl"].to_numpy()
    np.testing.assert_allclose(found, expected[: len(found)], rtol=1e-5)


def commands(folder: Path, output: Path, workers: list[int]) -> dict[str, list[str]]:
    """The arguments of each command, by its name."""
    a, b = (str(model(folder, name)) for name in "AB")
    kl, compare = ["kl", a, b, "-o", str(output)], ["compare", a, b]
    return {
        "kl": kl,
        "compare --align none --no-aggregate": [*compare, "--align", "none", "--no-aggregate"],
        "compare": compare,
        **{f"kl --engine dask --workers {n}": [*kl, "--engine", "dask", "--workers", str(n)] for n in workers},
    }


# The table.


def cells(runs: list[tuple[int, Run]], reading: list[tuple[int, Run]], i: int, start: float) -> list[str]:
    """A row of the table of one command."""
    rows, run = runs[i]
    if run.code:
        return [f"{rows:,}", f"failed ({run.code}): {run.error[:100]}", "", "", "", ""]
    found = [f"{rows:,}", f"{run.seconds:.2f}", run.memory_text()]
    if i == 0 or runs[i - 1][1].code:
        return [*found, "", "", ""]
    fewer, before = runs[i - 1]
    more, read = run.seconds - before.seconds, reading[i][1].seconds - reading[i - 1][1].seconds
    growth = max(run.seconds - start, 1e-3) / max(before.seconds - start, 1e-3)
    # Less than that is not told apart from the noise of starting a process.
    ratio = f"{more / read:.1f}" if min(read, more) > 0.1 else "–"
    return [*found, f"{more / (rows - fewer) * 1e6:.2f}", f"{math.log(growth) / math.log(rows / fewer):.2f}", ratio]


def main() -> None:
    """Write what is missing, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", default="10000,100000,1000000", help="the numbers of rows, ascending")
    parser.add_argument("--workers", default="1,2", help="the numbers of workers of Dask; empty for none")
    parser.add_argument("--codec", default="default", help="none, snappy, zstd, …, without dictionaries; or default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=3600, help="the seconds after which a command is stopped")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step, rows = options.step
        if step == "write":
            write(options.folder, int(rows), options.seed, options.codec)
        elif step == "check":
            check(options.folder, Path(rows))
        else:
            READERS[step](options.folder)
        return
    results: dict[str, list[tuple[int, Run]]] = {}
    workers = [int(n) for n in options.workers.split(",") if n]
    print(subprocess.run(
        [sys.executable, "-c", f"from timing import machine; print(machine({os.cpu_count()}))"],
        cwd=HERE.parent, capture_output=True, text=True, check=True,
    ).stdout.strip())  # fmt: skip
    starts = (["-c", "import pyarrow.dataset, pyarrow.parquet"], ["-m", "kullback", "info"])
    empty, start = (min(measured([sys.executable, *s], 60).seconds for _ in range(3)) for s in starts)
    print(f"\nStart: {empty:.2f} s of Python with pyarrow, {start:.2f} s of kullback; codec: {options.codec}.")
    for rows in map(int, options.rows.split(",")):
        folder = options.folder / f"{rows}-{options.seed}-{options.codec}"
        step = [sys.executable, str(HERE), str(folder), "--codec", options.codec, "--seed", str(options.seed), "--step"]
        if not (folder / "done.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            done = measured([*step, "write", str(rows)], options.timeout)
            if done.code:
                sys.exit(f"writing failed: {done.error}")
            size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
            (folder / "done.json").write_text(json.dumps({"rows": rows, "bytes": size}), encoding="utf-8")
            print(
                f"Wrote {size / 1e9:.2f} GB of {rows:,} rows: {done.seconds:.0f} s, {done.memory_text()} GB.",
                flush=True,
            )
        reads = {name: [measured([*step, name, "0"], options.timeout) for _ in range(2)][1] for name in READERS}
        fastest = min(reads, key=lambda name: reads[name].seconds)
        results.setdefault("pyarrow, read alone", []).append((rows, reads[fastest]))
        output = folder / "out.parquet"
        for name, arguments in commands(folder, output, workers).items():
            output.unlink(missing_ok=True)
            run = measured([sys.executable, "-m", "kullback", *arguments], options.timeout)
            if not run.code and output.exists():
                done = measured([*step, "check", str(output)], options.timeout)
                if done.code:
                    run = Run(run.seconds, run.memory, run.own, done.code, f"wrong: {done.error}")
            results.setdefault(name, []).append((rows, run))
            print(f"{rows:,} {name}: {run.seconds:.1f} s, {run.memory_text()} GB", file=sys.stderr, flush=True)
        output.unlink(missing_ok=True)
    for name, runs in results.items():
        print(f"\n{name}\n")
        print("| rows | seconds | GB (own) | µs per further row | slope | x pyarrow |")
        print("| --: | --: | --: | --: | --: | --: |")
        reading = results["pyarrow, read alone"]
        for i in range(len(runs)):
            own_start = empty if runs is reading else start
            print("|", " | ".join(cells(runs, reading, i, own_start)), "|")


if __name__ == "__main__":
    main()
