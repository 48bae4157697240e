"""``need_pack``: a test that needs a pack skips where it is absent, and fails in CI."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hartley.core.errors import MissingPack
from hartley.data import packs


@pytest.fixture(scope="session")
def need_pack() -> Callable[[str], Path]:
    def need(name: str) -> Path:
        try:
            return packs.locate(name)
        except MissingPack as absent:
            core = {pack.name for pack in packs.catalogue() if pack.core}
            if os.environ.get("CI") and name in core:
                pytest.fail(f"in CI a core pack must be here: {absent}")
            pytest.skip(str(absent))

    return need
