"""`awictl embedded start --cluster | --sentinel`: deployments for trying out, from the bundled server."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli, finish
from support.embedded import works_below

NAMES = {
    "cluster": ["node1", "node2", "node3"],
    "sentinel": ["server1", "server2", "server3", "sentinel1", "sentinel2", "sentinel3"],
}


def pids_of(laptop: Cli) -> set[int]:
    """The processes of all servers of a user."""
    return {int(one.name) for one in Path("/proc").glob("[0-9]*") if works_below(int(one.name), laptop.home)}


@pytest.mark.parametrize("kind", NAMES)
def test_a_deployment_is_started_used_repaired_and_stopped(laptop: Cli, kind: str) -> None:
    option = f"--{kind}"
    assert laptop("embedded", "status", option).code == 3
    assert laptop.ok("embedded", "stop", option).json["running"] is False
    assert not (laptop.home / "data").exists(), "looking leaves no traces"

    started = laptop.ok("embedded", "start", option)
    state: dict[str, Any] = started.json
    folder = Path(state["folder"])
    assert f"{len(NAMES[kind])} servers started" in started.err and state["running"] is state["ready"] is True
    assert [member["name"] for member in state["members"]] == NAMES[kind]
    assert {member["pid"] for member in state["members"]} == pids_of(laptop)

    # the password: in files that only this user can read, and nowhere else
    secret = (folder / "password").read_text()
    settings = Path(state["settings"])
    assert secret in settings.read_text() and stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert {stat.S_IMODE(one.stat().st_mode) for one in (folder, *folder.glob("*[0-9]"))} == {0o700}
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir() if one.is_file()} == {0o600}
    assert secret not in started.text + started.err
    for pid in pids_of(laptop):
        assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()

    # the line that is printed makes a shell use it
    line = next(one for one in started.err.splitlines() if "set -a" in one).partition(": ")[2]
    shown = laptop.shell(f"{line}; awictl config show -o json")
    addresses = [member["address"] for member in state["members"] if not member["name"].startswith("server")]
    assert shown.code == 0 and secret not in shown.text and f'"{",".join(addresses)}"' in shown.text, shown

    # idempotent, and a killed member is started again
    again = laptop.ok("embedded", "start", option)
    assert "already running" in again.err and again.json == state
    os.kill(state["members"][0]["pid"], signal.SIGKILL)
    while works_below(state["members"][0]["pid"], laptop.home):
        time.sleep(0.01)
    partly = laptop("embedded", "status", option)
    assert partly.code == 3 and [member["running"] for member in partly.json["members"]].count(False) == 1
    assert laptop("embedded", "status").json[kind] == len(NAMES[kind]) - 1
    assert "1 servers started" in laptop.ok("embedded", "start", option).err

    assert f"awictl embedded stop {option}" in laptop.ok("embedded", "stop").err
    stopped = laptop.ok("embedded", "stop", option)
    assert f"{len(NAMES[kind])} servers stopped" in stopped.err and stopped.json["running"] is False
    assert pids_of(laptop) == set()


def test_an_interrupted_start_leaves_nothing_running(laptop: Cli) -> None:
    """Ctrl-C when the first server is up: it may come before or after the others are."""
    with laptop.start("embedded", "start", "--cluster") as process:
        while not pids_of(laptop) - {process.pid}:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        assert finish(process).code == 130
    assert pids_of(laptop) == set()
    assert laptop("embedded", "status", "--cluster").code == 3


def test_one_deployment_at_a_time_is_selected(laptop: Cli) -> None:
    laptop("embedded", "start", "--cluster", "--sentinel").error(2, "--cluster", "--sentinel")


def test_a_port_of_another_process_is_named(laptop: Cli) -> None:
    ports = laptop.home / "data" / "awictl" / "embedded" / "cluster" / "ports"
    with laptop.start("embedded", "start", "--cluster") as process:
        while not ports.exists():
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        if finish(process).code == 0:  # it was faster: this process had to wait for a processor
            laptop.ok("embedded", "stop", "--cluster")
    port = int(ports.read_text().split()[0])
    with socket.create_server(("127.0.0.1", port)):
        laptop("embedded", "start", "--cluster").error(4, f"port {port}", str(ports.parent))
    assert pids_of(laptop) == set()
