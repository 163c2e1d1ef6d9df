"""Embeddings: vectors as bytes and back, and how near they are to another.

In the store a vector is raw little-endian float32, as awictl writes it, or a JSON array of numbers. What parses as such
an array is one; all else is raw, if its length is a multiple of four and every number is finite.

numpy is imported only by what needs it: reading .npy files, and comparing.
"""

from __future__ import annotations

import io
import math
import sys
from array import array
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from ..document.json_codec import dumps, loads, parse_input
from ..errors import InvalidData, InvalidInput, Refused

#: Most numbers that a given vector may have.
MAX_DIMENSIONS = 65_536
#: Bytes of the largest file that is read: so many numbers in JSON, with all their digits.
MAX_FILE_BYTES = 32 * MAX_DIMENSIONS
#: Endings of the names of files that hold a vector.
ENDINGS = (".json", ".npy", ".f32", ".bin")
#: Digits after the point that a score is told with: what is beyond depends on the order of the additions.
SCORE_DIGITS = 9

_NUMBER_BYTES = 4
_JSON_SPACE = b" \t\r\n"
_NPY_MAGIC = b"\x93NUMPY"

#: Numbers in single precision.
Vector = array


def vector_of(numbers: Iterable[float]) -> Vector[float]:
    """These numbers as a vector. Raises InvalidInput where there are none or too many, or one is not finite."""
    try:
        vector = array("f", numbers)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"an embedding is a list of numbers: {error}") from None
    if not vector:
        raise InvalidInput("an embedding cannot be empty")
    if len(vector) > MAX_DIMENSIONS:
        raise InvalidInput(f"an embedding has at most {MAX_DIMENSIONS:,} numbers, not {len(vector):,}")
    if not _finite(vector):
        raise InvalidInput("an embedding has finite numbers only, such as single precision can hold")
    return vector


def encode(vector: Vector[float]) -> bytes:
    """The bytes to store."""
    raw = _little(vector).tobytes()
    # bytes that happen to be a JSON array of numbers would be taken for one
    return raw if _json_numbers(raw) is None else dumps(vector.tolist())


def decode(stored: bytes) -> Vector[float]:
    """The vector in stored bytes. Raises InvalidData, without saying where they are stored."""
    numbers = _json_numbers(stored)
    if numbers is not None:
        vector = array("f", numbers)
    elif len(stored) % _NUMBER_BYTES:
        raise InvalidData(f"its {len(stored):,} bytes are neither a JSON array of numbers nor float32")
    else:
        vector = _little(array("f", stored))
    if not vector:
        raise InvalidData("it is empty")
    if not _finite(vector):
        raise InvalidData("it is neither a JSON array of numbers nor float32: some of it would not be finite")
    return vector


def parse(data: bytes, name: str) -> Vector[float]:
    """The vector in a file that a user gave: what it is, the ending of its name says; of `-` (stdin), its content.

    Raises InvalidInput.
    """
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    if name == "-":
        ending = _ending_of(data)
    if len(data) > MAX_FILE_BYTES:
        raise InvalidInput(f"{name}: more than {MAX_FILE_BYTES:,} bytes are no embedding")
    try:
        if ending == ".npy":
            return vector_of(_from_npy(data))
        if ending in (".f32", ".bin"):
            if len(data) % _NUMBER_BYTES:
                raise InvalidInput(f"{len(data):,} bytes are not float32, of which each number has {_NUMBER_BYTES}")
            return vector_of(_little(array("f", data)))
        numbers = parse_input(data)
        if not _are_numbers(numbers):
            raise InvalidInput("not a JSON array of numbers")
        return vector_of(numbers)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from None


def _ending_of(data: bytes) -> str:
    if data.startswith(_NPY_MAGIC):
        return ".npy"
    return ".json" if _json_numbers(data) is not None or len(data) % _NUMBER_BYTES or not data else ".f32"


