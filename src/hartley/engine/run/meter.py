"""The seal between an attack and a scene: it hides, counts, freezes and checks.

An attack gets exactly what it declared. Every answer is counted and checked against the units that
the model declares, because a model that says logits where probabilities were promised makes an
attack look weak without a word (PEERS §3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Model, Output, View
from hartley.core.assets import Session
from hartley.core.errors import AccessDenied, BadModel, BudgetSpent
from hartley.engine.run.answer_cache import recalled

if TYPE_CHECKING:
    from numpy.typing import NDArray

Ask = Callable[..., "NDArray[Any]"]
"""(callable, records, …) → what it answers, from memory or anew."""


@dataclass(slots=True)
class Meter:
    """Counts what an attack uses, over all rounds of one play."""

    budget: int | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def queries(self) -> int:
        """Records the victim answered, by any of its callables."""
        return sum(self.counts.values())

    def spend(self, what: str, uses: int) -> None:
        """Count ``uses`` of ``what``.

        Raises:
            BudgetSpent: the budget does not cover them; they are not answered.
        """
        if self.budget is not None and self.queries + uses > self.budget:
            raise BudgetSpent(
                f"{self.queries + uses} queries, but the budget is {self.budget}: "
                "ask for fewer records or raise the budget"
            )
        self.counts[what] = self.counts.get(what, 0) + uses


def seal(view: View, needs: Access, meter: Meter) -> View:
    """Return the view as the attack may have it: read-only, metered, less what it did not declare.

    Raises:
        AccessDenied: the model does not offer what the attack needs.
    """
    source = view.source
    return replace(
        view,
        source=seal_model(source, needs, meter) if isinstance(source, Model) else _freeze(source),
        public=_freeze(view.public),
        question=_freeze(view.question),
        facts=_told(view.facts),
    )


def seal_model(model: Model, needs: Access, meter: Meter) -> Model:
    """Return the model with metered callables, and None for each that ``needs`` leaves out.

    Raises:
        AccessDenied: the model does not offer what ``needs`` declares.
    """
    lacking = (
        needs
        & ~model.offers
        & (
            Access.LABELS
            | Access.SCORES
            | Access.EMBEDDINGS
            | Access.GRADIENTS
            | Access.WEIGHTS
            | Access.TRAIN
        )
    )
    if lacking:
        raise AccessDenied(
            f"needs {', '.join(lacking.words)}, which {model.name!r} does not offer "
            f"(it offers {', '.join(model.offers.words) or 'nothing'})"
        )
    ask: Ask = recalled
    if model.clear is not None and needs & (Access.WEIGHTS | Access.GRADIENTS):
        behind = model.clear
        model = replace(
            model,
            query=behind.query,
            output=behind.output,
            score=behind.score,
            moments=behind.moments,
            generate=behind.generate,
            # Who was only shown gradients still has to ask for them: a budget counts on.
            session=behind.session if needs & Access.WEIGHTS else model.session,
        )
    if model.session is not None:
        model, ask = _opened(model, model.session()), _anew
    query, output = _query(model, needs, meter, ask)
    return replace(
        model,
        query=query,
        output=output,
        score=_metered(model.score, "score", meter, ask) if needs & Access.SCORES else None,
        moments=_metered(model.moments, "moments", meter, ask) if needs & Access.SCORES else None,
        generate=_metered(model.generate, "generate", meter, ask)
        if needs & (Access.LABELS | Access.SCORES)
        else None,
        grad=_metered(model.grad, "grad", meter, ask) if needs & Access.GRADIENTS else None,
        weights=_frozen_weights(model.weights) if needs & Access.WEIGHTS else None,
        fit=model.fit if needs & Access.TRAIN else None,
        clear=None,
        offers=needs,
        facts=model.facts,
    )


def _anew(function: Callable[..., NDArray[Any]], x: NDArray[Any], *rest: Any) -> NDArray[Any]:
    """Ask without memory: in a session the same question may cost again, and be answered less."""
    return function(x, *rest)


def _opened(model: Model, session: Session) -> Model:
    """The model as it answers one attacker from now on."""
    return replace(
        model,
        query=session("query", model.query),
        score=None if model.score is None else session("score", model.score),
        moments=None if model.moments is None else session("moments", model.moments),
        generate=None if model.generate is None else session("generate", model.generate),
        grad=None if model.grad is None else session("grad", model.grad),
        session=None,
    )


def _query(
    model: Model, needs: Access, meter: Meter, ask: Ask
) -> tuple[Callable[[NDArray[Any]], NDArray[Any]], Output]:
    if not needs & (Access.LABELS | Access.SCORES | Access.EMBEDDINGS):

        def denied(x: NDArray[Any]) -> NDArray[Any]:
            raise AccessDenied(f"query({len(x)} records) without declaring labels or scores")

        return denied, model.output
    labels_only = not needs & (Access.SCORES | Access.EMBEDDINGS) and model.output in {
        Output.PROBABILITIES,
        Output.LOGITS,
    }

    def query(x: NDArray[Any]) -> NDArray[Any]:
        meter.spend("query", len(x))
        answers = check(model, ask(model.query, x), len(x))
        if labels_only:
            answers = answers.argmax(1)
        answers.flags.writeable = False
        return answers

    return query, Output.LABELS if labels_only else model.output


def check(model: Model, answers: NDArray[Any], n: int) -> NDArray[Any]:
    """Hold a batch of answers against what the model declares; return it as a fresh array view.

    Raises:
        BadModel: NaN, a wrong shape, or other units than declared.
    """
    answers = np.asarray(answers).view()
    kind = model.output
    shape = (n,) if kind is Output.LABELS else (n, model.classes) if model.classes else None
    if shape is not None and answers.shape != shape:
        raise BadModel(
            f"{model.name!r} answered with shape {answers.shape}; {kind} for {n} records "
            f"means {shape}"
        )
    if kind is Output.LABELS:
        return answers
    # The sum is NaN or infinite exactly when some entry is: one pass, no temporary of flags.
    if not np.isfinite(answers.sum(dtype=np.float64)):
        raise BadModel(f"{model.name!r} answered with NaN or infinity")
    if (
        kind is Output.PROBABILITIES
        and n
        and (float(answers.min()) < -1e-4 or float(np.abs(answers.sum(1) - 1).max()) > 1e-2)
    ):
        raise BadModel(
            f"{model.name!r} declares probabilities, but rows do not sum to 1 or are negative "
            "(are they logits? declare output=Output.LOGITS)"
        )
    return answers


def _metered(
    function: Callable[..., NDArray[Any]] | None, what: str, meter: Meter, ask: Ask
) -> Callable[..., NDArray[Any]] | None:
    if function is None:
        return None

    def metered(x: NDArray[Any], *rest: Any) -> NDArray[Any]:
        meter.spend(what, len(x))
        answers = np.asarray(ask(function, x, *rest)).view()
        if answers.dtype.kind == "f" and not np.isfinite(answers.sum(dtype=np.float64)):
            raise BadModel(f"{what} answered with NaN or infinity")
        answers.flags.writeable = False
        return answers

    return metered


def _frozen_weights(
    weights: Callable[[], Mapping[str, NDArray[Any]]] | None,
) -> Callable[[], Mapping[str, NDArray[Any]]] | None:
    if weights is None:
        return None

    def frozen() -> Mapping[str, NDArray[Any]]:
        return {name: _read_only(array) for name, array in weights().items()}

    return frozen


def _freeze(data: Any) -> Any:
    if not isinstance(data, Data):
        return data
    return replace(
        data,
        x=_read_only(data.x),
        y=None if data.y is None else _read_only(data.y),
        edges=None if data.edges is None else _read_only(data.edges),
        facts=_told(data.facts),
    )


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts whose arrays and records cannot be written to: all rounds of a deal share them."""
    return {
        name: _read_only(one) if isinstance(one, np.ndarray) else _freeze(one)
        for name, one in facts.items()
    }


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(array).view()
    array.flags.writeable = False
    return array
