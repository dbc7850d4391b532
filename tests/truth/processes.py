"""Child processes of tests."""

import signal


def heeds_interrupts() -> None:
    """In a child: heed SIGINT even if this process, as a background job of a shell does, ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
