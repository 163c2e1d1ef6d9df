"""End the process after a time, whatever blocks it."""

import os
from collections.abc import Callable

#: Seconds after which the signal follows the thread, so that only one of them reports.
_LATER = 0.1
#: Seconds that one of them waits for the other to end the process.
_GIVE_UP = 5.0


def exit_after(seconds: float, code: Callable[[], int]) -> None:
    """Exit with what `code` returns unless the process has ended by then.

    It may be blocked by a write to a full pipe, a name server, or a thread that does not end. While a regular
    expression is matched, which may take very long, no other thread runs, but signal handlers do.
    """
    import signal  # not needed for a page of help
    import threading

    leaving = threading.Lock()

    def leave(*_: object) -> None:
        leaving.acquire(timeout=_GIVE_UP)  # if the other one is leaving, this lets it run, and it ends the process
        os._exit(code())

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGALRM, leave)
        signal.setitimer(signal.ITIMER_REAL, seconds + _LATER)
