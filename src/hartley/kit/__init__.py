"""Shared tools that know no game: for models, for one kind of record, or for several parts.

``fleet`` trains many nets at once; ``language``, ``vision`` and ``graph`` each handle one kind of
record. The modules beside them (``nets``, ``cache``, ``ridge`` …) serve more than one of these.
"""
