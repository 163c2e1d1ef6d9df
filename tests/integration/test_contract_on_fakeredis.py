"""Parts of the contract of a store of live sessions on fakeredis, a second implementation of what Redis does.

The tests are those of Redis, unchanged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace

import fakeredis
import fakeredis.aioredis
import pytest
from test_app_documents import (
    test_a_document_of_any_shape_is_shown_and_updated,
    test_a_document_of_the_app_is_shown_and_updated,
    test_an_action_that_the_app_adds_is_counted,
    test_an_empty_trajectory_is_continued,
    test_repeated_numbers_are_kept_and_new_numbers_do_not_repeat,
    test_the_app_may_rewrite_the_document_at_any_time,
)
from test_cache import test_a_listing_with_the_sessions_of_each_query, test_deleting
from test_get_or_create import (
    agents,
    test_a_request_gets_the_session_and_extends_its_ttl,
    test_the_diff_is_returned_on_request,
    test_the_first_request_creates_a_session,
)
from test_history_pages import test_actions_may_be_of_any_type, test_pages_of_a_layout_with_another_end
from test_live_by_agent import test_all_live_sessions_of_an_agent_are_found_the_latest_first
from test_put import (
    test_again_only_the_ttl_is_set,
    test_another_current_session_of_the_agent_stays,
    test_everything_is_stored_as_it_was,
    test_other_bytes_are_never_overwritten,
)

from awictl import Settings, StateManager

__all__ = [
    "agents",
    "test_a_document_of_any_shape_is_shown_and_updated",
    "test_a_document_of_the_app_is_shown_and_updated",
    "test_a_listing_with_the_sessions_of_each_query",
    "test_a_request_gets_the_session_and_extends_its_ttl",
    "test_actions_may_be_of_any_type",
    "test_again_only_the_ttl_is_set",
    "test_all_live_sessions_of_an_agent_are_found_the_latest_first",
    "test_an_action_that_the_app_adds_is_counted",
    "test_an_empty_trajectory_is_continued",
    "test_another_current_session_of_the_agent_stays",
    "test_deleting",
    "test_everything_is_stored_as_it_was",
    "test_other_bytes_are_never_overwritten",
    "test_pages_of_a_layout_with_another_end",
    "test_repeated_numbers_are_kept_and_new_numbers_do_not_repeat",
    "test_the_app_may_rewrite_the_document_at_any_time",
    "test_the_diff_is_returned_on_request",
    "test_the_first_request_creates_a_session",
]


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


@pytest.fixture
def valkey(server: fakeredis.FakeServer) -> SimpleNamespace:
    """The client of the tests."""
    return SimpleNamespace(raw=fakeredis.FakeRedis(server=server))


@pytest.fixture
async def manager(server: fakeredis.FakeServer) -> AsyncIterator[StateManager]:
    client = fakeredis.aioredis.FakeRedis(server=server)
    async with StateManager.open(Settings(), redis=client) as opened:
        yield opened
    await client.aclose()
