"""Generate shell completions and manual pages from the tree of commands and the settings.

    python -m awictl.cli.reference [FOLDER]

writes `completions/` and `man/` into FOLDER (default: the working directory). A test fails if the files in the
repository are out of date.
"""

from __future__ import annotations

from pathlib import Path

from .completions import bash, fish, zsh
from .manual import man_page
from .tree import tree


def files() -> dict[str, str]:
    """Return the text of every generated file, by its path in the repository."""
    root = tree()
    groups = [node for node in root.children if node.children]
    return {
        "completions/awictl.bash": bash(root),
        "completions/awictl.zsh": zsh(root),
        "completions/awictl.fish": fish(root),
        "man/awictl.1": man_page(root, root),
        **{f"man/{'-'.join(node.path)}.1": man_page(node, root) for node in groups},
    }


def main(folder: Path) -> None:
    """Write all files into `folder`, and delete the manual pages of groups that no longer exist."""
    generated = files()
    for stale in (folder / "man").glob("*.1"):
        if f"man/{stale.name}" not in generated:
            stale.unlink()
    for name, text in generated.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
