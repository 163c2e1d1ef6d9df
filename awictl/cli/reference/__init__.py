"""Shell completions and manual pages, made from the Typer tree.

    python -m awictl.cli.reference [FOLDER]

writes `completions/` and `man/` below FOLDER, the working directory unless told otherwise. A test fails when the
files in the repository are not what the tree says.
"""

from __future__ import annotations

from pathlib import Path

from .completions import bash, fish, zsh
from .manual import man_page
from .tree import tree


def files() -> dict[str, str]:
    """Every file that is made: path from the top of the repository → text."""
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
    """Write every file below `folder`; manual pages of commands that are no more go."""
    made = files()
    for stale in (folder / "man").glob("*.1"):
        if f"man/{stale.name}" not in made:
            stale.unlink()
    for name, text in made.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
