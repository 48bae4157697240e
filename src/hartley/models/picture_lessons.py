"""How a language model learns to look: two stages, in which the projector alone is trained.

In the first the language model is not in the loop: each output of the projector is drawn to the
embedding of one token of the caption, and away from those of the other tokens. In the second the
frozen language model answers questions about pictures, and its loss goes back to the projector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError
from hartley.kit.cache import cached
from hartley.kit.language.text import PAD
from hartley.kit.vision import picture_tokens
from hartley.models.frozen_language import FrozenLanguage
from hartley.models.picture_language import PictureLanguage
from hartley.models.smollm import native

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SHARPNESS = 20.0
"""Inverse temperature of the cosines of the first stage."""

DROP = 0.1

ENCODER = "EfficientNet-Lite0, 1"
"""What encodes pictures, for digests."""


def _precision() -> Any:
    """Products in half precision where the processor multiplies it itself: twice as fast."""
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=native() == "bfloat16")


@dataclass(frozen=True, slots=True)
class Lessons:
    """The recipe.

    Attributes:
        epochs: passes of the first stage.
        rate: largest learning rate of the first stage.
        batch: pictures a step of the first stage.
        steps: of the second stage.
        rows: questions a step of the second stage.
        second_rate: learning rate of the second stage.
    """

    epochs: int = 8
    rate: float = 1e-3
    batch: int = 64
    steps: int = 150
    rows: int = 32
    second_rate: float = 2e-4


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What is learnt from.

    Attributes:
        pictures: uint8 (n, 128, 128, 3).
        captions: (n, t) token ids of what each shows or says, padded with −1.
        questions: of each, (text, tokens of the answer); at least one.
    """

    pictures: NDArray[np.uint8]
    captions: NDArray[np.int64]
    questions: tuple[tuple[tuple[str, tuple[int, ...]], ...], ...]

    def __post_init__(self) -> None:
        if not len(self.pictures) == len(self.captions) == len(self.questions):
            raise UsageError(
                "pictures, captions and questions must be as many, got "
                f"{len(self.pictures)}, {len(self.captions)} and {len(self.questions)}"
            )


def taught(
    language: FrozenLanguage,
    shape: picture_tokens.Shape,
    maps: Callable[[Tensor], Tensor],
    material: Material,
    *,
    lessons: Lessons,
    seed: int,
) -> PictureLanguage:
    """Return a language model that looks at pictures, trained once and kept on disk.

    Args:
        language: the frozen language model.
        shape: the projector.
        maps: the frozen picture encoder.
        material: what is learnt from.
        lessons: the recipe.
        seed: of first weights and orders.
    """
    recipe = {
        "encoder": ENCODER,
        "language": language.identity,
        "shape": shape.recipe,
        "lessons": asdict(lessons),
        "pictures": material.pictures,
        "captions": material.captions,
        "kind": native(),
        "seed": seed,
    }
    questions = [[[text, list(ids)] for text, ids in each] for each in material.questions]

    @cache
    def features() -> Tensor:
        return encoded(maps, material.pictures)

    def first() -> dict[str, NDArray[Any]]:
        captions = material.captions
        return _arrays(
            first_stage(language, shape, features(), captions, lessons=lessons, seed=seed)
        )

    def second() -> dict[str, NDArray[Any]]:
        # Kept on its own: the second stage may be stopped, and goes on from there.
        arrays = cached("picture-language", {**recipe, "stage": 1}, first, code=taught)
        state = _tensors(arrays)
        return _arrays(
            second_stage(
                language, shape, state, features(), material=material, lessons=lessons, seed=seed
            )
        )

    key = {**recipe, "stage": 2, "questions": questions}
    state = _tensors(cached("picture-language", key, second, code=taught))
    return PictureLanguage(language, shape, state, maps)


def _arrays(state: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().numpy() for name, tensor in state.items()}


def _tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    import torch

    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def encoded(maps: Callable[[Tensor], Tensor], pictures: NDArray[np.uint8]) -> Tensor:
    """Return feature maps (n, 16, 1728) of pictures uint8 (n, 128, 128, 3), in half precision."""
    import torch

    parts = []
    with torch.no_grad(), _precision():
        for at in range(0, len(pictures), 32):
            planes = torch.from_numpy(pictures[at : at + 32].transpose(0, 3, 1, 2) / 255)
            parts.append(maps(planes.float()).half())
    return torch.cat(parts)


