"""Marks of graphs and of tables: read after what an owner must expect, and coins without a mark."""

import math

import numpy as np
import pytest

from hartley.kit import item_quality, marker
from hartley.kit.graph.planted_links import planted_links
from hartley.kit.item_quality import holds
from hartley.kit.table_mark import green_cells

M = 16


def sparse(rng, nodes=120, links=150):
    out = np.zeros((nodes, nodes), np.int8)
    rows, columns = np.triu_indices(nodes, 1)
    where = rng.choice(len(rows), links, replace=False)
    out[rows[where], columns[where]] = out[columns[where], rows[where]] = 1
    return out


def discrete(rng, rows=80):
    """A table whose columns have few values, as ages have, and a label."""
    numbers = np.round(rng.normal(size=(rows, 6)) * 4) / 4
    return np.column_stack([numbers, rng.integers(0, 2, rows)])


ITEMS = {"links": (planted_links(3, M), sparse), "cells": (green_cells(0.02, bits=M), discrete)}


@pytest.mark.parametrize("name", ITEMS)
def test_p_values_are_exact_where_few_pairs_are_linked_and_numbers_repeat(name):
    """A link is rare and a number frequent: a test that took each for a fair coin would err."""
    mark, make = ITEMS[name]
    alone = marker.presence(mark)
    rng = np.random.default_rng(0)
    items = [make(rng) for _ in range(10)]
    p = np.array(
        [
            2.0 ** alone.verify(items[k % 10], int(rng.integers(2**62)), []).log2_p
            for k in range(800)
        ]
    )
    for level in (0.4, 0.1, 0.02):
        assert np.mean(p <= level) < level + 5 * math.sqrt(level * (1 - level) / len(p))
    # The message is drawn anew for each key, so that half of its bits are right.
    assert 0.4 < np.mean(p) < 0.7


@pytest.mark.parametrize("name", ITEMS)
def test_a_message_is_read_and_the_item_stays_near(name):
    mark, make = ITEMS[name]
    quality = item_quality.DEFAULTS[mark.modality]()
    rng = np.random.default_rng(1)
    for key in range(6):
        item = np.asarray(make(rng))
        if name == "cells":
            item[:, :-1] += 0.3 * rng.normal(size=(len(item), 6))
        message = rng.integers(0, 2, M)
        published = mark.embed(item, message, key, rng)
        assert np.array_equal(mark.decode(published, key, M), message)
        least = {"link_f1": 0.85} if name == "links" else dict(quality.least)
        assert holds(quality.figures(published, item), least)


def test_rows_may_go_and_change_their_order():
    rng = np.random.default_rng(2)
    mark = green_cells(0.02, bits=M)
    table = np.column_stack([rng.normal(size=(300, 10)), rng.integers(0, 2, 300)])
    message = rng.integers(0, 2, M)
    published = mark.embed(table, message, 5, rng)
    some = published[rng.permutation(300)[:150]]
    assert np.array_equal(mark.decode(some, 5, M), message)
    assert np.isnan(mark.read(published[:4], 5, M)).all()


def test_lost_links_weigh_less_than_those_that_are_there():
    """A tenth of the planted links goes: a vote by signs alone would lose more bits."""
    rng = np.random.default_rng(3)
    mark = planted_links(3, M)
    wrong = 0
    for key in range(30):
        message = rng.integers(0, 2, M)
        graph = mark.embed(sparse(rng), message, key, rng)
        keep = np.triu(rng.random(graph.shape) > 0.1, 1)
        graph = graph * (keep | keep.T)
        wrong += int((mark.decode(graph, key, M) != message).sum())
    # Of three pairs half are links; a bit of the key's mask is lost with chance 0.1 each.
    assert wrong / (30 * M) < 0.06


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda g: g[:5], "of shape"),
        (lambda g: g + np.eye(len(g)), "loop"),
        (np.triu, "symmetric"),
        (lambda g: 2 * g, "symmetric adjacency of 0 and 1"),
    ],
    ids=["shape", "loop", "one way", "weights"],
)
def test_what_is_not_a_graph_is_refused(make, words):
    graph = sparse(np.random.default_rng(0))
    with pytest.raises(ValueError, match=words):
        item_quality.links().read(make(graph), graph)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda t: t[:, :3], "columns of numbers"),
        (lambda t: t[:0], "rows"),
        (lambda t: t * np.nan, "finite"),
    ],
    ids=["columns", "empty", "nan"],
)
def test_what_is_not_a_table_is_refused(make, words):
    table = discrete(np.random.default_rng(0))
    with pytest.raises(ValueError, match=words):
        item_quality.tables().read(make(table), table)
