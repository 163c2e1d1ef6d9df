"""Find the images whose embeddings are most similar to a vector. Exact cosine similarity; needs numpy."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import AwiError, InvalidData, InvalidInput
from .embeddings import JSON_SPACE, NUMBER_BYTES, Vector, decode, require_numpy, swap_on_big_endian
from .images import Image
from .reader import StoredValue

#: Decimal places of a score. Further digits depend on the order in which numpy adds up the products.
SCORE_DIGITS = 9


class Match(NamedTuple):
    """How similar one image is to the query."""

    #: None if no image refers to the embedding.
    id: str | None
    embedding_key: str
    #: Cosine of the angle between the embeddings: 1 for the same direction, -1 for the opposite one.
    score: float

    def row(self) -> dict[str, Any]:
        """Return the match as JSON-compatible data."""
        return self._asdict()


@dataclass(frozen=True)
class SimilarImages:
    """The most similar images, and how many embeddings were compared."""

    #: The best matches first; equal scores in the order of the image IDs.
    matches: Sequence[Match]
    compared: int
    #: Embeddings that were skipped: of another dimension, unreadable, or all zeros.
    other_dimensions: int
    unreadable: int
    zero: int


class SimilarityScorer:
    """Computes the cosine similarity of stored embeddings to one vector, in batches."""

    def __init__(self, vector: Vector[float]) -> None:
        """Raises InvalidInput if the vector is zero, Refused if numpy is not installed."""
        self._numpy = numpy = require_numpy("to compare embeddings")
        query = numpy.array(vector, dtype=numpy.float64)
        norm = numpy.sqrt(query @ query)
        if norm == 0.0:
            raise InvalidInput("the similarity to an embedding of zeros is undefined")
        self._direction = query / norm
        self._dimensions = len(vector)
        #: The score of each embedding, by its key.
        self.scores: dict[str, float] = {}
        #: Embeddings that were skipped, by reason.
        self.other_dimensions = 0
        self.unreadable = 0
        self.zero = 0

    def add(self, stored: Mapping[str, bytes]) -> None:
        """Score one batch of stored embeddings, given by key."""
        comparable: dict[str, bytes] = {}
        size = self._dimensions * NUMBER_BYTES
        for key, raw in stored.items():
            if len(raw) == size and raw[0] not in b"[" + JSON_SPACE:  # certainly float32: no need to decode
                comparable[key] = raw
                continue
            try:
                vector = decode(raw)
            except InvalidData:
                self.unreadable += 1
                continue
            if len(vector) == self._dimensions:
                comparable[key] = swap_on_big_endian(vector).tobytes()
            else:
                self.other_dimensions += 1
        if comparable:
            self._score(list(comparable), b"".join(comparable.values()))

    def _score(self, keys: list[str], raw: bytes) -> None:
        numpy = self._numpy
        with numpy.errstate(all="ignore"):  # vectors that are not finite are recognized by their norm
            # double precision: squares of float32 neither overflow nor underflow
            matrix = numpy.frombuffer(raw, "<f4").reshape(len(keys), self._dimensions).astype(numpy.float64)
            norms = numpy.sqrt(numpy.einsum("ij,ij->i", matrix, matrix))
            finite, zero = numpy.isfinite(norms), norms == 0.0
            scores = numpy.clip(matrix @ self._direction / norms, -1.0, 1.0).round(SCORE_DIGITS) + 0.0
        self.unreadable += len(keys) - int(finite.sum())
        self.zero += int(zero.sum())
        valid = finite & ~zero
        self.scores.update(
            (key, score) for key, score, is_valid in zip(keys, scores.tolist(), valid.tolist(), strict=True) if is_valid
        )


async def find_similar(
    batches: AsyncGenerator[tuple[Sequence[Image], dict[str, StoredValue | AwiError]], None],
    vector: Vector[float],
    *,
    top: int,
    exclude: str | None = None,
) -> SimilarImages:
    """Return the `top` images most similar to a vector.

    `batches`: all images, and all embeddings by key, in any order. `exclude`: ID of an image to leave out.
    """
    scorer = SimilarityScorer(vector)
    image_ids: dict[str, list[str]] = {}
    unreadable = 0
    async for images, embeddings in batches:
        for image in images:
            if image.embedding_key is not None:
                image_ids.setdefault(image.embedding_key, []).append(image.id)
        scorer.add({key: value.raw for key, value in embeddings.items() if isinstance(value, StoredValue)})
        unreadable += sum(isinstance(value, AwiError) for value in embeddings.values())
    matches = [
        Match(image_id, key, score)
        for key, score in scorer.scores.items()
        for image_id in image_ids.get(key, [None])
        if exclude is None or image_id != exclude
    ]
    matches.sort(key=lambda one: (-one.score, one.id is None, one.id or "", one.embedding_key))
    skipped = (scorer.other_dimensions, scorer.unreadable + unreadable, scorer.zero)
    return SimilarImages(matches[:top], len(scorer.scores), *skipped)
