"""Databases of the server that the tests start."""

from __future__ import annotations

import uuid


def new_database(url: str) -> str:
    """Make a database on a server, and return its address."""
    import psycopg

    name = f"test_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as base:
        base.execute(f"create database {name}")
    head, _, rest = url.partition("/postgres?")
    return f"{head}/{name}?{rest}"
