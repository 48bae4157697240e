"""The run document itself: what every other format is drawn from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hartley.core.control_characters import visible_json
from hartley.core.errors import UsageError


def render(document: Mapping[str, Any]) -> str:
    """Return the document as JSON text.

    Raises:
        UsageError: it holds NaN or infinity, which JSON cannot carry.
    """
    try:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise UsageError(f"damaged run document: {error}") from error
    return visible_json(text)
