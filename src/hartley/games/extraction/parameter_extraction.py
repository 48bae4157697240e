"""Parameter extraction: does a copy contain the symbols planted in the parameters of the victim?

In each round the auditor moves parameters of a small model by a random number of steps, and reads
the steps from the stolen parameters. A model of d such parameters with q bits each contains exactly
d·q bits; a copy that is exact contains all of them, one that only behaves alike few or none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Asset,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Output,
    Range,
    Role,
    Scene,
    Stronger,
    game,
)
from hartley.core.errors import RunError
from hartley.games.extraction import parameter_fingerprint
from hartley.games.extraction.fingerprint import ExtractionBrief, Planted, dealt
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit import dense_layers
from hartley.kit.answer_units import log_probabilities
from hartley.models.dense_network import LAYERS, owner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.dense_layers import Layers

HELD_OUT = 100_000
"""Inputs on which the copy is compared with the victim; neither attacker nor victim has them."""


@dataclass(frozen=True, slots=True)
class NetworkParameters:
    """The parameters of a scene's model, in which symbols can be planted.

    Attributes:
        layers: the public parameters, by name (``kit.dense_layers.named``).
        count: number of planted parameters at most.
        alphabet: number of symbols of each.
        step: distance between neighbouring symbols, as a share of the root mean square weight.
        planted: False plants nothing (the dead scene).
    """

    layers: Callable[[], dict[str, NDArray[Any]]]
    count: int
    alphabet: int = 16
    step: float = 0.02
    planted: bool = True


def live(modality: Modality, rng: Rng) -> Scene:
    """Tables: a logistic model; pictures: a network of one hidden layer. Both with symbols."""
    return _scene(modality, rng, planted=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """The same models without planted symbols."""
    return _scene(modality, rng, planted=False)


@game(
    cls="extraction",
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="planted parameter",
    live=live,
    dead=dead,
    brief=ExtractionBrief,
    modalities=(Modality.TABULAR, Modality.VISION),
    requires=("model", "fit", "train", "network_parameters", "public"),
    metrics=("fidelity", "baseline", "worst_error", "parameter_error", "queries"),
    loot="model",
    paper="arXiv:1609.02943",
)
def parameter_extraction(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 10_000), Stronger.TRIALS] = 8,
    queries: Annotated[int, Range(1), Stronger.MORE] = 200_000,
) -> Deal:
    """Plant symbols in the victims' parameters; the attacker returns a copy with parameters.

    The loot is a ``Model`` whose ``weights()`` are ``weight 0`` (units, inputs), ``bias 0``, … in
    the order of the layers. Without them all symbols are erasures. ``worst_error`` is the largest
    difference of an answer of the copy on 100,000 inputs around held-out records, in the units of
    the victim's answers; ``parameter_error`` the largest of a parameter of the first layer, as a
    share of the root mean square weight. Both are means over victims.

    Args:
        rounds: number of victims, each with its own secret.
        queries: largest number of records that the attacker may query per victim.
    """
    return dealt(planted_networks(scene, rng, rounds), scene, rng, queries=queries)


def planted_networks(scene: Scene, rng: Rng, rounds: int) -> Planted:
    """Plant symbols in the same parameters of every victim, new ones in each."""
    assert scene.model is not None and scene.train is not None
    part, output = scene.part(NetworkParameters), scene.model.output
    base = dense_layers.from_named(part.layers())
    where = parameter_fingerprint.places(
        base,
        rng,
        count=part.count,
        alphabet=part.alphabet,
        step=part.step,
        softmax=output is Output.PROBABILITIES,
    )
    truth = rng.integers(0, part.alphabet, (rounds, len(where.rows)))
    carried = truth if part.planted else np.full_like(truth, (part.alphabet - 1) // 2)
    networks = [parameter_fingerprint.plant(base, where, symbols) for symbols in carried]
    everyone, seed = np.ones((1, len(scene.train)), dtype=bool), scene.settings.seed
    victims = tuple(
        scene.victims(
            replace(scene.train, facts={**scene.train.facts, LAYERS: dense_layers.named(network)}),
            everyone,
            seed,
        ).member(0)
        for network in networks
    )
    near = scene.extra.get("test", scene.extra["public"]).x
    inputs = _around(near, np.random.default_rng(int(rng.integers(2**31))))
    shape = (-1, *near.shape[1:])

    def read(loot: Asset, k: int) -> NDArray[Any]:
        del k
        return parameter_fingerprint.read(_layers(loot), base, where)

    def metrics(loot: Asset, k: int) -> dict[str, float]:
        if not isinstance(loot, Model):
            raise RunError(f"the loot must be a model, got data {loot.name!r}")
        right = _answers(dense_layers.forward(networks[k], inputs), output)
        copied = np.asarray(loot.query(inputs.reshape(shape)), dtype=np.float64)
        copied = _in_units(copied, loot.output, output)
        public = _answers(dense_layers.forward(base, inputs), output)
        table = parameter_fingerprint.aligned(_layers(loot), base, where)
        true_table = parameter_fingerprint.aligned(networks[k], base, where)
        assert true_table is not None
        size = float(np.sqrt(np.mean(networks[k][0][0] ** 2)))
        error = 1.0 if table is None else float(np.abs(table - true_table).max()) / size
        return {
            "fidelity": _explained(copied, right),
            "baseline": _explained(public, right),
            "worst_error": float(np.abs(copied - right).max()),
            "parameter_error": error,
        }

    return Planted(victims, truth, part.alphabet, read, metrics)


def _layers(loot: Asset) -> Layers:
    weights = loot.weights() if isinstance(loot, Model) and loot.weights is not None else {}
    return dense_layers.from_named(weights)


def _around(records: NDArray[Any], rng: Rng) -> NDArray[np.float64]:
    """Return flat inputs (HELD_OUT, d): records, each moved by noise of the records' deviation."""
    flat = np.asarray(records, dtype=np.float64).reshape(len(records), -1)
    rows = rng.integers(0, len(flat), HELD_OUT)
    noise = rng.standard_normal((HELD_OUT, flat.shape[1]))
    return np.asarray(flat[rows] + noise * flat.std(0))


