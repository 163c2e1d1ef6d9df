"""Encoding, decoding and parsing embeddings, and their cosine similarity."""

from __future__ import annotations

import io
import json
import math
import pickle
import struct
import sys
from array import array
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from awictl import InvalidData, InvalidInput, Refused
from awictl.media.embeddings import MAX_DIMENSIONS, MAX_FILE_BYTES, decode, encode, parse, to_vector
from awictl.media.similarity import SCORE_DIGITS, SimilarityScorer

NUMBERS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=12)
NOT_A_NUMBER = struct.pack("<f", math.nan)
SIGNALING = b"\x01\x00\xa0\x7f"


def float32(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def npy(value: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    numpy.save(file, value, **options)
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    numpy.savez(file, a=numpy.ones(3))
    return file.getvalue()


def npy_with_wrong_size() -> bytes:
    """An array whose header claims far more numbers than there are."""
    return npy(numpy.ones(3)).replace(b"(3,), }" + b" " * 12, b"(1000000000000,), }")


# -- encoding and decoding


@given(NUMBERS)
def test_round_trip(numbers: list[float]) -> None:
    stored = encode(to_vector(numbers))
    assert stored == float32(*numbers)
    assert decode(stored).tolist() == numbers
    assert decode(json.dumps(numbers).encode()).tolist() == numbers


@pytest.mark.parametrize("raw", [b"[12]", b" [1]", b"[1,2,34]", b"[-1]\n\t\r ", b"[1e2]   "])
def test_round_trip_of_float32_that_is_also_json(raw: bytes) -> None:
    numbers = list(struct.unpack(f"<{len(raw) // 4}f", raw))
    stored = encode(to_vector(numbers))
    assert stored != raw and decode(stored).tolist() == numbers
    assert decode(raw).tolist() == json.loads(raw)


@pytest.mark.parametrize(
    ("stored", "numbers"),
    [
        (b"[1, 2.5, -3e2]", [1.0, 2.5, -300.0]),
        (b" \n[1]", [1.0]),
        (b"[18446744073709551615]", [2.0**64]),
        (float32(1.0), [1.0]),
        (b"[tru", list(struct.unpack("<f", b"[tru"))),
        (b"[[1]]   ", list(struct.unpack("<2f", b"[[1]]   "))),
        (b"{}  ", list(struct.unpack("<f", b"{}  "))),
    ],
)
def test_decoding_json_and_float32(stored: bytes, numbers: list[float]) -> None:
    assert decode(stored).tolist() == numbers


@pytest.mark.parametrize(
    "stored",
    [b"", b"[]", b"x", b"[1,2,", b"[true]", b"[null]", b'["1"]', b"[1e39]", b"[1,2]" * 1001, float32(1, math.inf),
     NOT_A_NUMBER, SIGNALING, b"[NaN]", b"\xff" * 400],
)  # fmt: skip
def test_invalid_stored_bytes(stored: bytes) -> None:
    with pytest.raises(InvalidData):
        decode(stored)


@pytest.mark.parametrize("numbers", [[], [math.nan], [1, -math.inf], [1e39], ["1"], [None], [[1]], 7, [1j]])
def test_invalid_vectors(numbers: Any) -> None:
    with pytest.raises(InvalidInput, match="an embedding"):
        to_vector(numbers)


def test_the_maximum_number_of_dimensions() -> None:
    assert len(to_vector([0.5] * MAX_DIMENSIONS)) == MAX_DIMENSIONS
    with pytest.raises(InvalidInput, match="at most 65,536"):
        to_vector([0.5] * (MAX_DIMENSIONS + 1))


# -- files


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", b"[1, 2.5]\n"),
        ("/dev/fd/63", b"[1, 2.5]"),
        ("a.F32", float32(1, 2.5)),
        ("a.bin", float32(1, 2.5)),
        ("a.npy", npy(numpy.array([1, 2.5]))),
        ("a.npy", npy(numpy.array([[1, 2.5]], dtype=numpy.float16))),
        ("a.npy", npy(numpy.array([[1], [2.5]], dtype=">f8"))),
        ("-", b" [1, 2.5] "),
        ("-", float32(1, 2.5)),
        ("-", npy(numpy.array([1, 2.5], dtype=numpy.float32))),
    ],
)
def test_files(name: str, data: bytes) -> None:
    assert parse(data, name) == array("f", [1, 2.5])


