"""A process that is blocked ends all the same, and reports once."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import time
from awictl.cli.framework.exit_after import exit_after

def code():
    print("ended", flush=True)
    time.sleep(0.5)  # the signal arrives meanwhile
    return 7

exit_after(0.01, code)
while True:
    time.sleep(0.01)
"""


def test_only_one_of_thread_and_signal_reports() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("ended\n", 7)
