"""GraphMI: search the links under which a net with known weights gives its known answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.inversion.link_inference import LinkInferenceBrief, link_inference
from hartley.kit.answer_units import log_probabilities
from hartley.kit.eager_optimizers import eager

if TYPE_CHECKING:
    import torch

    from hartley.core.parts import Rng


@attack(
    game=link_inference,
    access=Access.SCORES | Access.WEIGHTS,
    term=Term.SIGNAL,
    modalities=(Modality.GRAPH,),
    paper="arXiv:2106.02820",
    sweep={"target": ("labels", "answers"), "smooth": (1e-3, 1e-1)},
)
def graph_mi(
    view: View[LinkInferenceBrief],
    rng: Rng,
    *,
    target: Literal["labels", "answers"] = "answers",
    steps: Annotated[int, Range(1), Stronger.MORE] = 60,
    lr: Annotated[float, Range(0, open_low=True)] = 0.1,
    smooth: Annotated[float, Range(0)] = 1e-3,
    sparse: Annotated[float, Range(0)] = 1e-3,
) -> Outcome:
    """Search link strengths under which a net with known weights gives its known answers.

    Args:
        target: what the net should answer: labels (those of the training nodes, as in the paper) or
            answers (the victim's answers about the nodes in question).
        steps: steps of projected gradient descent.
        lr: step size of Adam.
        smooth: weight of the mean squared distance between the features of linked nodes.
        sparse: weight of the mean strength.
    """
    import torch
    import torch.nn.functional as F

    del rng
    question, public, weights = (
        view.brief.question,
        view.brief.public,
        view.model.calls["weights"](),
    )
    tensors = {n: torch.tensor(np.array(w), dtype=torch.float32) for n, w in weights.items()}
    features = torch.tensor(np.array(view.brief.features))
    pairs, fixed = (torch.tensor(np.array(e)) for e in (question.x.T, public.links))
    messages = features @ tensors["0.weight"].T
    directions = F.normalize(features, dim=1)
    dissimilarity = ((directions[pairs[0]] - directions[pairs[1]]) ** 2).sum(1)
    if target == "labels":
        rows, labels = torch.tensor(np.array(public.x[:, 0])), torch.tensor(np.array(public.labels))
    else:
        nodes = np.unique(question.x)
        rows = torch.tensor(nodes)
        answers = view.model.query(nodes[:, None])
        logs = log_probabilities(answers, view.model.output, floor=1e-12)
        labels = torch.tensor(logs, dtype=torch.float32)
    strength = torch.nn.Parameter(torch.full((pairs.shape[1],), 0.5))
    optimiser = eager("Adam")([strength], lr=lr)
    for _ in range(steps):
        logits = _net(tensors, messages, fixed, pairs, strength)[rows]
        if target == "labels":
            loss = F.cross_entropy(logits, labels)
        else:
            loss = F.mse_loss(logits.log_softmax(1), labels)
        loss = loss + (strength * (smooth * dissimilarity + sparse)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            strength.clamp_(0, 1)
    guess = strength.detach().numpy().astype(np.float64)
    linked = guess > np.median(guess)
    return Outcome(
        guess=guess, asset=Data("links", question.modality, question.x[linked], role="links")
    )


def _net(
    weights: Any,
    messages: torch.Tensor,
    fixed: torch.Tensor,
    pairs: torch.Tensor,
    strength: torch.Tensor,
) -> torch.Tensor:
    """Return the logits of all nodes, where links in question are weighted by their strength."""
    import torch

    nodes = torch.arange(len(messages))
    a = torch.cat([fixed[0], fixed[1], pairs[0], pairs[1], nodes])
    b = torch.cat([fixed[1], fixed[0], pairs[1], pairs[0], nodes])
    ones = torch.ones(2 * fixed.shape[1])
    strengths = torch.cat([ones, strength, strength, torch.ones(len(messages))])
    degree = torch.zeros(len(messages)).index_add(0, a, strengths) ** -0.5
    share = (degree[a] * degree[b] * strengths).unsqueeze(1)

    def smoothed(x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x).index_add(0, a, share * x[b])

    hidden = (smoothed(messages) + weights["0.bias"]).relu()
    out: torch.Tensor = smoothed(hidden @ weights["1.weight"].T) + weights["1.bias"]
    return out