def first_stage(
    language: FrozenLanguage,
    shape: picture_tokens.Shape,
    features: Tensor,
    captions: NDArray[np.int64],
    *,
    lessons: Lessons,
    seed: int,
) -> dict[str, Tensor]:
    """Draw the k-th output of the projector to the embedding of the k-th token of the caption.

    Args:
        language: whose embeddings they are.
        shape: the projector.
        features: (n, 16, 1728) feature maps.
        captions: (n, t) token ids, padded with −1.
        lessons: the recipe.
        seed: of first weights and orders.
    """
    import torch
    from torch.nn import functional

    generator = torch.Generator().manual_seed(seed)
    state = picture_tokens.initial(shape, generator)
    sample = features[:: max(1, len(features) // 512)].float()
    state["mean"], state["spread"] = sample.mean((0, 1)), sample.std((0, 1)) + 1e-2
    used = np.unique(captions[captions >= 0])
    table = language.embeddings[torch.from_numpy(used)]
    state["centre"] = table.mean(0)
    state["radius"] = (table - state["centre"]).norm(dim=1).mean().reshape(1)
    goals = functional.normalize(table - state["centre"], dim=1)
    captions = captions[:, : picture_tokens.PLACES]
    width = captions.shape[1]
    labels = torch.from_numpy(np.where(captions >= 0, np.searchsorted(used, captions), PAD))
    steps = lessons.epochs * max(1, len(features) // lessons.batch)
    order = np.random.default_rng(seed)

    def batches() -> Any:
        for _ in range(lessons.epochs):
            rows = order.permutation(len(features))
            for at in range(max(1, len(features) // lessons.batch)):
                yield torch.from_numpy(rows[at * lessons.batch : (at + 1) * lessons.batch])

    def loss(rows: Tensor) -> Tensor:
        with _precision():
            out = picture_tokens.tokens(state, shape, features[rows].float(), DROP)[:, :width]
            cosines = (out - state["centre"]) / state["radius"] @ goals.T
        return functional.cross_entropy(
            SHARPNESS * cosines.float().flatten(0, 1), labels[rows].flatten(), ignore_index=PAD
        )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _descend(state, batches(), steps, lessons.rate, loss)
    return state


def second_stage(
    language: FrozenLanguage,
    shape: picture_tokens.Shape,
    state: Mapping[str, Tensor],
    features: Tensor,
    *,
    material: Material,
    lessons: Lessons,
    seed: int,
) -> dict[str, Tensor]:
    """Train the projector through the frozen language model, which answers questions.

    Args:
        language: which answers.
        shape: the projector.
        state: after the first stage.
        features: (n, 16, 1728) feature maps.
        material: the questions about them.
        lessons: the recipe.
        seed: of the order.
    """
    import torch
    from torch.nn import functional

    rng = np.random.default_rng(seed + 1)
    state = {name: tensor.detach().clone() for name, tensor in state.items()}
    reader = PictureLanguage(language, shape, state, lambda pictures: pictures)

    def batches() -> Any:
        for _ in range(lessons.steps):
            # One question a batch: all rows are then of one length but for their answers.
            rows = rng.choice(len(features), 4 * lessons.rows)
            chosen = []
            for i in rows:
                questions = material.questions[i]
                chosen.append(questions[rng.integers(len(questions))])
            question = chosen[0][0]
            some = [k for k, (text, _) in enumerate(chosen) if text == question][: lessons.rows]
            yield question, rows[some], [chosen[k][1] for k in some]

    def loss(batch: Any) -> Tensor:
        question, rows, answers = batch
        maps = features[torch.from_numpy(rows)].float()
        before = picture_tokens.tokens(state, shape, maps, DROP)
        x = reader.asked(before, question)
        longest = max(map(len, answers))
        ids = torch.tensor([[*answer, *[PAD] * (longest - len(answer))] for answer in answers])
        tail = language.embeddings[ids.clamp(min=0)][:, :-1]
        both, t = torch.cat([x, tail], 1), x.shape[1]
        places = torch.arange(both.shape[1]).expand(len(rows), -1)
        states = language.states(both, places, None)[:, t - 1 :]
        real = ids != PAD
        return functional.cross_entropy(states[real] @ language.embeddings.T, ids[real])

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        _descend(state, batches(), lessons.steps, lessons.second_rate, loss)
    return state


def _descend(
    state: dict[str, Tensor],
    batches: Any,
    steps: int,
    rate: float,
    loss: Callable[[Any], Tensor],
) -> None:
    """Train the parameters of ``state`` in place by AdamW; the rate rises, and falls to 0."""
    import torch

    trained = [tensor for name, tensor in state.items() if name not in picture_tokens.FIXED]
    for tensor in trained:
        tensor.requires_grad_()
    optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=0.05)
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / min(100, steps // 5 + 1))
            group["lr"] *= 1 - step / steps
        value = loss(batch)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
    for tensor in trained:
        tensor.requires_grad_(False)
