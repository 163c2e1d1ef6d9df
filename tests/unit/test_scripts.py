"""The Lua scripts: what they do on a cluster, and that a rejected write is an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import awictl.store.redis
from awictl.store.redis.replies import ErrorReply
from awictl.store.redis.script import Script
from awictl.store.redis.split import SPLIT

SCRIPTS = sorted((Path(awictl.store.redis.__file__).parent / "scripts").glob("*.lua"))
#: Scripts whose keys are in one slot on a cluster: a session, and the key that has it while it is being ended.
SAME_SLOT = {"put_back", "replace_taken", "take"}
_CALL = re.compile(r"^-- EVALSHA (\w+) (\d+|N) ", re.MULTILINE)
_WRITES = re.compile(r"(\w+(?:\.\w+)?)\('(SET|DEL|PEXPIRE|PERSIST|SETRANGE|APPEND|INCR|HSET|HDEL)'", re.MULTILINE)


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.stem)
def test_a_script_with_several_keys_has_a_function_for_clusters(file: Path) -> None:
    calls = _CALL.findall(file.read_text())
    assert calls and {name for name, _ in calls} == {file.stem}
    has_several = any(number != "1" for _, number in calls)
    assert has_several == (file.stem in SPLIT or file.stem in SAME_SLOT), "add it to SPLIT in split.py"


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.stem)
def test_a_script_with_a_function_for_clusters_can_be_called_with_the_first_key_only(file: Path) -> None:
    """The key that decides is written by the script itself. What only reads, or has another function, needs not."""
    others = {"create", "create_if_absent", "create_mapping", "read_for_request", "remove_orphan"}
    if file.stem in SPLIT.keys() - others:
        numbers = {number for _, number in _CALL.findall(file.read_text())}
        assert numbers & {"1", "N"} or (file.stem, "2") == ("finish_end", min(numbers))


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.stem)
def test_the_first_write_of_a_script_raises_its_error(file: Path) -> None:
    """`redis.pcall` returns READONLY, OOM and MISCONF as data: the script would go on as if it had written."""
    code = re.sub(r"^--.*$", "", file.read_text(), flags=re.MULTILINE)
    writes = _WRITES.findall(code)
    assert not writes or writes[0][0] == "redis.call"


def test_scripts_are_found_by_name() -> None:
    assert all(Script(file.stem).source == file.read_bytes() for file in SCRIPTS)


def test_the_code_of_an_error_in_a_script_of_redis_6() -> None:
    text = (
        "ERR Error running script (call to f_c0ffee): @user_script:23: @user_script: 23: "
        "-READONLY You can't write against a read only replica."
    )
    assert ErrorReply(text).code == "READONLY"
    assert ErrorReply("READONLY You can't write against a read only replica. script: c0ffee").code == "READONLY"
    assert ErrorReply("ERR Error running script: READONLY is not its code").code == "ERR"
