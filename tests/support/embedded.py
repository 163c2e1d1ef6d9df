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


def works_below(pid: int, home: Path) -> bool:
    """Whether a process works in a folder below `home`, as the embedded servers of that user do."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(home.resolve())
    except OSError:
        return False


def kill_servers(home: Path) -> None:
    """Kill every server whose folder is below `home`."""
    for log in home.rglob("valkey.log"):
        text = log.read_text(errors="replace")
        for pid in {int(found) for found in re.findall(r"^(\d+):[A-Z] ", text, re.MULTILINE)}:
            if works_below(pid, home):
                os.kill(pid, signal.SIGKILL)
