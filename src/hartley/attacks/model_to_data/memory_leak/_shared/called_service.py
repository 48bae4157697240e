"""Calls of a retrieval service: many at once, and what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality, Model, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray


def called(model: Model, name: str, arguments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Call the service once with each of some arguments; a refusal comes back empty.

    Args:
        model: the service.
        name: of the call.
        arguments: of each call, by name.
    """
    if not arguments:
        return []
    results = model.calls["tools"]([(name, dict(given)) for given in arguments])
    return [dict(result) if isinstance(result, Mapping) else {} for result in results]


def hits_of(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the hits of one result; none where the call was refused."""
    return [dict(hit) for hit in result.get("hits", ())]


def texts_of(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the texts of all hits of results."""
    return [str(hit.get("text", "")) for result in results for hit in hits_of(result)]


def numbers_of(subjects: Sequence[str], read: Mapping[str, str], words: Sequence[str]) -> Outcome:
    """Return the answer to a question for each subject: the number of the word that was read.

    Args:
        subjects: in the order of the questions.
        read: words by subject.
        words: the alphabet.
    """
    number = {word: k for k, word in enumerate(words)}
    guess = np.array([number.get(read.get(subject, ""), -1) for subject in subjects], np.int64)
    return answered(guess, [f"{subject}: {word}" for subject, word in read.items()])


def answered(guess: NDArray[Any], loot: Sequence[str]) -> Outcome:
    """Return an answer with the texts that were read as its loot."""
    texts = np.array(list(loot) or [""], dtype=np.str_)
    return Outcome(guess=guess, asset=Data("what was read", Modality.LANGUAGE, texts))
