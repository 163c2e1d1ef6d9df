"""What the start of a command costs, against the bare imports of libraries.

Each command runs as a new process on a private Valkey, in alternation with an interpreter that only imports: `session
show` with `import redis, typer`, what a script with a command line needs at least, and `--version` with `import typer`.
All byte code is compiled. The medians of the pairs' ratios are compared, in elapsed and in processor time. Exits with 1
if a target is missed.

Then the same commands without byte code for anything but the standard library, as in a container image that was built
without compiling the packages.

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
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.documents import SESSION_ID, compact, document, put
from support.valkey import ValkeyServer

ROUNDS = 20
COMMANDS = {
    "import redis, typer": ["-c", "import redis, typer"],
    "awictl session show ID": ["-m", "awictl", "session", "show", SESSION_ID],
    "import typer": ["-c", "import typer"],
    "awictl --version": ["-m", "awictl", "--version"],
}
#: (command, what it is compared with, maximum ratio)
TARGETS = (
    ("awictl session show ID", "import redis, typer", 0.70),
    ("awictl --version", "import typer", 1.0),
)


class Duration(NamedTuple):
    """Seconds that one process takes."""

    elapsed: float
    processor: float


def duration(arguments: list[str], env: dict[str, str]) -> Duration:
    """Run a process, and measure it."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return Duration(elapsed, usage.ru_utime + usage.ru_stime)


def measure(rounds: int, folder: Path, env: dict[str, str]) -> dict[tuple[str, str], list[Duration]]:
    """The durations of each command, with all byte code (`compiled`) and without that of packages (`without`)."""
    everything, standard = folder / "everything", folder / "standard"
    compiled = env | {"PYTHONPYCACHEPREFIX": str(everything)}
    without = env | {"PYTHONPYCACHEPREFIX": str(standard), "PYTHONDONTWRITEBYTECODE": "1"}
    for arguments in COMMANDS.values():
        duration(arguments, compiled)
    shutil.copytree(everything, standard)
    for packages in (sys.prefix, Path(__file__).parents[1]):  # the virtual environment, and awictl itself
        shutil.rmtree(standard / Path(packages).resolve().relative_to("/"), ignore_errors=True)
    times: dict[tuple[str, str], list[Duration]] = {}
    for kind, variables in (("compiled", compiled), ("without", without)):
        for _ in range(rounds):
            for name, arguments in COMMANDS.items():
                times.setdefault((name, kind), []).append(duration(arguments, variables))
    return times


def main(rounds: int) -> int:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "REDIS_", "AWI_"))}
    with tempfile.TemporaryDirectory() as folder, ValkeyServer() as valkey:
        put(valkey, compact(document([0] * 10)))
        env = clean | {"REDIS_URL": f"redis://127.0.0.1:{valkey.port}", "XDG_CONFIG_HOME": folder}
        times = measure(rounds, Path(folder), env)
    print(f"median of {rounds} rounds, in seconds\n\n{'':28}{'with .pyc':>12}{'processor':>12}{'without':>12}")
    for name in COMMANDS:
        fast, slow = times[name, "compiled"], times[name, "without"]
        columns = [one.elapsed for one in fast], [one.processor for one in fast], [one.elapsed for one in slow]
        print(f"{name:28}" + "".join(f"{statistics.median(column):12.3f}" for column in columns))
    print(f"\n{'median ratio of the pairs':52}{'elapsed':>9}{'processor':>11}{'target':>9}")
    missed = False
    for name, other, target in TARGETS:
        pairs = list(zip(times[name, "compiled"], times[other, "compiled"], strict=True))
        elapsed = statistics.median(one.elapsed / base.elapsed for one, base in pairs)
        processor = statistics.median(one.processor / base.processor for one, base in pairs)
        print(f"{f'{name} / {other}':52}{elapsed:9.2f}{processor:11.2f}{f'<= {target:.2f}':>9}")
        missed |= max(elapsed, processor) > target
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
