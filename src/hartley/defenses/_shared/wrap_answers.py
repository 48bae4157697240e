"""Pass the answers of every model of a scene through a filter.

An output defense applies to the deployed model, to every victim that a game trains through
``Scene.fit``, and to the reference models that an adaptive attacker trains through ``Model.fit``
(the attacker knows the defense, so their reference models should answer as the victim does). It
leaves gradients and weights alone: an attacker who may read those can compute the undefended
answers, and gets the undefended model (``Model.clear``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Bound, Data, Ensemble, Fit, Modality, Model, Output, Scene
from hartley.core.capabilities import CAPABILITIES, Gives, check_answers
from hartley.core.errors import BadModel, RunError
from hartley.core.parts import DEFENSE_NAME
from hartley.kit.next_tokens import likeliest

if TYPE_CHECKING:
    from numpy.typing import NDArray

Filter = Callable[["NDArray[Any]", "NDArray[Any]", Output, str], "NDArray[Any]"]
"""(records (n, …), answers (n, …), their units, which model answers) → answers, same units."""

Scores = Callable[["NDArray[Any]", "NDArray[Any]", str], "NDArray[Any]"]
"""(tokens (n, t), log-probabilities (n, t−1), which model answers) → log-probabilities."""

_STAND_IN = Model("answers", Modality.TABULAR)
"""A model whose answers may have any width, for the check of their units."""

Call = Callable[["NDArray[Any]"], "NDArray[Any]"]
"""Records or tokens → answers about them."""

MOMENTS = ("", " mean", " deviation")
"""Suffixes of the model's name for the three numbers of ``moments``, so that noise differs."""

ABSENT = 1e-12
"""Probability in place of a smaller one, whose logarithm an answer would give."""

Change = Callable[[Model, str], Model]
"""(model, which model it is) → the defended model."""


def answers(
    scene: Scene,
    filter_: Filter,
    *,
    score: Scores | None = None,
    bounds: tuple[Bound, ...] = (),
) -> Scene:
    """Return the scene with every answer passed through ``filter_``.

    Args:
        scene: what to defend.
        filter_: what it does to answers and embeddings. ``who`` names the answering model:
            ``deployed``, ``victim 3`` (from ``Scene.fit``), ``reference 3`` (from ``Model.fit``).
            The likeliest next tokens pass through it as a row of probabilities, in which the
            tokens that the answer leaves out share the remainder evenly.
        score: what it does to a language model's scores; None leaves them alone.
        bounds: bounds that the defense proves, added to the scene's.

    Raises:
        RunError: the filter does not take these four arguments. A call raises it where the filter
            answers in another shape or in other units.
    """
    filter_ = _checked(filter_)

    def filtered(call: Call, output: Output, who: str) -> Call:
        return lambda x: filter_(x, call(x), output, who)

    def scored(call: Call, who: str) -> Call:
        assert score is not None
        return lambda tokens: score(tokens, call(tokens), who)

    def moved(call: Call, who: str) -> Call:
        def moments(tokens: NDArray[Any]) -> NDArray[Any]:
            # All three numbers pass through the filter: an unfiltered mean and deviation would
            # give the first away. The deviation is negated, since log-probabilities are negative.
            assert score is not None
            true_moments = call(tokens) * (1, 1, -1)
            columns = [
                score(tokens, true_moments[..., c], f"{who}{suffix}")
                for c, suffix in enumerate(MOMENTS)
            ]
            return np.stack(columns, -1) * (1, 1, -1)

        return moments

    def summed(whole: Call, who: str) -> Callable[..., NDArray[np.float64]]:
        """The ends of texts by the filtered scores of all of their tokens."""
        score_of = scored(whole, who)

        def tail_score(tokens: Any, first: Any, rough: bool = False) -> NDArray[np.float64]:
            del rough
            tokens = np.asarray(tokens)
            counts = np.arange(1, tokens.shape[1]) >= np.broadcast_to(first, len(tokens))[:, None]
            counts = counts & (tokens[:, 1:] >= 0)
            return np.asarray(np.where(counts, score_of(tokens), 0.0).sum(1))

        return tail_score

    def change(model: Model, who: str) -> Model:
        wraps: dict[Gives, Callable[[Call], Call]] = {
            Gives.ANSWERS: lambda call: filtered(call, model.output, who),
            Gives.EMBEDDINGS: lambda call: filtered(call, Output.EMBEDDINGS, who),
            Gives.LIKELIEST: lambda call: _topped(filter_, call, model.classes, who),
        }
        if score is not None:
            wraps[Gives.LOG_PROBABILITIES] = lambda call: scored(call, who)
            wraps[Gives.TAILS] = lambda _: summed(model.calls["score"], who)
            wraps[Gives.MOMENTS] = lambda call: moved(call, who)
        return model.with_(
            **{
                name: wraps[CAPABILITIES[name].gives](call)
                for name, call in model.calls.items()
                if CAPABILITIES[name].gives in wraps
            }
        )

    return models(scene, change, filter_=filter_, bounds=bounds)


