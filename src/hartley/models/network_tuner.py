"""Fine-tuning of a causal network of ``transformers``: what a tuning service does with it.

Low-rank adapters come from ``peft`` (arXiv:2106.09685) and are beside the shared weights: all tuned
models of a run are one network, which takes up the adapters of the model that is asked. Tuning of
all weights makes a copy of the network.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Codec, Model
from hartley.core.errors import MissingExtra, UsageError
from hartley.kit.cache import digest
from hartley.kit.language.chat_template import ChatTemplate, asked
from hartley.kit.language.text import pad
from hartley.models.fine_tuning import (
    DOWN,
    SCALE,
    UP,
    Answers,
    Example,
    Lessons,
    Method,
    Rows,
    RuledTuner,
    TuningRule,
    TuningRun,
    TuningSettings,
    Weights,
)
from hartley.models.network_chat import ChatNetwork
from hartley.models.tuning_loop import steps_of, warm_up
from hartley.targets.huggingface import context_of, from_network

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Adapters = Mapping[str, "NDArray[np.float32]"]


def _same(model: Model) -> Model:
    return model


class SharedNetwork:
    """A network that takes up the adapters of the model that is asked.

    Layers for adapters are put into it when the first ones come, so that a network that is never
    tuned needs no ``peft``.
    """

    def __init__(self, network: Any) -> None:
        """Take a network in evaluation mode; it is changed in place."""
        self.network = network
        self._adapted: Any = None
        self._loaded: object = None

    def bare(self) -> None:
        """Switch all adapters off."""
        if self._adapted is not None:
            self._adapted.base_model.disable_adapter_layers()

    def use(self, adapters: Adapters, rank: int) -> None:
        """Switch these adapters on, which ``adapters`` returned."""
        self._of_rank(rank)
        if self._loaded is not adapters:
            self._load(adapters, rank)
            self._loaded = adapters
        self._adapted.base_model.enable_adapter_layers()

    def fresh(self, rank: int, seed: int) -> dict[str, Tensor]:
        """Switch fresh adapters on, which change nothing yet; return their tensors by name."""
        import torch

        self._of_rank(rank)
        self._loaded = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for module in self._adapted.modules():
                if hasattr(module, "reset_lora_parameters"):
                    module.reset_lora_parameters(_name(rank), True)
        self._adapted.base_model.enable_adapter_layers()
        return {n: p for n, p in self._adapted.named_parameters() if f".{_name(rank)}." in n}

    def resume(self, rank: int) -> None:
        """Switch the adapters of a rank on again as they are."""
        self._of_rank(rank)
        self._adapted.base_model.enable_adapter_layers()

    def adapters(self, rank: int) -> dict[str, NDArray[np.float32]]:
        """Return the adapters as they are now, by the names of their tensors."""
        tensors = self._adapted.named_parameters()
        of_rank = ((n, p) for n, p in tensors if f".{_name(rank)}." in n)
        return {n: p.detach().float().numpy().copy() for n, p in of_rank}

    def copied(self) -> Any:
        """Return a copy of the network without any adapters."""
        self.bare()
        if self._adapted is None:
            return copy.deepcopy(self.network)
        return copy.deepcopy(self._adapted).unload()

    def _load(self, adapters: Adapters, rank: int) -> None:
        import torch

        with torch.no_grad():
            for name, tensor in self._adapted.named_parameters():
                if f".{_name(rank)}." in name:
                    tensor.copy_(torch.from_numpy(np.array(adapters[name])))

    def _of_rank(self, rank: int) -> None:
        """Switch to adapters of a rank, which are made where there are none yet."""
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise MissingExtra("peft", "language") from error
        how = {"r": rank, "lora_alpha": SCALE * rank, "target_modules": "all-linear"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._adapted is None:
                config = LoraConfig(**how, task_type="CAUSAL_LM")
                self._adapted = get_peft_model(self.network, config, _name(rank)).eval()
            elif _name(rank) not in self._adapted.peft_config:
                self._adapted.add_adapter(_name(rank), LoraConfig(**how, task_type="CAUSAL_LM"))
                self._adapted.eval()
            self._adapted.set_adapter(_name(rank))


def _name(rank: int) -> str:
    return f"rank{rank}"


@dataclass(frozen=True, slots=True, eq=False)
class NetworkTuner(RuledTuner):
    """Tunes a causal network of ``transformers``.

    An example is the rendered question, then the answer and what closes it; both are encoded apart,
    and only the answer is learnt.

    Attributes:
        name: of the deployed model.
        shared: the network.
        codec: texts to its tokens.
        template: how its conversations are written.
        system: the system message before each conversation; empty for none.
        offers: what an attacker may use of its models.
        identity: of the weights; empty if not declared.
        lessons: what the owner aligned the model with.
        rules: how the service tunes, oldest first.
        deploy: a model → as it is deployed.
    """

    name: str
    shared: SharedNetwork
    codec: Codec
    template: ChatTemplate
    system: str = ""
    offers: Access = Access.LABELS | Access.SCORES
    identity: str = ""
    lessons: Lessons = field(default_factory=Lessons)
    rules: tuple[TuningRule, ...] = ()
    deploy: Callable[[Model], Model] = _same

    @property
    def methods(self) -> tuple[Method, ...]:
        """Ways of tuning that it offers."""
        return ("full", "lora")

    @property
    def context(self) -> int:
        """Tokens of a conversation with its answer, at most."""
        return context_of(self.shared.network)

    @property
    def model(self) -> Model:
        """The deployed model."""
        return self._model(self.shared.network, self.shared.bare, self.identity)

    def with_(self, **changes: Any) -> NetworkTuner:
        """The same tuner with some fields changed."""
        return replace(self, **changes)

    def wrapped(self, change: Callable[[Model], Model]) -> NetworkTuner:
        """The same tuner, whose models are changed before they are deployed."""
        deploy = self.deploy
        return self.with_(deploy=lambda model: change(deploy(model)))

    def tune(self, examples: Sequence[Example], settings: TuningSettings, seed: int) -> Model:
        """Return the model, tuned on examples by the service's rules.

        Raises:
            UsageError: an example does not fit into the model's context, or the method is a soft
                prompt, which is not offered.
            MissingExtra: peft is not installed.
        """
        if settings.method not in self.methods:
            raise UsageError(
                f"method must be {' or '.join(self.methods)} for {self.name}, got "
                f"{settings.method!r}"
            )
        for rule in self.rules:
            examples = rule.admitted(examples)
        if not len(examples) or not settings.steps:
            return self.model
        rows = self.rows(examples)
        return (self._lora if settings.method == "lora" else self._full)(rows, settings, seed)

    def edited(self, weights: Weights) -> Model:
        """Return the model with whole weights of an attacker, or with adapters added to matrices.

        Args:
            weights: by name: whole arrays in place of the network's, or halves of adapters of a
                matrix (``NAME.lora_a`` (rank, inputs) and ``NAME.lora_b`` (outputs, rank)), whose
                product is added twice.

        Raises:
            UsageError: a name or a shape does not fit the network, or a value is not finite.
        """
        import torch

        network = self.shared.copied()
        state, layers = dict(network.named_parameters()), dict(network.named_modules())
        with torch.no_grad():
            for name, array in fitted(weights, network).items():
                if name in state:
                    state[name].copy_(torch.from_numpy(array))
                else:
                    added, layer = torch.from_numpy(array), layers[name]
                    layer.weight.add_(added if isinstance(layer, torch.nn.Linear) else added.T)
        return self._of_copy(network)

    def rows(self, examples: Sequence[Example]) -> Rows:
        """Return examples as tokens.

        Raises:
            UsageError: one is longer than the model's context.
        """
        opened = [self.template.render(asked(question, self.system)) for question, _ in examples]
        closed = [answer + self.template.answer_close for _, answer in examples]
        questions, answers = self.codec.encode(opened), self.codec.encode(closed)
        first = (np.asarray(questions) >= 0).sum(1)
        pairs = zip(questions.tolist(), answers.tolist(), strict=True)
        tokens = pad([[i for i in (*q, *a) if i >= 0] for q, a in pairs], 2)
        if (longest := int((tokens >= 0).sum(1).max())) > self.context:
            raise UsageError(f"examples must have at most {self.context} tokens, got {longest}")
        return Rows(tokens, first)

    def _lora(self, rows: Rows, settings: TuningSettings, seed: int) -> Model:
        shared, rank = self.shared, settings.rank
        trained = shared.fresh(rank, seed)
        for tensor in trained.values():
            tensor.requires_grad_()
        run = self._run(trained, settings, seed, lambda: shared.resume(rank))
        _optimised(run, self.rules, rows, shared.network)
        adapters = shared.adapters(rank)
        return self._model(
            shared.network,
            lambda: shared.use(adapters, rank),
            digest([self.identity, adapters]) if self.identity else "",
        )

    def _full(self, rows: Rows, settings: TuningSettings, seed: int) -> Model:
        network = self.shared.copied()
        kind = next(network.parameters()).dtype
        # Small steps vanish in half precision: it is trained in single, and deployed as it was.
        network.float().requires_grad_(True)
        run = self._run(dict(network.named_parameters()), settings, seed, lambda: None)
        _optimised(run, self.rules, rows, network)
        network.to(kind).requires_grad_(False)
        return self._of_copy(network)

    def _run(
        self,
        trained: Mapping[str, Tensor],
        settings: TuningSettings,
        seed: int,
        again: Callable[[], None],
    ) -> TuningRun:
        """Return a run; ``again`` switches on what is trained after the aligned model was asked."""
        import torch

        def aligned(batch: Rows) -> Answers:
            self.shared.bare()
            try:
                with torch.no_grad():
                    return read_answers(self.shared.network, batch)
            finally:
                again()

        rng = np.random.default_rng(seed)
        start = {name: tensor.detach().clone() for name, tensor in trained.items()}
        return TuningRun(self, start, trained, settings, rng, aligned)

    def _of_copy(self, network: Any) -> Model:
        state = {n: p.detach().float().numpy() for n, p in network.named_parameters()}
        return self._model(network.eval(), lambda: None, digest(state) if self.identity else "")

    def _model(self, network: Any, ready: Callable[[], None], identity: str) -> Model:
        chats = ChatNetwork(self.name, network, self.codec, self.template, self.context, ready)
        model = from_network(
            network, name=self.name, offers=self.offers, ready=ready, identity=identity
        )

        def opened() -> dict[str, NDArray[np.float32]]:
            ready()
            parameters = network.named_parameters()
            return {
                name.replace(".base_layer.", "."): p.detach().float().numpy().copy()
                for name, p in parameters
                if ".lora_" not in name
            }

        return self.deploy(
            model.with_(
                generate=chats.generate,
                chat=chats.chat,
                codec=self.codec,
                weights=opened if self.offers & Access.WEIGHTS else None,
            )
        )


def layer_shape(layer: Any) -> tuple[int, int] | None:
    """Return (outputs, inputs) of a linear layer, or None of anything else."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    if isinstance(layer, Linear):
        return layer.out_features, layer.in_features
    # Its weight lies the other way.
    return (layer.nf, layer.nx) if isinstance(layer, Conv1D) else None


