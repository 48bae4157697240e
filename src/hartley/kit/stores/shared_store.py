"""What any store must be that tenants share, to have its cross-tenant reads measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hartley.core import Model
    from hartley.core.assets import Session
    from hartley.kit.stores.chunks import Chunk


class SharedStore(ABC):
    """A store of several tenants, as an attacker who is one of them can call it."""

    __slots__ = ()

    @property
    @abstractmethod
    def holders(self) -> tuple[str, ...]:
        """The tenants in whose chunks facts are planted."""

    @property
    @abstractmethod
    def caller(self) -> str:
        """The tenant that the attacker is."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Chunks that the owner has stored; what is planted is numbered from here."""

    @abstractmethod
    def called_by(
        self,
        tenant: str,
        planted: Sequence[Chunk],
        offers: Sequence[str],
        opened: Callable[[], Session] | None,
    ) -> Model:
        """Return the store as a tenant may call it.

        Args:
            tenant: the caller.
            planted: what an auditor planted.
            offers: calls that the tenant has.
            opened: opens a session, as of ``Model.session``.
        """
