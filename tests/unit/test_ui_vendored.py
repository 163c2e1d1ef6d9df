"""The code of others that the inspector carries is what its README says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import awictl.ui

VENDOR = Path(awictl.ui.__file__).parent / "static" / "vendor"


def test_the_vendored_file_has_the_recorded_hash() -> None:
    recorded = re.findall(r"sha256 +([0-9a-f]{64})", (VENDOR / "README.md").read_text())
    assert recorded == [hashlib.sha256((VENDOR / "preact-htm.js").read_bytes()).hexdigest()]


def test_nothing_else_is_vendored() -> None:
    assert {one.name for one in VENDOR.iterdir()} == {"README.md", "LICENSE-htm", "LICENSE-preact", "preact-htm.js"}
