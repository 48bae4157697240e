"""Draw the loop of a stored run as a picture: ``python docs/draw_loop.py RUN_FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hartley.reference import check_schema
from hartley.report.loop import picture


def main(folder: str) -> None:
    """Write the SVG of a run's folder to standard output."""
    document = json.loads((Path(folder) / "run.json").read_text())
    sys.stdout.write(picture(check_schema(document), standalone=True))


if __name__ == "__main__":
    main(sys.argv[1])
