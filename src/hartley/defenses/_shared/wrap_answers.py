"""Put a defence round everything that answers in a scene.

An output defence has to stand in front of the deployed model, of every victim that a game trains
through ``Scene.fit``, and of the references that an adaptive attacker trains through ``Model.fit``
(he knows the defence, so his references should answer as the victim does). It leaves gradients and
weights alone: who may read those does not ask through the door that it guards, and gets the answers
of the model behind it (``Model.clear``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Bound, Data, Ensemble, Fit, Model, Output, Scene
from hartley.core.capabilities import CAPABILITIES, Gives

if TYPE_CHECKING:
    from numpy.typing import NDArray

Filter = Callable[["NDArray[Any]", "NDArray[Any]", Output, str], "NDArray[Any]"]
"""(records (n, …), answers (n, …), their units, who answers) → answers in the same units."""

Scores = Callable[["NDArray[Any]", "NDArray[Any]", str], "NDArray[Any]"]
"""(tokens (n, t), log-probabilities (n, t−1), who answers) → the same after the defence."""

Call = Callable[["NDArray[Any]"], "NDArray[Any]"]
"""Records or tokens → answers about them."""

MOMENTS = ("", " mean", " deviation")

Change = Callable[[Model, str], Model]
"""(model, who answers) → the model behind the defence."""


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
        filter_: what it does to answers and embeddings. ``who`` tells the answering models apart:
            ``deployed``, ``victim 3`` (from ``Scene.fit``), ``reference 3`` (from ``Model.fit``).
        score: what it does to a language model's scores; None leaves them alone.
        bounds: what the defence proves, added to the scene's.
    """

    def filtered(call: Call, output: Output, who: str) -> Call:
        return lambda x: filter_(x, call(x), output, who)

    def scored(call: Call, who: str) -> Call:
        assert score is not None
        return lambda tokens: score(tokens, call(tokens), who)

    def moved(call: Call, who: str) -> Call:
        def moments(tokens: NDArray[Any]) -> NDArray[Any]:
            # The same law for all three numbers, or the two that it spares would tell the first.
            # A standard deviation is passed as a negative number, as log-probabilities are.
            assert score is not None
            clear = call(tokens) * (1, 1, -1)
            parts = [score(tokens, clear[..., c], f"{who}{w}") for c, w in enumerate(MOMENTS)]
            return np.stack(parts, -1) * (1, 1, -1)

        return moments

    def change(model: Model, who: str) -> Model:
        wraps: dict[Gives, Callable[[Call], Call]] = {
            Gives.ANSWERS: lambda call: filtered(call, model.output, who),
            Gives.EMBEDDINGS: lambda call: filtered(call, Output.EMBEDDINGS, who),
        }
        if score is not None:
            wraps[Gives.LOG_PROBABILITIES] = lambda call: scored(call, who)
            wraps[Gives.MOMENTS] = lambda call: moved(call, who)
        return model.with_(
            **{
                name: wraps[CAPABILITIES[name].gives](call)
                for name, call in model.calls.items()
                if CAPABILITIES[name].gives in wraps
            }
        )

    return models(scene, change, filter_=filter_, bounds=bounds)


def models(
    scene: Scene,
    change: Change,
    *,
    filter_: Filter | None = None,
    bounds: tuple[Bound, ...] = (),
) -> Scene:
    """Return the scene with ``change`` made to every model that it holds or trains.

    Args:
        scene: what to defend.
        change: what happens to one model.
        filter_: what that means for the answers of a whole ensemble at once; None leaves them.
        bounds: what the defence proves, added to the scene's.
    """
    output = scene.model.output if scene.model is not None else Output.PROBABILITIES

    def around(fit: Fit | None, whose: str) -> Fit | None:
        if fit is None:
            return None

        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            return _ensemble(fit(data, include, seed), whose, change, filter_, output)

        return defended

    def deployed(model: Model) -> Model:
        made = _before(model, change(model, "deployed"))
        return made.with_(fit=around(model.fit, "reference"))

    return replace(
        scene,
        model=None if scene.model is None else deployed(scene.model),
        fit=around(scene.fit, "victim"),
        bounds=(*scene.bounds, *bounds),
    )


def _before(model: Model, shielded: Model) -> Model:
    """The shielded model, with the one behind all shields for who can open it."""
    return replace(shielded, clear=model.clear or model)


def _ensemble(
    trained: Ensemble, whose: str, change: Change, filter_: Filter | None, output: Output
) -> Ensemble:
    def query(x: NDArray[Any]) -> NDArray[Any]:
        raw = trained.query(x)
        if filter_ is None:
            return raw
        return np.stack([filter_(x, raw[k], output, f"{whose} {k}") for k in range(trained.size)])

    def member(k: int) -> Model:
        model = trained.member(k)
        return _before(model, change(model, f"{whose} {k}"))

    return replace(trained, query=query, member=member)
