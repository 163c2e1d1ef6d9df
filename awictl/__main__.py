"""Entry point of the command `awictl`, also as `python -m awictl`."""

import gc
import sys


def main() -> None:
    """Run the command line and exit with its exit code."""
    gc.disable()  # what the imports create is never garbage; `execute` enables it again for commands that last
    if sys.argv[1:2] == ["__complete"]:  # from a completion script: it has no time to import the command line
        from .cli.completion.values import main as complete

        complete(sys.argv[2:])
    try:
        from .cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # during the imports; `run` handles it later
        code = 130
    gc.freeze()  # nor is it searched for garbage when the interpreter ends
    sys.exit(code)


if __name__ == "__main__":
    main()