def test_integers_in_files() -> None:
    assert parse(npy(numpy.arange(3)), "a.npy").tolist() == [0, 1, 2]
    assert parse(b"[0, 1, 2]", "a.json").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"", "JSON"),
        ("a.json", b"[1,", "JSON"),
        ("a.json", b"{}", "not a JSON array of numbers"),
        ("a.json", b"[true]", "not a JSON array of numbers"),
        ("a.json", b"[[1]]", "not a JSON array of numbers"),
        ("a.json", b"[]", "empty"),
        ("a.json", b"[NaN]", "JSON"),
        ("a.json", b"[1e39]", "finite"),
        ("a.json", float32(1, 2), "JSON"),
        ("a.f32", b"", "empty"),
        ("a.f32", b"12345", "not float32"),
        ("a.bin", float32(1, math.nan), "finite"),
        ("a.npy", b"", "not a NumPy array"),
        ("a.npy", b"\x93NUMPY\x01\x00", "not a NumPy array"),
        ("a.npy", npy(numpy.ones(3))[:-1], "not a NumPy array"),
        ("a.npy", pickle.dumps([1.0]), "not a NumPy array"),
        ("a.npy", npz(), "not a NumPy array"),
        ("a.npy", npy(numpy.array([{}]), allow_pickle=True), "not a NumPy array"),
        ("a.npy", npy_with_wrong_size(), "not a NumPy array"),
        ("a.npy", npy(numpy.ones((2, 2))), "shape (2, 2)"),
        ("a.npy", npy(numpy.float64(1.0)), "shape ()"),
        ("a.npy", npy(numpy.array([True])), "array of bool"),
        ("a.npy", npy(numpy.array([1j])), "array of complex128"),
        ("a.npy", npy(numpy.array(["1"])), "array of <U1"),
        ("a.npy", npy(numpy.array([])), "empty"),
        ("a.npy", npy(numpy.array([1e39])), "finite"),
        ("a.npy", npy(numpy.array([math.nan])), "finite"),
        ("-", b"", "JSON"),
        ("-", b"12345", "not a JSON array"),
        ("-", b"\xff" * 7, "JSON"),
        ("a.json", b"[" + b"1," * MAX_FILE_BYTES, "more than"),
    ],
)
def test_invalid_files(name: str, data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(data, name)
    assert message in str(caught.value) and str(caught.value).startswith(f"{name}: ")


# -- similarity


def cosine(a: list[float], b: list[float]) -> float:
    """Reference implementation with exact sums."""
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(math.fsum(x * x for x in a)) / math.sqrt(math.fsum(x * x for x in b))


@given(st.integers(1, 6).flatmap(lambda size: st.lists(st.lists(
    st.floats(-1000, 1000, width=32), min_size=size, max_size=size), min_size=1, max_size=8)))  # fmt: skip
def test_scores_are_cosines(vectors: list[list[float]]) -> None:
    query = [1.0, *[0.5] * (len(vectors[0]) - 1)]
    scorer = SimilarityScorer(to_vector(query))
    stored = {str(number): encode(to_vector(one)) for number, one in enumerate(vectors)}
    half = len(stored) // 2
    scorer.add(dict(list(stored.items())[:half]))
    scorer.add(dict(list(stored.items())[half:]))
    nonzero = {str(number): one for number, one in enumerate(vectors) if any(one)}
    assert scorer.scores.keys() == nonzero.keys() and scorer.zero == len(vectors) - len(nonzero)
    for key, score in scorer.scores.items():
        assert -1.0 <= score <= 1.0
        assert score == pytest.approx(cosine(query, nonzero[key]), abs=2 * 10**-SCORE_DIGITS)


@pytest.mark.parametrize("size", [1e-44, 1e-30, 1.0, 3e38])
def test_the_norm_of_a_vector_does_not_matter(size: float) -> None:
    scorer = SimilarityScorer(to_vector([size, 0.0]))
    scorer.add({str(other): float32(other, 0.0) for other in (1e-44, 1e-30, 1.0, 3e38)})
    scorer.add({"opposite": float32(-1.0, 0.0), "across": float32(0.0, 1.0)})
    assert set(scorer.scores.values()) == {1.0, -1.0, 0.0} and scorer.scores["opposite"] == -1.0


def test_skipped_embeddings_are_counted() -> None:
    scorer = SimilarityScorer(to_vector([1, 2]))
    scorer.add(
        {
            "good": float32(1, 2),
            "also good": b"[1, 2]",
            "zero": float32(0, -0.0),
            "zero too": b"[0,0]",
            "longer": float32(1, 2, 3),
            "shorter": b"[1]",
            "not finite": float32(1, math.nan),
            "not finite too": SIGNALING * 2,
            "infinite": float32(math.inf, -math.inf),
            "not finite and longer": NOT_A_NUMBER * 3,
            "no vector": b"hello",
            "empty": b"",
        }
    )
    assert scorer.scores == {"good": 1.0, "also good": 1.0}
    assert (scorer.zero, scorer.other_dimensions, scorer.unreadable) == (2, 2, 6)


def test_equal_vectors_have_equal_scores_in_every_row() -> None:
    """The order of additions in a matrix product depends on the row."""
    random = numpy.random.default_rng(1)
    rows = random.standard_normal((257, 384)).astype("<f4")
    rows[::2] = rows[0]
    scorer = SimilarityScorer(array("f", rows[1].tobytes()))
    scorer.add({str(number): row.tobytes() for number, row in enumerate(rows)})
    scorer.add({"alone": rows[0].tobytes()})
    scores = {scorer.scores[str(number)] for number in range(0, 257, 2)} | {scorer.scores["alone"]}
    assert len(scores) == 1 and scorer.scores["1"] == 1.0


def test_a_query_of_zeros_is_refused() -> None:
    with pytest.raises(InvalidInput, match="zeros"):
        SimilarityScorer(to_vector([0, -0.0]))


def test_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert decode(encode(parse(b"[1, 2]", "-"))).tolist() == [1, 2]
    for call in (lambda: SimilarityScorer(to_vector([1])), lambda: parse(b"\x93NUMPY", "-")):
        with pytest.raises(Refused, match=r"pip install 'awictl\[media\]'"):
            call()
