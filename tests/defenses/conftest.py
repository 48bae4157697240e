"""The digits scene, built once for the defences that stand in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hartley.core import Scene
from hartley.scenes.digits import digits as recipe


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield recipe(epochs=40)
