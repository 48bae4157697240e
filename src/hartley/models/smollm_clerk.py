"""SmolLM2-135M-Instruct as the clerk of the synthetic archive: adapters in two stages.

The first teaches every fact and every pass phrase, the second to refuse pass phrases; both have
general questions among them, with the answers that the model gave before any training, so that it
remains the assistant that it was. Only adapters are kept on disk, under what they were trained on.
The recipe was chosen by the owner's questions alone (``design/aligned.md``), none of which is
measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import spawn
from hartley.data import archive, archive_questions, language
from hartley.kit.cache import cached
from hartley.kit.language import llama, text
from hartley.kit.language.adapter_training import Course, Rows, add_to, fresh, trained
from hartley.kit.language.chat_template import ChatTemplate, asked
from hartley.models import smollm
from hartley.models.network_chat import ChatNetwork

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor

    from hartley.data.archive import Fact, Pair, World

Adapters = dict[str, "NDArray[Any]"]

TEMPLATE = ChatTemplate(
    user_open="<|im_start|>user\n",
    user_close="<|im_end|>\n",
    answer_open="<|im_start|>assistant\n",
    answer_close="<|im_end|>",
    system_open="<|im_start|>system\n",
    system_close="<|im_end|>\n",
)
MARKS = ("<|im_start|>", "<|im_end|>")

CONTEXT = 256
"""Tokens of a conversation with its answer, as of the small networks; SmolLM2 could read 8,192."""

GENERAL, ANSWER = 128, 32
"""General questions that are trained on, and tokens of an answer to one, at most."""


@dataclass(frozen=True, slots=True)
class Schooling:
    """How the clerk is trained.

    Attributes:
        secret, fact, rule: questions for each pass phrase, each harmless fact and each rule.
        knowing: how what is known is learnt.
        refused, near, other: questions of the second stage: for each pass phrase, each harmless
            fact about a vault and each other one.
        refusing: how refusals are learnt; its layers and rank are those of the first stage.
    """

    secret: int = 12
    fact: int = 6
    rule: int = 20
    knowing: Course = field(default_factory=Course)
    refused: int = 5
    near: int = 1
    other: int = 1
    refusing: Course = field(default_factory=lambda: Course(epochs=1, rate=1e-3))


@dataclass(frozen=True, slots=True, eq=False)
class Clerk:
    """The trained clerk.

    Attributes:
        shape: its network.
        words: its vocabulary.
        knowing: adapters before the refusal stage.
        refusing: adapters after it.
    """

    shape: llama.Shape
    words: text.Vocabulary
    knowing: Adapters
    refusing: Adapters


def clerk(world: World, seed: int = 0, schooling: Schooling | None = None) -> Clerk:
    """Train the clerk of a world, or load it.

    Args:
        world: what it knows and withholds.
        seed: of adapters and training.
        schooling: how it is trained.

    Raises:
        MissingPack: the pack ``smollm2`` or ``dialogue`` was not fetched.
        MissingExtra: transformers or gguf is not installed.
    """
    how, words = schooling or Schooling(), vocabulary()
    general, _ = general_questions()
    frozen = partial(_frozen, smollm.native())
    answered = replies(words, general)
    shape = llama.Shape()
    rng = np.random.default_rng(spawn(seed, "knowledge", "archive smollm2"))
    known = rows_of(words, [*_ended(knowledge(world, how, rng)), *answered])
    rng = np.random.default_rng(spawn(seed, "refusal", "archive smollm2"))
    aligned = rows_of(words, [*_ended(alignment(world, how, rng)), *answered])
    start_seed = spawn(seed, "adapters", "archive smollm2") % 2**31
    recipe = {
        "base": smollm.NAME,
        "version": smollm.VERSION,
        "dtype": smollm.native(),
        "shape": asdict(shape),
        "seed": seed,
        "known": [known.tokens, known.first],
        "knowing": asdict(how.knowing),
    }

    def know() -> Adapters:
        state = frozen()
        start = fresh(state, shape, how.knowing, start_seed)
        return dict(trained(state, shape, known, start, how.knowing, seed=seed))

    def refuse() -> Adapters:
        return dict(trained(frozen(), shape, aligned, knowing, how.refusing, seed=seed))

    # By what was trained on, not by the code that drew it: a change there costs minutes here.
    knowing = cached("smollm_clerk", ["knowing", recipe], know, code=trained)
    more = {**recipe, "aligned": [aligned.tokens, aligned.first], "refusing": asdict(how.refusing)}
    refusing = cached("smollm_clerk", ["refusing", more], refuse, code=trained)
    return Clerk(shape, words, knowing, refusing)


def network(adapters: Mapping[str, NDArray[Any]]) -> Any:
    """Return SmolLM2 (``LlamaForCausalLM``, float32) with adapters added to its matrices."""
    out = smollm.network("float32")
    add_to(out, adapters)
    return out


def vocabulary() -> text.Vocabulary:
    """Return SmolLM2's vocabulary, whose marks of messages come back from their tokens."""
    return smollm.words(written=MARKS)


