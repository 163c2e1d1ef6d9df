"""The folders of the user: where platformdirs finds them."""

from __future__ import annotations

import platformdirs
import pytest

from awictl.util.user_folders import user_config_folder, user_data_folder


@pytest.mark.parametrize("home", ["/home/operator", "relative", "/home/op/../x/", None])
@pytest.mark.parametrize("xdg", ["/srv/files", "/srv/files/", "relative", "", "  ", "~/files", None])
def test_the_folders_are_those_of_platformdirs(
    home: str | None, xdg: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": home, "XDG_CONFIG_HOME": xdg, "XDG_DATA_HOME": xdg}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert user_config_folder() == platformdirs.user_config_path("awictl")
    assert user_data_folder() == platformdirs.user_data_path("awictl")
