"""A part of the contract of a store of live sessions, on MongoDB over TCP.

The tests are those of Redis, unchanged; `AWICTL_TEST_STORE=mongo` runs all of them on MongoDB, as `.ci/run` does.
"""

from __future__ import annotations

import pytest
from support.mongo import MongoServer
from support.mongo_live import MongoLive
from test_app_documents import (
    test_a_document_of_the_app_is_shown_and_updated,
    test_repeated_numbers_are_kept_and_new_numbers_do_not_repeat,
)
from test_at_most_once import test_an_own_op_id_is_not_older_than_a_day
from test_cache import test_a_listing_with_the_sessions_of_each_query, test_deleting
from test_concurrency import test_a_session_is_created_once_if_the_connection_is_cut
from test_get_or_create import (
    agents,
    test_a_request_gets_the_session_and_extends_its_ttl,
    test_concurrent_first_requests_create_one_session,
)
from test_history_pages import test_actions_may_be_of_any_type
from test_live_by_agent import test_all_live_sessions_of_an_agent_are_found_the_latest_first
from test_put import test_again_only_the_ttl_is_set, test_everything_is_stored_as_it_was
from test_trimming import (
    test_a_lower_limit_trims_all_excess_actions,
    test_an_op_id_that_was_not_trimmed_is_found,
)

__all__ = [
    "agents",
    "test_a_document_of_the_app_is_shown_and_updated",
    "test_a_listing_with_the_sessions_of_each_query",
    "test_a_lower_limit_trims_all_excess_actions",
    "test_a_request_gets_the_session_and_extends_its_ttl",
    "test_a_session_is_created_once_if_the_connection_is_cut",
    "test_actions_may_be_of_any_type",
    "test_again_only_the_ttl_is_set",
    "test_all_live_sessions_of_an_agent_are_found_the_latest_first",
    "test_an_op_id_that_was_not_trimmed_is_found",
    "test_an_own_op_id_is_not_older_than_a_day",
    "test_concurrent_first_requests_create_one_session",
    "test_deleting",
    "test_everything_is_stored_as_it_was",
    "test_repeated_numbers_are_kept_and_new_numbers_do_not_repeat",
]

pytestmark = pytest.mark.usefixtures("mongo_sockets")


@pytest.fixture
def valkey(mongo: MongoServer) -> MongoLive:
    """MongoDB in the place of the Valkey server of this worker."""
    return MongoLive(mongo)
