"""Groups take turns: a group with a pile of slow answers holds up no other."""

from __future__ import annotations

import asyncio
import threading

import pytest

from hartley.guard.fair_work import FairWork


def test_a_pile_of_one_group_does_not_hold_up_another() -> None:
    async def main() -> list[str]:
        work, gate, done = FairWork(threads=2), threading.Event(), []

        def slow(n: int) -> int:
            gate.wait(10)
            done.append(f"slow {n}")
            return n

        pile = [asyncio.ensure_future(work.run("a", slow, n)) for n in range(50)]
        await asyncio.sleep(0)
        for n in range(3):
            assert await work.run("b", lambda n=n: n * n) == n * n
            done.append(f"b {n}")
        gate.set()
        assert await asyncio.gather(*pile) == list(range(50))
        work.close()
        return done

    done = asyncio.run(main())
    assert done[:3] == ["b 0", "b 1", "b 2"]
    assert done[3:] == [f"slow {n}" for n in range(50)]  # in its order


def test_errors_reach_who_waits_and_groups_take_turns() -> None:
    async def main() -> list[str]:
        work, order = FairWork(threads=1), []

        def fails() -> None:
            raise ValueError("no")

        jobs = [work.run(group, order.append, group) for group in "aaabbc"]
        tasks = [asyncio.ensure_future(job) for job in jobs]
        left = asyncio.ensure_future(work.run("c", order.append, "never"))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(ValueError, match="no"):
            await work.run("d", fails)
        await asyncio.gather(*tasks)
        work.close()
        return order

    assert asyncio.run(main()) == ["a", "b", "c", "a", "b", "a"]
