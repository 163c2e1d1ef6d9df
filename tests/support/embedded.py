"""The processes of embedded servers."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path


def servers_in(folder: Path) -> list[int]:
    """The processes of all servers that ever came up in an embedded server's folder."""
    log = (folder / "valkey.log").read_text(errors="replace")
    return [int(pid) for pid in re.findall(r"^(\d+):M .*Server initialized", log, re.MULTILINE)]


def command_of(pid: int) -> str:
    """The command line of a process, empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def kill_servers(home: Path) -> None:
    """Kill every server whose folder is somewhere below `home`."""
    for log in home.rglob("valkey.log"):
        for pid in servers_in(log.parent):
            if str(home) in command_of(pid):
                os.kill(pid, signal.SIGKILL)
