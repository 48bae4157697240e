"""DP-SGD: no single record can move the training far, and noise hides what it did move."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hartley.core import Access, Bound, Modality, Range, Scene, Term, defense
from hartley.core.errors import MissingExtra, RunError, UsageError
from hartley.kit.fleet import Privacy
from hartley.kit.nets import dense
from hartley.models.pipeline import Pipeline
from hartley.models.training_defense import LABELLED, PrivatePipeline, retrained

if TYPE_CHECKING:
    from hartley.core.parts import Rng


def usual(scene: Scene) -> dict[str, float]:
    """Return the epochs and the learning rate of a transformer, or of small nets."""
    if scene.modality is Modality.LANGUAGE:
        return {"epochs": 10.0, "lr": 0.01}
    return {"epochs": 40.0, "lr": 0.02}


@defense(
    term=Term.NOISE,
    stage="training",
    protects=(
        *("membership", "memorization"),
        *("class_inversion", "gradient_inversion", "attribute_inference"),
    ),
    modalities=(Modality.VISION, Modality.LANGUAGE, Modality.TABULAR, Modality.AUDIO),
    paper="arXiv:1607.00133",
    strongest={"epsilon": 0.5},
    requires=("fit", "model", "train"),
    usual=usual,
)
def dp_sgd(
    scene: Scene,
    rng: Rng,
    *,
    epsilon: Annotated[float, Range(0, open_low=True)] = 4.0,
    delta: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 1e-5,
    clip: Annotated[float, Range(0, open_low=True)] = 1.0,
    rate: Annotated[float, Range(0, 1, open_low=True)] = 0.25,
    epochs: Annotated[float, Range(0)] = 0.0,
    lr: Annotated[float, Range(0)] = 0.0,
    accountant: Literal["prv", "rdp"] = "prv",
) -> Scene:
    """Train with clipped per-record gradients and Gaussian noise, accounted by Opacus.

    The claim is for one record added or removed, under Poisson sampling: exactly the coin of the
    membership game, which puts each record in or leaves it out with all others as they are. A
    text is one record, a row of tokens: who wrote several of them is promised less.
    Sampling rate, steps and divisor come from the size of the deployed training set, a public
    number, and never from the records a model happens to have. An owner who takes no step takes
    none in private either.

    Of memorization no ceiling is claimed: a canary with another secret is ``repeats`` records
    taken out and as many put in, hence a group of 2·repeats, and for the 16 of that game's own
    setting the bound lies above the whole secret from ε = 0.35 on (6.1 of 6.6 bits at ε = 0.25).
    A single update that a client sends is 2/σ²-zCDP for one of his records replaced by another.

    Args:
        epsilon: the guarantee, together with delta.
        delta: the chance that the guarantee fails.
        clip: bound on the norm of one record's gradient.
        rate: chance of a record to be in the batch of a step.
        epochs: expected uses of each record; 0 takes the usual number, 40, of texts 10.
        lr: learning rate of Adam on the noisy gradients; 0 takes the usual, 0.02, of texts 0.01.
        accountant: Opacus' accountant that joins noise to epsilon.

    Raises:
        UsageError: no noise reaches the guarantee.
    """
    assert scene.fit is not None and scene.model is not None and scene.train is not None
    owner = _owner(scene)
    steps = max(1, round(epochs / rate)) if owner.epochs else 0
    privacy = Privacy(
        noise=noise_for(epsilon, delta, rate=rate, steps=steps, accountant=accountant),
        clip=clip,
        rate=rate,
        steps=steps,
        expected=rate * len(scene.train),
        lr=lr,
    )
    return retrained(
        scene,
        rng,
        "dp_sgd",
        owner.privately(privacy),
        bounds=(Bound("dp", {"epsilon": epsilon, "delta": delta}, games=("membership",)),),
        facts={"noise multiplier": privacy.noise},
    )


@cache
def noise_for(
    epsilon: float, delta: float, *, rate: float, steps: int, accountant: str = "prv"
) -> float:
    """The noise multiplier at which Opacus' accountant reports at most ``epsilon``.

    No steps need none.

    Raises:
        MissingExtra: Opacus is not installed.
        UsageError: numbers for which no noise is enough.
    """
    if steps == 0:
        return 0.0
    try:
        from opacus.accountants.utils import get_noise_multiplier
    except ModuleNotFoundError as absent:
        raise MissingExtra("opacus", "dp") from absent
    try:
        with warnings.catch_warnings():
            # The Rényi search says when its best order is the last one it tries: the bound is then
            # a little looser than it could be, and as valid.
            warnings.filterwarnings("ignore", message="Optimal order is the")
            # Where every step takes all records it asks for ln 0, and rightly goes on with −∞.
            warnings.filterwarnings("ignore", message="divide by zero")
            found: Any = get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=delta,
                sample_rate=rate,
                steps=steps,
                accountant=accountant,
            )
    except ValueError as error:
        raise UsageError(f"no noise reaches epsilon={epsilon}: {error}") from error
    return float(found)


def _owner(scene: Scene) -> PrivatePipeline:
    """The owner, if he can train privately; of labelled records, else, a dense net of usual size.

    Raises:
        RunError: of his training no record's own gradient can be clipped.
    """
    own = scene.training
    if isinstance(own, PrivatePipeline):
        return own
    assert scene.model is not None and scene.train is not None
    if scene.train.y is None or scene.modality not in LABELLED:
        raise RunError(
            f"dp_sgd clips every record's own gradient, and the training of {scene.name} shows none"
        )
    return Pipeline(
        dense(scene.train.x.shape[1:], scene.model.classes),
        modality=scene.modality,
        offers=scene.model.offers & ~(Access.GRADIENTS | Access.WEIGHTS),
        cached=False,
    )