def _answers(scores: NDArray[Any], output: Output) -> NDArray[np.float64]:
    """Return scores as answers of the victim."""
    if output is Output.PROBABILITIES:
        return np.exp(log_probabilities(scores, Output.LOGITS))
    return np.asarray(scores, dtype=np.float64)


def _in_units(answers: NDArray[Any], given: Output, wanted: Output) -> NDArray[np.float64]:
    """Return answers of a copy in the units of the victim.

    Raises:
        RunError: the copy answers with labels or embeddings, or with a softmax of logits.
    """
    if given is wanted:
        return np.asarray(answers, dtype=np.float64)
    if given is Output.LOGITS and wanted is Output.PROBABILITIES:
        return _answers(answers, wanted)
    raise RunError(f"the copy must answer with {wanted}, got {given}")


def _explained(answers: NDArray[Any], right: NDArray[Any]) -> float:
    """Return the share of the variance of the victim's answers that others explain, at most 1."""
    if answers.shape != right.shape:
        return 0.0
    centred = right - right.mean(0)
    return float(1 - ((answers - right) ** 2).sum() / (centred**2).sum())


def _scene(modality: Modality, rng: Rng, *, planted: bool) -> Scene:
    vision = modality is Modality.VISION
    shape = tiny_shape(modality, "extraction", flat=8)
    inputs, widths = int(np.prod(shape)), (3,) if vision else ()
    sizes = (inputs, *widths, 2)
    layers = tuple(
        (rng.standard_normal((b, a)) / np.sqrt(a), 0.3 * rng.standard_normal(b))
        for a, b in pairwise(sizes)
    )
    output = Output.LOGITS if vision else Output.PROBABILITIES
    fit = owner(widths, modality, output, classes=2)

    def data(name: str, n: int) -> Data:
        x = rng.standard_normal((n, *shape))
        return Data(name, modality, x, rng.integers(0, 2, n))

    train = data("train", 8)
    train = replace(train, facts={LAYERS: dense_layers.named(layers)})
    return Scene(
        name="live" if planted else "dead",
        modality=modality,
        model=fit(train, np.ones((1, 8), dtype=bool), 0).member(0),
        train=train,
        fit=fit,
        extra={"public": data("public", 32), "test": data("test", 32)},
        parts=(
            NetworkParameters(
                lambda: dense_layers.named(layers), count=9, alphabet=4, step=0.1, planted=planted
            ),
        ),
    )
