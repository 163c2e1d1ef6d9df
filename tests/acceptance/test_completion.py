"""Completion in real shells: values from the store within a time limit, and never an error on the terminal."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from support import forking
from support.cli import Cli, unchanged
from support.documents import SESSION_ID, compact, document, put
from support.shells import Shell, shell_on_terminal
from support.topologies import Cluster, Sentinels
from support.valkey import ValkeyServer, free_port

from awictl.document.keys import AGENT_PREFIX

SHELLS = ["bash", "zsh", "fish"]
#: An agent chooses its id: this one must be inserted as text, and run nothing.
HOSTILE = "zz $(touch owned) `touch owned`;touch owned"


@pytest.fixture
def stored(awictl: Cli, valkey: ValkeyServer) -> Cli:
    """A user with a session, agents, a cached result, an image and profiles, and enough time on a busy machine."""
    put(valkey, compact(document([0])))
    for agent in ("browser-1", "tenant:agent 7", HOSTILE, "bad\x1b[2J", "ünï", "--yes"):
        valkey.raw.set(AGENT_PREFIX + agent, SESSION_ID, ex=1000)
    valkey.raw.set(f"AWI:CACHE:LIST:{'0a' * 16}", "[]", ex=1000)
    valkey.raw.set("MEDIA:IMG:picture-1", "{}", ex=1000)
    awictl.configure("[profiles.production]\n[profiles.staging]\n")
    return awictl.having(AWI_COMPLETION_SECONDS="20")


# -- the values, without a shell


def values(user: Cli, kind: str, prefix: str, *words: str) -> list[str]:
    result = user("__complete", kind, prefix, *words)
    assert (result.code, result.err) == (0, "")
    return result.lines


def test_values_from_the_store(stored: Cli, valkey: ValkeyServer) -> None:
    with unchanged(valkey):
        assert values(stored, "session", "sess") == [SESSION_ID]
        assert values(stored, "session", "sess_x") == []
        assert values(stored, "agent", "") == sorted(["browser-1", "tenant:agent 7", HOSTILE, "ünï"])
        assert values(stored, "agent", "*") == [], "no pattern"
        assert values(stored, "cache", "0") == ["0a" * 16]
        assert values(stored, "image", "") == ["picture-1"]
        assert values(stored, "profile", "p") == ["production"]


def test_the_options_on_the_line_select_the_server(stored: Cli, valkey: ValkeyServer) -> None:
    elsewhere = stored.having(REDIS_PORT=str(free_port()))
    there = f"127.0.0.1:{valkey.port}"
    assert values(elsewhere, "session", "") == []
    assert values(elsewhere, "session", "", "--redis", there, "session", "show") == [SESSION_ID]
    assert values(elsewhere, "session", "", "session", "show", f"--redis=redis://{there}") == [SESSION_ID]
    stored.configure(f'[profiles.here]\nredis_url = "redis://{there}"\n')
    bare = elsewhere.lacking("REDIS_HOST", "REDIS_PORT")
    assert values(bare, "session", "", "--profile", "here") == [SESSION_ID]
    assert values(bare, "session", "", "--profile", "missing") == []


def test_servers_that_keep_values_for_themselves(stored: Cli, valkey: ValkeyServer) -> None:
    url = f"redis://127.0.0.1:{valkey.port}"
    apart = stored.having(REDIS_PORT=str(free_port()), AWI_CACHE_REDIS_URL=url, AWI_MEDIA_REDIS_URL=url)
    assert values(apart, "cache", "") == ["0a" * 16] and values(apart, "image", "") == ["picture-1"]
    assert values(apart, "session", "") == []


@pytest.mark.parametrize("kind", ["cluster", "sentinels"])
def test_values_from_a_deployment(user: Cli, kind: str, request: pytest.FixtureRequest) -> None:
    """Of all masters of a cluster; of the primary, also if the first sentinel does not answer."""
    deployment: Cluster | Sentinels = request.getfixturevalue(kind)
    masters = deployment.masters if isinstance(deployment, Cluster) else [deployment.primary]
    keys = [deployment.key(one, AGENT_PREFIX) for one in masters] if isinstance(deployment, Cluster) else ["a"]
    for master, key in zip(masters, keys, strict=True):
        master.raw.set(key if isinstance(deployment, Cluster) else AGENT_PREFIX + key, SESSION_ID)
    there = user.having(REDIS_URL=deployment.url(), AWI_COMPLETION_SECONDS="20")
    if isinstance(deployment, Sentinels):
        deployment.pause(deployment.sentinels[0])
    assert values(there, "agent", "") == sorted(one.removeprefix(AGENT_PREFIX) for one in keys)


def test_a_password_and_a_database(stored: Cli, valkey: ValkeyServer) -> None:
    valkey.raw.config_set("requirepass", "secret")
    try:
        assert values(stored, "session", "") == []
        assert values(stored.having(REDIS_PASSWORD="secret"), "session", "") == [SESSION_ID]
        assert values(stored.having(REDIS_PASSWORD="secret", REDIS_DB="3"), "session", "") == []
    finally:
        valkey.raw.execute_command("AUTH", "secret")
        valkey.raw.config_set("requirepass", "")


def test_the_embedded_server_is_not_started_for_a_completion(user: Cli) -> None:
    assert values(user, "session", "", "--embedded", "session", "show") == []
    assert not (user.home / "data").exists()


def test_zero_seconds_turn_it_off(stored: Cli) -> None:
    for seconds in ("0", "-1", "nan"):
        assert values(stored.having(AWI_COMPLETION_SECONDS=seconds), "session", "") == []
    assert values(stored.having(AWI_COMPLETION_SECONDS="soon"), "nonsense", "") == []


@pytest.mark.parametrize(
    "words", [[], ["session"], ["nonsense", ""], ["session", "", "--redis"], ["session", "", "--redis", "http://h"]]
)
def test_nothing_is_printed_for_nonsense(user: Cli, words: list[str]) -> None:
    result = user("__complete", *words)
    assert (result.code, result.out, result.err) == (0, b"", "")


def test_a_silent_server_is_given_up(waiting: Cli, silent_server: socket.socket) -> None:
    """Long before the timeout of its connection: the limit is 0.25 s, and starting Python takes some time."""
    patient = waiting.having(AWI_TIMEOUT="60")
    assert values(patient, "session", "") == []
    result = patient("__complete", "session", "")
    assert result.seconds < 30, result


@pytest.mark.parametrize(
    "reply",
    [b"*1000000000\r\n", b"$1099511627776\r\nx", b"*1\r\n" * 100_000, b"+" + b"x" * 9_000_000, b"HTTP/1.1 400\r\n"],
)
def test_a_hostile_server_gets_no_memory(waiting: Cli, silent_server: socket.socket, reply: bytes) -> None:
    def serve() -> None:
        with suppress(OSError):
            connection, _ = silent_server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)

    threading.Thread(target=serve, daemon=True).start()
    script = "import resource, runpy; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); "
    script += "runpy.run_module('awictl', run_name='__main__')"
    result = waiting.having(AWI_COMPLETION_SECONDS="20").python("-c", script, "__complete", "session", "")
    assert (result.code, result.out, result.err) == (0, b"", "") and result.seconds < 19


def test_too_many_keys_are_no_completion_but_a_part_of_many_matches_is(stored: Cli, valkey: ValkeyServer) -> None:
    valkey.raw.mset({f"AWI:SESSION:sess_{number:05}": "x" for number in range(3_000)})
    found = values(stored, "session", "sess_0")
    assert len(found) == 200 and all(one.startswith("sess_0") for one in found)
    assert values(stored, "session", "sess_02999") == ["sess_02999"], "the prefix selects it on the server"


def test_completing_imports_neither_typer_nor_redis(stored: Cli) -> None:
    result = stored.python("-X", "importtime", "-m", "awictl", "__complete", "session", "")
    imported = {line.rpartition("|")[2].strip() for line in result.err.splitlines()}
    assert not imported & {"typer", "redis", "rich", "pymongo", "asyncio"}
    assert result.lines == [SESSION_ID]


# -- the script


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(user: Cli, shell: str) -> None:
    repository = Path(__file__).parents[2]
    assert user.ok("completion", shell).text == (repository / "completions" / f"awictl.{shell}").read_text()


def test_an_unknown_shell_is_refused(user: Cli) -> None:
    user("completion", "tcsh").error(2, "bash", "zsh", "fish")


# -- in shells


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, stored: Cli) -> Shell:
    """A shell on a terminal that has loaded the script, in a folder with files."""
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    for file in ("a-file.json", "sess_file", "production-file"):
        (stored.home / file).write_text("{}")
    bin = stored.home / "bin"
    bin.mkdir()
    forking.write_shim(bin / "awictl")
    path = f"{bin}:{stored.env['PATH']}"
    opened = shell_on_terminal(name, stored.having(PATH=path))
    request.addfinalizer(opened.close)
    return opened


@pytest.mark.parametrize(
    "shell", ["bash", *(pytest.param(one, marks=pytest.mark.soak) for one in SHELLS if one != "bash")], indirect=True
)
def test_shells_complete_from_the_store(shell: Shell, stored: Cli, valkey: ValkeyServer) -> None:
    """One process of each shell, because its start takes long."""
    key = "0a" * 16
    for typed, completed in (
        ("awictl session sh", "awictl session show "),
        ("awictl session show se", f"awictl session show {SESSION_ID} "),
        ("awictl session show -o json se", f"awictl session show -o json {SESSION_ID} "),
        (f"awictl --redis redis://127.0.0.1:{valkey.port} session show sess_t", f"session show {SESSION_ID} "),
        ("awictl cache put x --session=se", f"--session={SESSION_ID} "),
        ("awictl agent session bro", "awictl agent session browser-1 "),
        ("awictl cache show 0", f"awictl cache show {key} "),
        ("awictl media show pic", "awictl media show picture-1 "),
        ("awictl --profile prod", "awictl --profile production "),
        ("awictl session apply x a-", "awictl session apply x a-file.json "),
        ("awictl completion z", "awictl completion zsh "),
    ):
        assert completed in shell.completed(typed), typed
    for typed in ("awictl --profile a-", "awictl session show x-", "awictl --redis a-", "awictl session history a-"):
        assert "a-file" not in shell.completed(typed), "no file names"


def test_shells_insert_what_an_agent_chose_as_text(shell: Shell, stored: Cli) -> None:
    line = shell.completed("awictl agent session zz")
    assert "touch" in line
    shell.run(line.replace("awictl agent session", "printf '<%s>\\n'"), until=f"<{HOSTILE}>")
    assert not (stored.home / "owned").exists()
    assert "agent" in shell.completed("awictl agent session tenant:")


def test_shells_print_nothing_if_there_is_no_server(shell: Shell) -> None:
    line = shell.completed(f"awictl --redis 127.0.0.1:{free_port()} session show se")
    assert line.rstrip().endswith("session show se")
    assert "rror" not in shell.screen and "refused" not in shell.screen


@pytest.mark.parametrize("shell_name", SHELLS)
def test_sourcing_the_script_prints_nothing(user: Cli, shell_name: str) -> None:
    if shutil.which(shell_name) is None:
        pytest.skip(f"{shell_name} is not installed")
    before = "autoload -Uz compinit; compinit -u; " if shell_name == "zsh" else ""
    (user.home / "script").write_text(user.ok("completion", shell_name).text)
    done = subprocess.run(
        [shell_name, "-c", f"{before}source {user.home}/script"], capture_output=True, text=True, env=user.env
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
