"""Global options, the settings behind them, and properties that every command must have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from support.cli import Cli, unchanged
from support.documents import AGENT_ID, SESSION_ID, agent_key, compact, document, put
from support.valkey import ValkeyServer, free_port

from awictl import __version__
from awictl.cli.reference.tree import CommandNode, tree

#: The cache key of the empty query.
CACHE_KEY = "879870e3b305b9f50961e6ab28b8707f"
SECRET = "hunter2-%2F-s3cret"
#: Commands that print sessions, to test where a global option is accepted.
PLACES = [
    ["-o", "ids", "session", "list"],
    ["session", "-o", "ids", "list"],
    ["session", "list", "-o", "ids"],
    ["session", "list", "--output=ids"],
    ["-o", "json", "session", "-o", "table", "list", "-o", "ids"],
]
#: Every command with its arguments, by whether it writes.
READING: dict[str, list[str]] = {
    "session list": [],
    "session show": [SESSION_ID],
    "session diff": [SESSION_ID],
    "session history": [SESSION_ID],
    "session replay": [SESSION_ID],
    "session compare": [SESSION_ID, SESSION_ID],
    "session export": [SESSION_ID],
    "archive list": [],
    "archive show": [SESSION_ID],
    "archive stats": [],
    "archive export": [],
    "agent list": [],
    "agent show": ["known"],
    "agent session": [AGENT_ID],
    "agent usage": [],
    "session watch": [SESSION_ID, "--seconds", "0.3"],
    "cache key": [],
    "cache list": [],
    "cache show": [CACHE_KEY],
    "cache diagnose": [],
    "doctor": [],
    "keys list": [],
    "keys ttl": [],
    "keys stats": [],
    "media show": ["known"],
    "media list": [],
    "media similar": ["known"],
    "health": [],
    "top": ["--seconds", "0.3"],
    "monitor": ["--seconds", "0.3"],
    "config show": [],
    "config profiles": [],
    "config path": [],
    "completion": ["bash"],
    "help": [],
    "version": [],
}
WRITING: dict[str, list[str]] = {
    "session create": ["--agent", "a"],
    "session apply": [SESSION_ID, "{}"],
    "session touch": [SESSION_ID],
    "session end": [SESSION_ID],
    "session fork": [SESSION_ID],
    "session import": ["-"],
    "archive sweep": [],
    "archive restore": [SESSION_ID],
    "archive migrate": [],
    "agent register": ["fresh"],
    "agent suspend": ["known"],
    "agent resume": ["known"],
    "agent revoke": ["known", "--yes"],
    "cache put": ["[]"],
    "cache delete": [CACHE_KEY, "--yes"],
    "doctor": ["--fix", "--yes"],
    "media put": ["known", "--thumbnail", "https://example.com/1.jpg"],
    "media delete": ["known", "--yes"],
    "serve": ["--port", "0"],
}
#: Commands that write a file of the user, and nothing to a server.
LOCAL = {"config init"}
#: The archive for commands that require one.
ARCHIVE = {"AWI_ARCHIVE_URL": "sqlite:///archive.db"}
#: Commands for the embedded server only (see test_embedded.py).
EMBEDDED = {"embedded start", "embedded status", "embedded stop", "demo"}

#: Commands for the app's own collections (see test_agent_audit.py).
ON_THE_APP = {"agent audit", "agent events"}
#: Commands with tests of their own: test_migrate_command.py, test_bench_latency.py, test_bench_tokens.py,
#: test_session_verify.py and test_ui_command.py.
TESTED_APART = {"migrate", "bench latency", "bench tokens", "session verify", "ui"}

NODES = list(tree().walk())
COMMANDS = [node for node in NODES if not node.children]


def name_of(node: CommandNode) -> str:
    return " ".join(node.path[1:]) or "awictl"


def test_every_command_is_covered_here() -> None:
    elsewhere = EMBEDDED | ON_THE_APP | TESTED_APART | LOCAL
    assert {name_of(node) for node in COMMANDS} == READING.keys() | WRITING.keys() | elsewhere


@pytest.fixture
def one_session(valkey: ValkeyServer) -> ValkeyServer:
    put(valkey, compact(document([0])))
    valkey.raw.set(agent_key(), SESSION_ID, ex=1000)
    valkey.raw.set(f"AWI:CACHE:LIST:{CACHE_KEY}", b"[]", ex=1000)
    valkey.raw.set("MEDIA:IMG:known", b'{"embedding_key":"known"}', ex=1000)
    for key in ("known", "other"):
        valkey.raw.set(f"MEDIA:EMBED:{key}", b"[1,2]", ex=1000)
    return valkey


# -- position of options


@pytest.mark.parametrize("words", PLACES, ids=" ".join)
def test_global_options_are_accepted_anywhere(awictl: Cli, one_session: ValkeyServer, words: list[str]) -> None:
    assert awictl.ok(*words).text == f"{SESSION_ID}\n"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_server_option_is_accepted_anywhere(user: Cli, one_session: ValkeyServer, place: int) -> None:
    words = ["session", "list", "-o", "ids"]
    words[place:place] = ["--redis", f"redis://127.0.0.1:{one_session.port}"]
    assert user.ok(*words).text == f"{SESSION_ID}\n"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "redis://127.0.0.1:{port}?db=0", "unix://{socket}"])
def test_ways_to_name_a_server(user: Cli, one_session: ValkeyServer, url: str) -> None:
    url = url.format(port=one_session.port, socket=one_session.socket)
    assert user.ok("--redis", url, "session", "list", "-o", "ids").text == f"{SESSION_ID}\n"
    assert user.having(REDIS_URL=url).ok("session", "list", "-o", "ids").text == f"{SESSION_ID}\n"


def test_a_url_selects_a_database(user: Cli, one_session: ValkeyServer) -> None:
    assert user.ok("--redis", f"redis://127.0.0.1:{one_session.port}/3", "session", "list").out == b""


def test_quiet_suppresses_notices_but_not_errors(awictl: Cli, one_session: ValkeyServer) -> None:
    assert awictl.ok("session", "diff", SESSION_ID).err != ""
    assert awictl.ok("session", "diff", SESSION_ID, "-q").err == ""
    awictl("-q", "session", "show", "sess_missing").error(3, "sess_missing")


def test_verbose_prints_the_traceback(awictl: Cli, valkey: ValkeyServer) -> None:
    result = awictl("session", "show", "sess_missing", "-v")
    assert result.code == 3 and "Traceback" in result.err
    assert result.err.splitlines()[-1].startswith("awictl: ")


def test_version(user: Cli) -> None:
    assert user.ok("--version").text == f"awictl {__version__}\n"
    assert user.shell("awictl --version").text == f"awictl {__version__}\n"


# -- settings


def timeout_of(user: Cli, *options: str) -> tuple[float, str]:
    rows = {row["setting"]: row for row in user.ok("config", "show", *options).rows}
    return rows["AWI_TIMEOUT"]["value"], rows["AWI_TIMEOUT"]["source"]


def test_precedence_of_options_environment_and_profile(user: Cli) -> None:
    user.configure("[profiles.p]\nawi_timeout = 6\n")
    dotenv = user.home / ".env"
    dotenv.write_text("AWI_PROFILE=p\nAWI_TIMEOUT=7\n")
    in_environment = user.having(AWI_TIMEOUT="8")
    assert timeout_of(in_environment, "--timeout", "9") == (9, "option")
    assert timeout_of(in_environment) == (8, "environment")
    assert timeout_of(user) == (7, ".env")
    dotenv.write_text("AWI_PROFILE=p\n")
    assert timeout_of(user) == (6, "profile p")
    dotenv.unlink()
    assert timeout_of(user) == (5, "default")
    assert timeout_of(user, "--profile", "p") == (6, "profile p")
    assert timeout_of(user.having(AWI_PROFILE="p")) == (6, "profile p")


def test_a_profile_selects_the_server(user: Cli, one_session: ValkeyServer) -> None:
    user.configure(f'[profiles.here]\nredis_url = "redis://127.0.0.1:{one_session.port}"\nread_only = true\n')
    assert user.ok("session", "list", "--profile", "here", "-o", "ids").text == f"{SESSION_ID}\n"
    assert "127.0.0.1" in user.ok("--profile", "here", "health").json["address"]


@pytest.mark.parametrize(
    "name", ["REDIS_PORT", "SESSION_TTL_MINUTES", "AWI_MAX_DELTA_BYTES", "AWI_READ_ONLY", "AWI_TIMEOUT", "REDIS_URL"]
)
def test_a_setting_of_the_wrong_type_is_named(user: Cli, name: str) -> None:
    user.having(**{name: "many"})("session", "list").error(2, name)


def test_the_ttl_is_configurable(awictl: Cli, valkey: ValkeyServer) -> None:
    row = awictl.having(SESSION_TTL_MINUTES="1").ok("session", "create", "--agent", "a", "-o", "ids")
    assert 30_000 < valkey.raw.pttl(f"AWI:SESSION:{row.text.strip()}") <= 60_000


@pytest.mark.parametrize("command", ["session list", "session create", "session touch", "health", "config show"])
def test_an_unknown_profile_is_an_error_and_does_not_fall_back_to_localhost(
    awictl: Cli, valkey: ValkeyServer, command: str
) -> None:
    awictl.configure("[profiles.staging]\n[profiles.production]\n")
    words = (*command.split(), *(READING | WRITING)[command])
    with unchanged(valkey):
        awictl("--profile", "prodution", *words).error(2, "prodution", "staging", "production")


def test_an_unknown_profile_in_the_environment_is_an_error(awictl: Cli) -> None:
    awictl.having(AWI_PROFILE="p")("health").error(2, "'p'", "config.toml")
    (awictl.home / ".env").write_text("AWI_PROFILE=p")
    awictl("health").error(2, "'p'", "config.toml")


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("[profiles.p]\nredis_prot = 1\n", "redis_prot"),
        ("[profiles.p]\nredis_port = 'x'\n", "REDIS_PORT"),
        (f"[profiles.p]\nredis_password = {SECRET}\n", "line 2"),
        ("[profiles]\np = 1\n", "'p'"),
        ("profiles = 7\n", "'p'"),
    ],
)
def test_a_broken_config_is_an_error(user: Cli, text: str, fragment: str) -> None:
    user.configure(text)
    line = user("--profile", "p", "config", "show").error(
        2, "config.toml" if "redis_port" not in text else "", fragment
    )
    assert SECRET not in line


# -- secrets

#: Ways to configure a password.
GIVING: dict[str, Callable[[Cli, int], Cli]] = {
    "REDIS_PASSWORD": lambda user, port: user.having(REDIS_PORT=str(port), REDIS_PASSWORD=SECRET),
    "REDIS_URL": lambda user, port: user.having(REDIS_URL=f"redis://:{SECRET}@127.0.0.1:{port}"),
    ".env": lambda user, port: with_dotenv(user, f"REDIS_PORT={port}\nREDIS_PASSWORD='{SECRET}'\n"),
    "profile": lambda user, port: with_profile(user, f"redis_port = {port}\nredis_password = '{SECRET}'\n"),
}


def with_dotenv(user: Cli, text: str) -> Cli:
    (user.home / ".env").write_text(text)
    return user


def with_profile(user: Cli, text: str) -> Cli:
    user.configure(f"[profiles.p]\n{text}")
    return user.having(AWI_PROFILE="p")


@pytest.mark.parametrize("give", GIVING.values(), ids=GIVING)
def test_a_password_is_never_printed(
    user: Cli, new_valkey: Callable[..., ValkeyServer], give: Callable[[Cli, int], Cli]
) -> None:
    server = new_valkey()
    server.raw.config_set("requirepass", "another")
    knowing = give(user.having(REDIS_HOST="127.0.0.1"), server.port)
    dead = knowing.having(REDIS_PORT=str(free_port())) if "REDIS_URL" not in knowing.env else knowing
    shown = knowing.ok("config", "show")
    [masked] = [row for row in shown.rows if row["setting"] == "REDIS_PASSWORD"]
    assert set(masked["value"]) == {"*"}
    results = [shown]
    for words in (["session", "list"], ["health", "-v"]):
        results += [knowing(*words), dead(*words)]
    assert {result.code for result in results} >= {0, 4}
    for result in results:
        for hidden in (SECRET, SECRET.replace("%2F", "/"), "hunter2", "s3cret"):
            assert hidden not in result.text + result.err, result


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2/s3cret@127.0.0.1:6379",
        "redis://u:12/s3cret@127.0.0.1:6379",
        "redis://u:s3cret@127.0.0.1:port",
        "redis://u:s3cret@127.0.0.1:6379/database",
        "redis://u:s3cret@127.0.0.1?password=hunter2",
        "redis//u:s3cret@127.0.0.1",
        "http://u:s3cret@127.0.0.1",
        "redis://u:s3cret@[::1",
        "redis://u:s3cret#hunter2@127.0.0.1",
        "redis://u:s3cret?hunter2@127.0.0.1",
    ],
)
def test_a_malformed_url_is_refused_without_its_secrets(user: Cli, url: str) -> None:
    for result in (user.having(REDIS_URL=url)("health", "-v"), user("--redis", url, "health")):
        assert result.code == 2, result
        assert "s3cret" not in result.err and "hunter2" not in result.err, result


def test_a_password_on_the_command_line_is_refused(awictl: Cli, valkey: ValkeyServer) -> None:
    url = f"redis://:{SECRET}@127.0.0.1:{valkey.port}"
    for words in (["--redis", url, "session", "list"], ["session", "create", "--agent", "a", "--redis", url]):
        with unchanged(valkey):
            line = awictl(*words).error(2, "--redis", "REDIS_PASSWORD")
        assert SECRET not in line


def test_user_and_password_of_an_acl(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    server.raw.acl_setuser(
        "reader", enabled=True, passwords=f"+{SECRET}", keys=["*"], categories=["+@read"], commands=["+ping"]
    )
    server.raw.acl_setuser("default", enabled=False)
    knowing = user.having(REDIS_PASSWORD=SECRET)
    url = f"redis://reader@127.0.0.1:{server.port}"
    assert knowing.ok("--redis", url, "session", "list").out == b""
    assert knowing.ok("--redis", url, "health").json["redis"] == "connected", "INFO is forbidden"
    knowing("--redis", url, "session", "create", "--agent", "a").error(4)
    user("--redis", url, "session", "list").error(4, "127.0.0.1")


# -- read-only


@pytest.mark.parametrize("command", WRITING)
@pytest.mark.parametrize("way", ["profile", "environment"])
def test_a_read_only_profile_refuses_to_write(awictl: Cli, one_session: ValkeyServer, command: str, way: str) -> None:
    user = awictl.having(**ARCHIVE)
    reader = with_profile(user, "read_only = true\n") if way == "profile" else user.having(AWI_READ_ONLY="1")
    with unchanged(one_session):
        result = reader(*command.split(), *WRITING[command])
        (result.logged_error if command == "serve" else result.error)(4, "read-only")
    assert not list(user.home.rglob("*.db"))


@pytest.mark.parametrize("command", READING)
def test_a_read_only_profile_can_read(awictl: Cli, one_session: ValkeyServer, command: str) -> None:
    if command == "session diff":
        one_session.raw.set(f"AWI:DIFF:{SESSION_ID}", b'{"delta":{},"action":{}}', ex=100)
    user = awictl.having(**ARCHIVE)
    if command.startswith("archive"):
        assert user.ok("archive", "sweep", "--margin", "1h").json["archived"] == 1
    if command in ("agent list", "agent show", "agent usage"):
        user.ok("agent", "register", "known")
    with unchanged(one_session):
        result = with_profile(user, "read_only = true\n").ok(*command.split(), *READING[command])
    if command == "monitor":
        assert "0 commands" in result.err, "no client sends a command meanwhile"
    else:
        assert result.out != b""


# -- decoration and help


def test_no_decoration_in_a_pipe(awictl: Cli, one_session: ValkeyServer) -> None:
    for words in (["session", "list", "-o", "table"], ["session", "show", SESSION_ID, "-o", "table"], ["--help"]):
        assert b"\x1b" not in awictl.ok(*words).out


def test_a_table_in_a_pipe_is_not_truncated(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0], agent_name="n" * 300)))
    assert "n" * 300 in awictl.ok("session", "list", "-o", "table").table()


#: Prints all pages of help in one process; then the drivers that were imported meanwhile.
PRINT_HELP = """
import io, json, sys
from contextlib import redirect_stdout
from awictl.cli.main import run
for words in json.loads(sys.argv[1]):
    with redirect_stdout(io.StringIO()) as page:
        assert run([*words, "--help"]) == 0, words
    assert page.getvalue().startswith("Usage: awictl"), words
    drivers = {name.partition(".")[0] for name in sys.modules} & {"redis", "hiredis", "pymongo"}
    print(*words, *drivers, sep=" ") if drivers else None
"""


def test_help_imports_no_driver(user: Cli) -> None:
    result = user.python("-c", PRINT_HELP, json.dumps([node.path[1:] for node in NODES]))
    assert (result.code, result.text, result.err) == (0, "", ""), "imported for a page of help"


@pytest.mark.parametrize("node", NODES, ids=name_of)
def test_help_has_an_example(user: Cli, node: CommandNode) -> None:
    result = user.ok(*node.path[1:], "--help")
    assert result.text.startswith(f"Usage: {' '.join(node.path)}")
    if not node.children or len(node.path) == 1:
        _, _, examples = result.text.partition("Examples:\n")
        assert re.search(rf"^  .*\b{' '.join(node.path)}\b", examples, re.MULTILINE), result.text
    for option in node.options:
        assert option.help and all(name in result.text for name in option.names), option


@pytest.mark.parametrize("words", [[], ["session"], ["agent"], ["embedded"], ["config"]], ids=" ".join)
def test_a_group_alone_prints_its_help_and_fails(user: Cli, words: list[str]) -> None:
    result = user(*words)
    assert (result.code, result.out) == (2, b"")
    assert result.err.startswith("Usage: awictl") and "Commands:" in result.err
