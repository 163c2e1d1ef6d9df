"""FingerprintSet: deduplication of texts in little memory."""

from __future__ import annotations

import secrets
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from awictl.util.fingerprint_set import FingerprintSet


@given(st.lists(st.lists(st.text(max_size=3))))
def test_add_new_returns_each_text_once(batches: list[list[str]]) -> None:
    fingerprints = FingerprintSet()
    found = [text for batch in batches for text in fingerprints.add_new(batch)]
    assert found == list(dict.fromkeys(text for batch in batches for text in batch))


def test_memory_of_50_000_session_ids() -> None:
    ids = [f"sess_{secrets.token_hex(16)}" for _ in range(50_000)]
    tracemalloc.start()
    try:
        fingerprints = FingerprintSet()
        assert fingerprints.add_new(ids) == ids
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size - 8 * len(ids) < 1_000_000  # not counting the list that it returned
    assert fingerprints.add_new(ids[::7]) == []
