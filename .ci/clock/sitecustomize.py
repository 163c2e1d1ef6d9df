"""Repair `time.sleep` in a Python process that runs under libfaketime with an unshifted monotonic clock.

Python 3.11 and later sleep with clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME). libfaketime up to 0.9.10, which Debian
ships, moves that deadline as if it had shifted the monotonic clock too, and the call fails with EINVAL:
https://github.com/wolfcw/libfaketime/issues/426
"""

import select
import time


def sleep(seconds: float) -> None:
    """Suspend the calling thread, with a system call that takes a relative timeout."""
    select.select((), (), (), seconds)


time.sleep = sleep
