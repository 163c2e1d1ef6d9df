"""Find and kill the processes of embedded servers."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path


def servers_in(folder: Path) -> list[int]:
    """Return the process ids of all servers that were ever started in the folder of an embedded server."""
    log = (folder / "valkey.log").read_text(errors="replace")
    return [int(pid) for pid in re.findall(r"^(\d+):M .*Server initialized", log, re.MULTILINE)]


def command_of(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def kill_servers(home: Path) -> None:
    """Kill every server whose folder is below `home`."""
    for log in home.rglob("valkey.log"):
        for pid in servers_in(log.parent):
            if str(home) in command_of(pid):
                os.kill(pid, signal.SIGKILL)
