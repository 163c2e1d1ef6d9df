"""Which texts came before."""

from __future__ import annotations

import secrets
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from awictl.util.fingerprint_set import FingerprintSet


@given(st.lists(st.lists(st.text(max_size=3))))
def test_each_text_is_fresh_once(batches: list[list[str]]) -> None:
    seen = FingerprintSet()
    found = [text for batch in batches for text in seen.add_new(batch)]
    assert found == list(dict.fromkeys(text for batch in batches for text in batch))


def test_many_ids_in_little_memory() -> None:
    ids = [f"sess_{secrets.token_hex(16)}" for _ in range(50_000)]
    tracemalloc.start()
    try:
        seen = FingerprintSet()
        assert seen.add_new(ids) == ids
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size - 8 * len(ids) < 1_000_000  # besides what it returned
    assert seen.add_new(ids[::7]) == []
