"""`awictl media` on a real server."""

from __future__ import annotations

import io
import json
import struct

import numpy
import pytest
from support.cli import Cli, unchanged
from support.valkey import ValkeyServer
from test_terminal import plain, screen

THUMBNAIL, FULL = "https://cdn/1s.jpg", "https://cdn/1.jpg"
URLS = ["--thumbnail", THUMBNAIL, "--full", FULL]


def fill(server: ValkeyServer) -> None:
    """Store three images, two of which share an embedding, and an orphaned embedding."""
    for image_id, key in {"post 1": "k", "posts/2": "k", "post_3": "post_3"}.items():
        image = {"thumbnail_url": THUMBNAIL, "full_url": FULL, "embedding_key": key, "alt": "\x1b[31mred"}
        server.raw.set(f"MEDIA:IMG:{image_id}", json.dumps(image), ex=1000)
    for key, numbers in {"k": (1, 0), "post_3": (1, 1), "orphan": (0, 0)}.items():
        server.raw.set(f"MEDIA:EMBED:{key}", struct.pack("<2f", *numbers), ex=1000)


def test_put_show_list_similar_and_delete(awictl: Cli, valkey: ValkeyServer) -> None:
    file = io.BytesIO()
    numpy.save(file, numpy.array([3.0, 4.0]))
    (awictl.home / "one.npy").write_bytes(file.getvalue())
    row = awictl.ok("media", "put", "one", *URLS, "--embedding", "one.npy").json
    assert (row["embedding_key"], row["dimensions"], row["bytes"]) == ("one", 2, 8)
    two = awictl.ok("media", "put", "two", *URLS, "--embedding", "-", "--embedding-key", "k", stdin=b"[4, 3]")
    assert two.json["embedding_key"] == "k"
    awictl("media", "put", "three", "--embedding", "one.npy").error(2, "three", "URLs")

    shown = awictl.ok("media", "show", "-", stdin=b"one\ntwo\n")
    assert [list(one.items())[:2] for one in shown.rows] == [
        [("id", one), ("thumbnail_url", THUMBNAIL)] for one in ("one", "two")
    ]
    assert FULL not in shown.text
    listed = awictl.ok("media", "list")
    assert {one["id"] for one in listed.rows} == {"one", "two"}
    assert listed.err == "2 images, 2 embeddings (16 bytes)\n"

    assert awictl.ok("media", "similar", "one").rows == [{"id": "two", "embedding_key": "k", "score": 0.96}]
    assert awictl.ok("media", "similar", "one.npy", "--top", "1", "-o", "ids").text == "one\n"
    assert awictl.ok("media", "similar", "-", "-o", "ids", stdin=struct.pack("<2f", 40, 30)).lines == ["two", "one"]

    awictl("media", "delete", "one").error(4, "--yes")
    assert valkey.raw.dbsize() == 4


def test_an_image_takes_precedence_over_a_file(awictl: Cli, valkey: ValkeyServer) -> None:
    fill(valkey)
    for name in ("post_3", "other", "other.bin"):
        (awictl.home / name).write_bytes(b"[1, 0]")
    found = awictl.ok("media", "similar", "post_3")
    assert [one["id"] for one in found.rows] == ["post 1", "posts/2"]
    assert found.err == "2 embeddings compared; skipped: 1 all zeros\n"
    assert [one["id"] for one in awictl.ok("media", "similar", "posts/2").rows] == ["post 1", "post_3"]
    assert awictl.ok("media", "similar", "./other", "-o", "ids").lines == ["post 1", "posts/2", "post_3"]
    awictl("media", "similar", "other").error(3, "there is no image other", "./other")
    awictl("media", "similar", "other.bin").error(2, "other.bin", "not float32")


def test_delete_asks_and_reports_kept_embeddings(awictl: Cli, valkey: ValkeyServer) -> None:
    fill(valkey)
    with unchanged(valkey):
        found = awictl("media", "delete", "-", "-q", "--dry-run", stdin=b"post 1\npost_3\nmissing\n")
        found.error(3, "missing")
    assert found.rows == [
        {"id": "post 1", "embedding_key": "k", "with_embedding": False, "kept_for": ["posts/2"]},
        {"id": "post_3", "embedding_key": "post_3", "with_embedding": True, "kept_for": []},
    ]
    table = awictl.ok("media", "delete", "post 1", "post_3", "--yes", "-o", "table").table()
    assert "ALSO USED BY" in table and "posts/2" in table
    assert {key.decode() for key in valkey.raw.scan_iter()} == {
        "MEDIA:IMG:posts/2",
        "MEDIA:EMBED:k",
        "MEDIA:EMBED:orphan",
    }


def test_unreadable_images_and_embeddings_are_reported(awictl: Cli, valkey: ValkeyServer) -> None:
    fill(valkey)
    valkey.raw.set("MEDIA:IMG:broken", b"\x1b[31m{")
    valkey.raw.set("MEDIA:IMG:two\nlines", b"{}")
    result = awictl("media", "show", "broken", "post_3", "nothing")
    assert result.code == 6 and len(result.rows) == 1
    assert "MEDIA:IMG:broken" in result.err and "there is no image nothing" in result.err
    listed = awictl.ok("media", "list", "-o", "table")
    assert "unreadable" in listed.table() and "MEDIA:EMBED" not in listed.text
    assert listed.err == "5 images, 3 embeddings (24 bytes), 1 orphaned embedding, 2 unreadable images\n"
    assert sorted(awictl.ok("media", "list", "-o", "ids", "-q").lines) == ["broken", "post 1", "post_3", "posts/2"]


@pytest.mark.parametrize("words", [["list"], ["show", "post_3", "--full"], ["similar", "post_3"]], ids=" ".join)
def test_tables_are_safe_and_fit_the_terminal(awictl: Cli, valkey: ValkeyServer, words: list[str]) -> None:
    fill(valkey)
    text = plain(screen(awictl, "media", *words, columns=80))
    assert "post" in text and "\x1b" not in text and max(map(len, text.splitlines())) <= 80
    assert (FULL in text) == ("--full" in words) == (r"\x1b[31mred" in text)


def test_numpy_is_imported_only_when_needed(awictl: Cli, valkey: ValkeyServer) -> None:
    fill(valkey)
    (awictl.home / "a.json").write_text("[1, 2]")
    for words in (["list"], ["put", "post_3", "--embedding", "a.json"], ["similar", "post_3"]):
        result = awictl.python("-X", "importtime", "-m", "awictl", "media", *words)
        assert result.code == 0 and (" numpy\n" in result.err) == (words[0] == "similar"), words
