"""A user's own language model: its folder or its endpoint, and the texts it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from hartley.core import Access, Data, Modality, Model, Range, Scene, Stronger, recipe
from hartley.core.errors import BadModel, UsageError
from hartley.data.canary_files import CanarySet
from hartley.data.canary_files import read as read_canaries
from hartley.games.membership.pretrained import Pretrained
from hartley.games.planted_canaries import PlantedCanaries
from hartley.scenes._assemble_language import utility
from hartley.scenes._user_canaries import planted as in_their_tokens
from hartley.scenes._user_endpoint import Chats, Endpoint
from hartley.scenes._user_files import check_there, described
from hartley.scenes._user_texts import TextReader, apart, check_texts, check_words
from hartley.targets.adapter_folder import adapter, base_of, is_adapter
from hartley.targets.http import Prices
from hartley.targets.huggingface import FLOAT16, context_stated, huggingface
from hartley.targets.model_folder import check_folder
from hartley.targets.tokenizer_folder import has_tokenizer
from hartley.targets.tokenizer_folder import tokenizer as codec_of

SPARE = 20
"""Surplus non-members from which on they are the attacker's: attacks that compare with known
non-members need as many."""
PRECISION = {
    "float32": "float32",
    "bfloat16": "bfloat16: scores are rounded to 8 bits, those of another precision differ",
    "float16": "float16: scores are rounded to 11 bits, those of another precision differ",
}
"""What a reader of the run should know, by dtype."""
OFFERS = Access.LABELS | Access.SCORES


@recipe(modality=Modality.LANGUAGE)
def own_texts(
    *,
    model: Annotated[str, Stronger.NEITHER] = "",
    members: Annotated[str, Stronger.NEITHER] = "",
    nonmembers: Annotated[str, Stronger.NEITHER] = "",
    canaries: Annotated[str, Stronger.NEITHER] = "",
    reference: Annotated[str, Stronger.NEITHER] = "",
    base: Annotated[str, Stronger.NEITHER] = "",
    tokenizer: Annotated[str, Stronger.NEITHER] = "",
    text_field: Annotated[str, Stronger.NEITHER] = "",
    longest: Annotated[int, Range(2, 2**20), Stronger.MORE] = 1024,
    endpoint: Annotated[str, Stronger.NEITHER] = "",
    key_env: Annotated[str, Stronger.NEITHER] = "",
    allow_host: Annotated[str, Stronger.NEITHER] = "",
    revision: Annotated[str, Stronger.NEITHER] = "",
    scores: Annotated[bool, Stronger.NEITHER] = True,
    sampling: Annotated[Literal["completions", "chat"], Stronger.NEITHER] = "completions",
    price_in: Annotated[float, Range(0), Stronger.NEITHER] = 0.0,
    price_out: Annotated[float, Range(0), Stronger.NEITHER] = 0.0,
    timeout: Annotated[float, Range(0, open_low=True), Stronger.NEITHER] = 60.0,
    concurrency: Annotated[int, Range(1, 256), Stronger.NEITHER] = 4,
    prompts: Annotated[Literal["auto", "text", "tokens"], Stronger.NEITHER] = "auto",
    dtype: Annotated[Literal["float32", "bfloat16", "float16"], Stronger.NEITHER] = "float32",
) -> Scene:
    """A language model of your own, with texts that it was trained on and others, or canaries.

    Non-members beyond the number of members are the attacker's own texts, where there are 20 or
    more. Empty texts are left out, and long ones cut; the facts say how many.

    Args:
        model: a folder of transformers (safetensors), of a LoRA adapter, or a name at the endpoint.
        members: texts that it was trained on: .jsonl, .csv, .parquet, or .txt with one a line.
        nonmembers: texts of the same kind that it never saw.
        canaries: the file that ``hartley canaries make`` wrote and that was planted; its truth is
            beside it. Without members, which canaries were planted is the membership in question.
        reference: folder of the model before fine-tuning; of an adapter it is the base.
        base: folder of the model that an adapter adapts, where the adapter names none that is here.
        tokenizer: folder of the tokenizer; empty takes that of the model.
        text_field: column of the texts; empty takes text or messages (of chats).
        longest: tokens of a text that are read at most.
        endpoint: address of an OpenAI-compatible API that gives log-probabilities of prompts.
        key_env: environment variable that holds the key of the endpoint.
        allow_host: a host besides this machine that texts may be sent to.
        revision: which version the endpoint serves; a run without one is never continued.
        scores: whether the endpoint gives log-probabilities of prompts; without them only attacks
            that sample text are played.
        sampling: what the endpoint continues a text by.
        price_in: money for a million tokens that the endpoint reads.
        price_out: money for a million tokens that it writes.
        timeout: seconds without a byte before a request to the endpoint is sent again.
        concurrency: requests to the endpoint at a time, of each worker.
        prompts: what the endpoint is sent: text, token ids (which vLLM takes), or auto: text where
            all texts come back from the tokenizer as the same tokens.
        dtype: what the weights of a folder are held in, also those of the reference. Scores of
            bfloat16 and float16 are rounded; what a model that is served so shows is measured so.

    Raises:
        UsageError: a file, a folder or a column is not there, the model cannot be read, or the
            endpoint does not answer.
    """
    _check_flags(locals())
    # All that the user named is read before a model is, which may take minutes.
    files = {"members": members, "nonmembers": nonmembers, "canaries": canaries}
    files = {flag: path for flag, path in files.items() if path}
    drawn = _checked_files(files, text_field)
    folder, beside = _checked_folders(model, base, tokenizer, reference, served=bool(endpoint))
    codec = codec_of(folder)
    local: Model | None = None
    before = huggingface(reference, dtype=dtype) if reference else None
    if endpoint:
        context = context_stated(folder)
    else:
        local, without = _of_folder(Path(model), beside, dtype)
        before = before or without
        context = int(local.facts["context"])
    reader = TextReader(codec, min(longest, context), folder, text_field)
    records: dict[str, Data] = {}
    if members:
        both = (reader.read(members, "members"), reader.read(nonmembers, "nonmembers"))
        train, others = apart(*both, (members, nonmembers))
        records = _parted(train, others)
    planted: PlantedCanaries | None = None
    chats: Chats | None = None
    if drawn is not None:
        planted = in_their_tokens(drawn, reader.codec, reader.words, reader.longest)
        chats = Chats.of(drawn, planted.canaries.x)
    texts = [*records.values(), *([] if planted is None else [planted.texts])]
    if local is None:
        how = Endpoint(
            endpoint,
            model,
            key_env,
            allow_host,
            revision,
            scores,
            sampling,
            Prices(price_in, price_out),
            timeout,
            concurrency,
            prompts,
        )
        local = how.ask(reader.codec, texts, chats)
    endpoint_facts = {name: local.facts[name] for name in local.facts if endpoint}
    for data in texts:
        check_words(data, local, "model")
        if before is not None:
            check_words(data, before, "reference")
    if dtype == "float16":
        for each in (local, before):
            _check_finite(each, texts[0])
    beside_model = (None if before is None else Pretrained(before), planted)
    extra = {**records, **({} if planted is None else {"canaries": planted.canaries})}
    if records:
        extra["test"] = records["holdout"]
    return Scene(
        name=Path(model).name or "model",
        modality=Modality.LANGUAGE,
        model=local.with_(
            codec=reader.codec,
            offers=OFFERS if scores else Access.LABELS,
            facts={**local.facts, "context": context},
        ),
        train=extra.pop("train", None),
        holdout=extra.pop("holdout", None),
        extra=extra,
        parts=tuple(part for part in beside_model if part is not None),
        # Every answer of an endpoint costs.
        utility=None if endpoint or not records else utility,
        facts={
            **{NAMES[name]: len(data) for name, data in records.items()},
            **({} if planted is None else _described(planted)),
            **reader.facts,
            **({} if before is None else {"model before fine-tuning": before.name}),
            **(
                {"endpoint": f"{endpoint} {model}", **endpoint_facts}
                if endpoint
                else described({"model": model})
            ),
            **({} if endpoint else {"precision": PRECISION[dtype]}),
            **({} if scores else {"log-probabilities": "none: attacks sample text"}),
            **described(files),
        },
    )


NAMES = {
    "train": "member records",
    "holdout": "non-member records",
    "public": "the attacker's records",
}


def _parted(train: Data, others: Data) -> dict[str, Data]:
    """Return the records of the scene: non-members to spare are the attacker's."""
    spare = max(0, len(others) - len(train))
    spare = spare if spare >= SPARE else 0
    out = {
        "train": train,
        "holdout": _rows(others, "nonmembers", slice(len(others) - spare)),
        "public": _rows(others, "public", slice(len(others) - spare, None)),
    }
    return out if spare else {name: out[name] for name in ("train", "holdout")}


