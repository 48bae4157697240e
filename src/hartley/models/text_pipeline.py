"""An owner of texts: from token rows to small transformers, each kept on disk by its content.

``TextPipeline.fit`` is a ``core.Fit``, as ``Pipeline.fit`` is one of labelled records.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Asset, Codec, Data, Ensemble, Model, Output, Slot, spawn
from hartley.core.errors import UsageError
from hartley.kit.cache import cached, digest
from hartley.kit.ensemble_of import separate
from hartley.kit.fleet import Privacy
from hartley.kit.language import ghost_clipping, gpt
from hartley.kit.language.gpt_tails import GptTails
from hartley.kit.language.text import pad
from hartley.models.causal import causal
from hartley.models.masked_loss import left_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORTH = 256
"""Tokens that a tree of rows has to spare a network of this size: as many as it reads meanwhile."""

OFFERS = Access.LABELS | Access.SCORES | Access.TRAIN


@dataclass(frozen=True, slots=True, eq=False)
class Later:
    """A training that follows the one on the records.

    Attributes:
        rows: (n, t) token ids, padded with −1, none of which is a record.
        lesson: the recipe.
    """

    rows: NDArray[Any]
    lesson: gpt.Lesson

    @property
    def recipe(self) -> list[Any]:
        """The part of a cache key that describes it."""
        return [self.rows, asdict(self.lesson)]


@dataclass(frozen=True, slots=True, eq=False)
class TextPipeline:
    """How an owner trains on texts, one network after another.

    Attributes:
        shape: the network.
        lesson: the recipe.
        start: parameters that every network starts from, made without any of the records; None
            draws them.
        private: train by DP-SGD with these numbers, one record per text, or None.
        name: what to call the models.
        offers: what the models offer an attacker.
        cached: keep what was trained on disk.
        later: trainings that follow the one on the records, in order.
        poison: (n, t) rows that others slipped into the records, padded with −1; every network is
            trained on them. None for none.
        codec: texts to tokens; without one no texts can enter the training.
    """

    shape: gpt.Shape
    lesson: gpt.Lesson = field(default_factory=gpt.Lesson)
    start: Mapping[str, NDArray[Any]] | None = None
    private: Privacy | None = None
    name: str = "transformer"
    offers: Access = OFFERS
    cached: bool = True
    later: tuple[Later, ...] = ()
    poison: NDArray[Any] | None = None
    codec: Codec | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        """The part of a cache key that describes the pipeline."""
        stamp: dict[str, Any] = {} if self.start is None else {"start": digest(self.start)}
        if self.private is not None:
            stamp["private"] = [ghost_clipping.VERSION, self.private.recipe]
        if self.poison is not None:
            stamp["poison"] = self.poison
        recipe = {**gpt.recipe(self.shape, self.lesson), **stamp}
        return recipe if not self.later else {**recipe, "later": [e.recipe for e in self.later]}

    def with_(self, **changes: Any) -> TextPipeline:
        """The same pipeline with some fields changed."""
        return replace(self, **changes)

    @property
    def epochs(self) -> int:
        """Passes over the records; with 0 the weights stay as drawn."""
        return self.lesson.epochs

    def privately(self, privacy: Privacy) -> TextPipeline:
        """Return the same owner, training by DP-SGD."""
        return self.with_(private=privacy)

    def entered(self, slot: Slot, asset: Asset) -> TextPipeline | None:
        """Return the same owner with an attacker's texts in the training, or None.

        Texts are questions with ``facts["answers"]``, each read as one row. In the role ``poison``
        they are among the records from the beginning. As ``tuning examples`` they are what the
        attacker has the finished network tuned on, as the facts ``steps``, ``batch`` and ``rate``
        say.

        Raises:
            UsageError: a text is longer than the context, or the tuning is not of all weights.
        """
        if slot is not Slot.TRAIN or self.codec is None or not isinstance(asset, Data):
            return None
        answers = asset.facts.get("answers")
        if answers is None or len(answers) != len(asset) or not len(asset):
            return None
        written = [f"{q}{a}" for q, a in zip(asset.x.tolist(), answers, strict=True)]
        rows = np.asarray(self.codec.encode(written), dtype=np.int64)
        longest = int((rows >= 0).sum(1).max())
        if longest > self.shape.context:
            raise UsageError(f"texts must have at most {self.shape.context} tokens, got {longest}")
        if asset.role == "poison":
            return self.with_(poison=rows if self.poison is None else _joined(self.poison, rows))
        if (method := asset.facts.get("method", "full")) != "full":
            raise UsageError(f"method must be full for {self.name}, got {method!r}")
        batch, steps = int(asset.facts["batch"]), int(asset.facts["steps"])
        epochs = math.ceil(steps / math.ceil(len(rows) / batch))
        lesson = gpt.Lesson(epochs=epochs, batch=batch, rate=float(asset.facts["rate"]), decay=0.0)
        return self.with_(later=(*self.later, Later(rows, lesson)))

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train a network on each subset of ``data``; ``include`` is (K, n) booleans.

        ``data.facts["head"]`` replaces the output head after training: so the auditor plants a
        fingerprint behind any defense of ``Scene.fit``. The ensemble's facts include the owner's
        ``states``, which attackers do not get. Tokens that ``data`` names by
        ``masked_loss.leaving_out`` are left out of the loss.
        """
        include = np.asarray(include, dtype=bool)
        recipe = self.with_(later=()).recipe

        @cache
        def state(k: int) -> dict[str, NDArray[Any]]:
            rows = data.x[include[k]]
            member_seed = spawn(seed, "member", k)
            key = {**recipe, "rows": rows, "seed": member_seed}
            dropped = left_out(data)
            if dropped is not None:
                dropped = dropped[include[k]]
                key["dropped"] = dropped
            train = partial(self._train, rows, member_seed, dropped)
            out = cached("gpt", key, train) if self.cached else train()
            # Each training is kept for itself: many tunings begin where one victim ends.
            for number, each in enumerate(self.later):
                key = {**key, f"later {number}": each.recipe}
                order = spawn(member_seed, "later", number)
                follow = partial(gpt.train, each.rows, self.shape, each.lesson, order, start=out)
                out = cached("gpt", key, follow) if self.cached else follow()
            return out

        def member(k: int) -> Model:
            head = data.facts.get("head", state(k)["tokens"])
            return self._model(state(k), head).with_(fit=self.fit)

        return separate([member(k) for k in range(len(include))], {"states": state})

    def _train(
        self, rows: NDArray[Any], seed: int, dropped: NDArray[np.bool_] | None
    ) -> dict[str, NDArray[np.float32]]:
        if self.poison is not None:
            whole = _joined(rows, self.poison)
            if dropped is not None:
                learnt = np.zeros(whole.shape, dtype=bool)
                learnt[: len(rows), : rows.shape[1]] = dropped
                dropped = learnt
            rows = whole
        if self.private is not None:
            return ghost_clipping.train_private(
                rows, self.shape, self.private, seed, dropped, start=self.start
            )
        return gpt.train(rows, self.shape, self.lesson, seed, dropped, start=self.start)

    def _model(self, state: Mapping[str, NDArray[Any]], head: NDArray[Any]) -> Model:
        import torch

        parameters = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
        out = torch.from_numpy(np.array(head, dtype=np.float32))
        return causal(
            self.name,
            partial(gpt.hidden, parameters, self.shape),
            lambda states: states @ out.T,
            vocabulary=self.shape.vocabulary,
            context=self.shape.context,
            output=Output.LOGITS,
            offers=self.offers,
            facts={"parameters": sum(a.size for a in state.values())},
            worth=WORTH,
            tails=GptTails(parameters, self.shape, out),
        )


def _joined(rows: NDArray[Any], more: NDArray[Any]) -> NDArray[np.int64]:
    """Return rows (n, t) and (m, u) as one, padded to the longer."""
    return pad([[i for i in row if i >= 0] for block in (rows, more) for row in block.tolist()])
