"""Scenes of marked graphs and tables: what breaks their marks, and what does not."""

from collections import Counter

import numpy as np
import pytest

from hartley.attacks.data_to_data.watermark._shared.table_cells import of_one_key
from hartley.attacks.data_to_data.watermark.cell_noise import cell_noise
from hartley.data import tabular
from hartley.engine.build_scene import build
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.kit.marker import Marker

FEW = {"rounds": 3}


@pytest.fixture(scope="module")
def tables():
    return build("marked_tables", {"items": 12, "rows": 120})


@pytest.fixture(scope="module")
def graphs():
    return build("marked_senses", {"items": 24, "nodes": 200, "bits": 8})


def read(attack, scene):
    return play(attack, scene, seed=0, game_params=FEW).metrics


def test_a_table_keeps_its_mark_without_most_rows_and_loses_it_to_who_learns_the_cells(tables):
    assert read("row_deletion", tables)["ber_after"] < 0.02
    stolen = read("stolen_cells", tables)
    assert stolen["ber_after"] > 0.3
    assert stolen["table_similarity"] > 0.95
    assert read("stolen_cells_copy", tables)["attributed"] == 1


def test_tables_under_one_key_are_those_with_like_cells(tables):
    mark, rng = tables.part(Marker), np.random.default_rng(0)
    marked = [
        mark.embed(table, np.random.default_rng(key).integers(0, 2, 32), key, rng)
        for key, table in zip([1, 2, 3, 1, 2, 3, 1, 2, 3], tables.extra["carriers"].x, strict=False)
    ]
    alike = of_one_key(marked[0], marked[1:], 0.02, 4)
    assert {id(one) for one in alike} == {id(marked[3]), id(marked[6])}


def test_a_table_whose_key_is_of_what_it_shows_is_not_forged(tables):
    behind = defended(tables, "per_item_keys")
    forged = read("stolen_cells_copy", behind)
    assert forged["mark_reads"] > 0.9
    assert forged["attributed"] == 0


@pytest.mark.pack
def test_a_census_is_marked_in_its_numbers_and_its_categories_stay():
    people = build("marked_tables", {"data": "income", "items": 3})
    table = people.extra["carriers"].x[0]
    marked = people.part(Marker).embed(table, np.ones(32, int), 1, np.random.default_rng(0))
    changed = (marked != table).any(0)
    assert changed[:5].all() and not changed[5:].any()
    cleaned = play(cell_noise, people, seed=0, game_params=FEW).metrics
    assert cleaned["ber_before"] < 0.1 and cleaned["ber_after"] > 0.3
    assert cleaned["violated"] == 0


def test_a_graph_keeps_its_mark_under_rewiring_and_loses_it_to_who_compares_graphs(graphs):
    random, compared = read("rewiring", graphs), read("recurrent_link_removal", graphs)
    assert random["violated"] == compared["violated"] == 0
    assert random["ber_after"] < 0.15
    assert compared["ber_after"] > 0.3
    assert read("recurrent_link_copy", graphs)["mark_reads"] == 1


@pytest.mark.parametrize("data", ["tumours", pytest.param("income", marks=pytest.mark.pack)])
def test_no_row_of_an_owner_is_in_a_table_of_the_attacker(data):
    scene = build("marked_tables", {"data": data, "items": 12})
    owners, attackers = (
        scene.extra[name].x.reshape(-1, scene.facts["columns"]) for name in ("carriers", "unmarked")
    )
    # People of a census may be alike in all columns: those count who are not.
    records = tabular.tumours() if data == "tumours" else tabular.income()
    whole = np.column_stack([np.asarray(records.x, np.float64), records.labels])
    often = Counter(row.tobytes() for row in whole)
    single = {row.tobytes() for row in owners if often[row.tobytes()] == 1}
    assert len(single) > 300
    assert not single & {row.tobytes() for row in attackers}
