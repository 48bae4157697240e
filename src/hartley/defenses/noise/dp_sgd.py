"""DP-SGD: clip the gradient of every record and add noise, for differential privacy."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hartley.core import Bound, Modality, Range, Scene, Term, defense
from hartley.core.errors import MissingExtra, RunError, UsageError
from hartley.infotheory.privacy_loss import subsampled_gaussian_mi
from hartley.kit.fleet import Privacy
from hartley.models.training_defense import PrivatePipeline, retrained

if TYPE_CHECKING:
    from hartley.core.parts import Rng

LOOSE = 20.0
"""The ε above which the privacy loss is too wide for the grid of the PRV accountant."""


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
    requires=("private_training", "model", "train"),
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

    The guarantee is for one record added or removed, under Poisson sampling. This is the coin of
    the membership game, which includes or omits each record and leaves all others as they are. A
    text is one record, a row of tokens: the guarantee for the author of several texts is weaker.
    The ceiling on the bits of a record (`mi_bits`) comes from the whole privacy loss of the steps,
    which allows 3 to 13 times fewer bits than ε and δ alone.
    Sampling rate, steps and divisor depend on the size of the deployed training set, which is
    public, and never on the records of a model. If the owner's training takes no step, the private
    training takes none either.

    The defense claims no bound for memorization. A canary with another secret replaces ``repeats``
    records, which is a group of 2·repeats records. At the 16 of that game's default the bound
    exceeds the whole secret from ε = 0.35 (6.1 of 6.6 bits at ε = 0.25). A single update that a
    client sends is 2/σ²-zCDP for one of the client's records replaced by another.

    Args:
        epsilon: of the (ε, δ) guarantee.
        delta: of the (ε, δ) guarantee.
        clip: bound on the norm of one record's gradient.
        rate: probability that a record is in the batch of a step.
        epochs: expected uses of each record; 0 takes the default, 10 for texts and 40 otherwise.
        lr: learning rate of Adam on the noisy gradients; 0 takes the default, 0.01 for texts and
            0.02 otherwise.
        accountant: the accountant of Opacus that computes epsilon; above 20 it is always rdp,
            where prv takes minutes and overflows.

    Raises:
        UsageError: no noise reaches the guarantee.
        RunError: the owner's training does not give the gradient of every record.
    """
    owner = scene.training
    if not isinstance(owner, PrivatePipeline) or scene.train is None:
        raise RunError(
            f"the training of {scene.name} must give the gradient of every record for dp_sgd"
        )
    steps = max(1, round(epochs / rate)) if owner.epochs else 0
    privacy = Privacy(
        noise=noise_for(epsilon, delta, rate=rate, steps=steps, accountant=accountant),
        clip=clip,
        rate=rate,
        steps=steps,
        expected=rate * len(scene.train),
        lr=lr,
    )
    proved = {"epsilon": epsilon, "delta": delta}
    if privacy.noise > 0.0:
        proved["mi_bits"] = subsampled_gaussian_mi(privacy.noise, rate, steps)
    return retrained(
        scene,
        rng,
        "dp_sgd",
        owner.privately(privacy),
        bounds=(Bound("dp", proved, games=("membership",)),),
        facts={"noise multiplier": privacy.noise},
    )


@cache
def noise_for(
    epsilon: float, delta: float, *, rate: float, steps: int, accountant: str = "prv"
) -> float:
    """Return the noise multiplier at which Opacus' accountant reports at most ``epsilon``.

    It is 0 if there are no steps. Above ``LOOSE`` the accountant is Rényi's, which then finishes
    in seconds; it asks for a little more noise (4 % at ε = 50).

    Raises:
        MissingExtra: Opacus is not installed.
        UsageError: no noise reaches ``epsilon``.
    """
    if steps == 0:
        return 0.0
    try:
        from opacus.accountants.utils import get_noise_multiplier
    except ModuleNotFoundError as absent:
        raise MissingExtra("opacus", "dp") from absent
    try:
        with warnings.catch_warnings():
            # The Rényi search warns when its best order is the last one it tries: the bound is then
            # a little looser than it could be, but valid.
            warnings.filterwarnings("ignore", message="Optimal order is the")
            # At a sampling rate of 1 it computes ln 0 and rightly continues with −∞.
            warnings.filterwarnings("ignore", message="divide by zero")
            multiplier: Any = get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=delta,
                sample_rate=rate,
                steps=steps,
                accountant="rdp" if epsilon > LOOSE else accountant,
                # Opacus' own 0.01 takes minutes where ε is in the hundreds.
                epsilon_tolerance=max(0.01, epsilon / 1000.0),
            )
    except ValueError as error:
        raise UsageError(f"no noise reaches epsilon={epsilon}: {error}") from error
    return float(multiplier)
