"""The configuration of ``hartley guard``: one TOML file; every mistake is one clear line."""

from __future__ import annotations

import hashlib
import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from hartley.core.errors import UsageError, did_you_mean
from hartley.core.toml_mistakes import located
from hartley.targets.http_client import permitted

Mode = Literal["dry-run", "enforce"]
Outage = Literal["refuse", "forward"]
Action = Literal["log", "slow", "coarsen", "refuse"]
Durability = Literal["power", "process"]

MOST_CANDIDATES = 16
"""Candidates of a decoy, at most: its chance is then at least 1/16."""

LEAST_SECRET_BITS = 40.0
"""Entropy of a secret that is searched for, at least: fewer bits are read by chance."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Group:
    """Accounts that share one budget.

    Attributes:
        name: of the group.
        budget_bits: bits that its answers may be charged in all; None where it has no budget.
    """

    name: str
    budget_bits: float | None


@dataclass(frozen=True, slots=True)
class Principal:
    """An account.

    Attributes:
        name: of the account.
        key_sha256: SHA-256 of its bearer token, hexadecimal.
        group: whose budget it shares; its own name where none is given.
        budget_bits: a budget of its own besides; None for none.
    """

    name: str
    key_sha256: str
    group: str
    budget_bits: float | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """What must not leave.

    Attributes:
        name: of the secret, which may be logged.
        text: the secret itself, which is neither printed nor logged.
        entropy_bits: of the uniform draw that it came from.
    """

    name: str
    text: str = field(repr=False)
    entropy_bits: float


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """The answers that a model may give, as declared.

    Attributes:
        model: name of the model, or ``*`` for every model without a form of its own.
        allowed: distinct answers.
        otherwise: what any other answer becomes; None makes it a refusal, one symbol more.
        delay_ms: answers leave at multiples of it; 0 leaves timing alone, without a guarantee.
        delay_steps: different multiples, at most, where ``delay_ms`` is above 0.
    """

    model: str
    allowed: tuple[str, ...]
    otherwise: str | None = None
    delay_ms: int = 0
    delay_steps: int = 1


@dataclass(frozen=True, slots=True)
class FreeText:
    """Answers in free text.

    Attributes:
        guarantee: charge them by their length and the entropy of the secrets; else no guarantee.
        max_tokens: of an answer, which the request is cut to.
        max_bytes: of an answer: a longer one is cut.
        allowed: whether models without declared answers may be asked at all.
    """

    guarantee: bool = False
    max_tokens: int = 512
    max_bytes: int = 4096
    allowed: bool = True


@dataclass(frozen=True, slots=True)
class Decoy:
    """A harmless value that the guard plants in each request, one of K candidates.

    Attributes:
        name: of what it seems to be, for example ``ward``.
        candidates: (K,) distinct words, 2 to 16.
        alpha: chance that the evidence of this decoy ever trips a group falsely.
    """

    name: str
    candidates: tuple[str, ...]
    alpha: float = 0.001


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """What the rules compare with, and what follows.

    Attributes:
        authorised_bits_per_hour: of a group's users (rule T2); None leaves the rule out.
        budget: action where the budget is spent (T1).
        rate: action where the adversarial rate exceeds the authorised one (T2).
        evidence: action where decoys show a leak (T3).
        slow_ms: delay of each answer of a group that is slowed.
    """

    authorised_bits_per_hour: float | None = None
    budget: Action = "refuse"
    rate: Action = "slow"
    evidence: Action = "refuse"
    slow_ms: int = 2000


@dataclass(frozen=True, slots=True)
class GuardConfig:
    """All settings of a guard, with defaults that let nothing through by mistake.

    Attributes:
        path: the file that it was read from; the paths in it are relative to its folder.
        digest: SHA-256 of the file, which goes into the audit log at each start.
        host, port: where it listens.
        upstream: address of the model, as far as ``/v1``.
        upstream_key: the model's key; empty for none.
        mode: ``dry-run`` counts, judges and logs and changes nothing.
        ledger: a file, or an address ``postgresql://…``.
        durability: a charge outlives a loss of power, or the end of the process alone.
        outage: what happens to requests while the ledger cannot be reached.
        log_prompts: whether the audit log holds prompts and answers.
        principals, groups, secrets, forms, decoys: by name; forms by model.
        free_text, rules: as declared.
        max_body: bytes of a request, at most.
        timeout_s: seconds without a byte of the model, after which an answer ends.
        metrics_key_sha256: of the token for ``/metrics``; empty answers this machine alone.
    """

    path: Path
    digest: str
    host: str
    port: int
    upstream: str
    upstream_key: str = field(repr=False)
    mode: Mode
    ledger: str
    durability: Durability
    outage: Outage
    log_prompts: bool
    principals: Mapping[str, Principal]
    groups: Mapping[str, Group]
    secrets: tuple[Secret, ...]
    forms: Mapping[str, AnswerForm]
    free_text: FreeText
    decoys: tuple[Decoy, ...]
    rules: RuleSettings
    max_body: int
    timeout_s: float
    metrics_key_sha256: str

    @property
    def enforces(self) -> bool:
        """Whether answers are changed or refused, and not only counted."""
        return self.mode == "enforce"

    def uses(self, file: Path) -> bool:
        """Whether a file is this configuration or its ledger, which nothing else may write."""
        needed = [self.path]
        if "://" not in self.ledger:
            needed += [Path(self.ledger + end) for end in ("", "-wal", "-shm", "-journal")]
        there = [other for other in needed if other.exists()]
        same = file.exists() and any(file.samefile(other) for other in there)
        return same or file.resolve() in {other.resolve() for other in needed}

    def form_of(self, model: str) -> AnswerForm | None:
        """Return the declared answers of a model, or None where it writes free text."""
        return self.forms.get(model, self.forms.get("*"))


class _Table:
    """One table of the file: takes each key once, and names what is wrong with it."""

    def __init__(self, path: Path, place: str, values: Any, known: Sequence[str]) -> None:
        if not isinstance(values, dict):
            raise UsageError(f"{path}: {place} must be a table, got {_kind(values)}")
        for key in values:
            if key not in known:
                hint = did_you_mean(key, known) or f"; it may have {', '.join(known)}"
                raise UsageError(f"{path}: {place} must not have {key!r}{hint}")
        self.path, self.place, self.values = path, place, values

    def fault(self, key: str, must_be: str) -> UsageError:
        """Return the error of a key that is not what it must be."""
        got = f"got {self.values[key]!r}" if key in self.values else "and is absent"
        return UsageError(f"{self.path}: {key} in {self.place} must be {must_be}, {got}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or (not value and default != ""):
            raise self.fault(key, "a text that is not empty")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(x, str) and x for x in value):
            raise self.fault(key, "a list of texts")
        if len(set(value)) < len(value):
            raise self.fault(key, "a list of distinct texts")
        return tuple(value)

    def choice(self, key: str, options: Any, default: str) -> Any:
        value = self.values.get(key, default)
        known = get_args(options)
        if value not in known:
            hint = did_you_mean(value, known) if isinstance(value, str) else ""
            raise self.fault(key, f"one of {', '.join(known)}{hint}")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, "true or false")
        return value

    def number(
        self,
        key: str,
        default: float | None,
        least: float,
        most: float = math.inf,
        *,
        whole: bool = False,
    ) -> Any:
        value: Any = self.values.get(key, default)
        if value is None and key not in self.values:
            return None
        kinds = int if whole else (int, float)
        right = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
        if not right or not least <= value <= most:
            span = f"of at least {least:g}" if math.isinf(most) else f"in {least:g}..{most:g}"
            raise self.fault(key, f"a {'whole ' if whole else ''}number {span}")
        return value

    def required(self, key: str, least: float, most: float = math.inf) -> float:
        if key not in self.values:
            raise self.fault(key, "a number")
        return float(self.number(key, None, least, most))


def read_config(path: Path, env: Mapping[str, str] = os.environ) -> GuardConfig:
    """Return the configuration in a TOML file.

    Args:
        path: the file.
        env: where ``…_env`` names are looked up.

    Raises:
        UsageError: the file cannot be read, or a line of it is not what it must be; the message
            names the key, what it must be and the nearest valid name.
    """
    try:
        raw = path.read_bytes()
        content = tomllib.loads(raw.decode())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} must be UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {located(str(error), raw.decode())}") from None
    tables = ("guard", "principal", "group", "secret", "answers", "free_text", "decoy", "rules")
    _Table(path, "the file", content, tables)
    base = _base(path, content, env)
    groups, principals = _accounts(path, content)
    config = GuardConfig(
        path=path,
        digest=hashlib.sha256(raw).hexdigest(),
        principals=principals,
        groups=groups,
        secrets=tuple(_secrets(path, content, env)),
        forms=_forms(path, content),
        free_text=_free_text(path, content),
        decoys=tuple(_decoys(path, content)),
        rules=_rules(path, content),
        **base,
    )
    if not config.free_text.allowed and not config.forms:
        raise UsageError(f"{path}: allowed = false in [free_text] must have [[answers]] to ask for")
    if config.free_text.guarantee and not config.secrets:
        raise UsageError(
            f"{path}: guarantee in [free_text] must have a [[secret]] whose entropy it charges"
        )
    return config


def _base(path: Path, content: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    known = (
        *("listen", "upstream", "upstream_key_env", "allow_remote", "allow_host", "mode"),
        *("ledger", "durability", "outage", "log_prompts", "max_body", "timeout_s"),
        "metrics_key_sha256",
    )
    if "guard" not in content:
        raise UsageError(f'{path} must have a table [guard] with upstream = "http://…/v1"')
    table = _Table(path, "[guard]", content["guard"], known)
    listen = table.text("listen", "127.0.0.1:8700")
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise table.fault("listen", "HOST:PORT with a port of at most 65535")
    if host not in LOOPBACK and not table.flag("allow_remote"):
        raise table.fault("listen", "this machine (127.0.0.1), unless allow_remote = true")
    upstream_key = _from_env(table, "upstream_key_env", env)
    allowed = table.texts("allow_host") if "allow_host" in table.values else ()
    upstream = table.text("upstream").rstrip("/")
    try:
        permitted(upstream, allowed, secret=bool(upstream_key))
    except UsageError as error:
        reason, allows, _ = str(error).partition("; allow it")
        hint = '; allow_host = ["HOST"] allows one' if allows else ""
        raise UsageError(f"{path}: upstream in [guard]: {reason}{hint}") from None
    if upstream.endswith("/completions"):
        raise table.fault("upstream", "the model's address as far as /v1")
    if upstream.partition("://")[2].partition("/")[0] == listen:
        raise table.fault("upstream", "another address than that of listen")
    ledger = table.text("ledger", "guard.sqlite")
    if not ledger.startswith(("postgresql://", "postgres://")):
        if "://" in ledger or ledger.startswith(("postgresql:", "postgres:")):
            raise table.fault("ledger", "a file, or postgresql://…")
        ledger = str(path.parent / ledger)
    return {
        "host": host,
        "port": int(port),
        "upstream": upstream,
        "upstream_key": upstream_key,
        "mode": table.choice("mode", Mode, "dry-run"),
        "ledger": ledger,
        "durability": table.choice("durability", Durability, "power"),
        "outage": table.choice("outage", Outage, "refuse"),
        "log_prompts": table.flag("log_prompts"),
        "max_body": table.number("max_body", 2**20, 1024, 2**30, whole=True),
        "timeout_s": float(table.number("timeout_s", 60.0, 0.1, 3600.0)),
        "metrics_key_sha256": _digest(table, "metrics_key_sha256", optional=True),
    }


def _from_env(table: _Table, key: str, env: Mapping[str, str]) -> str:
    """Return the value of the environment variable that a key names; empty without the key."""
    if key not in table.values:
        return ""
    name = table.text(key)
    if not env.get(name):
        raise UsageError(
            f"{table.path}: {key} in {table.place} must name an environment variable that is set, "
            f"got {name!r}"
        )
    return env[name]


def _digest(table: _Table, key: str, *, optional: bool = False) -> str:
    if optional and key not in table.values:
        return ""
    value = table.text(key).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise table.fault(key, "the 64 hexadecimal digits that `hartley guard token` prints")
    return value


def _accounts(
    path: Path, content: Mapping[str, Any]
) -> tuple[dict[str, Group], dict[str, Principal]]:
    """Return groups and accounts; an account without a group is one by itself."""
    groups: dict[str, Group] = {}
    named = content.get("group", {})
    if not isinstance(named, dict):
        raise UsageError(f"{path}: groups must be tables [group.NAME], got {_kind(named)}")
    for name, values in named.items():
        table = _Table(path, f"[group.{name}]", values, ("budget_bits",))
        groups[name] = Group(name, table.number("budget_bits", None, 0))
    principals: dict[str, Principal] = {}
    keys: dict[str, str] = {}
    for table in _tables(
        path, content, "principal", ("name", "key_sha256", "group", "budget_bits")
    ):
        name, key = table.text("name"), _digest(table, "key_sha256")
        _new(table, "name", name, principals)
        if key in keys:
            raise table.fault("key_sha256", f"a key of its own: {keys[key]!r} has this one")
        keys[key] = name
        group = table.text("group", "")
        if group and group not in groups:
            hint = did_you_mean(group, groups) or "; add a table [group.NAME] with budget_bits"
            raise table.fault("group", f"a group that the file has{hint}")
        if not group:
            if name in groups:
                raise table.fault(
                    "name", "another than a group's, or the account must have a group"
                )
            group = name
            groups[name] = Group(name, None)
        principals[name] = Principal(name, key, group, table.number("budget_bits", None, 0))
    if not principals:
        raise UsageError(
            f"{path} must have an account: [[principal]] with name and key_sha256; "
            "`hartley guard token` makes a key"
        )
    return groups, principals


def _secrets(path: Path, content: Mapping[str, Any], env: Mapping[str, str]) -> list[Secret]:
    known = ("name", "text_env", "file", "entropy_bits")
    secrets: dict[str, Secret] = {}
    for table in _tables(path, content, "secret", known):
        name = table.text("name")
        _new(table, "name", name, secrets)
        if ("text_env" in table.values) == ("file" in table.values):
            raise UsageError(f"{path}: secret {name!r} must have text_env or file, and one of them")
        if "text_env" in table.values:
            text = _from_env(table, "text_env", env)
        else:
            try:
                text = (path.parent / table.text("file")).read_text().strip()
            except (OSError, UnicodeDecodeError):
                raise table.fault("file", "a text file that can be read") from None
        if not text:
            raise table.fault("file", "a file with a text in it")
        if 8 * len(text.encode()) < LEAST_SECRET_BITS:
            raise UsageError(
                f"{path}: the text of secret {name!r} must have at least "
                f"{LEAST_SECRET_BITS / 8:.0f} bytes, got {len(text.encode())}: fewer are read by "
                "chance"
            )
        bits = table.required("entropy_bits", LEAST_SECRET_BITS, 8.0 * len(text.encode()))
        secrets[name] = Secret(name, text, bits)
    return [*secrets.values()]


def _forms(path: Path, content: Mapping[str, Any]) -> dict[str, AnswerForm]:
    forms: dict[str, AnswerForm] = {}
    known = ("model", "allowed", "otherwise", "delay_ms", "delay_steps")
    for table in _tables(path, content, "answers", known):
        model = table.text("model", "*")
        _new(table, "model", model, forms)
        allowed = table.texts("allowed")
        if not allowed:
            raise table.fault("allowed", "a list with an answer in it")
        otherwise = table.text("otherwise") if "otherwise" in table.values else None
        if otherwise is not None and otherwise not in allowed:
            raise table.fault("otherwise", "one of the allowed answers")
        delay = table.number("delay_ms", 0, 0, 600_000, whole=True)
        steps = table.number("delay_steps", 1, 1, 1_000_000, whole=True)
        if "delay_steps" in table.values and not delay:
            raise table.fault("delay_steps", "left out where delay_ms is 0")
        forms[model] = AnswerForm(model, allowed, otherwise, delay, steps)
    return forms


def _free_text(path: Path, content: Mapping[str, Any]) -> FreeText:
    known = ("guarantee", "max_tokens", "max_bytes", "allowed")
    table = _Table(path, "[free_text]", content.get("free_text", {}), known)
    return FreeText(
        table.flag("guarantee"),
        table.number("max_tokens", 512, 1, 1_000_000, whole=True),
        table.number("max_bytes", 4096, 1, 2**24, whole=True),
        table.flag("allowed", default=True),
    )


def _decoys(path: Path, content: Mapping[str, Any]) -> list[Decoy]:
    decoys: dict[str, Decoy] = {}
    for table in _tables(path, content, "decoy", ("name", "candidates", "alpha")):
        name = table.text("name")
        _new(table, "name", name, decoys)
        candidates = table.texts("candidates")
        if not 2 <= len(candidates) <= MOST_CANDIDATES:
            raise table.fault("candidates", f"2 to {MOST_CANDIDATES} texts")
        folded = {word.lower() for word in candidates}
        if len(folded) < len(candidates):
            raise table.fault("candidates", "texts that differ in more than capitals")
        for word in candidates:
            if any(word != other and word.lower() in other.lower() for other in candidates):
                raise table.fault("candidates", "texts of which none is part of another")
        decoys[name] = Decoy(name, candidates, table.number("alpha", 0.001, 1e-12, 0.5))
    return [*decoys.values()]


def _rules(path: Path, content: Mapping[str, Any]) -> RuleSettings:
    known = ("authorised_bits_per_hour", "budget", "rate", "evidence", "slow_ms")
    table = _Table(path, "[rules]", content.get("rules", {}), known)
    return RuleSettings(
        table.number("authorised_bits_per_hour", None, 0),
        table.choice("budget", Action, "refuse"),
        table.choice("rate", Action, "slow"),
        table.choice("evidence", Action, "refuse"),
        table.number("slow_ms", 2000, 0, 600_000, whole=True),
    )


def _tables(path: Path, content: Mapping[str, Any], key: str, known: Sequence[str]) -> list[_Table]:
    value = content.get(key, [])
    if not isinstance(value, list):
        raise UsageError(f"{path}: {key} must be a list of tables [[{key}]], got {_kind(value)}")
    return [_Table(path, f"[[{key}]] {i + 1}", entry, known) for i, entry in enumerate(value)]


def _new(table: _Table, key: str, name: str, known: Mapping[str, Any]) -> None:
    if name in known:
        raise table.fault(key, "given once")


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {dict: "a table", list: "a list", str: "a text", bool: "true or false"}
    return kinds.get(type(value), "a number")
