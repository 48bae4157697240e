"""Files of installed packages are those that the packages read, and their code is not imported."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hartley.core.errors import MissingExtra
from hartley.data.installed_files import installed_file
from hartley.data.vision import digits

ALONE = """
import sys
from hartley.data.photos import carriers
from hartley.data.vision import digits
packages = {"sklearn", "skimage", "scipy"}
print(len(digits()), len(carriers(2)), *packages & sys.modules.keys())
"""


def test_digits_are_those_that_scikit_learn_loads():
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.load_digits(return_X_y=True)
    data = digits()
    assert np.array_equal(data.x.reshape(-1, 64) * 16, x) and np.array_equal(data.y, y)
    assert (data.x.dtype, data.y.dtype) == (np.float32, np.int64)


def test_digits_and_photographs_import_none_of_the_packages_that_bring_them():
    pytest.importorskip("skimage")
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["1797", "2"], done.stderr


@pytest.mark.parametrize("package", ["sklearn.datasets.data", "not_a_package.data"])
def test_a_file_that_is_not_installed_names_the_extra(package):
    with pytest.raises(MissingExtra, match=r"with its file no\.png is not installed; try: pip"):
        installed_file(package, "no.png")
