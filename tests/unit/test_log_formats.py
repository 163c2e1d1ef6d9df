"""The two formats of the server's log: JSON lines, and text for a terminal."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings

import pytest

from awictl.server.log_formats import JsonFormatter, TextFormatter, configure

KEY = "agent_" + "0" * 32
#: What a client, Redis or MongoDB may have sent: escape sequences, C1 and bidirectional controls, a forged line.
EVIL = f"a\x1b]0;title\x07\x9b31m\u202e\u2028\ud800\r\n2026-11-23T12:00:00.000Z info    forged {KEY}"


def record(*, fails: bool = False) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "awictl.server", "levelname": "WARNING", "msg": "fault: %s", "args": (EVIL,), "created": 0.0}
    )
    made.kind = "another " + EVIL
    made.fault = EVIL
    if fails:
        try:
            raise ValueError(EVIL)
        except ValueError:
            made.exc_info = sys.exc_info()
    return made


@pytest.mark.parametrize("fails", [False, True])
def test_text_has_no_control_characters_and_no_key(fails: bool) -> None:
    text = TextFormatter().format(record(fails=fails))
    first, *traceback = text.split("\n")
    assert all(line.isprintable() for line in (first, *traceback)) and KEY not in text
    assert first.startswith("1970-01-01T00:00:00.000Z warning fault: a\\x1b]0;title\\x07\\x9b31m\\u202e\\u2028")
    assert " kind=another a\\x1b" in first and first.count("\\r\\n") == 2, "what the message has is not repeated"
    assert bool(traceback) is fails and (not fails or "Traceback" in traceback[0])
    assert all(line.startswith("  ") for line in traceback)  # the exception's message forges no record


@pytest.mark.parametrize("fails", [False, True])
def test_json_is_one_line_without_a_key(fails: bool) -> None:
    text = JsonFormatter().format(record(fails=fails))
    assert "\n" not in text and "\x1b" not in text and KEY not in text
    row = json.loads(text)
    assert (row["time"], row["level"]) == ("1970-01-01T00:00:00.000Z", "warning")
    assert ("traceback" in row) is fails and row["message"].startswith("fault: a\x1b]0;title")


def test_errors_of_threads_and_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise ValueError("in a thread")

    root, hook = logging.getLogger(), threading.excepthook
    before, level = root.handlers[:], root.level
    chatty = {name: logging.getLogger(name).level for name in ("uvicorn", "uvicorn.error", "pymongo")}
    filters = logging.getLogger("uvicorn.error").filters[:]
    try:
        configure(logging.INFO)
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("a warning of a library", stacklevel=1)
            logging.captureWarnings(False)
    finally:
        logging.captureWarnings(False)
        threading.excepthook = hook
        root.handlers[:] = before
        root.setLevel(level)
        for name, was in chatty.items():
            logging.getLogger(name).setLevel(was)
        logging.getLogger("uvicorn.error").filters[:] = filters
    rows = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [row["level"] for row in rows] == ["error", "warning"]
    assert "ValueError: in a thread" in rows[0]["traceback"] and "a warning of a library" in rows[1]["message"]
