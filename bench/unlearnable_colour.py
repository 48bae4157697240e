"""Noise against learning on small pictures of colour, at the published bound: does it return?

    python bench/unlearnable_colour.py
    python bench/unlearnable_colour.py --folds 1 --noise pictures

1,641 emoji of 32 × 32 in their kinds (packs emoji and emoji-captions; kinds of fewer than 50 are
left out). Of three disjoint folds of 441 each is tested by a net with batch normalisation that is
trained on 1,150 of the others, as they are or with linearly separable noise of 8/255 in squares of
8 pixels (arXiv:2111.00898), or with error-minimising noise of the same size, one pattern a kind
(``kinds``) or a picture (``pictures``; arXiv:2101.04898), and squeezed by JPEG at quality 10 or to
grey (arXiv:2301.13838).
Accuracy has Clopper–Pearson limits of 95 % over the 1,323 pictures that are tested.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from torch import nn

from hartley.data.paired import emoji
from hartley.infotheory.binary_channel import clopper_pearson
from hartley.kit.vision import image

FOLDS, TESTED, TRAINED, LEAST = 3, 441, 1150, 50
EPOCHS, BATCH, RATE, EPSILON, SIDE = 12, 64, 0.1, 8 / 255, 8
TURNS, DESCENTS = 12, 10


def noisy(x: Any, y: Any, rng: np.random.Generator) -> Any:
    """Return pictures with one pattern of squares a kind."""
    signs = rng.choice([-1.0, 1.0], (int(y.max()) + 1, 3, 32 // SIDE, 32 // SIDE))
    pattern = EPSILON * signs.repeat(SIDE, 2).repeat(SIDE, 3)
    return np.clip(x + pattern[y], 0, 1)


def error_minimising(x: Any, y: Any, kinds: int, *, each: bool) -> Any:
    """Return pictures with noise under which a net that is trained beside has the least loss.

    Ten steps of the net and a pass of descent by signs over the noise in turn, until the net is
    right on 99 % (Huang and others, arXiv:2101.04898).

    Args:
        x: (n, 3, 32, 32) in 0..1.
        y: (n,) kinds.
        kinds: how many.
        each: a pattern for each picture, or one for each kind.
    """
    net = network(kinds)
    optimizer = torch.optim.SGD(net.parameters(), RATE / 4, 0.9)
    pictures, labels = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    place = torch.arange(len(x)) if each else labels
    noise = torch.zeros(len(x) if each else kinds, *x.shape[1:])

    def loss_of(rows: Any, added: Any) -> Any:
        inputs = ((pictures[rows] + added).clamp(0, 1) - 0.5) / 0.25
        answers = net(inputs)
        return nn.functional.cross_entropy(answers, labels[rows]), answers

    for _ in range(TURNS):
        for rows in torch.randperm(len(x))[: 10 * BATCH].reshape(10, BATCH):
            optimizer.zero_grad()
            loss_of(rows, noise[place[rows]])[0].backward()
            optimizer.step()
        right = 0
        for rows in torch.randperm(len(x)).split(BATCH):
            for _ in range(DESCENTS if each else 1):
                added = noise[place[rows]].requires_grad_()
                loss, answers = loss_of(rows, added)
                slope = torch.autograd.grad(loss, added)[0]
                if each:
                    noise[rows] = (added.detach() - EPSILON / 10 * slope.sign()).clamp(
                        -EPSILON, EPSILON
                    )
                else:
                    total = torch.zeros_like(noise).index_add(0, labels[rows], slope)
                    noise = (noise - EPSILON / 10 * total.sign()).clamp(-EPSILON, EPSILON)
            right += int((answers.argmax(1) == labels[rows]).sum())
        if right >= 0.99 * len(x):
            break
    return (pictures + noise[place]).clamp(0, 1).numpy().astype(np.float64)


def squeezed(x: Any, how: str) -> Any:
    """Return pictures as they are, through JPEG, or in grey."""
    if how == "jpeg":
        return np.stack([image.jpeg(one, 10) for one in x])
    return np.repeat(x.mean(1, keepdims=True), 3, axis=1) if how == "grey" else x


def network(kinds: int) -> nn.Sequential:
    """Return three convolutions with batch normalisation and a linear layer."""
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, kinds))


def accuracy(x: Any, y: Any, test: Any, kinds: int) -> Any:
    """Train on pictures and return what is answered on others."""
    net = network(kinds)
    optimizer = torch.optim.SGD(net.parameters(), RATE / 2, 0.9, weight_decay=5e-4, nesterov=True)
    inputs, labels = torch.tensor((x - 0.5) / 0.25, dtype=torch.float32), torch.tensor(y)
    steps = EPOCHS * (len(x) // BATCH)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x))[: len(x) // BATCH * BATCH].reshape(-1, BATCH):
            loss = nn.functional.cross_entropy(net(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rates.step()
    net.eval()
    with torch.no_grad():
        return net(torch.tensor((test - 0.5) / 0.25, dtype=torch.float32)).argmax(1).numpy()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--squeeze", choices=("none", "jpeg", "grey"), nargs="+")
    parser.add_argument("--noise", choices=("squares", "kinds", "pictures"), default="squares")
    given = parser.parse_args()
    torch.set_num_threads(1)
    source = emoji()
    shrunk = source.pictures.reshape(-1, 32, 2, 32, 2, 3).mean((2, 4)) / 255
    pictures = shrunk.transpose(0, 3, 1, 2)
    common = np.flatnonzero(np.bincount(source.kinds) >= LEAST)
    rows = np.flatnonzero(np.isin(source.kinds, common))
    kinds = np.searchsorted(common, source.kinds[rows])
    pictures = pictures[rows]
    order = np.random.default_rng(0).permutation(len(kinds))
    protections: dict[int, Any] = {}
    print(f"{len(kinds)} pictures, {len(common)} kinds, commonest {np.bincount(kinds).max()}")
    for protected in (False, True) if given.noise == "squares" else (True,):
        for how in given.squeeze or ("none", "jpeg", "grey"):
            right: list[Any] = []
            began = time.process_time()
            for fold in range(given.folds):
                torch.manual_seed(fold)
                test = order[fold * TESTED : (fold + 1) * TESTED]
                train = np.setdiff1d(order, test)[:TRAINED]
                x, y = pictures[train], kinds[train]
                if protected and given.noise == "squares":
                    x = noisy(x, y, np.random.default_rng(fold))
                elif protected:
                    if fold not in protections:
                        each = given.noise == "pictures"
                        protections[fold] = error_minimising(x, y, len(common), each=each)
                    x = protections[fold]
                answers = accuracy(squeezed(x, how), y, squeezed(pictures[test], how), len(common))
                right.append(answers == kinds[test])
            n, k = given.folds * TESTED, int(np.sum(right))
            low, high = clopper_pearson(k, n, 0.025)
            print(
                f"{'noise' if protected else 'clean':6s} {how:5s} {k / n:.3f} "
                f"[{float(low):.3f}, {float(high):.3f}]  {time.process_time() - began:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
