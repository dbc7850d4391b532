"""Compiles the C library where there is a compiler. Where there is none the package works without."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path(__file__).parent / "src" / "kullback" / "kernels" / "native"
LIBRARY = NATIVE / ("libkullback.dylib" if sys.platform == "darwin" else "libkullback.so")
FLAGS = "-O3 -std=gnu11 -fno-math-errno -fno-trapping-math -fPIC -fvisibility=hidden".split()
# The names of KULLBACK_ISA, and the flags that a compiler needs for them.
INSTRUCTIONS = {
    "baseline": [],
    "avx2": ["-march=x86-64-v3"],
    "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}


class NativeLibrary(BuildHookInterface):
    """Builds the library beside its sources before the wheel is put together."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict) -> None:
        """Compile; on failure make sure that no older library stays behind, and say so once."""
        LIBRARY.unlink(missing_ok=True)
        try:
            compile_library(LIBRARY)
        except (OSError, subprocess.CalledProcessError) as error:
            detail = getattr(error, "stderr", None) or error
            self.app.display_warning(
                f"kullback: no C library, the torch formulas will do ({str(detail).strip()[-300:]})"
            )
            return
        build_data["artifacts"].append(str(LIBRARY.relative_to(Path(__file__).parent)))
        build_data["pure_python"] = False
        build_data["infer_tag"] = False
        build_data["tag"] = f"py3-none-{_platform()}"


def compile_library(target: Path, extra: tuple[str, ...] = (), *, program: bool = False) -> None:
    """Compile every instruction set that this kind of machine may have into one library, or into the test program."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform == "win32":
        raise OSError("no C compiler found")
    # The machine that is compiled for, which may be another one.
    x86 = run([*compiler.split(), "-dumpmachine"]).startswith(("x86_64", "amd64"))
    kinds = INSTRUCTIONS if x86 else {"baseline": []}
    define = ["-DKULLBACK_X86"] if x86 else []
    units = [("kernels.c", kind, [f"-DKULLBACK_ISA={kind}", *flags]) for kind, flags in kinds.items()]
    units += [("dispatch.c", "dispatch", [])] + ([("driver.c", "driver", [])] if program else [])
    with tempfile.TemporaryDirectory() as folder:
        objects = [str(Path(folder) / f"{name}.o") for _, name, _ in units]
        commands = [
            [*compiler.split(), *FLAGS, *extra, *define, *flags, "-c", str(NATIVE / source), "-o", out]
            for (source, _, flags), out in zip(units, objects, strict=True)
        ]
        with ThreadPoolExecutor() as pool:
            list(pool.map(run, commands))
        built = Path(folder) / target.name
        run([*compiler.split(), *extra, *([] if program else ["-shared"]), *objects, "-o", str(built), "-lm"])
        shutil.move(built, target)


def run(command: list[str]) -> str:
    """What a command prints, which is part of the error if it fails."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _platform() -> str:
    import sysconfig

    # A Python for both kinds of Mac compiles for the one that it runs on.
    name = sysconfig.get_platform().replace("universal2", platform.machine())
    return name.replace("-", "_").replace(".", "_")
