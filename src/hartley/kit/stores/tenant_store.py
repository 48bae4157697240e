"""The owner's retrieval service: a store that tenants share, and what its interface answers.

A tenant calls ``search`` (nearest chunks), ``words`` (best chunks by words), ``fetch`` (a chunk by
its id), ``add`` (store a text) and ``ask`` (a question, answered out of the nearest chunks). Which
chunks each call may return, and what else it lets through, is in the service's ``Rules``: defenses
change those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hartley.core import Access, Modality, Model
from hartley.kit.stores.chunks import Chunk, Hit
from hartley.kit.stores.extractive_reader import ExtractiveReader
from hartley.kit.stores.shared_store import SharedStore
from hartley.kit.stores.staged_store import StagedStore

if TYPE_CHECKING:
    from hartley.core.assets import Session

Gate = Literal["none", "client", "after", "before"]
Sharing = Literal["shared", "tenant"]
Change = Callable[[str, Sequence[str], str], str]
"""(answer, passages, system prompt) → the answer that leaves the service."""

TOOLS = ("search", "words", "fetch", "add", "ask")
"""Calls of the service."""

LONGEST_QUERY = 100_000
"""Characters of a text that the service takes."""

MOST_RETURNED = 200
"""Hits of one call, at most."""

EVERYBODY = ("*", "%", "")
"""What a client's filter may say to mean all tenants."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the service lets through.

    Attributes:
        gate: of a search. ``none``: there is no filter. ``client``: the filter that the caller
            sends, the caller's tenant by default. ``after``: the nearest of all tenants are
            searched, then those of others are left out. ``before``: only what the caller may read
            is searched.
        fetch_gated: whether a chunk by its id is given to its readers only.
        words: whether the index of words, and so its weights, is shared by all tenants.
        duplicates: whether a text that any tenant (``shared``) or the caller (``tenant``) has
            stored is reported as stored already.
        decimals: of scores; −1 returns none.
        least: cosine below which a chunk is not returned.
    """

    gate: Gate = "client"
    fetch_gated: bool = False
    words: Sharing = "shared"
    duplicates: Sharing = "shared"
    decimals: int = 6
    least: float = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class TenantStore(SharedStore):
    """A retrieval service that tenants share.

    Attributes:
        stored: the store with the owner's chunks.
        tenants: whose chunks it holds.
        guest: the tenant that the attacker is; it holds nothing at first.
        owner: the tenant whose assistant answers customers.
        spare: texts of the owner's that are not stored.
        rules: what the interface lets through.
        reader: answers ``ask``.
        context: chunks that the reader gets.
        system: the reader's system prompt, for each deal anew where a game plants one.
        changes: what is done to each answer of ``ask`` before it leaves.
        admits: (texts to be stored, the store) → which of them are.
    """

    stored: StagedStore
    tenants: tuple[str, ...]
    guest: str = "guest"
    owner: str = ""
    spare: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)
    reader: ExtractiveReader = field(default_factory=ExtractiveReader)
    context: int = 5
    system: str = ""
    changes: tuple[Change, ...] = ()
    admits: tuple[Callable[[Sequence[str], StagedStore], list[bool]], ...] = ()

    @property
    def holders(self) -> tuple[str, ...]:
        """The tenants in whose chunks facts are planted."""
        return self.tenants

    @property
    def caller(self) -> str:
        """The tenant that the attacker is."""
        return self.guest

    @property
    def size(self) -> int:
        """The owner's chunks."""
        return len(self.stored.chunks)

    def called_by(
        self,
        tenant: str,
        planted: Sequence[Chunk],
        offers: Sequence[str],
        opened: Callable[[], Session] | None,
    ) -> Model:
        """Return the service as a tenant may call it (see ``SharedStore``)."""
        return self.endpoint(tenant, planted, offers=offers, opened=opened)

    def endpoint(
        self,
        tenant: str,
        planted: Sequence[Chunk] = (),
        *,
        offers: Sequence[str] = TOOLS,
        opened: Callable[[], Session] | None = None,
        system: str = "",
        embeds: bool = False,
    ) -> Model:
        """Return the service as one tenant may call it.

        Args:
            tenant: the caller.
            planted: what an auditor planted, staged before each call.
            offers: calls that this caller has.
            opened: opens a session, as of ``Model.session``: a budget of queries, say.
            system: the system prompt, where it is not the part's.
            embeds: whether the caller may embed texts with the service's encoder.
        """

        def tools(calls: Sequence[Any]) -> list[dict[str, Any]]:
            self.stored.stage(planted)
            self._embed_all(calls)
            return [self._called(tenant, offers, call, system or self.system) for call in calls]

        def session() -> Session:
            self.stored.stage(planted)
            self.stored.forget()
            inner = opened() if opened is not None else None

            def wrapped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
                return function if inner is None else inner(name, function)

            return wrapped

        encoder = self.stored.encoder
        calls: dict[Any, Any] = {"tools": tools}
        if embeds:
            calls["embed"] = lambda texts: self.stored.vectors([str(text) for text in texts])
        return Model(
            "retrieval service",
            Modality.LANGUAGE,
            calls=calls,
            width=encoder.width,
            identity=encoder.digest,
            session=session,
            offers=Access.TOOLS | (Access.EMBEDDINGS if embeds else Access.NOTHING),
        )

    def _embed_all(self, calls: Sequence[Any]) -> None:
        """Embed the texts of many calls at once, which is faster than one by one."""
        texts = []
        for call in calls:
            name, given, mistake = _read(call, ("search", "add", "ask"))
            if not mistake and name:
                texts.append(given["text"])
        if texts:
            self.stored.vectors(texts)

    def deployed(self) -> Model:
        """Return the service as the attacker's tenant calls it, without anything planted."""
        return self.endpoint(self.guest, embeds=True).with_(session=None)

    def answer(self, question: str, tenant: str, system: str = "") -> str:
        """Return what ``ask`` answers a tenant."""
        passages = [hit.chunk.text for hit in self.near(question, self.context, tenant)]
        text = self.reader.answer(question, passages, system)
        for change in self.changes:
            text = change(text, passages, system)
        return text

    def admitted(self, texts: Sequence[str]) -> list[bool]:
        """Return which of some texts the service stores."""
        out = [True] * len(texts)
        for admits in self.admits:
            out = [a and b for a, b in zip(out, admits(texts, self.stored), strict=True)]
        return out

    def _called(self, tenant: str, offers: Sequence[str], call: Any, system: str) -> dict[str, Any]:
        """Answer one call; a caller's mistake is an answer too, with ``error``."""
        name, given, mistake = _read(call, offers)
        if mistake:
            return {"error": mistake}
        text, k = given["id" if name == "fetch" else "text"], given.get("k", 5)
        if name == "search":
            return self._hits(self.near(text, k, tenant, given))
        if name == "words":
            reader = None if self.rules.gate == "none" else tenant
            shared = self.rules.words == "shared"
            return self._hits(self.stored.by_words(text, k, reader, shared=shared))
        if name == "fetch":
            chunks = self.stored.store.fetch([text])
            gated = self.rules.fetch_gated
            readable = [chunk for chunk in chunks if not gated or chunk.open_to(tenant)]
            return {"hits": [{"id": chunk.id, "text": chunk.text} for chunk in readable]}
        if name == "add":
            return self._added(text, tenant)
        return {"answer": self.answer(text, tenant, system)}

    def near(
        self, text: str, k: int, tenant: str, given: Mapping[str, Any] | None = None
    ) -> list[Hit]:
        """Return the nearest chunks that the gate lets through.

        Args:
            text: what is searched.
            k: chunks at most.
            tenant: the caller.
            given: what the call says besides, such as a filter.
        """
        rules, reader = self.rules, None
        if rules.gate == "before":
            reader = tenant
        elif rules.gate == "client":
            filter_ = (given or {}).get("tenant", tenant)
            reader = None if filter_ is None or filter_ in EVERYBODY else str(filter_)
        hits = self.stored.search(text, k, reader)
        if rules.gate == "after":
            hits = [hit for hit in hits if hit.chunk.open_to(tenant)]
        return [hit for hit in hits if hit.score >= rules.least]

    def _hits(self, hits: Sequence[Hit]) -> dict[str, Any]:
        decimals = self.rules.decimals
        return {
            "hits": [
                {"id": hit.chunk.id, "text": hit.chunk.text}
                | ({} if decimals < 0 else {"score": round(hit.score, decimals)})
                for hit in hits
            ]
        }

    def _added(self, text: str, tenant: str) -> dict[str, Any]:
        holders = self.stored.holders(text)
        known = bool(holders) if self.rules.duplicates == "shared" else tenant in holders
        if known:
            return {"stored": True, "duplicate": True}
        if not all(self.admitted([text])):
            return {"stored": False, "duplicate": False}
        return {"stored": True, "duplicate": False, "id": self.stored.write(text, tenant).id}


def _read(call: Any, offers: Sequence[str]) -> tuple[str, dict[str, Any], str]:
    """Return the name and the arguments of a call, and what is wrong with it."""
    try:
        name, arguments = call
        given = {str(key): value for key, value in dict(arguments).items()}
    except (TypeError, ValueError):
        return "", {}, "a call must be (name, arguments by name)"
    text, k = given.get("id" if name == "fetch" else "text"), given.get("k", 5)
    mistake = ""
    if name not in offers:
        mistake = f"there is no call {str(name)[:40]!r}"
    elif not isinstance(text, str):
        mistake = f"{name} needs a text, got {type(text).__name__}"
    elif len(text) > LONGEST_QUERY:
        mistake = f"a text must have at most {LONGEST_QUERY} characters, got {len(text)}"
    elif not isinstance(k, int) or not 1 <= k <= MOST_RETURNED:
        mistake = f"k must be from 1 to {MOST_RETURNED}"
    return str(name), given, mistake
