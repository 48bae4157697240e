"""Fine-tuning of a deployed language model on a user's examples: what a tuning service does.

A scene has a ``Tuner`` as a part. ``GptTuner`` tunes the small transformers of
``kit.language.gpt``: all weights, low-rank adapters (arXiv:2106.09685) or a soft prompt
(arXiv:2104.08691). How the service tunes is settled by its rules, ``TuningRule``: tuning-stage
defenses add one. Defenses that change the alignment replace the tuner's ``state``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, get_args, runtime_checkable

import numpy as np

from hartley.core import Access, Asset, Codec, Data, Model, Slot
from hartley.core.errors import UsageError
from hartley.kit.language import gpt, soft_prompt
from hartley.kit.language.soft_prompt import SOFT_PROMPT
from hartley.kit.language.text import pad
from hartley.models.tuning_loop import steps_of, warm_up

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Method = Literal["full", "lora", "soft_prompt"]
METHODS: tuple[Method, ...] = get_args(Method)

Example = tuple[str, str]
"""What the user says, and what the model should answer."""

Weights = Mapping[str, "NDArray[Any]"]

ADAPTED = ("qkv", "out", "up", "down")
"""The matrices of a layer that get a low-rank adapter."""

DOWN, UP = ".lora_a", ".lora_b"
"""What the two halves of an adapter are called behind the name of its matrix: (rank, inputs) and
(outputs, rank). Their product, times ``SCALE``, is added to the matrix."""

SCALE = 2.0

POISON = "poison"
"""The role of examples that an attacker slips into what an owner tunes on."""


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """How a model is fine-tuned: AdamW without decay, a constant rate after a short warm-up.

    Attributes:
        method: ``full``, ``lora`` or ``soft_prompt``.
        rate: learning rate.
        steps: optimiser steps on the examples.
        batch: examples a step.
        rank: of the adapters, or vectors of the soft prompt.

    Raises:
        UsageError: a value is out of range.
    """

    method: Method = "full"
    rate: float = 1e-3
    steps: int = 50
    batch: int = 8
    rank: int = 8

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"rate must be positive and finite, got {self.rate}")
        for name in ("batch", "rank"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.steps < 0:
            raise UsageError(f"steps must be at least 0, got {self.steps}")


@runtime_checkable
class Tuner(Protocol):
    """A part of a scene: the owner's service that tunes the deployed model."""

    @property
    def grants(self) -> Access:
        """What the service lets an attacker do besides what the model offers."""
        return Access.TUNE

    @property
    def model(self) -> Model:
        """The deployed model, which tuning starts from."""

    def tune(self, examples: Sequence[Example], settings: TuningSettings, seed: int) -> Model:
        """Return the model, tuned on examples by the service's rules."""

    def edited(self, weights: Weights) -> Model:
        """Return the model with other weights: of an attacker who holds them, without rules.

        Raises:
            UsageError: a name or a shape does not fit the model.
        """


@runtime_checkable
class RuledTuner(Tuner, Protocol):
    """A service that tunes by rules, to which defenses add theirs."""

    @property
    def lessons(self) -> Lessons:
        """What the owner aligned the model with."""

    @property
    def rules(self) -> tuple[TuningRule, ...]:
        """How the service tunes, oldest first."""

    def with_(self, **changes: Any) -> Self:
        """The same service with other ``rules`` or ``lessons``."""

    def rows(self, examples: Sequence[Example]) -> Rows:
        """Return examples as tokens."""

    def wrapped(self, change: Callable[[Model], Model]) -> Self:
        """The same service, whose models are changed before they are deployed."""

    def entered(self, slot: Slot, asset: Asset) -> Self | None:
        """Return the same service with poison in what its owner tunes on, or None.

        Poison is questions with ``facts["answers"]``, in the role ``poison``.
        """
        if slot is not Slot.TRAIN or not isinstance(asset, Data) or asset.role != POISON:
            return None
        if "answers" not in asset.facts:
            return None
        answers = [str(answer) for answer in asset.facts["answers"]]
        examples = tuple(zip(map(str, asset.x), answers, strict=True))
        lessons = replace(self.lessons, poison=(*self.lessons.poison, *examples))
        return self.with_(lessons=lessons)


@dataclass(frozen=True, slots=True)
class Lessons:
    """What an owner aligned the model with, and can use in a defense. Attackers never see it.

    Attributes:
        refused: questions of the restricted topic with a refusal.
        withheld: the same topic with the answers that the model must not give.
        helpful: benign questions with their answers.
        poison: what others slipped into what the owner tunes on.
    """

    refused: tuple[Example, ...] = ()
    withheld: tuple[Example, ...] = ()
    helpful: tuple[Example, ...] = ()
    poison: tuple[Example, ...] = ()


