"""Keys of accounts: how one is made, and whose a request's key is."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from hartley.guard.config import GuardConfig, Principal

MOST_TOKEN_BYTES = 512
"""Bytes of a token; a longer one is nobody's and is not hashed."""


def new_token() -> tuple[str, str]:
    """Return a token of 256 random bits, and its SHA-256 for the configuration."""
    token = f"hg-{secrets.token_urlsafe(32)}"
    return token, digest_of(token)


def digest_of(token: str) -> str:
    """Return the SHA-256 of a token, hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Authentication:
    """Finds the account of a request by its bearer token.

    A digest is compared with that of every account, in a time that does not depend on either.
    """

    def __init__(self, config: GuardConfig) -> None:
        """Keep the accounts' digests."""
        self._accounts = [
            (principal.key_sha256.encode(), principal) for principal in config.principals.values()
        ]
        self._metrics = config.metrics_key_sha256.encode()

    def principal(self, header: str | None) -> Principal | None:
        """Return the account whose token an ``Authorization`` header carries, or None."""
        digest = _digest(header)
        if digest is None:
            return None
        matching = None
        for known, principal in self._accounts:
            if hmac.compare_digest(known, digest):
                matching = principal
        return matching

    def may_read_metrics(self, header: str | None, *, here: bool) -> bool:
        """Whether a request may read the metrics.

        Args:
            header: its ``Authorization``.
            here: whether it may without a token, where none is declared.
        """
        if not self._metrics:
            return here
        digest = _digest(header)
        return digest is not None and hmac.compare_digest(self._metrics, digest)


def _digest(header: str | None) -> bytes | None:
    kind, _, token = (header or "").partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not 0 < len(token) <= MOST_TOKEN_BYTES:
        return None
    return digest_of(token).encode()
