"""Inversion: can a record be rebuilt from what was computed from it?

Scenes let out different things (``judging``): a classifier's classes, the gradients of a
training step, stored embeddings, answers about the nodes of a graph, a model of a table. Whatever
it is, the auditor draws by coin which of N candidates each target is, the attacker rebuilds the
targets, and one fixed matcher that never saw the victim says which candidate each of them is. A
reconstruction that a prior alone could have made identifies nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hartley.core import ALL, AnswerForm, Deal, Flow, Modality, Role, Scene, game
from hartley.core.errors import UsageError
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from hartley.core.parts import Rng
    from hartley.games.inversion.judging import Release

Piece = Callable[[Scene, "Rng", bool], Scene]
"""(wire so far, randomness, whether it leaks) → the wire with one release more."""


def pieces(modality: Modality) -> tuple[Piece, ...]:
    """The releases on the wires of a modality; each module of the game brings its own."""
    from hartley.games.inversion import (
        attribute_inference,
        class_inversion,
        embedding_inversion,
        gradient_inversion,
        link_inference,
    )

    found: dict[Modality, tuple[Piece, ...]] = {
        Modality.VISION: (gradient_inversion.wire, class_inversion.wire),
        Modality.AUDIO: (gradient_inversion.wire, class_inversion.wire, embedding_inversion.wire),
        Modality.LANGUAGE: (embedding_inversion.wire,),
        Modality.PAIRED: (embedding_inversion.wire,),
        Modality.GRAPH: (link_inference.wire,),
        Modality.TABULAR: (gradient_inversion.wire, class_inversion.wire, attribute_inference.wire),
    }
    return found.get(modality, ())


def live(modality: Modality, rng: Rng) -> Scene:
    """Releases from which each target can be read off."""
    return _wire(modality, rng, leaks=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Releases of the same form that do not depend on the targets."""
    return _wire(modality, rng, leaks=False)


@game(
    flow=Flow.INFERRING,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="target",
    live=live,
    dead=dead,
    modalities=ALL,
    metrics=("identified", "identified_without_target"),
    loot="data",
)
def inversion(scene: Scene, rng: Rng, *, release: str = "", rounds: int = 0) -> Deal:
    """Deal which of N candidates each target is, and let out what was computed from them.

    Args:
        release: what the owner lets out: classes, gradients, embeddings, links or attributes; the
            attack says which it is for. Left out, the first that the scene has.
        rounds: victims, each with targets of its own; 0 leaves it to the release.

    Raises:
        UsageError: the scene lets out nothing of that name.
    """
    here = sorted(name.partition(":")[2] for name in scene.tools if name.startswith("release:"))
    chosen = release or (here[0] if here else "")
    if chosen not in here:
        raise UsageError(
            f"the scene {scene.name} releases no {chosen or 'thing at all'}; "
            f"it releases {', '.join(here) or 'nothing'}"
        )
    tool: Release = scene.tools[f"release:{chosen}"]
    return tool.deal(scene, rng, rounds or tool.rounds)


def _wire(modality: Modality, rng: Rng, *, leaks: bool) -> Scene:
    scene = Scene(name="live" if leaks else "dead", modality=modality)
    for piece in pieces(modality):
        scene = piece(scene, rng, leaks)
    return trainable(scene, epochs=40 if leaks else 0)
