"""Encode and decode embeddings: stored bytes and files to vectors of float32, and back.

A stored embedding is a JSON array of numbers or raw little-endian float32, the format that awictl writes. Whatever
parses as a JSON array of numbers is one. Anything else is float32 if its length is a multiple of four and every number
is finite.

numpy is optional. It is imported only for reading .npy files and for comparing embeddings.
"""

from __future__ import annotations

import io
import math
import sys
from array import array
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from ..document.json_codec import dumps, loads, parse_input
from ..errors import InvalidData, InvalidInput, Refused

#: Maximum number of dimensions of an embedding.
MAX_DIMENSIONS = 65_536
#: Maximum size of a file with an embedding, in bytes: MAX_DIMENSIONS numbers as JSON with all digits.
MAX_FILE_BYTES = 32 * MAX_DIMENSIONS
#: Suffixes of files with an embedding.
SUFFIXES = (".json", ".npy", ".f32", ".bin")
#: Size of a float32.
NUMBER_BYTES = 4
#: Whitespace that may precede a JSON value.
JSON_SPACE = b" \t\r\n"
_NPY_MAGIC = b"\x93NUMPY"

#: A vector of float32.
Vector = array


def to_vector(numbers: Iterable[float]) -> Vector[float]:
    """Convert numbers to a vector. Raises InvalidInput if there are none or too many, or one is not finite."""
    try:
        vector = array("f", numbers)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"an embedding must be a list of numbers: {error}") from None
    if not vector:
        raise InvalidInput("an embedding cannot be empty")
    if len(vector) > MAX_DIMENSIONS:
        raise InvalidInput(f"an embedding can have at most {MAX_DIMENSIONS:,} numbers, got {len(vector):,}")
    if not _finite(vector):
        raise InvalidInput("an embedding can only contain finite numbers that fit in float32")
    return vector


def encode(vector: Vector[float]) -> bytes:
    """Encode a vector for the store: float32, little-endian."""
    raw = swap_on_big_endian(vector).tobytes()
    # bytes that happen to be a JSON array of numbers would be decoded as one
    return raw if _json_numbers(raw) is None else dumps(vector.tolist())


def decode(stored: bytes) -> Vector[float]:
    """Decode stored bytes. Raises InvalidData; the message does not name the key."""
    numbers = _json_numbers(stored)
    if numbers is not None:
        vector = array("f", numbers)
    elif len(stored) % NUMBER_BYTES:
        raise InvalidData(f"{len(stored):,} bytes that are neither a JSON array of numbers nor float32")
    else:
        vector = swap_on_big_endian(array("f", stored))
    if not vector:
        raise InvalidData("the embedding is empty")
    if not _finite(vector):
        raise InvalidData("neither a JSON array of numbers nor float32: as float32, some numbers would not be finite")
    return vector


def parse(data: bytes, name: str) -> Vector[float]:
    """Parse the content of a file. The suffix of `name` determines the format; for `-` (stdin), the content does.

    Raises InvalidInput.
    """
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    if name == "-":
        suffix = _detect_suffix(data)
    if len(data) > MAX_FILE_BYTES:
        raise InvalidInput(f"{name}: more than {MAX_FILE_BYTES:,} bytes, the maximum for an embedding")
    try:
        if suffix == ".npy":
            return to_vector(_from_npy(data))
        if suffix in (".f32", ".bin"):
            if len(data) % NUMBER_BYTES:
                raise InvalidInput(f"not float32: {len(data):,} bytes are not a multiple of {NUMBER_BYTES}")
            return to_vector(swap_on_big_endian(array("f", data)))
        numbers = parse_input(data)
        if not _are_numbers(numbers):
            raise InvalidInput("not a JSON array of numbers")
        return to_vector(numbers)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from None


def _detect_suffix(data: bytes) -> str:
    if data.startswith(_NPY_MAGIC):
        return ".npy"
    return ".json" if _json_numbers(data) is not None or len(data) % NUMBER_BYTES or not data else ".f32"


def _from_npy(data: bytes) -> list[float]:
    numpy = require_numpy("to read .npy files")
    try:
        loaded = numpy.load(io.BytesIO(data), allow_pickle=False)
        numbers: list[float] = loaded.reshape(-1).tolist()
    except Exception as error:  # numpy raises many types of exceptions for broken files
        raise InvalidInput(f"not a NumPy array: {' '.join(str(error).split())[:200]}") from None
    if loaded.dtype.kind not in "fiu":
        raise InvalidInput(f"an array of {loaded.dtype}, expected numbers")
    if max(loaded.shape, default=0) != loaded.size:
        raise InvalidInput(f"an array of shape {loaded.shape}, expected one vector")
    return numbers


def _json_numbers(data: bytes) -> list[float] | None:
    """Parse a JSON array of numbers; None if the text is not one."""
    if not data.lstrip(JSON_SPACE).startswith(b"["):
        return None
    try:
        value = loads(data)
    except InvalidData:
        return None
    return value if _are_numbers(value) else None


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) in (int, float) for one in value)


def _finite(vector: Vector[float]) -> bool:
    return math.isfinite(sum(vector))  # double precision: the sum of float32 values does not overflow


def swap_on_big_endian(vector: Vector[float]) -> Vector[float]:
    """Convert between native and little-endian byte order."""
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return vector


def require_numpy(purpose: str) -> ModuleType:
    """Import numpy. Raises Refused if it is not installed. `purpose`: for the message: `to read .npy files`."""
    try:
        import numpy
    except ImportError:
        raise Refused(f"numpy is required {purpose}, but it is not installed: pip install 'awictl[media]'") from None
    return numpy