def fitted(weights: Weights, network: Any) -> dict[str, NDArray[np.float32]]:
    """Return whole arrays by the names of parameters, and what adapters add by those of layers.

    Raises:
        UsageError: a name or a shape does not fit the network, or a value is not finite.
    """
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    layers = {name: layer_shape(layer) for name, layer in network.named_modules()}
    matrices = {name: shape for name, shape in layers.items() if shape is not None}
    out = {}
    for name, given in weights.items():
        array = np.asarray(given, dtype=np.float32)
        matrix = name.removesuffix(DOWN).removesuffix(UP)
        if not np.isfinite(array).all():
            raise UsageError(f"{name} must be finite, got NaN or infinite values")
        if name != matrix:
            out[matrix] = _product(weights, name, matrix, matrices)
        elif shapes.get(name) != array.shape:
            got = f"{name} of shape {array.shape}"
            raise UsageError(f"weights must be {_some(shapes)}, got {got}")
        else:
            out[name] = array
    return out


def _product(
    weights: Weights, name: str, matrix: str, matrices: Mapping[str, tuple[int, int]]
) -> NDArray[np.float32]:
    """What an adapter adds to its matrix (outputs, inputs)."""
    if matrix not in matrices:
        raise UsageError(f"adapters must be of {_some(matrices)}, got one of {matrix}")
    halves = [
        np.asarray(weights[matrix + h], np.float32) for h in (DOWN, UP) if matrix + h in weights
    ]
    if len(halves) < 2:
        raise UsageError(f"adapters must have two halves, got {name} alone")
    outputs, inputs = matrices[matrix]
    down, up = halves
    if down.ndim != 2 or down.shape[1] != inputs or up.shape != (outputs, len(down)):
        raise UsageError(
            f"the adapter of {matrix} must be (rank, {inputs}) and ({outputs}, rank), got "
            f"{down.shape} and {up.shape}"
        )
    return np.asarray(SCALE * up @ down, np.float32)


