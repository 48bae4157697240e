"""Scenes of marked graphs and tables: what breaks their marks, and what does not."""

import pytest

from hartley.engine.build_scene import build
from hartley.engine.run.play import play

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


def test_a_graph_keeps_its_mark_under_rewiring_and_loses_it_to_who_compares_graphs(graphs):
    random, compared = read("rewiring", graphs), read("recurrent_link_removal", graphs)
    assert random["violated"] == compared["violated"] == 0
    assert random["ber_after"] < 0.15
    assert compared["ber_after"] > 0.3
    assert read("recurrent_link_copy", graphs)["mark_reads"] == 1
