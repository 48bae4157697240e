"""A user's own retrieval: a function that searches, and one that stores, under audit.

Whatever the user's code does, a row fails rather than reads low: it has a time limit, what it
returns is checked, and facts that their own tenant does not find again are an error.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hartley.core import Access, Modality, Model
from hartley.core.errors import RunError
from hartley.kit.stores.chunks import Chunk
from hartley.kit.stores.shared_store import SharedStore
from hartley.kit.user_code import place_of

if TYPE_CHECKING:
    from hartley.core.assets import Session

PATIENCE = 30.0
"""Seconds that one call of the user's code may take."""

MOST_CHARACTERS = 2_000_000
"""Characters that one search may return."""

NEAREST = 10
"""Hits of a search for a planted fact, by its own tenant, among which it must be."""

WAITS = (0.5, 1.0, 2.0)
"""Seconds before what was not there is searched for again: some stores show it after a while."""


@dataclass(frozen=True, slots=True, eq=False)
class OwnStore(SharedStore):
    """A user's store.

    Attributes:
        search: (query, k, tenant) → at most k hits: texts, (text, score), or {"text": …}.
        add: (text, tenant) stores a text of a tenant.
        remove: (text, tenant) takes it out again; None where there is none, and it stays.
        tenants: whose texts are planted.
        guest: the tenant that the attacker is.
        names_tenant: whether a caller may name the tenant of a search.
        what: to call it in errors.
        patience: seconds that one call may take.
        waits: seconds before each further search for planted facts that are not there yet.
    """

    search: Callable[[str, int, str], Any]
    add: Callable[[str, str], Any]
    remove: Callable[[str, str], Any] | None
    tenants: tuple[str, ...]
    guest: str
    names_tenant: bool = False
    what: str = "the store"
    patience: float = PATIENCE
    waits: tuple[float, ...] = WAITS
    _staged: list[Any] = field(default_factory=list, init=False)
    _stored: list[Chunk] = field(default_factory=list, init=False)

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
        """Nothing is known of what the user has stored."""
        return 0

    def called_by(
        self,
        tenant: str,
        planted: Sequence[Chunk],
        offers: Sequence[str],
        opened: Callable[[], Session] | None,
    ) -> Model:
        """Return the store as a tenant may call it: by ``search`` alone (see ``SharedStore``)."""
        del offers

        def tools(calls: Sequence[Any]) -> list[dict[str, Any]]:
            self.stage(planted)
            return [self._called(tenant, call) for call in calls]

        return Model(
            self.what,
            Modality.LANGUAGE,
            calls={"tools": tools},
            deterministic=False,
            session=opened,
            offers=Access.TOOLS,
        )

    def stage(self, planted: Sequence[Chunk]) -> None:
        """Store what is planted, once, and check that its own tenants find all of it.

        After an error nothing counts as planted, and what was stored is taken out again.

        Raises:
            RunError: the user's code fails, or a planted fact is not found.
        """
        if self._staged and self._staged[0] is planted:
            return
        self._staged.clear()
        self._take_out()
        try:
            for chunk in planted:
                self._put(chunk)
            self._check(planted)
        except BaseException:
            with contextlib.suppress(RunError):
                self._take_out()
            raise
        self._staged[:] = [planted]

    def _put(self, chunk: Chunk) -> None:
        try:
            self._run("add", self.add, chunk.text, chunk.tenant)
        except BaseException:
            # Code that raises, or hangs, may have stored it all the same.
            if self.remove is not None:
                with contextlib.suppress(RunError):
                    self._run("remove", self.remove, chunk.text, chunk.tenant)
            raise
        self._stored.append(chunk)

    def _take_out(self) -> None:
        """Take out what was stored, the first first."""
        while self._stored:
            chunk = self._stored[0]
            if self.remove is not None:
                self._run("remove", self.remove, chunk.text, chunk.tenant)
            del self._stored[0]

    def _check(self, planted: Sequence[Chunk]) -> None:
        """Have every tenant search for what was planted in its name."""
        missing = [*planted]
        for wait in (0.0, *self.waits):
            if not missing:
                return
            time.sleep(wait)
            missing = [chunk for chunk in missing if not self._finds(chunk)]
        if missing:
            there = len(planted) - len(missing)
            raise RunError(
                f"{self.what} must give each tenant what it stored: of {len(planted)} planted "
                f"facts {there} ({there / len(planted):.0%}) were found by their own tenant, so "
                "that few bits would say nothing"
            )

    def _finds(self, chunk: Chunk) -> bool:
        hits = self.hits(chunk.text, NEAREST, chunk.tenant)
        return any(chunk.text in text for text, _ in hits)

    def hits(self, query: str, k: int, tenant: str) -> list[tuple[str, float | None]]:
        """Return what the user's search returns, as texts with scores.

        Raises:
            RunError: it fails, takes too long or returns something else.
        """
        returned = self._run("search", self.search, query, k, tenant)
        if not isinstance(returned, (list, tuple)):
            raise RunError(
                f"search of {self.what} must return a list, got {type(returned).__name__}"
            )
        out = [self._hit(one) for one in returned]
        if (size := sum(len(text) for text, _ in out)) > MOST_CHARACTERS:
            raise RunError(
                f"search of {self.what} must return at most {MOST_CHARACTERS:,} characters, "
                f"got {size:,}"
            )
        return out

    def _hit(self, one: Any) -> tuple[str, float | None]:
        text, score = one, None
        if isinstance(one, dict):
            text, score = one.get("text"), one.get("score")
        elif isinstance(one, (tuple, list)) and len(one) == 2:
            text, score = one
        if not isinstance(text, str):
            raise RunError(
                f"a hit of {self.what} must be a text, (text, score) or a dict with 'text', "
                f"got {type(one).__name__}"
            )
        return text, None if score is None else float(score)

    def _called(self, tenant: str, call: Any) -> dict[str, Any]:
        name, given = call
        if name != "search":
            return {"error": f"there is no call {name!r}"}
        asker = given.get("tenant", tenant) if self.names_tenant else tenant
        hits = self.hits(str(given["text"]), int(given.get("k", 5)), asker)
        return {"hits": [{"text": text, "score": score} for text, score in hits]}

    def _run(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the user's code in a thread of its own, which is left behind where it hangs."""
        box: dict[str, Any] = {}

        def call() -> None:
            try:
                box["value"] = function(*arguments)
            except (Exception, SystemExit) as error:
                box["error"] = error

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(self.patience)
        if thread.is_alive():
            raise RunError(f"{name} of {self.what} did not answer within {self.patience:g} s")
        if (error := box.get("error")) is not None:
            reason = " ".join(str(error).split())[:200]
            raise RunError(
                f"{name} of {self.what} failed: {type(error).__name__}: {reason}{place_of(error)}"
            ) from error
        return box["value"]