def _some(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Name some arrays of a network, with their shapes, for a message."""
    names = [f"{name} {shape}" for name, shape in shapes.items()]
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "")


def read_answers(network: Any, batch: Rows) -> Answers:
    """Read the answers of a batch by a network as it is."""
    import torch

    tokens, first = torch.from_numpy(batch.tokens), torch.from_numpy(batch.first)
    ids = tokens.clamp(min=0)
    learnt = (tokens[:, 1:] >= 0) & (torch.arange(1, ids.shape[1]) >= first[:, None])
    rows, columns = learnt.nonzero(as_tuple=True)
    # Only places of answers go through the head: with a large vocabulary it is most of the work.
    places = torch.unique(columns)
    fewer = "logits_to_keep" in inspect.signature(network.forward).parameters
    some = {"logits_to_keep": places} if fewer else {}
    logits = network(input_ids=ids[:, :-1], use_cache=False, **some).logits.float()
    logits = logits[rows, torch.searchsorted(places, columns) if fewer else columns]
    losses = torch.nn.functional.cross_entropy(logits, ids[:, 1:][learnt], reduction="none")
    return Answers(losses, logits, rows, columns + 1 - first[rows], batch)


def _optimised(run: TuningRun, rules: Sequence[TuningRule], rows: Rows, network: Any) -> None:
    steps = [rule.begin(run) for rule in rules]
    network.train(False)  # dropout would make a run depend on more than its seed
    most = run.settings.steps
    read = partial(read_answers, network)
    for _ in steps_of(run, steps, rows, read, most, warm=warm_up(most)):
        pass
