"""Tables as data: the two papers' taxonomies, framework ids, the bibliography, the run's schema."""

from hartley.reference.bibliography import bibliography, title_of
from hartley.reference.declared_defenses import Declared, declared_defenses
from hartley.reference.frameworks import Entry, Tag, current_id, entries, tags
from hartley.reference.schema import RUN_SCHEMA, check_schema, verdict_of
from hartley.reference.seed_a import ThreatClass, seed_a
from hartley.reference.seed_b import (
    Flow,
    Threat,
    flows,
    implemented_by,
    objective_of,
    threats,
)

__all__ = [
    "RUN_SCHEMA",
    "Declared",
    "Entry",
    "Flow",
    "Tag",
    "Threat",
    "ThreatClass",
    "bibliography",
    "check_schema",
    "current_id",
    "declared_defenses",
    "entries",
    "flows",
    "implemented_by",
    "objective_of",
    "seed_a",
    "tags",
    "threats",
    "title_of",
    "verdict_of",
]
