"""The sample document, and the page drawn from it once."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hartley.report import figures, render


def _sample() -> Any:
    path = Path(__file__).with_name("sample.py")
    spec = importlib.util.spec_from_file_location("hartley_report_sample", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def document() -> dict[str, Any]:
    """A fresh run document, so that a test may change it."""
    made: dict[str, Any] = _sample().document()
    return made


@pytest.fixture
def minimal() -> dict[str, Any]:
    """The least that a run document may be."""
    return {
        "schema": "hartley.run/2",
        "id": "least",
        "version": "0.1.0",
        "scene": {"name": "nothing"},
        "channels": [],
        "verdict": {"status": "inconclusive", "reasons": ["nothing was measured"]},
    }


@pytest.fixture(scope="session")
def page() -> str:
    """The page drawn from the sample."""
    return render(_sample().document(), "html")


DRAWN_ANEW = ("test_drawings.py", "test_render.py", "test_real_run.py")
"""Files whose tests are about the drawings themselves."""


@pytest.fixture(autouse=True, scope="module")
def _charts_are_drawn_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Draw a chart of the same rows once: nine tenths of the time of a page."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.name not in DRAWN_ANEW:
            for name in ("forest", "roc"):
                patch.setattr(figures, name, _drawn_once(getattr(figures, name)))
        yield


_charts: dict[str, str] = {}


def _drawn_once(draw: Callable[..., str]) -> Callable[..., str]:
    def drawn(*words: Any, **named: Any) -> str:
        key = repr((draw.__name__, words, named))
        if key not in _charts:
            _charts[key] = draw(*words, **named)
        return _charts[key]

    return drawn