def _topped(
    filter_: Filter, ask: Callable[..., NDArray[Any]], classes: int, who: str
) -> Callable[..., NDArray[Any]]:
    """Return the likeliest tokens by the filtered law; a bias changes the law before that."""

    def top(tokens: NDArray[Any], k: int, biased: NDArray[Any], bias: float) -> NDArray[Any]:
        raw = np.asarray(ask(tokens, k, biased, bias))
        law = _law(raw, classes)
        filtered = filter_(tokens, law, Output.PROBABILITIES, who)
        if filtered is law:
            return raw
        logs = np.log(np.maximum(filtered, ABSENT))
        return likeliest(logs, raw.shape[1], np.full((len(raw), 1), -1), 0.0)

    return top


def _law(top: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Return probabilities (n, classes) from the likeliest (n, k, 2) and their logarithms."""
    ids, given = top[..., 0].astype(np.int64), np.exp(top[..., 1])
    rest = np.maximum(1 - given.sum(1, keepdims=True), 0) / max(classes - top.shape[1], 1)
    law = np.tile(rest, (1, classes))
    np.put_along_axis(law, ids, given, 1)
    return np.asarray(law / law.sum(1, keepdims=True))


def _checked(filter_: Filter) -> Filter:
    """Return the filter with its answers checked: its mistakes are its own, not the model's."""
    name = DEFENSE_NAME.get() or getattr(filter_, "__name__", type(filter_).__name__)
    signature = inspect.signature(filter_)
    try:
        signature.bind(*range(4))
    except TypeError:
        raise RunError(
            f"the defense {name}: its filter must take (x, answers, output, who), got {signature}"
        ) from None

    def checked(x: NDArray[Any], raw: NDArray[Any], output: Output, who: str) -> NDArray[Any]:
        result = filter_(x, raw, output, who)
        mistake = _mistake(result, raw, output)
        if mistake and not _mistake(raw, raw, output):
            raise RunError(
                f"the defense {name}: its filter must return {output} of shape {np.shape(raw)}, "
                f"as it gets them, got {mistake}"
            )
        return result

    return checked


def _mistake(answers: Any, raw: NDArray[Any], output: Output) -> str:
    """Return what is wrong with answers in the place of ``raw``, or an empty string."""
    if not isinstance(answers, np.ndarray):
        return type(answers).__name__
    if answers.shape != np.shape(raw):
        return f"shape {answers.shape}"
    try:
        check_answers(_STAND_IN.with_(output=output), answers, len(answers))
    except BadModel:
        finite = output is Output.LABELS or np.isfinite(answers).all()
        return "rows that do not sum to 1 or are negative" if finite else "NaN or infinity"
    return ""


def models(
    scene: Scene,
    change: Change,
    *,
    filter_: Filter | None = None,
    bounds: tuple[Bound, ...] = (),
) -> Scene:
    """Return the scene with ``change`` applied to every model that it contains or trains.

    Args:
        scene: what to defend.
        change: turns a model into the defended one.
        filter_: the same for the answers of a whole ensemble at once; None leaves them alone.
        bounds: bounds that the defense proves, added to the scene's.
    """
    output = scene.model.output if scene.model is not None else Output.PROBABILITIES

    def around(fit: Fit | None, kind: str) -> Fit | None:
        if fit is None:
            return None

        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            return _ensemble(fit(data, include, seed), kind, change, filter_, output)

        return defended

    def deployed(model: Model) -> Model:
        defended_model = _keep_undefended(model, change(model, "deployed"))
        return defended_model.with_(fit=around(model.fit, "reference"))

    return replace(
        scene,
        model=None if scene.model is None else deployed(scene.model),
        fit=around(scene.fit, "victim"),
        # A part that answers attackers makes its models later, and puts the change around them.
        parts=tuple(
            part.defended(change) if hasattr(part, "defended") else part for part in scene.parts
        ),
        bounds=(*scene.bounds, *bounds),
    )


def _keep_undefended(model: Model, defended_model: Model) -> Model:
    """Return the defended model with the undefended one as its ``clear``."""
    return replace(defended_model, clear=model.clear or model)


def _ensemble(
    trained: Ensemble, kind: str, change: Change, filter_: Filter | None, output: Output
) -> Ensemble:
    def query(x: NDArray[Any]) -> NDArray[Any]:
        raw = trained.query(x)
        if filter_ is None:
            return raw
        return np.stack([filter_(x, raw[k], output, f"{kind} {k}") for k in range(trained.size)])

    def member(k: int) -> Model:
        model = trained.member(k)
        return _keep_undefended(model, change(model, f"{kind} {k}"))

    # A change of whole models may be one of their units.
    known = None if filter_ is None else trained.output
    return replace(trained, query=query, member=member, output=known)
