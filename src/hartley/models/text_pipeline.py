"""An owner of texts: from token rows to small transformers, each kept on disk by its content.

``TextPipeline.fit`` is a ``core.Fit``, as ``Pipeline.fit`` is one of labelled records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Model, Output, spawn
from hartley.kit.cache import cached, digest
from hartley.kit.ensemble_of import separate
from hartley.kit.fleet import Privacy
from hartley.kit.language import ghost_clipping, gpt
from hartley.kit.language.gpt_tails import GptTails
from hartley.models.causal import causal
from hartley.models.masked_loss import left_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORTH = 256
"""Tokens that a tree of rows has to spare a network of this size: as many as it reads meanwhile."""

OFFERS = Access.LABELS | Access.SCORES | Access.TRAIN


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
    """

    shape: gpt.Shape
    lesson: gpt.Lesson = field(default_factory=gpt.Lesson)
    start: Mapping[str, NDArray[Any]] | None = None
    private: Privacy | None = None
    name: str = "transformer"
    offers: Access = OFFERS
    cached: bool = True

    @property
    def recipe(self) -> dict[str, Any]:
        """The part of a cache key that describes the pipeline."""
        stamp: dict[str, Any] = {} if self.start is None else {"start": digest(self.start)}
        if self.private is not None:
            stamp["private"] = [ghost_clipping.VERSION, self.private.recipe]
        return {**gpt.recipe(self.shape, self.lesson), **stamp}

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

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train a network on each subset of ``data``; ``include`` is (K, n) booleans.

        ``data.facts["head"]`` replaces the output head after training: so the auditor plants a
        fingerprint behind any defense of ``Scene.fit``. The ensemble's facts include the owner's
        ``states``, which attackers do not get. Tokens that ``data`` names by
        ``masked_loss.leaving_out`` are left out of the loss.
        """
        include = np.asarray(include, dtype=bool)
        recipe = self.recipe

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
            return cached("gpt", key, train) if self.cached else train()

        def member(k: int) -> Model:
            head = data.facts.get("head", state(k)["tokens"])
            return self._model(state(k), head).with_(fit=self.fit)

        return separate([member(k) for k in range(len(include))], {"states": state})

    def _train(
        self, rows: NDArray[Any], seed: int, dropped: NDArray[np.bool_] | None
    ) -> dict[str, NDArray[np.float32]]:
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
