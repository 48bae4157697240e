"""LiRA: a likelihood-ratio test of each record against reference models with and without it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.model_to_data.membership._shared import augmentations
from hartley.attacks.model_to_data.membership._shared.normal_laws import laws, log_density
from hartley.attacks.model_to_data.reference_models import confidence, references
from hartley.core import ALL, Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES | Access.TRAIN,
    term=Term.NOISE,
    modalities=ALL,
    paper="arXiv:2112.03570",
    adapts="trains",
)
def lira(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    references: Annotated[int, Range(2, 512), Stronger.MORE] = 64,
    online: bool = True,
    variance: Literal["shrunk", "one", "each"] = "shrunk",
    augment: Annotated[int, Range(1, 50)] = 1,
) -> Outcome:
    """Compare the victim's confidence in a record with models that were and were not trained on it.

    Args:
        references: number of reference models, each trained on a random half of the records.
        online: use models with and without the record; else only those without it.
        variance: "one" for all records with the record and one without it, as the paper does with
            few models; "each" record its own pair; "shrunk": the one pair, times a scale of each
            record that both share and that is drawn towards 1 as far as few models say little of
            it (empirical Bayes, doi:10.2202/1544-6115.1027).
        augment: number of variants of a picture to query: the picture and shifted copies. Their
            confidences are modelled as a normal vector, with one covariance for all records.

    Raises:
        UsageError: ``augment`` above 1 for records that are not pictures.
    """
    del rng
    question = view.brief.question
    fleet = _references(view, references)
    variants = _variants(question, augment)
    shadow = np.stack([fleet.confidence(variant) for variant in variants], -1)
    victim = np.stack([confidence(view.model, variant) for variant in variants], -1)
    posterior = None
    out, *member = laws(shadow, (~fleet.include, fleet.include)[: 1 + online], variance)
    if online:
        guess = log_density(victim, *member[0]) - log_density(victim, *out)
        posterior = 1 / (1 + np.exp(-np.clip(guess, -30, 30)))
    else:
        # One-sided: how far the confidence is above the record's "out" distribution. It is monotone
        # in the paper's 1 − Pr[Z > confidence], and finite where that probability rounds to 1.
        mean, covariance = out
        z_scores = (victim - mean) / np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
        guess = z_scores.mean(-1)
    return Outcome(guess=guess, asset=claimed(question, guess > 0), posterior=posterior)


_references = references


def _variants(question: Data, count: int) -> list[Data]:
    if count == 1:
        return [question]
    if question.modality is not Modality.VISION or question.x.ndim != 4:
        raise UsageError(f"augment must be 1 for records that are not pictures, got {count}")
    pictures = augmentations.pictures(np.asarray(question.x), count)
    return [question, *(replace(question, x=x) for x in pictures[1:])]
