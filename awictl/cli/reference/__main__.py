"""`python -m awictl.cli.reference [FOLDER]`."""

import sys
from pathlib import Path

from . import main

main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
