"""Gate PGD: steps along the gradient from the refusal to the class that it hides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_model.jailbreak.pgd import pgd
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.jailbreak.blocked_class import BlockedClassBrief, blocked_class
from hartley.kit.evasion_losses import Loss

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=blocked_class,
    access=Access.SCORES | Access.GRADIENTS,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO),
    unfit={
        "graph": "the budget of graphs is a number of flipped links; gate_links follows gradients",
        "language": "words have no norm; the game of language models is jailbreak",
        "tabular": "the game has no tables",
        "paired": "the game has no pairs",
    },
    paper="arXiv:2306.13213",
    adapts=True,
    sweep={"loss": ("ce", "margin"), "step": (0.0, 0.25)},
)
def gate_pgd(
    view: View[BlockedClassBrief],
    rng: Rng,
    *,
    loss: Loss = "margin",
    steps: Annotated[int, Range(1, 10_000), Stronger.MORE] = 40,
    step: Annotated[float, Range(0, 2), Stronger.NEITHER] = 0.0,
    restarts: Annotated[int, Range(1, 100), Stronger.MORE] = 1,
    draws: Annotated[int, Range(1, 1000), Stronger.MORE] = 16,
) -> Outcome:
    """Change each record by projected steps until its own class comes out in the refusal's place.

    It is the attack on pictures of an aligned model, on a classifier; on sounds, where the record
    is a log-mel spectrogram, it has the role of AdvWave (arXiv:2412.08608).

    Args:
        loss: what is ascended: ce, margin or dlr.
        steps: number of steps.
        step: length of one, as a share of the budget; 0 is 2.5 / steps.
        restarts: random starts; the next one is for records that are not a success yet.
        draws: of a smoothed model's noise, for each slope.
    """
    return pgd(view, rng, loss=loss, steps=steps, step=step, restarts=restarts, draws=draws)
