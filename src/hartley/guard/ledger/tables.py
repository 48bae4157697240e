"""The tables of a ledger, in the SQL that SQLite and PostgreSQL share."""

from __future__ import annotations

from functools import cache

VERSION = 1
"""Of the tables: a ledger of another one is refused."""

APPLICATION = 0x48475244
"""What marks a file of SQLite as a ledger (``HGRD``)."""

TABLES = (
    "create table head (one integer primary key, ledger text not null, "
    "version integer not null, seq bigint not null, digest text not null, "
    "requests bigint not null, clock_ms bigint not null)",
    "create table groups (name text primary key, charged bigint not null, answers bigint not null, "
    "unbounded bigint not null, notes text not null)",
    "create table accounts (name text primary key, group_name text not null, "
    "charged bigint not null, answers bigint not null, notes text not null)",
    "create table requests (number bigint primary key, account text not null, "
    "group_name text not null, repeat_key text not null, digest text not null, "
    "charged bigint not null, attempts integer not null, began integer not null, "
    "finished integer not null)",
    "create index requests_by_key on requests (repeat_key) where repeat_key <> ''",
    "create index requests_open on requests (group_name) where finished = 0",
    "create table audit (seq bigint primary key, body text not null, digest text not null)",
)
"""``head`` has one row; ``began`` is the attempt whose first byte was sent, 0 for none."""

COLUMNS = {
    "groups": ("name", "charged", "answers", "unbounded", "notes"),
    "accounts": ("name", "group_name", "charged", "answers", "notes"),
    "requests": (
        *("number", "account", "group_name", "repeat_key", "digest", "charged"),
        *("attempts", "began", "finished"),
    ),
    "audit": ("seq", "body", "digest"),
}
"""Of each table that rows are put in; the first is what finds a row."""

HEAD = "select ledger, version, seq, digest, requests, clock_ms from head"

SET_HEAD = "update head set seq = ?, digest = ?, requests = ?, clock_ms = ?"

NEW_HEAD = "insert into head values (1, ?, ?, 0, ?, 0, 0)"

OPEN_REQUESTS = "select group_name, count(*) from requests where finished = 0 group by group_name"

REQUESTS = (
    "select number, account, group_name, digest, charged from requests "
    "where number > ? order by number limit ?"
)
"""What does not change of a request."""

ATTEMPTS = "select number, attempts, began from requests where number > ? order by number limit ?"
"""What was tried and begun of a request."""

ENTRIES = "select seq, body, digest from audit where seq > ? order by seq limit ?"


def selection(table: str) -> str:
    """Return a SELECT of a table's columns, without a condition."""
    return f"select {', '.join(COLUMNS[table])} from {table}"


@cache
def upsert(table: str) -> str:
    """Return the statement that puts a row in a table, or in place of the one that is there.

    An entry of the audit log is never put in place of another.
    """
    marks = ", ".join("?" * len(COLUMNS[table]))
    return f"insert into {table} ({', '.join(COLUMNS[table])}) values ({marks}){_or_set(table)}"


def _or_set(table: str) -> str:
    """Return what an insertion does where the row is there."""
    if table == "audit":
        return ""
    first, *rest = COLUMNS[table]
    values = ", ".join(f"{column} = excluded.{column}" for column in rest)
    return f" on conflict ({first}) do update set {values}"


@cache
def put_together(tables: tuple[str, ...]) -> str:
    """Return one statement of PostgreSQL that puts rows in tables, if the head is the expected one.

    Its values: ``synchronous_commit``; the new and the expected head (entry, its digest, requests,
    clock), with the ledger's number between; rows of each table as JSON. Its one number is 0 where
    the head was another one, and then nothing is written.
    """
    parts = [
        "wait as (select set_config('synchronous_commit', %s, true) as until)",
        "head_set as (update head set seq = %s, digest = %s, requests = %s, clock_ms = %s "
        "from wait where until <> '' and ledger = %s and seq = %s and digest = %s "
        "and requests = %s and clock_ms = %s returning 1)",
    ]
    for table in tables:
        columns = ", ".join(COLUMNS[table])
        rows = ", ".join(f"r.{column}" for column in COLUMNS[table])
        parts.append(
            f"put_{table} as (insert into {table} ({columns}) select {rows} from head_set, "
            f"json_populate_recordset(null::{table}, %s::json) r{_or_set(table)})"
        )
    return f"with {', '.join(parts)} select count(*) from head_set"
