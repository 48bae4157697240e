"""Flags about a model of the user's own and its data, for every command that plays on a scene."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, get_type_hints

from cyclopts import Group, Parameter

from hartley.core.errors import UsageError
from hartley.core.parameters import notes_of

GROUP = Group("Your own model and data, instead of a scene")


@Parameter(name="*", group=GROUP)
@dataclass(frozen=True, slots=True, kw_only=True)
class OwnModel:
    """What is to be attacked, where no shipped scene is.

    Attributes:
        model: A fitted scikit-learn classifier or pipeline: .skops, or .joblib with --trust; a
            classifier as .onnx. A network: FILE.py:NAME of a torch module, its class or a function
            that returns it.
            A language model: its folder or that of its adapter, or its name at --endpoint.
        weights: The network's trained weights: .safetensors, or a state dict (.pt).
        fit: FILE.py:NAME of your training loop, fit(x, y) → the trained module, which the strong
            attacks (LiRA, RMIA) call for their reference models.
        train: The records that it was trained on (.csv, .parquet, .jsonl …; of a network .npz
            with x and y, a folder of pictures or sounds by class, or FILE.py:NAME).
        test: Records of the same kind that it never saw.
        target: The column that it predicts.
        gives: What a network returns: logits (the default), probabilities or labels.
        modality: What a network reads: vision, tabular or audio. Default: by the records' shape.
        device: The torch device of a network and its references: cpu (the default), cuda, mps.
        records: Instead of a model: a data set to scan for poison before training (a table with
            --target, .npz, a folder of pictures or sounds).
        clean: Records like --records that you trust, which calibrate the detectors.
        false_alarms: Share of clean records that the scan flags all the same. Default: 0.01.
        pictures: Let the report show one of your test pictures, clean and attacked.
        opened: Let attackers use the gradients of a network, which white-box evasion needs, or
            the weights and gradients of a chat model.
        trust: Load a file that can run code, such as a pickle; only if you made it.
        retrain: Let attackers train the same estimator anew, which the strong attacks need.
        references: Models that an attacker trains at most. Default: as many as still add to LiRA,
            up to 64.
        sensitive: A column of the table that attackers infer, with the estimator trained again.
        members: Texts that a language model was trained on (.jsonl, .csv, .parquet, .txt).
        nonmembers: Texts of the same kind that it never saw.
        canaries: The file of hartley canaries make that it was trained on, instead of members or
            besides.
        withheld: The file of what a chat model knows and should not say, which hartley canaries
            withhold draws: for assess jailbreak and assess finetune.
        reference: Folder of the language model before fine-tuning; of an adapter it is the base.
        base: Folder of the model that an adapter adapts, where the adapter names none that is here.
        tokenizer: Folder of the tokenizer. Default: that of the model.
        text_field: Column of the texts. Default: text, or messages of chats.
        longest: Tokens of a text that are read at most. Default: 1024.
        endpoint: Address of an OpenAI-compatible API, which gives log-probabilities of prompts.
        key_env: Environment variable that holds the key of the endpoint.
        allow_host: A host besides this machine that texts may be sent to.
        revision: Which version the endpoint serves; a run without one is never continued.
        scores: Whether the endpoint gives log-probabilities of prompts; with --no-scores only
            attacks that sample text are played.
        sampling: What the endpoint continues a text by: completions (the default) or chat.
        price_in: Money for a million tokens that the endpoint reads. Default: 0.
        price_out: Money for a million tokens that it writes. Default: 0.
        timeout: Seconds without a byte before a request is sent again. Default: 60.
        concurrency: Requests to the endpoint at a time, of each worker. Default: 4.
        prompts: What the endpoint is sent: text, tokens (ids, which vLLM takes), or auto (the
            default): text where the tokenizer gives the same tokens again.
        dtype: What the weights of a language model's folder are held in: float32 (the default),
            bfloat16 or float16. The run says so, since scores are rounded.
        items: Instead of a model: a folder of pictures, texts or sounds without watermarks, for a
            watermark of your own.
        marker: FILE.py:NAME of your marker, (item, message, key) → item, or a command with {in},
            {out}, {message} and {key}.
        marked: Instead of a marker: a folder of items that are marked already.
        detector: FILE.py:NAME of your detector, (item, key) → bits or whether it is marked, or a
            command with {in} and {key} that prints it.
        message_bits: Length of the watermark's message. Default: 0, it says presence alone.
        detector_gives: What a detector of presence returns: marked (the default) or p, a p-value.
        release: Instead of a model: a table of people, and what was released of it (a synthetic
            table, or its rows without names).
        control: Others of the same population, whom the release was not made of.
        known: Columns of the table that an attacker knows of a person, joined by commas. Default:
            all but the sensitive one.
        row_id: Column of the table and of its release that says whose a row is, for linkage.
        cluster: Column of the table and of the control that says which rows belong together, a
            person's or a household's: one row of each is drawn. Default: every row by itself.
        agent: Instead of a model: FILE.py:NAME of an agent of yours with its tools, an
            AuditedAgent.
    """

    model: str | None = None
    weights: str | None = None
    fit: str | None = None
    train: str | None = None
    test: str | None = None
    target: str | None = None
    gives: str | None = None
    modality: str | None = None
    device: str | None = None
    records: str | None = None
    clean: str | None = None
    false_alarms: float | None = None
    pictures: Annotated[bool, Parameter(negative="")] = False
    opened: Annotated[bool, Parameter(negative="")] = False
    trust: Annotated[bool, Parameter(negative="")] = False
    retrain: Annotated[bool, Parameter(negative="--no-retrain")] = True
    references: int | None = None
    sensitive: str | None = None
    members: str | None = None
    nonmembers: str | None = None
    canaries: str | None = None
    withheld: str | None = None
    reference: str | None = None
    base: str | None = None
    tokenizer: str | None = None
    text_field: str | None = None
    longest: int | None = None
    endpoint: str | None = None
    key_env: str | None = None
    allow_host: str | None = None
    revision: str | None = None
    scores: Annotated[bool, Parameter(negative="--no-scores")] = True
    sampling: str | None = None
    price_in: float | None = None
    price_out: float | None = None
    timeout: float | None = None
    concurrency: int | None = None
    prompts: str | None = None
    dtype: str | None = None
    items: str | None = None
    marker: str | None = None
    marked: str | None = None
    detector: str | None = None
    message_bits: int | None = None
    detector_gives: str | None = None
    release: Annotated[tuple[str, str] | None, Parameter(negative="")] = None
    control: str | None = None
    known: str | None = None
    row_id: str | None = None
    cluster: str | None = None
    agent: str | None = None

    def settings(self) -> dict[str, Any]:
        """Return what was set, by name; a switch that is as it ships is not."""
        as_shipped = asdict(OwnModel())
        given = {k: v for k, v in asdict(self).items() if v is not None and v != as_shipped[k]}
        if "release" in given:
            given["original"], given["released"] = given.pop("release")
        return given


NOT_SET = OwnModel()
"""No flag was given."""


def flags(taken: Collection[str] = ()) -> dict[str, tuple[Any, Any, str]]:
    """Return the type, the default and the help of each flag by its name.

    Args:
        taken: names that mean something else for the command, and are left out.
    """
    hints = get_type_hints(OwnModel)
    helps = notes_of(inspect.getdoc(OwnModel) or "", {"Attributes:"})
    return {
        field.name: (hints[field.name], field.default, helps[field.name])
        for field in fields(OwnModel)
        if field.name not in taken
    }


def chosen_scene(scene: str | None, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the scene to play on, and what the user's own model and data set of it.

    Args:
        scene: that of ``--scene``.
        settings: about the user's own model, by name.

    Raises:
        UsageError: none is given, or both are; or no scene takes these settings.
    """
    from hartley.engine.plan.own_scene import own_scene

    if settings and scene is not None:
        names = [f"--scene {scene}", *(f"--{name.replace('_', '-')}" for name in settings)]
        raise UsageError(f"the scene must be given once, got {', '.join(names)}")
    if settings:
        return own_scene(settings)
    if scene is None:
        raise UsageError(
            "the command needs a scene or a model: give --scene NAME (see: hartley list scenes), "
            "your own --model with --train and --test, a data set with --records, a watermark "
            "with --items, a table with --release, or an agent with --agent"
        )
    return scene, {}
