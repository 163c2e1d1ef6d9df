"""Compression and chunks: every kind of damage is detected, and the size of a chunk is limited."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import stored_values
from support.archives import chunk
from support.documents import assert_same

from awictl.archive import chunks
from awictl.archive.chunks import Chunk, ChunkDecoder, encode_chunk
from awictl.archive.compression import compress, decompress
from awictl.errors import InvalidData


def digest_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


@given(st.binary(max_size=300))
def test_compressed_bytes_are_restored(raw: bytes) -> None:
    assert decompress(compress(raw), digest_of(raw), "here") == raw


RAW = b'{"session_id":"sess_test","history":{"actions":[]}}' * 3


@given(st.integers(0, len(compress(RAW)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_detected(place: int, change: int) -> None:
    packed = bytearray(compress(RAW))
    packed[place] ^= change
    try:
        assert decompress(bytes(packed), digest_of(RAW), "here") == RAW, (
            "some bytes of the zlib header are not significant"
        )
    except InvalidData as error:
        assert "here" in str(error)


@given(st.integers(0, len(compress(RAW)) - 1))
def test_truncation_is_detected(length: int) -> None:
    with pytest.raises(InvalidData, match="damaged"):
        decompress(compress(RAW)[:length], digest_of(RAW), "here")


@pytest.mark.parametrize("packed", [b"", RAW, compress(RAW + b" "), zlib.compress(b"")])
def test_other_bytes_are_detected(packed: bytes) -> None:
    with pytest.raises(InvalidData, match="damaged"):
        decompress(packed, digest_of(RAW), "here")


@pytest.mark.parametrize("packed", ["text", None, 5, {"a": 1}], ids=repr)
def test_values_of_another_type_are_damaged(packed: Any) -> None:
    """Another program may have overwritten the field."""
    with pytest.raises(InvalidData, match="damaged"):
        decompress(packed, digest_of(RAW), "here")


@given(st.lists(stored_values, min_size=1, max_size=8), st.integers(0, 1000))
def test_encoded_actions_are_restored(actions: list[Any], first: int) -> None:
    [(piece, raw, digest)] = encode_chunk(Chunk(first, actions))
    assert (piece.first, digest) == (first, digest_of(raw))
    decoder = ChunkDecoder()
    decoder.add(first, compress(raw), digest, "here")
    [back] = decoder.chunks
    assert_same([back.first, list(back.actions)], [first, actions])
    assert_same(list(piece.actions), actions)


def test_an_empty_chunk_is_not_encoded() -> None:
    assert list(encode_chunk(Chunk(3, []))) == []


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(1, 500))
def test_chunks_are_split_by_size(sizes: list[int], limit: int) -> None:
    actions = ["x" * size for size in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", limit)
        found = list(encode_chunk(Chunk(7, actions)))
    assert [one for piece, _, _ in found for one in piece.actions] == actions
    position = 7
    for piece, raw, digest in found:
        assert piece.first == position and digest == digest_of(raw) and piece.actions
        assert len(raw) - raw.count(b"\n") <= limit or len(piece.actions) == 1, "a larger action is stored alone"
        position += len(piece.actions)


def test_a_chunk_fits_into_a_mongodb_document() -> None:
    assert chunks.CHUNK_BYTES * 1.1 < 16 * 1024 * 1024
    big = Chunk(0, ["x" * 5_000_000] * 3)
    assert [len(piece.actions) for piece, _, _ in encode_chunk(big)] == [1, 1, 1]
    assert len(list(encode_chunk(chunk(0, 1000)))) == 1