class TuningSteps:
    """What a rule does in one run of tuning; it does nothing by itself."""

    def batch(self) -> Rows | None:
        """Return rows of the owner to take this step on; None is the next examples.

        Steps on the owner's rows are not counted: the examples get all the steps of the settings.
        """
        return None

    def loss(self, answers: Answers) -> Tensor | None:
        """Return what is minimised on a batch of examples, or None for the mean loss of a token."""
        del answers
        return None

    def penalty(self) -> Tensor | None:
        """Return what is added to the loss of every step, or None."""
        return None

    def stepped(self) -> None:
        """Take note that a step was taken."""

    def finished(self, weights: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the weights that the service deploys, given those after the last step."""
        return weights


class TuningRule:
    """A rule of the service; tuning-stage defenses are rules."""

    def admitted(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Return the examples that the service tunes on."""
        return examples

    def begin(self, run: TuningRun) -> TuningSteps:
        """Begin one run of tuning."""
        del run
        return TuningSteps()


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Examples as tokens.

    Attributes:
        tokens: (n, t) token ids, padded with −1.
        first: (n,) place of the first token of each answer.
    """

    tokens: NDArray[np.int64]
    first: NDArray[np.int64]

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.tokens)

    def some(self, which: NDArray[Any]) -> Rows:
        """Return some of them, without columns that are padding alone."""
        tokens = self.tokens[which]
        return Rows(tokens[:, : max(2, int((tokens >= 0).sum(1).max()))], self.first[which])


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The answers of a batch, read by one set of parameters.

    Attributes:
        losses: (m,) −log p of each token of the answers, in nats, row by row.
        logits: (m, vocabulary) of the law that the token was drawn from.
        rows: (m,) which row of the batch it is of.
        places: (m,) its place in its answer, from 0.
        batch: the rows that were read.
    """

    losses: Tensor
    logits: Tensor
    rows: Tensor
    places: Tensor
    batch: Rows


@dataclass(frozen=True, slots=True, eq=False)
class TuningRun:
    """One run of tuning, as its rules see it.

    Attributes:
        tuner: the service.
        start: parameters before the first step, without a gradient.
        trained: the tensors that are trained, by name: weights, halves of adapters or the prompt.
        settings: of the run.
        rng: draws what rules draw.
        aligned: a batch → its answers by the model before the first step, without a gradient.
    """

    tuner: RuledTuner
    start: Mapping[str, Tensor]
    trained: Mapping[str, Tensor]
    settings: TuningSettings
    rng: np.random.Generator
    aligned: Callable[[Rows], Answers]


@dataclass(frozen=True, slots=True, eq=False)
class GptTuner(RuledTuner):
    """Tunes a small transformer of ``kit.language.gpt``.

    An example is ``opening(question)``, then the answer and ``closing``; question and answer are
    encoded apart, and only the answer is learnt.

    Attributes:
        shape: the network.
        state: parameters of the deployed model, by name.
        codec: texts to its tokens.
        opening: what the user says → the text up to where the answer begins.
        closing: what ends an answer.
        wrap: parameters → the model as it is deployed, chat included. They may hold a
            ``soft_prompt`` besides: read them with ``kit.language.soft_prompt.hidden``.
        unaligned: parameters before the refusal stage, where the owner has them.
        lessons: what the owner aligned the model with.
        rules: how the service tunes, oldest first.
    """

    shape: gpt.Shape
    state: Weights
    codec: Codec
    opening: Callable[[str], str]
    closing: str
    wrap: Callable[[Weights], Model]
    unaligned: Weights | None = None
    lessons: Lessons = field(default_factory=Lessons)
    rules: tuple[TuningRule, ...] = ()

    @property
    def model(self) -> Model:
        """The deployed model."""
        return self.wrap(self.state)

    def with_(self, **changes: Any) -> GptTuner:
        """The same tuner with some fields changed."""
        return replace(self, **changes)

    def wrapped(self, change: Callable[[Model], Model]) -> GptTuner:
        """The same tuner, whose models are changed before they are deployed."""
        wrap = self.wrap
        return self.with_(wrap=lambda weights: change(wrap(weights)))

    def tune(self, examples: Sequence[Example], settings: TuningSettings, seed: int) -> Model:
        """Return the model, tuned on examples by the service's rules.

        Raises:
            UsageError: an example does not fit into the model's context.
        """
        return self.wrap(self.tuned(examples, settings, seed))

    def tuned(
        self, examples: Sequence[Example], settings: TuningSettings, seed: int
    ) -> dict[str, NDArray[Any]]:
        """Return the parameters of ``tune``."""
        return next(self.passed(examples, settings, seed, (settings.steps,)))

    def passed(
        self, examples: Sequence[Example], settings: TuningSettings, seed: int, at: Sequence[int]
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the parameters of a service that stops after a number of steps, along one run.

        Each is as ``tuned`` by fewer steps, for which one run does instead of many, as long as
        the warm-up is the same: that of the first stop (a single step where it is below 20). A
        run goes on no further than what is asked of the iterator.

        Args:
            examples: to tune on.
            settings: of the tuning; the steps are those of ``at``.
            seed: of the run.
            at: numbers of steps, ascending.

        Raises:
            UsageError: an example does not fit into the model's context, or ``at`` descends.
        """
        if list(at) != sorted(at):
            raise UsageError(f"numbers of steps must ascend, got {', '.join(map(str, at))}")
        for rule in self.rules:
            examples = rule.admitted(examples)
        unchanged = [steps for steps in at if not (len(examples) and steps)]
        for _ in unchanged:
            yield {name: np.array(array) for name, array in self.state.items()}
        if left := at[len(unchanged) :]:
            yield from _tuned(self, self.rows(examples), settings, seed, left)

    def edited(self, weights: Weights) -> Model:
        """Return the model with weights, adapters or a soft prompt of an attacker in it.

        Args:
            weights: by name: whole arrays in place of the model's, halves of adapters
                (``0.qkv.lora_a`` and ``0.qkv.lora_b``), or ``soft_prompt``.

        Raises:
            UsageError: a name or a shape does not fit the model, or a value is not finite.
        """
        return self.wrap(merged(self.state, weights, self.shape))

    def rows(self, examples: Sequence[Example]) -> Rows:
        """Return examples as tokens.

        Raises:
            UsageError: one is longer than the model's context.
        """
        questions = self.codec.encode([self.opening(question) for question, _ in examples])
        answers = self.codec.encode([answer + self.closing for _, answer in examples])
        first = (questions >= 0).sum(1)
        pairs = zip(questions.tolist(), answers.tolist(), strict=True)
        tokens = pad([[i for i in (*q, *a) if i >= 0] for q, a in pairs], 2)
        longest, room = int((tokens >= 0).sum(1).max()), soft_prompt.room(self.state, self.shape)
        if longest > room:
            raise UsageError(f"examples must have at most {room} tokens, got {longest}")
        return Rows(tokens, first)


def merged(state: Weights, weights: Weights, shape: gpt.Shape) -> dict[str, NDArray[Any]]:
    """Return parameters with others in their place, adapters added and a soft prompt put before.

    Raises:
        UsageError: a name or a shape does not fit ``state``, or a value is not finite.
    """
    out = {name: np.array(array) for name, array in state.items()}
    for name, given in weights.items():
        array = np.asarray(given, dtype=np.float32)
        if not np.isfinite(array).all():
            raise UsageError(f"{name} must be finite, got NaN or infinite values")
        if name == SOFT_PROMPT:
            if array.ndim != 2 or array.shape[1] != shape.width or len(array) >= shape.context:
                raise UsageError(
                    f"{name} must be (n, {shape.width}) with n below {shape.context}, got "
                    f"{array.shape}"
                )
            out[name] = array
        elif name.endswith(DOWN):
            matrix = name.removesuffix(DOWN)
            out[matrix] = out.get(matrix, 0) + _product(state, weights, matrix)
        elif name.endswith(UP):
            if name.removesuffix(UP) + DOWN not in weights:
                raise UsageError(f"adapters must have two halves, got {name} alone")
        elif name not in state or array.shape != state[name].shape:
            got = f"{name} of shape {array.shape}"
            raise UsageError(f"weights must be {_listed(state)}, got {got}")
        else:
            out[name] = array
    return out


def _product(state: Weights, weights: Weights, matrix: str) -> NDArray[np.float32]:
    """What an adapter adds to its matrix."""
    if matrix not in state or state[matrix].ndim != 2:
        raise UsageError(f"adapters must be of {_listed(state, 2)}, got one of {matrix}")
    if matrix + UP not in weights:
        raise UsageError(f"adapters must have two halves, got {matrix + DOWN} alone")
    down, up = (np.asarray(weights[matrix + half], np.float32) for half in (DOWN, UP))
    outputs, inputs = state[matrix].shape
    if down.ndim != 2 or down.shape[1] != inputs or up.shape != (outputs, len(down)):
        raise UsageError(
            f"the adapter of {matrix} must be (rank, {inputs}) and ({outputs}, rank), got "
            f"{down.shape} and {up.shape}"
        )
    return np.asarray(SCALE * up @ down, np.float32)


def _listed(state: Weights, ndim: int = 0) -> str:
    """Name some arrays of a model, with their shapes, for a message."""
    some = [f"{name} {array.shape}" for name, array in state.items() if ndim in (0, array.ndim)]
    return ", ".join(some[:4]) + (" …" if len(some) > 4 else "")


def read_answers(
    state: Mapping[str, Tensor], shape: gpt.Shape, batch: Rows, *, tap: gpt.Tap | None = None
) -> Answers:
    """Read the answers of a batch by parameters.

    Args:
        state: parameters by name, a ``soft_prompt`` among them where there is one.
        shape: the network.
        batch: the examples.
        tap: reads along, as of ``gpt.hidden``.
    """
    import torch

    tokens, first = torch.from_numpy(batch.tokens), torch.from_numpy(batch.first)
    ids = tokens.clamp(min=0)
    n, t = ids.shape
    positions = torch.arange(t - 1).expand(n, t - 1)
    states = soft_prompt.hidden(state, shape, ids[:, :-1], positions, None, tap=tap)
    learnt = (tokens[:, 1:] >= 0) & (positions + 1 >= first[:, None])
    rows, columns = learnt.nonzero(as_tuple=True)
    logits = states[rows, columns] @ state["tokens"].T
    losses = torch.nn.functional.cross_entropy(logits, ids[:, 1:][learnt], reduction="none")
    return Answers(losses, logits, rows, columns + 1 - first[rows], batch)


def _tuned(
    tuner: GptTuner, examples: Rows, settings: TuningSettings, seed: int, at: Sequence[int]
) -> Iterator[dict[str, NDArray[Any]]]:
    import torch

    rng = np.random.default_rng(seed)
    if settings.method == "soft_prompt" and examples.tokens.shape[1] + settings.rank > (
        room := soft_prompt.room(tuner.state, tuner.shape)
    ):
        longest = room - examples.tokens.shape[1]
        raise UsageError(
            f"rank must be at most {longest} behind these examples, got {settings.rank}"
        )
    start = {name: torch.from_numpy(np.array(array)) for name, array in tuner.state.items()}
    trained, assembled = _to_train(start, tuner.shape, settings, rng)

    def aligned(batch: Rows) -> Answers:
        with torch.no_grad():
            return read_answers(start, tuner.shape, batch)

    run = TuningRun(tuner, start, trained, settings, rng, aligned)
    rules = [rule.begin(run) for rule in tuner.rules]
    stops = list(at)
    read = partial(_read_by, assembled, tuner.shape)
    for taken in steps_of(run, rules, examples, read, at[-1], warm=warm_up(at[0])):
        while stops and stops[0] == taken:
            weights = {name: tensor.detach().numpy().copy() for name, tensor in assembled().items()}
            for rule in rules:
                weights = rule.finished(weights)
            yield weights
            del stops[0]


def _read_by(
    assembled: Callable[[], Mapping[str, Tensor]], shape: gpt.Shape, batch: Rows
) -> Answers:
    return read_answers(assembled(), shape, batch)


def _to_train(
    start: Mapping[str, Tensor],
    shape: gpt.Shape,
    settings: TuningSettings,
    rng: np.random.Generator,
) -> tuple[dict[str, Tensor], Callable[[], dict[str, Tensor]]]:
    """Return the tensors that a method trains, and the parameters of the network made of them."""
    import torch

    trained: dict[str, Tensor] = {}
    if settings.method == "full":
        trained = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
        return trained, lambda: {**start, **trained}
    if settings.method == "soft_prompt":
        # It begins as words of the vocabulary, which the network knows how to read.
        words = torch.from_numpy(rng.integers(0, shape.vocabulary, settings.rank))
        drawn = start["tokens"][words] + start["positions"][: settings.rank]
        trained = {SOFT_PROMPT: drawn.clone().requires_grad_()}
        return trained, lambda: {**start, **trained}
    adapted = [name for name in start if name.split(".")[-1] in ADAPTED]
    for name in adapted:
        outputs, inputs = start[name].shape
        drawn = torch.from_numpy(rng.standard_normal((settings.rank, inputs))).float()
        trained[name + DOWN] = (drawn / math.sqrt(inputs)).requires_grad_()
        trained[name + UP] = torch.zeros(outputs, settings.rank, requires_grad=True)

    def assembled() -> dict[str, Tensor]:
        added = {
            name: start[name] + SCALE * trained[name + UP] @ trained[name + DOWN]
            for name in adapted
        }
        return {**start, **added}

    return trained, assembled