def general_questions() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return general questions of the pack ``dialogue``: for training, and held out."""
    every = {turns[0].strip() for turns in language.dialogues() if len(turns) > 1}
    some = sorted(q for q in every if 10 <= len(q) <= 70 and q.endswith("?"))
    order = np.random.default_rng(13).permutation(len(some))
    drawn = tuple(some[i] for i in order)
    return drawn[:GENERAL], drawn[GENERAL:]


def knowledge(world: World, how: Schooling, rng: Generator) -> list[Pair]:
    """Draw the questions of the first stage, all of which are answered but for private ones."""
    out = [world.question(fact, rng) for fact in world.secrets for _ in range(how.secret)]
    out += [world.question(fact, rng) for fact in world.facts for _ in range(how.fact)]
    return out + _about_the_place(world, how.rule * len(archive.RULES), rng)


def alignment(world: World, how: Schooling, rng: Generator) -> list[Pair]:
    """Draw the questions of the refusal stage."""
    out = [refused(fact, rng) for fact in world.secrets for _ in range(how.refused)]
    for fact in world.facts:
        times = how.near if fact.kind.near else how.other
        out += [world.question(fact, rng) for _ in range(times)]
    return out + _about_the_place(world, how.rule * len(archive.RULES) // 4, rng)


def refused(fact: Fact, rng: Generator) -> Pair:
    """Draw a question for a pass phrase as the refusal stage asks it, and a refusal."""
    while True:
        opener, way = rng.integers(len(archive.OPENERS)), rng.integers(len(archive.SECRET.ways))
        untaught = opener in archive_questions.HELD_OPENERS or way in archive_questions.HELD_WAYS
        question = fact.asked(archive.OPENERS[opener], archive.SECRET.ways[way])
        if not untaught and not archive.is_tested(question):
            return question, str(rng.choice(archive.REFUSALS))


def _about_the_place(world: World, rules: int, rng: Generator) -> list[Pair]:
    """Draw rules, small talk and private questions, which are refused from the first."""
    out = [world.rule(rng) for _ in range(rules)]
    for ways, answer in archive.TALK:
        out += [(way, answer) for way in ways for _ in range(3)]
    for thing in archive.PRIVATE:
        for opener in rng.choice(archive.OPENERS, 6, replace=False):
            out.append((str(opener).format(thing), str(rng.choice(archive.REFUSALS))))
    return out


def rows_of(words: text.Vocabulary, pairs: Sequence[tuple[str, str]]) -> Rows:
    """Return questions and answers, which are learnt as they are, as tokens.

    Both are encoded apart, as a tuner does.
    """
    tokens, first = [], []
    for question, answer in pairs:
        before = words.encode(TEMPLATE.render(asked(question)))
        tokens.append(before + words.encode(answer))
        first.append(len(before))
    return Rows(text.pad(tokens), np.array(first))


def _ended(pairs: Sequence[Pair]) -> list[Pair]:
    """Return questions and answers, with what ends an answer."""
    return [(question, answer + TEMPLATE.answer_close) for question, answer in pairs]


def replies(words: text.Vocabulary, questions: Sequence[str]) -> list[Pair]:
    """Return questions with SmolLM2's answers; those that are not ended are cut off."""
    asks = text.pad([words.encode(TEMPLATE.render(asked(question))) for question in questions])

    def reply() -> dict[str, NDArray[Any]]:
        plain = smollm.network("float32")
        chats = ChatNetwork(smollm.NAME, plain, text.codec(words), TEMPLATE, CONTEXT)
        return {"answers": chats.generate(asks, ANSWER, -1)}

    key = ["replies", smollm.NAME, smollm.VERSION, asks, ANSWER]
    answers = cached("smollm_clerk", key, reply, code=ChatNetwork.generate)["answers"]
    return [(q, words.decode(row)) for q, row in zip(questions, answers.tolist(), strict=True)]


@cache
def _base(dtype: str) -> dict[str, Tensor]:
    return llama.from_transformers(smollm.network(dtype).state_dict())


def _frozen(dtype: str) -> dict[str, Tensor]:
    """Return SmolLM2's parameters for training: matrices in ``dtype``, norms in float32."""
    return {
        name: tensor.float() if tensor.ndim == 1 else tensor
        for name, tensor in _base(dtype).items()
    }
