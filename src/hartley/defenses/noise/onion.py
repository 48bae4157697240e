"""ONION: take words out of an input that a language model does not expect there."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Ensemble, Modality, Range, Scene, Term, defense
from hartley.core.errors import UsageError
from hartley.defenses._shared import wrap_answers
from hartley.defenses._shared.clean_records import clean_records
from hartley.games.poisoning.poisoning import CLEANED
from hartley.kit.language.word_model import PublicTexts, WordModel, windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import Model
    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("poisoning",),
    modalities=(Modality.LANGUAGE,),
    unfit={
        "vision": "it takes out words, and records of this kind have none",
        "audio": "it takes out words, and records of this kind have none",
        "tabular": "it takes out words, and records of this kind have none",
        "graph": "it takes out words, and records of this kind have none",
        "paired": "inputs are pictures; their captions are asked about only as candidates",
    },
    paper="arXiv:2011.10369",
    strongest={"false_alarms": 0.2},
    requires=("model", "fit", "train", "holdout"),
)
def onion(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.1,
    clean: Annotated[int, Range(2)] = 1000,
) -> Scene:
    """Take out the words without which an input is less surprising, before the model reads it.

    A word is taken out if the text without it has a lower perplexity by more than all but a share
    ``false_alarms`` of the words of clean held-out texts. The paper asks GPT-2; here a trigram
    model answers, which is trained on the scene's public texts (a dictionary, say), or on half of
    the clean texts where the scene has none. The difference is of logarithms of perplexity, so that
    one threshold suits easy and difficult texts. A text whose words would all go stays as it is.

    Args:
        false_alarms: share of the words of clean texts that the threshold takes out.
        clean: the owner's held-out texts that the threshold is calibrated on, at most.

    Raises:
        UsageError: the held-out texts have no two words.
    """
    del rng
    trusted = clean_records(scene, clean, "onion")
    public = scene.find(PublicTexts)
    half = len(trusted) // 2 if public is None else 0
    model = WordModel(map(str, trusted.x[:half])) if public is None else public.model
    usual = [suspicion(model, str(text)) for text in trusted.x[half:]]
    values = np.concatenate(usual)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        raise UsageError("onion must have held-out texts of two words or more")
    limit = float(np.quantile(values, 1 - false_alarms, method="higher"))

    @lru_cache(maxsize=2**17)
    def cleaned(text: str) -> str:
        words = text.split()
        keep = suspicion(model, text) <= limit
        return " ".join(w for w, stays in zip(words, keep, strict=True) if stays) or text

    def purify(x: NDArray[Any]) -> NDArray[Any]:
        return np.array([cleaned(str(text)) for text in x], dtype=np.str_)

    def change(inner: Model, who: str) -> Model:
        del who
        ask = inner.query
        return inner.with_(query=lambda x: ask(purify(x)))

    after = wrap_answers.models(scene, change)
    fit = after.fit
    assert fit is not None

    def around(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        trained = fit(data, include, seed)
        ask, before = trained.query, trained.facts.get(CLEANED, lambda x: x)
        facts = {**trained.facts, CLEANED: lambda x: purify(before(x))}
        return replace(trained, query=lambda x: ask(purify(x)), facts=facts)

    return replace(after, fit=around)


def suspicion(model: WordModel, text: str) -> NDArray[np.float64]:
    """Return, for each word of a text (words,), by how much the text is less surprising without it.

    That is the difference of the logarithms of the two perplexities, in nats a word.
    """
    numbers = model.numbers(text)
    words = len(numbers) - 3
    if words < 2:
        return np.full(max(words, 0), -np.inf)
    nats = -model.log_probabilities(windows(numbers))
    total = nats.sum()
    at = np.arange(words)
    # Without word k only what is said of the next two words and of their places changes.
    padded = np.concatenate([numbers, [numbers[-1]]])
    one = np.stack([padded[at], padded[at + 1], padded[at + 3]], 1)
    two = np.stack([padded[at + 1], padded[at + 3], padded[at + 4]], 1)
    new = -model.log_probabilities(np.stack([one, two], 1))
    before = np.concatenate([nats, [0.0]])
    last = at == words - 1  # only the end of the text follows
    gone = before[at] + before[at + 1] + np.where(last, 0, before[at + 2])
    without = total - gone + new[:, 0] + np.where(last, 0, new[:, 1])
    return np.asarray(total / (words + 1) - without / words)
