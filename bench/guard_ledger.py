"""How many answers a second the guard's ledger takes: reserve, first byte and end of each.

    python bench/guard_ledger.py [runs]

Clients in one event loop each wait for their own reservations. Every charge is durable to a loss of
power before its request could be forwarded.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

from hartley.guard.config import GuardConfig, read_config
from hartley.guard.ledger import BatchedLedger, open_ledger
from hartley.guard.protocols import Charge, Reservation
from hartley.kit.stores.postgres_store import started

ANSWERS = 4000
CHARGE = Charge(1.0, True, "2 answers")


def config_at(folder: Path, ledger: str, durability: str) -> GuardConfig:
    """Write and read a configuration of four accounts in one group."""
    lines = ["[guard]", 'upstream = "http://127.0.0.1:9/v1"', 'mode = "enforce"']
    lines += [f'ledger = "{ledger}"', f'durability = "{durability}"']
    lines += ["[group.acme]", "budget_bits = 1e9"]
    for k in range(4):
        digest = hashlib.sha256(str(k).encode()).hexdigest()
        lines += ["[[principal]]", f'name = "a{k}"', f'key_sha256 = "{digest}"', 'group = "acme"']
    path = folder / "guard.toml"
    path.write_text("\n".join(lines))
    return read_config(path)


async def measured(ledger: BatchedLedger, clients: int) -> tuple[float, float, float]:
    """Return answers a second, and the median and 99 % quantile of a reservation in ms."""
    waits: list[float] = []

    async def client(k: int) -> None:
        for _ in range(ANSWERS // clients):
            start = time.perf_counter()
            one = await ledger.reserve(
                "", f"a{k % 4}", "acme", CHARGE, digest="d" * 64, facts={"model": "label"}
            )
            waits.append(1000 * (time.perf_counter() - start))
            assert isinstance(one, Reservation)
            await ledger.begin(one.id)
            await ledger.finish(one.id, {"outcome": "answered"}, [])

    start = time.perf_counter()
    await asyncio.gather(*(client(k) for k in range(clients)))
    spent = time.perf_counter() - start
    waits.sort()
    return len(waits) / spent, waits[len(waits) // 2], waits[int(0.99 * len(waits))]


def main() -> None:
    """Measure both databases."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    url, server = started()
    try:
        for name, ledger, durability in (
            ("SQLite, power", "guard.sqlite", "power"),
            ("SQLite, process", "guard.sqlite", "process"),
            ("PostgreSQL", url.replace(":@", "@"), "power"),
        ):
            for clients in (1, 16, 64, 256):
                rows = []
                cpu = time.process_time()
                for _ in range(runs):
                    with tempfile.TemporaryDirectory() as folder:
                        opened = open_ledger(config_at(Path(folder), ledger, durability))
                        rows.append(asyncio.run(measured(opened, clients)))
                        opened.close_now()
                rates = sorted(row[0] for row in rows)
                cpu = 1e6 * (time.process_time() - cpu) / (runs * ANSWERS)
                print(
                    f"{name}, {clients} clients: {statistics.median(rates):.0f} "
                    f"({rates[0]:.0f}-{rates[-1]:.0f}) answers/s, reserve p50 "
                    f"{statistics.median(row[1] for row in rows):.2f} p99 "
                    f"{statistics.median(row[2] for row in rows):.2f} ms, {cpu:.0f} us CPU",
                    flush=True,
                )
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
