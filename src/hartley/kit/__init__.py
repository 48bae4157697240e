"""Shared tools that know no attack: a room for each subject, and what serves them all.

``membership``, ``inversion`` (with ``release``) and ``memorization`` hold steps that the attacks
and judges of one class share; ``shields`` those of defences; ``wires`` the models that know all or
nothing; ``fleet`` trains many nets at once; ``language``, ``vision`` and ``graph`` handle one kind
of record. What lies here directly serves several of them.
"""
