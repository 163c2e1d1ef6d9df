"""`awictl session export --html`: the file, what it is redacted of, and what it says of itself."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli, unchanged
from support.documents import LAYOUTS, document, put
from support.valkey import ValkeyServer, free_port

SECRETS = ("bob@example.org", "4111111111111111", "hunter22")
HOSTILE = "</script><!--<script>alert(1)</script>\u2028\u2029\u202e\x00\r\n\"'&amp;"
AWI_KEY = "agent_" + "0aF3" * 8
DELTA = {"page_state": {"filters": {"q": "invoice", HOSTILE: HOSTILE, "mail": SECRETS[0], "card": 4111111111111111}}}


def new_session(user: Cli) -> str:
    """A session with secrets and hostile texts."""
    [session_id] = user.ok("session", "create", "--agent", "browser-1", "--route", "/posts", "-o", "ids").lines
    given = json.dumps({"password": SECRETS[2], "key": AWI_KEY})
    user.ok("session", "apply", session_id, json.dumps(DELTA), "--action", "search", "--input", given)
    return session_id


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def payload_of(page: str) -> Any:
    """The data in a page."""
    [data] = re.findall(r'<script type="application/json" id="payload">(.*?)</script>', page, re.DOTALL)
    return json.loads(data)


def banner_of(page: str) -> str:
    """The text of the banner of a page."""
    [banner] = re.findall(r'<header class="copy-banner".*?</header>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", banner).split())


def without_times(page: str) -> str:
    """A page without the time of the export."""
    return re.sub(r"made \S+ by|\"now\":\"[^\"]*\"", "", page)


def test_a_page_is_redacted_and_one_file(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    session_id, file = new_session(sqlite_user), sqlite_user.home / "bug.html"
    words = ("session", "export", session_id, "--html")
    with unchanged(valkey):
        done = sqlite_user.ok(*words, "bug.html", "--redact", "/page_state/filters/q")
    said = f"the page of {session_id} with 2 actions was written to bug.html; redacted values: "
    assert done.out == b"" and said in done.err
    counts = re.findall(r"(\S+) (\d+)", done.err.partition("redacted values: ")[2])
    assert dict(counts) | {"awi-key": "1"} == {"awi-key": "1", "card": "1", "email": "1", "secret": "1", "value": "1"}
    page = file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600 and list(sqlite_user.home.glob("*.part")) == []
    assert not any(one in page for one in (*SECRETS, "invoice", AWI_KEY))
    payload = payload_of(page)
    filters = payload["head"]["page_state"]["filters"]
    assert filters[HOSTILE] == HOSTILE and (filters["mail"], filters["q"]) == ("<email-1>", "<value-1>")
    assert payload["steps"][1]["action"]["delta"]["page_state"]["filters"] == filters
    banner = banner_of(page)
    assert (
        session_id in banner
        and "from the live session" in banner
        and "Redacted values: " in banner
        and "email 1" in banner
    )
    assert "Values at /page_state/filters/q are redacted" in banner and "free text" in banner

    # the hostile texts end no element, and nothing is from elsewhere
    elements = Elements(page).found
    assert [tag for tag, _ in elements if tag in ("script", "style", "link", "base")] == [
        "link",
        "style",
        *["script"] * 2,
    ]
    assert not {"img", "iframe", "object", "a", "form", "svg"} & {tag for tag, _ in elements}
    assert [given for _, given in elements if "href" in given or "src" in given] == [{"rel": "icon", "href": "data:,"}]
    assert "<!--" not in page and "\u2028" not in page and "\u202e" not in payload["session_id"]

    sqlite_user(*words, "bug.html").error(4, "exists", "--force")
    assert file.read_text(encoding="utf-8") == page
    again = sqlite_user.ok(*words, "-", "--redact", "/page_state/filters/q")
    assert without_times(again.text) == without_times(page) != page
    assert "written to stdout" in again.err

    bare = sqlite_user.ok(*words, "bug.html", "--force", "--no-redact")
    assert "NOTHING IS REDACTED" in bare.err
    page = file.read_text(encoding="utf-8")
    assert all(one in page for one in SECRETS) and "Nothing is redacted" in banner_of(page)
    assert AWI_KEY not in page and "agent_********" in page, "API keys of agents never reach a page"


def test_a_page_says_where_its_session_is_from(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    session_id = new_session(sqlite_user)
    sqlite_user.ok("archive", "sweep", "--margin", "1d")
    away = sqlite_user.having(REDIS_PORT=str(free_port())).ok("session", "export", session_id, "--html", "-")
    assert "Redis is unreachable" in away.err
    assert "from the archive, while Redis was unreachable" in banner_of(away.text)
    sqlite_user.ok("session", "end", session_id)
    ended = sqlite_user.ok("session", "export", session_id, "--html", "-")
    assert "from the archive. It" in banner_of(ended.text) and len(payload_of(ended.text)["steps"]) == 3
    nameless = sqlite_user.ok(
        "session", "export", session_id, "--html", "-", "--redact", "/session_id", "--redact", "/agent_id"
    )
    assert session_id not in nameless.text and "browser-1" not in nameless.text
    assert "<title>sess_redacted_1 (copy)" in nameless.text
    for text in (away.text, ended.text):
        assert "archive.db" not in text and str(sqlite_user.home) not in text, "servers are not the reader's business"

    made = document([0] * 9, "sess_cut")
    made["history"] |= {"actions": made["history"]["actions"][4:], "trimmed_actions": 4}
    put(valkey, LAYOUTS["awictl"](made), "sess_cut")
    (sqlite_user.home / "bad.db").write_bytes(b"this is no database" * 100)
    broken = sqlite_user.having(AWI_ARCHIVE_URL="sqlite:///bad.db")
    cut = broken.ok("session", "export", "sess_cut", "--html", "-")
    assert "could not be read: they are missing here" in banner_of(cut.text) and "bad.db" not in cut.text
    assert payload_of(cut.text)["gaps"] == [[0, 3]] and "bad.db" in cut.err


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (("sess_a", "sess_b"), "one session: pass one id"),
        (("-",), "one session: pass one id"),
        ((), "one session: pass one id"),
        (("--where", "actions > 1"), "cannot be combined with --where"),
        (("--all",), "cannot be combined with --all"),
        (("sess_a", "-f", "x", "--resume"), "cannot be combined with --file, --resume"),
        (("sess_a", "--jq", "."), "cannot be combined with --jq"),
        (("sess_a", "--redact", "email", "--no-redact"), "--redact and --no-redact cannot be combined"),
        (("sess_a", "--redact", "emails"), "neither default, nor a pattern"),
    ],
)
def test_what_a_page_cannot_be_made_of(sqlite_user: Cli, words: tuple[str, ...], fragment: str) -> None:
    sqlite_user("session", "export", *words, "--html", "x.html").error(2, fragment)
    assert list(sqlite_user.home.glob("x.html*")) == []


def test_errors_leave_no_file(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    put(valkey, b"not JSON", "sess_bad")
    sqlite_user("session", "export", "sess_bad", "--html", "x.html").error(6, "sess_bad")
    sqlite_user("session", "export", "sess_none", "--html", "x.html").error(3, "sess_none")
    sqlite_user("session", "export", "sess_none", "--html", "none/x.html").error(2, "none/x.html.part: No such file")
    sqlite_user("session", "export", "sess_none", "--no-redact").error(2, "--no-redact needs --html")
    shown = sqlite_user.on_screen("session", "export", "sess_none", "--html", "-")
    assert shown.code == 2 and "stdout is a terminal" in " ".join(shown.text.split())
    assert list(sqlite_user.home.glob("x.html*")) == []


def test_a_page_needs_no_package_of_the_server(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    put(valkey, LAYOUTS["app"](document([0], "sess_a")), "sess_a")
    script = (
        "import sys\n"
        "for name in ('starlette', 'uvicorn', 'httptools', 'uvloop', 'prometheus_client'): sys.modules[name] = None\n"
        "from awictl.cli.main import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    done = sqlite_user.python("-c", script, "session", "export", "sess_a", "--html", "a.html")
    assert done.code == 0, done
    assert "sess_a" in banner_of((Path(sqlite_user.home) / "a.html").read_text(encoding="utf-8"))


@pytest.mark.soak
@pytest.mark.parametrize("option", ["--no-redact", "--force"])
def test_memory_is_bounded_by_the_size_of_the_session(sqlite_user: Cli, valkey: ValkeyServer, option: str) -> None:
    """A page of 50 MB takes at most ten times as much memory; `--force` changes nothing else."""
    made = document([10_000] * 5_000, "sess_a")
    put(valkey, LAYOUTS["awictl"](made), "sess_a")
    script = (
        "import resource, sys; from awictl.cli.main import run; code = run(sys.argv[1:]);"
        "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = sqlite_user.python("-c", script, "session", "export", "sess_a", "--html", "a.html", option)
    code, kib = done.text.split()
    size = (sqlite_user.home / "a.html").stat().st_size
    print(option, size, kib)
    assert code == "0" and size > 45_000_000 and int(kib) * 1024 < 10 * size
