"""End the process after a time, whatever blocks it."""

import os
from collections.abc import Callable


def exit_after(seconds: float, code: Callable[[], int]) -> None:
    """Exit with what `code` returns unless the process has ended by then.

    It may be blocked by a write to a full pipe, a name server, or a thread that does not end.
    """
    import threading  # not needed for a page of help

    timer = threading.Timer(seconds, lambda: os._exit(code()))
    timer.daemon = True
    timer.start()
