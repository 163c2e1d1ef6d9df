"""Time of `media similar`, compared with reading the same embeddings and with the matrix product alone.

Starts a private Valkey with 10,000 images and their embeddings of 384 numbers. Each round times the whole call (scan,
read, compare, sort), then pipelined GETs of the same keys, then the matrix product in numpy on a matrix in memory.
Prints the medians, and their ratios to the whole call.

    uv run python benchmarks/similar_speed.py [IMAGES [DIMENSIONS]]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy
import orjson
import redis.asyncio as aioredis

from awictl import StateManager

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.valkey import ValkeyServer

IMAGES = 10_000
DIMENSIONS = 384
ROUNDS = 15
TOP = 10
#: Keys per pipeline of GETs.
PIPELINE = 500


def fill(server: ValkeyServer, images: int, dimensions: int) -> numpy.ndarray:
    """Store the images. Returns the matrix of their embeddings, one row per image."""
    matrix = numpy.random.default_rng(7).standard_normal((images, dimensions)).astype("<f4")
    with server.raw.pipeline(transaction=False) as pipe:
        for number, vector in enumerate(matrix):
            image = {"thumbnail_url": f"https://cdn/{number}s.jpg", "full_url": f"https://cdn/{number}.jpg"}
            key = f"image_{number:06}"
            pipe.set(f"MEDIA:IMG:{key}", orjson.dumps(image | {"embedding_key": key}), ex=3600)
            pipe.set(f"MEDIA:EMBED:{key}", vector.tobytes(), ex=3600)
        pipe.execute()
    return matrix


def product(matrix: numpy.ndarray, norms: numpy.ndarray, query: numpy.ndarray) -> list[int]:
    """Return the indexes of the TOP most similar rows."""
    scores = matrix @ query / norms
    best: list[int] = numpy.argsort(-scores)[:TOP].tolist()
    return best


async def measure(server: ValkeyServer, images: int, dimensions: int) -> dict[str, float]:
    """Return the median time of each part, in seconds."""
    matrix = fill(server, images, dimensions)
    norms = numpy.sqrt(numpy.einsum("ij,ij->i", matrix, matrix))
    keys = [f"MEDIA:EMBED:image_{number:06}" for number in range(images)]
    async with StateManager.open(server.settings()) as manager:
        client = aioredis.Redis(unix_socket_path=str(server.socket))
        found: list[str | None] = []

        async def by_id() -> None:
            found[:] = [one.id for one in (await manager.media.similar("image_000007", top=TOP)).matches]

        async def gets() -> None:
            for start in range(0, len(keys), PIPELINE):
                async with client.pipeline(transaction=False) as pipe:
                    for key in keys[start : start + PIPELINE]:
                        pipe.get(key)
                    await pipe.execute()

        async def products() -> None:
            best = product(matrix, norms, matrix[7])
            assert not found or [f"image_{one:06}" for one in best[1:]] == found[: TOP - 1]

        parts: dict[str, Callable[[], Awaitable[None]]]
        parts = {"media.similar": by_id, "pipelined GETs": gets, "matrix product in numpy": products}
        samples: dict[str, list[float]] = {name: [] for name in parts}
        for number in range(ROUNDS + 2):
            for name, part in parts.items():
                started = time.perf_counter()
                await part()
                if number >= 2:  # the first two rounds warm up
                    samples[name].append(time.perf_counter() - started)
        await client.aclose()
    return {name: statistics.median(values) for name, values in samples.items()}


def main() -> None:
    images, dimensions = (int(one) for one in (*sys.argv[1:], *(IMAGES, DIMENSIONS)[len(sys.argv) - 1 :]))
    with ValkeyServer() as server:
        medians = asyncio.run(measure(server, images, dimensions))
    whole = medians["media.similar"]
    print(f"{images:,} images of {dimensions:,} numbers, median of {ROUNDS} rounds\n")
    for name, seconds in medians.items():
        print(f"{name:<24}{seconds * 1000:>10,.1f} ms   {whole / seconds:>8,.1f}x")


if __name__ == "__main__":
    main()