def _described(part: PlantedCanaries) -> dict[str, str | int]:
    copies = ", ".join(map(str, np.unique(part.repeats).tolist()))
    return {
        "canaries": len(part.planted),
        "canaries planted, by fair coins": int(part.planted.sum()),
        "copies of a planted canary": copies,
    }


def _check_flags(flags: Mapping[str, Any]) -> None:
    """Check that each flag has the others that it needs.

    Raises:
        UsageError: one is absent, or does not go with the others.
    """
    texts, folder = "a file of texts", "a folder"
    needed = {"model": folder}
    if not flags["canaries"] or flags["members"] or flags["nonmembers"]:
        needed |= {"members": texts, "nonmembers": texts}
    example = "hartley assess --model FOLDER"
    if flags["endpoint"]:
        needed = {**needed, "model": "the name of a model at the endpoint", "tokenizer": folder}
        example = f"hartley assess --endpoint {flags['endpoint']} --model NAME --tokenizer FOLDER"
    for name, what in needed.items():
        if not flags[name]:
            raise UsageError(
                f"--{name} must be {what}, got none: {example} --members members.jsonl "
                "--nonmembers nonmembers.jsonl, --canaries of `hartley canaries make`, or "
                "--withheld of `hartley canaries withhold` for what a chat model should not say"
            )
    only = {n.replace("_", "-"): flags[n] for n in ("key_env", "allow_host", "revision")}
    only |= {"no-scores": not flags["scores"], "sampling": flags["sampling"] != "completions"}
    only |= {"price-in": flags["price_in"], "price-out": flags["price_out"]}
    if flags["endpoint"] and flags["dtype"] != "float32":
        raise UsageError(
            f"--dtype must be left out with --endpoint, got {flags['dtype']}: the server settles it"
        )
    only |= {"prompts": flags["prompts"] != "auto"}
    only |= {"timeout": flags["timeout"] != 60, "concurrency": flags["concurrency"] != 4}
    for name, given in only.items():
        if given and not flags["endpoint"]:
            raise UsageError(f"--{name} must be given with --endpoint")
    if flags["base"] and (flags["endpoint"] or not is_adapter(Path(flags["model"]))):
        raise UsageError(
            f"--base must be given with the folder of an adapter, got {flags['model']}; a model "
            "before fine-tuning is a --reference"
        )
    if flags["members"] and Path(flags["members"]).resolve() == Path(flags["nonmembers"]).resolve():
        raise UsageError(
            f"--nonmembers must be texts that the model never saw, got {flags['members']} twice"
        )


