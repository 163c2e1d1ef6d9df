"""Errors for what servers reply, in the words of the versions of Redis and Valkey."""

from __future__ import annotations

import pytest

from awictl.errors import AccessDenied, Refused
from awictl.store.redis import translate
from awictl.store.redis.replies import ErrorReply

NOT_PERMITTED = {
    "Valkey 9": "NOPERM User writer has no permissions to run the 'set' command script: 18f2c3bb, on @user_script:22.",
    "Redis 7.0": "ERR The user executing the script can't run this command or subcommand script: 18f2c3bb, on "
    "@user_script:22.",
    "Redis 6.2": "ERR Error running script (call to f_18f2c3bb): @user_script:22: @user_script: 22: The user executing "
    "the script can't run this command or subcommand",
    "a key, Redis 7.0": "ERR The user executing the script can't access at least one of the keys mentioned in the "
    "command arguments script: 18f2c3bb, on @user_script:22.",
}


@pytest.mark.parametrize("text", NOT_PERMITTED.values(), ids=NOT_PERMITTED)
def test_a_command_that_a_script_may_not_use_is_an_error_of_permission(text: str) -> None:
    error = translate.of_error(ErrorReply(text), "redis://host:6379/0", "AWI:SESSION:sess_1")
    assert isinstance(error, AccessDenied)
    assert "redis://host:6379/0, key AWI:SESSION:sess_1: this user has no permission" in str(error)


READ_ONLY = {
    "Valkey 9": "READONLY You can't write against a read only replica. script: 18f2c3bb, on @user_script:22.",
    "Redis 6.2": "ERR Error running script (call to f_18f2c3bb): @user_script:22: @user_script: 22: -READONLY You "
    "can't write against a read only replica.",
}


@pytest.mark.parametrize("text", READ_ONLY.values(), ids=READ_ONLY)
def test_a_write_to_a_replica_names_the_cause(text: str) -> None:
    with pytest.raises(Refused, match="read-only replica: connect to its primary"):
        raise translate.of_error(ErrorReply(text), "redis://host:6379/0")
