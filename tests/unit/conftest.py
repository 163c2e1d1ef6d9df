"""Fixtures for the unit tests: settings that depend only on the test, and Hypothesis profiles without deadlines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest

pytest.register_assert_rewrite("trajectories")
from material import Load  # noqa: E402

from awictl import Settings  # noqa: E402

# the workers of pytest-xdist share the processors, so the duration of an example means nothing
hypothesis.settings.register_profile("unit", deadline=None, max_examples=40)
# `AWI_HYPOTHESIS=long uv run pytest tests/unit`: many more examples than there are by default
hypothesis.settings.register_profile("long", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("AWI_HYPOTHESIS", "unit"))


@pytest.fixture
def load_settings(tmp_path: Path) -> Load:
    """`Settings.load` without the user's environment; `dotenv` and `config` are the contents of those files."""

    def loaded(
        options: dict[str, Any] | None = None,
        *,
        environ: dict[str, str] | None = None,
        dotenv: str | bytes = "",
        config: str | bytes | None = None,
        profile: str | None = None,
    ) -> Settings:
        files = {".env": dotenv, "config.toml": config}
        for name, content in files.items():
            if content is not None:
                (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return Settings.load(
            options,
            profile=profile,
            environ=environ or {},
            config_file=tmp_path / "config.toml",
            dotenv_file=tmp_path / ".env",
        )

    return loaded
