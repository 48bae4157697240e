"""Files of installed packages, without importing the packages.

To import scikit-learn takes a second, and digits and photographs need a file of it and no code.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hartley.core.errors import MissingExtra


def installed_file(package: str, name: str, extra: str = "vision") -> Path:
    """Return where a file of an installed package is.

    Args:
        package: the package that has the file, such as ``sklearn.datasets.images``.
        name: the file's name.
        extra: what brings the package along.

    Raises:
        MissingExtra: the package, or this file of it, is not installed.
    """
    top, *folders = package.split(".")
    spec = find_spec(top)  # of a package within another it would import the outer one
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (path := Path(place, *folders, name)).is_file():
            return path
    raise MissingExtra(f"{package} with its file {name}", extra)
