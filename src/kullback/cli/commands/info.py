"""``kullback info``."""

import platform

import click

from kullback._version import __version__
from kullback.cli.inputs import EXIT_CODES


@click.command(epilog=EXIT_CODES)
def info() -> None:
    """The versions that are installed, and the kernels that are available."""
    import torch

    from kullback.kernels import choice, native_kernel

    allowed = choice.current()
    missing = {backend.name: backend.unavailable_reason() for backend in allowed.backends}
    names = ", ".join(name for name, why in missing.items() if not why)
    reasons = [f"no {name}: {why}" for name, why in missing.items() if why]
    reason = f" ({allowed.reason or '; '.join(reasons)})" if allowed.reason or reasons else ""
    click.echo(f"kullback: {__version__}")
    click.echo(f"torch: {torch.__version__}, {torch.get_num_threads()} threads")
    click.echo(f"python: {platform.python_version()}, {platform.system()} {platform.machine()}")
    click.echo(f"kernels: {names}{reason}; instructions: {native_kernel.instructions()}")


COMMANDS = (info,)
