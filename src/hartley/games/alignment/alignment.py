"""Alignment: how much of what a picture says of its caption does an attacker destroy?

A dual encoder embeds pictures and captions in one space, and its owner finds the caption of a
picture (or the picture of a caption) among N. That is a channel: the auditor draws the place of the
true partner, and the owner decodes the nearest one. The attacker gets held-out pairs and changes
the picture or the caption within a budget; what the owner decodes then is compared with what they
decode without the attack. N-way retrieval certifies bits by Fano's inequality; InfoNCE
(arXiv:1807.03748) on the round as one held-out batch, with the encoder as it is, is beside it.

Beside the bits are the quantities of arXiv:2411.11195, late edition. The signal of one half of a
pair is the energy of its embedding along that of the clean other half: the projection, which may be
negative, squared. Its noise is the rest. The effective semantic capacity I(z; y | t) is bounded by
the encoder's own law over the N candidates.

Where the owner has a filter of pairs, an answer whose pair is refused is an abstention.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Model,
    Outcome,
    Range,
    Received,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.core.brief import adaptive_only_but
from hartley.core.errors import UsageError
from hartley.games.alignment import live_alignment
from hartley.games.alignment.caption_words import as_read
from hartley.games.alignment.changed_pairs import PairBudget, changed_pairs
from hartley.games.alignment.pair_encoders import CAPTIONS, PairEncoders
from hartley.infotheory import retrieval, semantic_capacity
from hartley.kit.interval_values import Figure, share_figure
from hartley.kit.pair_agreement import PairAgreement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Floats = NDArray[np.float64]

SHARPNESS = 1 / 0.07
"""Inverse temperature of a dual encoder that states none (arXiv:2103.00020)."""

PASSES = 4
"""Times that an encoder which answers with noise is asked, for its internal noise."""

THINGS, FAINT = 192, 1 / 3
"""Held-out pairs of the live and dead scenes, and how faint they are. Of an attack that changes all
pairs of a round alike the rounds are the units: eight, and one change must drown each picture."""


def live(modality: Modality, rng: Rng) -> Scene:
    """Faint pictures that a linear encoder reads exactly, and any change drowns."""
    return live_alignment.scene(modality, rng, aligned=True, things=THINGS, faint=FAINT)


def dead(modality: Modality, rng: Rng) -> Scene:
    """An encoder of pictures that has nothing to do with captions: there is nothing to destroy."""
    return live_alignment.scene(modality, rng, aligned=False, things=THINGS, faint=FAINT)


def _filter_before(gate: PairAgreement | None, undefended: Scene) -> PairAgreement | None:
    """Return the filter that a static attacker knows of: a deployed one."""
    del gate
    return undefended.find(PairAgreement)


@dataclass(frozen=True, slots=True)
class AlignmentBrief:
    """What an attacker of alignment knows; the source of the view is the encoder of pictures.

    Attributes:
        question: the pairs to change: pictures, and tokens of captions in the facts.
        captions: the encoder of captions, tokens (n, t) → embeddings (n, w).
        rivals: (n, N − 1, w) embeddings of the other candidates of each pair, captions or pictures.
        direction: ``picture_to_caption``, where captions are looked for, or
            ``caption_to_picture``.
        budget: what may be changed of a pair.
        public: the attacker's own pairs.
        gate: the owner's filter of pairs, or None.
    """

    question: Data
    captions: Model
    rivals: NDArray[Any]
    direction: str
    budget: PairBudget
    public: Data
    gate: PairAgreement | None = field(
        default=None, kw_only=True, metadata=adaptive_only_but(_filter_before)
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Encoded:
    """Embeddings (n, w) of pictures and of captions, and the passes behind the pictures'."""

    pictures: Floats
    captions: Floats
    passes: Floats

    def where(self, chosen: NDArray[np.bool_], others: _Encoded) -> _Encoded:
        """Return these embeddings for pairs that are chosen (n,), and others for the rest."""
        at = chosen[:, None]
        return _Encoded(
            np.where(at, self.pictures, others.pictures),
            np.where(at, self.captions, others.captions),
            np.where(at, self.passes, others.passes),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Owner:
    """The owner's side: the encoders, what is searched, and the filter that refuses answers."""

    part: PairEncoders
    pictures: Model
    captions: Model
    gallery: _Encoded
    sharpness: float
    direction: str
    gate: PairAgreement | None

    def decoded(
        self, pairs: _Encoded, rows: NDArray[Any], among: NDArray[Any], truth: NDArray[Any]
    ) -> tuple[NDArray[np.int64], Floats, NDArray[np.bool_]]:
        """Return symbols (n,), −1 for a refused answer; similarities (n, N); and what was refused.

        Args:
            pairs: as the owner gets them.
            rows: (n,) their numbers.
            among: (n, N) numbers of the candidates, the pair's own at its place.
            truth: (n,) that place.
        """
        of_picture = self.direction == "picture_to_caption"
        query = pairs.pictures if of_picture else pairs.captions
        stored = self.gallery.captions if of_picture else self.gallery.pictures
        candidates = stored[among]
        candidates[np.arange(len(rows)), truth] = pairs.captions if of_picture else pairs.pictures
        alike = np.einsum("nw,nkw->nk", query, candidates)
        best = alike.argmax(1)
        # A tie is decoded wrong: a constant encoder must not gain from the order.
        ties = (alike == alike.max(1, keepdims=True)).sum(1) > 1
        best[ties & (best == truth)] = (truth[ties & (best == truth)] + 1) % alike.shape[1]
        refused = np.zeros(len(rows), dtype=bool)
        if self.gate is not None:
            answer = candidates[np.arange(len(rows)), best]
            refused = self.gate.refuses(*((query, answer) if of_picture else (answer, query)))
        return np.where(refused, -1, best).astype(np.int64), alike, refused


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """What the auditor drew for a round.

    Attributes:
        rows: (n,) numbers of the pairs.
        among: (n, N) numbers of the candidates.
        reached: (n,) which pairs reach the owner as the attacker changed them.
    """

    rows: NDArray[np.int64]
    among: NDArray[np.int64]
    reached: NDArray[np.bool_]


@game(
    flow=Flow.PREDICTION,
    role=Role.JAM,
    form=AnswerForm.SYMBOL,
    unit="pair",
    live=live,
    dead=dead,
    brief=AlignmentBrief,
    modalities=(Modality.PAIRED,),
    requires=("model", "pair_encoders"),
    metrics=("accuracy_before", "accuracy_after", "misled", "refused"),
    loot="data",
    paper="arXiv:2411.11195",
)
def alignment(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 8,
    pairs: Annotated[int, Range(2, 1000), Stronger.TRIALS] = 24,
    candidates: Annotated[int, Range(2, 10_000), Stronger.NEITHER] = 64,
    direction: Literal["picture_to_caption", "caption_to_picture"] = "picture_to_caption",
    epsilon: Annotated[float, Range(0, 1), Stronger.MORE] = 0.0,
    area: Annotated[float, Range(0, 1), Stronger.MORE] = 0.2,
    words: Annotated[int, Range(0, 100), Stronger.MORE] = 1,
    share: Annotated[float, Range(0, 1, open_low=True), Stronger.MORE] = 1.0,
) -> Deal:
    """Look for the partner of held-out pairs among candidates; the attacker changes the pairs.

    No pair is in two rounds. The other candidates of a pair are drawn from all held-out pairs.
    ``rounds_cut`` says how many of the rounds that were asked for had no held-out pairs left.

    Args:
        rounds: batches of pairs, fewer where there are fewer held-out pairs.
        pairs: held-out pairs of a round.
        candidates: N, of which one is the partner.
        direction: whether captions are looked for by pictures, or pictures by captions.
        epsilon: largest change of a pixel; 0 is what the scene declares.
        area: share of the pixels of a picture that may change at will instead.
        words: words of a caption that may be put in, left out or replaced.
        share: chance that a pair reaches the owner as the attacker changed it, and not clean. A
            filter that refuses changed pairs leaves more of the channel where there are others.

    Raises:
        UsageError: there are too few held-out pairs, or they do not fit the model.
    """
    assert scene.model is not None
    part = scene.part(PairEncoders)
    ordered, rounds = rounds, _checked(part, scene.model, rounds, pairs, candidates)
    part = as_read(part)
    budget = PairBudget(part.budget.with_(epsilon=epsilon), area, words)
    owner = _owner(scene, part, direction)
    rows = rng.permutation(len(part.test))[: rounds * pairs].reshape(rounds, pairs)
    salt = int(rng.integers(2**31))
    stored = owner.gallery.captions if direction == "picture_to_caption" else owner.gallery.pictures
    dealt, drawn = [], []
    for chosen in rows:
        others = np.stack([_others(k, len(part.test), candidates - 1, rng) for k in chosen])
        truth = rng.integers(0, candidates, pairs)
        among = _with_own(others, chosen, truth)
        drawn.append(_Drawn(chosen, among, rng.random(pairs) < share))
        # The attacker gets the rivals in an order that says nothing of the place.
        view = View(
            source=owner.pictures,
            brief=AlignmentBrief(
                question=_some(part.test, chosen),
                captions=owner.captions,
                rivals=stored[np.sort(others, axis=1)],
                direction=direction,
                budget=budget,
                public=part.public,
                gate=owner.gate,
            ),
            defenses=scene.defenses,
            salt=salt,
        )
        dealt.append(Round(view=view, truth=truth, alphabet=candidates))

    def judge(rounds_: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        return [
            _read(owner, budget, round_, outcome, draw)
            for round_, outcome, draw in zip(rounds_, outcomes, drawn, strict=True)
        ]

    return Deal(
        rounds=tuple(dealt),
        judge=judge,
        # The model is there already, and pairs are drawn independently of one another. Whether an
        # attack changed all of them alike is read from what it handed in (``one_change``).
        cluster=False,
        metrics={**_cut(ordered - rounds), **_of_filter(owner, rng)},
    )


def _checked(part: PairEncoders, model: Model, rounds: int, pairs: int, candidates: int) -> int:
    """Return how many rounds the held-out pairs are enough for."""
    test = part.test
    tokens = np.asarray(test.facts.get(CAPTIONS, np.empty(0)))
    if tokens.ndim != 2 or len(tokens) != len(test):
        raise UsageError(
            f"{test.name!r} must have a caption for each of its {len(test)} pictures, got tokens "
            f"of shape {tokens.shape}"
        )
    if len(test) < max(pairs, candidates):
        raise UsageError(
            f"alignment must have {max(pairs, candidates)} held-out pairs or more, got {len(test)}"
        )
    if model.reads and model.reads != sum(part.sizes()):
        raise UsageError(
            f"{model.name!r} must read the {sum(part.sizes())} features of a pair, got a model of "
            f"{model.reads}"
        )
    return min(rounds, len(test) // pairs)


def _cut(rounds: int) -> dict[str, float]:
    return {"rounds_cut": float(rounds)} if rounds else {}


def _owner(scene: Scene, part: PairEncoders, direction: str) -> _Owner:
    assert scene.model is not None
    pictures, captions = part.picture_model(scene.model), part.caption_model(scene.model)
    gallery = _encoded(pictures, captions, part.test.x, part.test.facts[CAPTIONS])
    sharpness = float(scene.model.facts.get("sharpness", SHARPNESS))
    gate = scene.find(PairAgreement)
    return _Owner(part, pictures, captions, gallery, sharpness, direction, gate)


def _encoded(pictures: Model, captions: Model, x: NDArray[Any], tokens: NDArray[Any]) -> _Encoded:
    passes = 1 if pictures.deterministic else PASSES
    every = np.stack([np.asarray(pictures.query(x), np.float64) for _ in range(passes)])
    return _Encoded(every[0], np.asarray(captions.query(tokens), np.float64), every)


def _others(own_row: int, size: int, count: int, rng: Rng) -> NDArray[np.int64]:
    """Return numbers of other pairs, each once."""
    drawn = rng.permutation(size - 1)[:count]
    return np.asarray(drawn + (drawn >= own_row))


def _with_own(
    others: NDArray[np.int64], chosen: NDArray[Any], truth: NDArray[Any]
) -> NDArray[np.int64]:
    """Return candidates (n, N): the others, with each pair's number at its place."""
    n, count = others.shape
    out = np.empty((n, count + 1), np.int64)
    places = np.arange(count + 1) != truth[:, None]
    out[places] = others.ravel()
    out[np.arange(n), truth] = chosen
    return out


def _some(data: Data, rows: NDArray[Any]) -> Data:
    facts = {CAPTIONS: data.facts[CAPTIONS][rows]}
    return Data("pairs", data.modality, data.x[rows], role="targets", facts=facts)


def _read(
    owner: _Owner, budget: PairBudget, round_: Round, outcome: Outcome, draw: _Drawn
) -> Received:
    """Return what the owner decodes of the changed pairs of a round, and of the clean ones."""
    question, truth, chosen = round_.view.brief.question, round_.truth, draw.rows
    changed = changed_pairs(question, outcome, budget, owner.part)
    before = _Encoded(
        owner.gallery.pictures[chosen],
        owner.gallery.captions[chosen],
        owner.gallery.passes[:, chosen],
    )
    attacked = _after(owner, before, changed)
    after = attacked.where(draw.reached, before)
    metrics: dict[str, float] = {"outside_budget": changed.outside}
    symbols = []
    # Which half the attacker changed: its signal is what the clean other half is for.
    of_caption = bool(changed.caption_changed.any() and not changed.picture_changed.any())
    # Signal and noise are of the changed pairs, whether or not they reach the owner.
    for word, pairs in (("before", before), ("changed", attacked)):
        metrics |= _late(before, pairs, word, of_caption=of_caption)
    # The rest is of all pairs of the round as they reach the owner.
    for word, pairs in (("before", before), ("after", after)):
        got, alike, refused = owner.decoded(pairs, chosen, draw.among, truth)
        symbols.append(got)
        metrics |= {
            f"misled_{word}": float(((got >= 0) & (got != truth)).mean()),
            f"abstained_{word}": float(refused.mean()),
            f"effective_capacity_{word}": semantic_capacity.effective_capacity(
                owner.sharpness * alike, truth, prior=np.full(alike.shape[1], 1 / alike.shape[1])
            ).value,
            f"infonce_{word}": retrieval.info_nce(
                owner.sharpness * (pairs.pictures @ pairs.captions.T)[None]
            ).value,
        }
    metrics["misled"], metrics["refused"] = metrics["misled_after"], metrics["abstained_after"]
    if owner.gate is not None:
        caught = owner.gate.refuses(attacked.pictures, attacked.captions)
        metrics["caught"] = float(caught.mean())
    return Received(
        guess=symbols[1],
        reference=symbols[0],
        metrics=metrics,
        columns={"item": chosen},
        dependent=one_change(np.asarray(question.x), changed.pictures)
        or one_edit(question.facts[CAPTIONS], changed.captions),
    )


ALIKE = 0.5
"""Size of the cosine of the changes of two pictures, in the mean, from which they are taken for one
change; and the share of the changed captions above which an edit is taken for one of all.

A change of all pictures at once keeps above it what is cut at black and at white; changes that are
found for each picture alone stay far below. The size, since one pattern that is added to some
pictures and taken off others is one change."""


def one_change(clean: NDArray[Any], pictures: NDArray[Any]) -> bool:
    """Whether one and the same change was made to the pictures that differ, of shape (n, …).

    What is decoded of one pair then says something of the others, whatever the attack declares.
    """
    changes = (np.asarray(pictures, np.float64) - clean).reshape(len(clean), -1)
    sizes = np.linalg.norm(changes, axis=1)
    rows = changes[sizes > 0] / sizes[sizes > 0, None]
    n = len(rows)
    if n < 2:
        return False
    # Of two different rows: the diagonal is n.
    return bool((float(np.abs(rows @ rows.T).sum()) - n) / (n * (n - 1)) > ALIKE)


def one_edit(clean: NDArray[Any], captions: NDArray[Any]) -> bool:
    """Whether most captions that differ got the same tokens, wherever they were put.

    Of a caption that got none, it is the tokens that it lost that count.

    Args:
        clean: (n, t) tokens, padded with −1.
        captions: (n, u) after the change.
    """
    edits: Counter[tuple[object, ...]] = Counter()
    for before, after in zip(np.asarray(clean), np.asarray(captions), strict=True):
        had, has = (Counter(row[row >= 0].tolist()) for row in (before, after))
        got, lost = has - had, had - has
        if got or lost:
            edits["got" if got else "lost", *sorted((got or lost).items())] += 1
    n = edits.total()
    return n > 1 and edits.most_common(1)[0][1] > max(1, ALIKE * n)


def _after(owner: _Owner, before: _Encoded, changed: Any) -> _Encoded:
    """Return the embeddings of the changed pairs; a half that did not change keeps its own."""
    pictures, captions, passes = (
        before.pictures.copy(),
        before.captions.copy(),
        before.passes.copy(),
    )
    rows = np.flatnonzero(changed.picture_changed)
    if len(rows):
        for one in passes:
            one[rows] = owner.pictures.query(changed.pictures[rows])
        pictures[rows] = passes[0][rows]
    rows = np.flatnonzero(changed.caption_changed)
    if len(rows):
        captions[rows] = owner.captions.query(changed.captions[rows])
    return _Encoded(pictures, captions, passes)


def _late(clean: _Encoded, pairs: _Encoded, word: str, *, of_caption: bool) -> Mapping[str, float]:
    """Return signal and noise of one half of pairs, by the clean embedding of the other half."""
    half, other, undisturbed = pairs.passes, clean.captions, clean.passes.mean(0)
    if of_caption:
        half, other, undisturbed = pairs.captions[None], clean.pictures, clean.captions
    split = semantic_capacity.project(half, other, undisturbed)
    assert split.external is not None
    return {
        f"projection_{word}": float((half.mean(0) * other).sum(1).mean()),
        f"signal_{word}": float(split.signal.mean()),
        f"external_noise_{word}": float(split.external.mean()),
        f"internal_noise_{word}": float(split.internal.mean()),
    }


def _of_filter(owner: _Owner, rng: Rng) -> dict[str, Any]:
    """Return how often the filter refuses held-out pairs, and pairs that do not belong together."""
    gate, every = owner.gate, owner.gallery
    if gate is None:
        return {}
    n = len(every.pictures)
    other = (np.arange(n) + rng.integers(1, n, n)) % n
    return {
        "false_alarms": _plain(share_figure(gate.refuses(every.pictures, every.captions))),
        "mismatches_caught": _plain(
            share_figure(gate.refuses(every.pictures, every.captions[other]))
        ),
    }


def _plain(figure: Figure) -> dict[str, float | int | None]:
    return {"value": float(figure), "low": figure.low, "high": figure.high, "n": figure.n}