def _from_npy(data: bytes) -> list[float]:
    numpy = require_numpy("to read .npy files")
    try:
        loaded = numpy.load(io.BytesIO(data), allow_pickle=False)
        numbers: list[float] = loaded.reshape(-1).tolist()
    except Exception as error:  # what a broken file makes numpy raise is of many kinds
        raise InvalidInput(f"not an array of numpy: {' '.join(str(error).split())[:200]}") from None
    if loaded.dtype.kind not in "fiu":
        raise InvalidInput(f"an array of {loaded.dtype}, not of numbers")
    if max(loaded.shape, default=0) != loaded.size:
        raise InvalidInput(f"an array of the shape {loaded.shape}, not one vector")
    return numbers


def _json_numbers(data: bytes) -> list[float] | None:
    """The JSON array of numbers that this text is; None where it is none."""
    if not data.lstrip(_JSON_SPACE).startswith(b"["):
        return None
    try:
        value = loads(data)
    except InvalidData:
        return None
    return value if _are_numbers(value) else None


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) in (int, float) for one in value)


def _finite(vector: Vector[float]) -> bool:
    return math.isfinite(sum(vector))  # in double precision, where sums of float32 do not overflow


def _little(vector: Vector[float]) -> Vector[float]:
    """To little-endian, or from it."""
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return vector


def require_numpy(what_for: str) -> ModuleType:
    """numpy; raises Refused where it is not installed."""
    try:
        import numpy
    except ImportError:
        raise Refused(f"numpy is needed {what_for}, and not installed: pip install 'awictl[media]'") from None
    return numpy


class Comparison:
    """The cosines of stored vectors with one vector, as they come in. Raises InvalidInput where that is zero."""

    def __init__(self, vector: Vector[float]) -> None:
        self._numpy = numpy = require_numpy("to compare embeddings")
        query = numpy.array(vector, dtype=numpy.float64)
        norm = numpy.sqrt(query @ query)
        if norm == 0.0:
            raise InvalidInput("an embedding of zeros points nowhere: nothing is similar to it")
        self._direction = query / norm
        self._dimensions = len(vector)
        #: The cosine of each, by its key.
        self.scores: dict[str, float] = {}
        #: How many were not compared, and why.
        self.other_dimensions = 0
        self.unreadable = 0
        self.zero = 0

    def add(self, stored: Mapping[str, bytes]) -> None:
        """Compare with these, by their keys."""
        alike: dict[str, bytes] = {}
        size = self._dimensions * _NUMBER_BYTES
        for key, raw in stored.items():
            if len(raw) == size and raw[0] not in b"[" + _JSON_SPACE:  # raw for certain: the short way
                alike[key] = raw
                continue
            try:
                vector = decode(raw)
            except InvalidData:
                self.unreadable += 1
                continue
            if len(vector) == self._dimensions:
                alike[key] = _little(vector).tobytes()
            else:
                self.other_dimensions += 1
        if alike:
            self._compare(list(alike), b"".join(alike.values()))

    def _compare(self, keys: list[str], raw: bytes) -> None:
        numpy = self._numpy
        with numpy.errstate(all="ignore"):  # what is not finite is found by its norm
            # in double precision, in which squares of float32 neither overflow nor vanish
            matrix = numpy.frombuffer(raw, "<f4").reshape(len(keys), self._dimensions).astype(numpy.float64)
            norms = numpy.sqrt(numpy.einsum("ij,ij->i", matrix, matrix))
            finite, zero = numpy.isfinite(norms), norms == 0.0
            scores = numpy.clip(matrix @ self._direction / norms, -1.0, 1.0).round(SCORE_DIGITS) + 0.0
        self.unreadable += len(keys) - int(finite.sum())
        self.zero += int(zero.sum())
        good = finite & ~zero
        self.scores.update(
            (key, score) for key, score, is_good in zip(keys, scores.tolist(), good.tolist(), strict=True) if is_good
        )
