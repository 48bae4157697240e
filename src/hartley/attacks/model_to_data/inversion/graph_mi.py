"""GraphMI: the links that make a net whose weights are known say what it should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.inversion.link_inference import LinkInferenceBrief, link_inference

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
    steps: Annotated[int, Range(1)] = 60,
    lr: Annotated[float, Range(0, open_low=True)] = 0.1,
    smooth: Annotated[float, Range(0)] = 1e-3,
    sparse: Annotated[float, Range(0)] = 1e-3,
) -> Outcome:
    """Let every link in question have a strength in 0..1 and descend on the net's loss.

    Args:
        target: what the net should say: labels (those of the training nodes, as in the paper) or
            answers (what the victim says about the nodes in question).
        steps: steps of projected gradient descent.
        lr: step of Adam.
        smooth: weight of the mean unlikeness between the features of linked nodes.
        sparse: weight of the mean strength.
    """
    import torch
    import torch.nn.functional as F

    del rng
    asked, known, weights = view.brief.question, view.brief.public, view.model.calls["weights"]()
    held = {n: torch.tensor(np.array(w), dtype=torch.float32) for n, w in weights.items()}
    features = torch.tensor(np.array(view.brief.features))
    pairs, fixed = (torch.tensor(np.array(e)) for e in (asked.x.T, known.links))
    sent = features @ held["0.weight"].T
    apart = F.normalize(features, dim=1)
    unlike = ((apart[pairs[0]] - apart[pairs[1]]) ** 2).sum(1)
    if target == "labels":
        rows, labels = torch.tensor(np.array(known.x[:, 0])), torch.tensor(np.array(known.labels))
    else:
        nodes = np.unique(asked.x)
        rows = torch.tensor(nodes)
        said = np.maximum(view.model.query(nodes[:, None]), 1e-12)
        labels = torch.tensor(np.log(said), dtype=torch.float32)
    strength = torch.nn.Parameter(torch.full((pairs.shape[1],), 0.5))
    mover = torch.optim.Adam([strength], lr=lr)
    for _ in range(steps):
        out = _net(held, sent, fixed, pairs, strength)[rows]
        if target == "labels":
            loss = F.cross_entropy(out, labels)
        else:
            loss = F.mse_loss(out.log_softmax(1), labels)
        loss = loss + (strength * (smooth * unlike + sparse)).mean()
        mover.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        mover.step()
        with torch.no_grad():
            strength.clamp_(0, 1)
    guess = strength.detach().numpy().astype(np.float64)
    linked = guess > np.median(guess)
    return Outcome(guess=guess, asset=Data("links", asked.modality, asked.x[linked], role="links"))


def _net(
    held: Any, sent: torch.Tensor, fixed: torch.Tensor, pairs: torch.Tensor, strength: torch.Tensor
) -> torch.Tensor:
    """Logits of all nodes, where the links in question count by their strength."""
    import torch

    every = torch.arange(len(sent))
    a = torch.cat([fixed[0], fixed[1], pairs[0], pairs[1], every])
    b = torch.cat([fixed[1], fixed[0], pairs[1], pairs[0], every])
    ones = torch.ones(2 * fixed.shape[1])
    weight = torch.cat([ones, strength, strength, torch.ones(len(sent))])
    degree = torch.zeros(len(sent)).index_add(0, a, weight) ** -0.5
    share = (degree[a] * degree[b] * weight).unsqueeze(1)

    def smoothed(x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x).index_add(0, a, share * x[b])

    hidden = (smoothed(sent) + held["0.bias"]).relu()
    out: torch.Tensor = smoothed(hidden @ held["1.weight"].T) + held["1.bias"]
    return out
