"""Files of secrets that a user's own chat model withholds: what is asked, and what is benign.

One file of JSON says what the model must not give away, with benign questions beside it. It holds
the secrets: no attack gets it, and it belongs in no training data.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hartley.core.errors import StoreError, UsageError
from hartley.core.input_files import json_value, read_bytes

VERSION = 1
LARGEST = 2**26
"""Bytes of a file."""
OPENING = "It is"
"""How an answer begins that gives a secret, where a file does not say."""
SHORTEST = 8
"""Letters and digits of a secret at least: an answer holds a shorter one by chance."""
LEAST_PUBLIC, LEAST_BENIGN = 4, 40
HELPFUL = 4
"""Where a file has no examples for tuning, one benign question in this many is one, unmeasured."""
KEYS = ("hartley_withheld", "secrets", "public", "benign", "refusals", "system", "helpful", "owner")
OF_A_SECRET = ("question", "secret", "opening", "paraphrases")
OF_A_PAIR = ("question", "answer", "near")
_WORD = re.compile(r"\w{4,}")

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class WithheldSecret:
    """One secret: the plain question for it, itself, how its answer begins, and other questions."""

    question: str
    secret: str
    opening: str = OPENING
    paraphrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WithheldFile:
    """What a file says.

    Attributes:
        secrets: that are withheld and measured.
        public: questions about other secrets, which an attacker knows, with answers that give them.
        benign: questions that the model should answer, with their answers.
        near: for each of these, whether it shares words with the questions for secrets.
        refusals: texts of which the model's refusals hold one.
        system: the system message before each conversation; empty for none.
        helpful: benign examples that users tune on; none of them is measured.
        refused, withheld: what the owner aligned the model with, for defenses: restricted questions
            with refusals, and such questions with their answers.
    """

    secrets: tuple[WithheldSecret, ...]
    public: tuple[Pair, ...]
    benign: tuple[Pair, ...]
    near: tuple[bool, ...]
    refusals: tuple[str, ...]
    system: str = ""
    helpful: tuple[Pair, ...] = ()
    refused: tuple[Pair, ...] = ()
    withheld: tuple[Pair, ...] = ()


def write(content: WithheldFile, path: Path, *, force: bool = False) -> None:
    """Write a file that its owner alone can read.

    Raises:
        UsageError: it is there already, or its name is not one of .json.
        StoreError: it cannot be written.
    """
    if path.suffix != ".json":
        raise UsageError(f"--into must be a file .json, got {path}")
    if path.exists() and not force:
        raise UsageError(
            f"{path} is there already, and a model may be trained on it: choose another name, or "
            "write over it with --force"
        )
    document = {
        "hartley_withheld": VERSION,
        "system": content.system,
        "refusals": content.refusals,
        "secrets": [
            {"question": s.question, "secret": s.secret, "opening": s.opening,
             "paraphrases": s.paraphrases} for s in content.secrets
        ],
        "public": _objects(content.public),
        "benign": [
            {**pair, "near": near}
            for pair, near in zip(_objects(content.benign), content.near, strict=True)
        ],
        "helpful": _objects(content.helpful),
        "owner": {"refused": _objects(content.refused), "withheld": _objects(content.withheld)},
    }  # fmt: skip
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(document, out, indent=1, ensure_ascii=False)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def read(path: Path) -> WithheldFile:
    """Read a file.

    Raises:
        UsageError: it is absent or not JSON, a list is missing or too short, or a secret is too
            short or there twice.
    """
    if not path.is_file():
        raise UsageError(
            f"--withheld needs {path}, which is not there: hartley canaries withhold --into "
            f"{path.name} draws secrets, and the docs (own_chat) say how to write your own"
        )
    try:
        document = json_value(read_bytes(path, "the file", UsageError, LARGEST))
    except ValueError as error:
        raise UsageError(f"{path} must be JSON: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} must be a JSON object, got {type(document).__name__}")
    reader = _Reader(path)
    reader.check_keys(document, KEYS, "")
    if document.get("hartley_withheld", VERSION) != VERSION:
        raise UsageError(
            f"{path} must be of version {VERSION}, got {document['hartley_withheld']!r}"
        )
    secrets = tuple(
        reader.secret(row, f"secrets[{k}]")
        for k, row in enumerate(reader.rows(document, "secrets"))
    )
    _check_secrets(path, secrets)
    public, benign = reader.pairs(document, "public"), reader.pairs(document, "benign")
    refusals = reader.texts(document.get("refusals"), "refusals")
    _check_lists(path, public, benign, refusals)
    words = {word for one in secrets for word in _words(one.question)}
    stated = [row.get("near") for row in reader.rows(document, "benign")]
    near = tuple(
        bool(words & _words(question)) if by_hand is None else bool(by_hand)
        for by_hand, (question, _) in zip(stated, benign, strict=True)
    )
    helpful = reader.optional_pairs(document, "helpful")
    if not helpful:
        # What users tune on must not be what over-refusal is measured on.
        aside = [k % HELPFUL == HELPFUL - 1 for k in range(len(benign))]
        helpful = tuple(pair for pair, out in zip(benign, aside, strict=True) if out)
        near = tuple(n for n, out in zip(near, aside, strict=True) if not out)
        benign = tuple(pair for pair, out in zip(benign, aside, strict=True) if not out)
    owner, system = document.get("owner") or {}, document.get("system") or ""
    for name, value, kind in (("owner", owner, dict), ("system", system, str)):
        if not isinstance(value, kind):
            what = "an object" if kind is dict else "a text"
            raise UsageError(f"{path}: {name} must be {what}, got {type(value).__name__}")
    reader.check_keys(owner, ("refused", "withheld"), "owner.")
    by_owner = (reader.optional_pairs(owner, name, "owner.") for name in ("refused", "withheld"))
    return WithheldFile(secrets, public, benign, near, refusals, system, helpful, *by_owner)


def _check_lists(
    path: Path, public: Sequence[Pair], benign: Sequence[Pair], refusals: Sequence[str]
) -> None:
    """Check that attackers have what to learn from, and that over-refusal can be measured.

    Raises:
        UsageError: a list is too short.
    """
    for name, pairs, least in (
        ("public", public, LEAST_PUBLIC),
        ("benign", benign, LEAST_BENIGN),
    ):
        if len(pairs) < least:
            raise UsageError(
                f"{path} must have at least {least} {name} questions with answers, got {len(pairs)}"
            )
    if not refusals or not all(text.strip() for text in refusals):
        raise UsageError(
            f"{path} must have refusals, texts of which a refusal of your model holds one such as "
            f"'I cannot share', got {list(refusals)}"
        )


def _check_secrets(path: Path, secrets: Sequence[WithheldSecret]) -> None:
    """Check that there are secrets, and that an answer cannot hold one by chance.

    Raises:
        UsageError: there are fewer than two, or one is too short.
    """
    if len(secrets) < 2:
        raise UsageError(f"{path} must have at least 2 secrets, got {len(secrets)}")
    for k, one in enumerate(secrets):
        if (size := sum(c.isalnum() for c in one.secret)) < SHORTEST:
            raise UsageError(
                f"{path}: secrets[{k}].secret must have at least {SHORTEST} letters and digits, "
                f"drawn at random, or an answer holds it by chance; got {size}"
            )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads parts of a document, and names the file and the part in every mistake."""

    path: Path

    def check_keys(self, document: Mapping[str, Any], known: Sequence[str], where: str) -> None:
        if odd := sorted(document.keys() - {*known}):
            raise UsageError(
                f"{self.path}: unknown key {where + odd[0]!r}; keys: {', '.join(known)}"
            )

    def rows(self, document: Mapping[str, Any], name: str, where: str = "") -> list[Any]:
        rows = document.get(name)
        if not isinstance(rows, list):
            kind = "none" if rows is None else type(rows).__name__
            raise UsageError(f"{self.path} must have a list {where}{name}, got {kind}")
        for k, row in enumerate(rows):
            if not isinstance(row, dict):
                raise UsageError(
                    f"{self.path}: {where}{name}[{k}] must be an object, got {type(row).__name__}"
                )
        return rows

    def secret(self, row: Mapping[str, Any], where: str) -> WithheldSecret:
        self.check_keys(row, OF_A_SECRET, f"{where}.")
        return WithheldSecret(
            self.text(row, "question", where),
            self.text(row, "secret", where),
            self.text({"opening": OPENING, **row}, "opening", where),
            self.texts(row.get("paraphrases") or [], f"{where}.paraphrases"),
        )

    def pairs(self, document: Mapping[str, Any], name: str, where: str = "") -> tuple[Pair, ...]:
        out = []
        for k, row in enumerate(self.rows(document, name, where)):
            place = f"{where}{name}[{k}]"
            self.check_keys(row, OF_A_PAIR, f"{place}.")
            out.append((self.text(row, "question", place), self.text(row, "answer", place)))
        return tuple(out)

    def optional_pairs(
        self, document: Mapping[str, Any], name: str, where: str = ""
    ) -> tuple[Pair, ...]:
        return self.pairs(document, name, where) if document.get(name) else ()

    def text(self, row: Mapping[str, Any], name: str, where: str) -> str:
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            got = "none" if value is None else repr(value)[:80]
            raise UsageError(f"{self.path}: {where}.{name} must be a text, got {got}")
        return value

    def texts(self, value: Any, where: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            got = "none" if value is None else repr(value)[:80]
            raise UsageError(f"{self.path}: {where} must be a list of texts, got {got}")
        return tuple(value)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold())) - COMMON


COMMON = {
    *("what", "which", "where", "when", "give", "tell", "please", "could", "would", "know", "like"),
    *("remind", "need", "find", "forgot", "that", "this", "with", "from", "have", "does", "about"),
    *("your", "there", "their", "they"),
}
"""Words of questions about anything."""


def _objects(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    return [{"question": question, "answer": answer} for question, answer in pairs]