def _check_finite(model: Model | None, data: Data) -> None:
    """Check that a model whose numbers end at 65,504 can be asked.

    Raises:
        UsageError: its answers are not finite.
    """
    if model is None or model.score is None:
        return
    try:
        finite = bool(np.isfinite(model.score(data.x[:4])).all())
    except BadModel:
        finite = False
    if not finite:
        raise UsageError(
            f"--dtype must be one that holds the numbers of {model.name}, got float16, in which "
            f"its answers are not finite; {FLOAT16}"
        )


def _checked_files(files: Mapping[str, str], text_field: str) -> CanarySet | None:
    """Check files of texts, by their flag, and return the canaries of theirs, if any.

    Raises:
        UsageError: one is not there, or not what its flag needs.
    """
    texts = {flag: path for flag, path in files.items() if flag != "canaries"}
    check_there(texts)
    drawn = read_canaries(Path(files["canaries"])) if "canaries" in files else None
    check_texts(texts, text_field)
    return drawn


def _checked_folders(
    model: str, base: str, tokenizer: str, reference: str, *, served: bool
) -> tuple[Path, Path]:
    """Return whose tokenizer is read and the folder of the network: of an adapter, its base.

    Raises:
        UsageError: a folder is not there, or states no weights of a language model.
    """
    place = Path(model)
    if reference:
        check_folder(Path(reference))
    if served:
        return Path(tokenizer), place
    if place.is_file():
        raise UsageError(
            f"--model must be the folder of a language model, got the file {place}; for a "
            "classifier give --train, --test and --target, not --members"
        )
    beside = base_of(place, base) if is_adapter(place) else place
    check_folder(beside)
    if tokenizer:
        return Path(tokenizer), beside
    return place if has_tokenizer(place) else beside, beside


def _of_folder(place: Path, beside: Path, dtype: str) -> tuple[Model, Model | None]:
    """Return the model of a folder, and the same without its adapter."""
    if place == beside:
        return huggingface(place, dtype=dtype), None
    return adapter(place, beside, dtype=dtype)


def _rows(data: Data, name: str, rows: slice) -> Data:
    facts = {key: np.asarray(value)[rows] for key, value in data.facts.items()}
    return replace(data, name=name, x=data.x[rows], facts=facts)
