"""What the start of a command costs, with and without byte code (.pyc files).

Each command runs as a new process, in turn, round after round, and a bare `import typer` for comparison: once with byte
code for everything, and once with byte code for the standard library alone, as in a container image that was built
without compiling the packages. The medians are compared.

    uv run python benchmarks/start_time.py [ROUNDS]          # 20 rounds, about half a minute
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 20
COMMANDS = {
    "import typer": ["-c", "import typer"],
    "awictl --version": ["-m", "awictl", "--version"],
    "awictl session list --help": ["-m", "awictl", "session", "list", "--help"],
}


def seconds(arguments: list[str], env: dict[str, str]) -> float:
    """How long one process takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main(rounds: int) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with tempfile.TemporaryDirectory() as folder:
        everything, standard = Path(folder, "everything"), Path(folder, "standard")
        compiled = clean | {"PYTHONPYCACHEPREFIX": str(everything)}
        without = clean | {"PYTHONPYCACHEPREFIX": str(standard), "PYTHONDONTWRITEBYTECODE": "1"}
        for arguments in COMMANDS.values():
            seconds(arguments, compiled)
        shutil.copytree(everything, standard)
        for packages in (sys.prefix, Path(__file__).parents[1]):  # the virtual environment, and awictl itself
            shutil.rmtree(standard / Path(packages).resolve().relative_to("/"), ignore_errors=True)
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds):
            for name, arguments in COMMANDS.items():
                for kind, env in (("compiled", compiled), ("without", without)):
                    times.setdefault((name, kind), []).append(seconds(arguments, env))
    print(f"median of {rounds} rounds, in seconds\n\n{'':28}{'with .pyc':>12}{'without':>12}{'ratio':>9}")
    for name in COMMANDS:
        fast, slow = (statistics.median(times[name, kind]) for kind in ("compiled", "without"))
        print(f"{name:28}{fast:12.2f}{slow:12.2f}{slow / fast:8.1f}x")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
