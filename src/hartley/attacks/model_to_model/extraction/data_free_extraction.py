"""Data-free extraction: a generator learns to ask where copy and victim differ most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.model_to_model.extraction._shared.small_nets import centred, small_net
from hartley.attacks.model_to_model.extraction._shared.transfer import Transfer, allowance, numbers
from hartley.attacks.model_to_model.extraction._shared.unnoticed import Unnoticed, noise, ranges
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief

if TYPE_CHECKING:
    from hartley.core.parts import Rng

NOISE, WIDTH, PROBE = 32, 128, 1e-2
"""Numbers that the generator starts from, its width, and the step of the gradient estimates."""

SPREAD = 6.0
"""Its first records reach from one end of the range to the other: greys look alike to a victim,
and a copy from 1,000 of them agrees on half of the digits instead of on three quarters."""


@attack(
    game=extraction,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2011.14779",
    adapts=True,
    loot=Loot.MODEL,
    light={"queries": 400, "batch": 100, "replays": 5, "steps": 40},
    sweep={"reading": ("answers", "labels", "recovered")},
)
def data_free_extraction(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    batch: Annotated[int, Range(2)] = 50,
    replays: Annotated[int, Range(1), Stronger.MORE] = 20,
    reading: Literal["answers", "labels", "recovered"] = "answers",
    caution: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.96,
    temperature: Annotated[float, Range(1, 100), Stronger.NEITHER] = 4.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 400,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Steal a model with no record of its kind: all that is known is a record's shape and range.

    A generator makes records from noise. In turn, copy and victim are compared on new ones, the
    copy is trained on all answers so far (the replay of arXiv:2005.03161), and the generator is
    moved towards records on which they differ more, by l1 of the centred log-scores. The gradient
    through the victim is estimated by one forward difference in a random direction, whose queries
    count and whose answers the copy learns from too.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        batch: records a turn; half of them are differences.
        replays: optimiser steps of the copy in a turn.
        reading: what is learnt of an answer: all scores, the likeliest class alone, or the scores
            that a known change of scores (``reverse_sigmoid``) turns into the answer.
        caution: against ``prada``, where the attacker knows of it: random records are asked in
            between, and others left out, so that its statistic stays above this; 0 for neither.
        temperature: of the scores that the last copy is trained on, as in distillation.
        steps: optimiser steps of the last copy's training.
        hidden: width of the copy's hidden layer.

    Raises:
        UsageError: the scene has no records of numbers, whose shape and range would be known.
    """
    import torch

    public = numbers(view, "data_free_extraction")
    transfer = Transfer(view, allowance(view, queries), reading)
    shape, size = public.x.shape[1:], public.x[0].size
    low, span = ranges(public.x)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator)

    maker = small_net((NOISE, WIDTH, size), draw, SPREAD)
    student = small_net((size, hidden, view.brief.classes), draw)
    makes, learns = (torch.optim.Adam(net.parameters(), lr=1e-2) for net in (maker, student))
    unnoticed = Unnoticed.of(transfer, caution, lambda: noise(public.x, rng))

    def ask(x: torch.Tensor) -> torch.Tensor:
        records = (low + span * torch.sigmoid(x).detach().numpy()).reshape(-1, *shape)
        return centred(torch.from_numpy(unnoticed.ask(records.astype(public.x.dtype))).log())

    half = batch // 2
    while transfer.left >= 2 * half:
        raw = maker(draw(half, NOISE))
        way = torch.nn.functional.normalize(draw(*raw.shape), dim=1)
        probe = PROBE * size**0.5
        gaps = []
        for place in (raw.detach(), raw.detach() + probe * way):
            answers = ask(place)
            with torch.no_grad():
                copied = centred(student(torch.sigmoid(place)).log_softmax(1))
            gaps.append((answers - copied).abs().mean(1))
        rises = (gaps[1] - gaps[0]).nan_to_num()  # NaN where a record was left out
        estimate = rises.unsqueeze(1) / probe * way * size
        makes.zero_grad()
        torch.autograd.backward(raw, -estimate / half)
        makes.step()
        answered = torch.from_numpy((transfer.x.reshape(len(transfer), -1) - low) / span)
        wanted = centred(torch.from_numpy(transfer.answers).log())
        for _ in range(replays):
            rows = torch.randint(len(answered), (min(128, len(answered)),), generator=generator)
            copied = centred(student(answered[rows].float()).log_softmax(1))
            learns.zero_grad()
            torch.autograd.backward((copied - wanted[rows]).abs().mean())
            learns.step()
    if not len(transfer):
        ask(draw(transfer.left, size))
    seed = int(rng.integers(2**31))
    return Outcome(asset=transfer.copy(seed, steps=steps, hidden=hidden, temperature=temperature))
