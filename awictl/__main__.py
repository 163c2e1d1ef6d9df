"""The program `awictl`."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from .cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before anything could handle it
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
