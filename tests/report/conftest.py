"""The sample document, and the page drawn from it once."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from hartley.report import render


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
