"""A retrieval function of your own: what does one tenant of it read of the others?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from hartley.core import Modality, Scene, Stronger, recipe
from hartley.core.errors import UsageError
from hartley.kit.cache import digest
from hartley.kit.stores.own_store import OwnStore
from hartley.scenes._user_files import check_there, described
from hartley.targets.python_object import code_of_object, function_beside, load_object

EXAMPLE = (
    "hartley assess --scene own_store --set search=store.py:search --set tenants=north,south "
    "--only cross_tenant_read"
)


@recipe(modality=Modality.LANGUAGE)
def own_store(
    *,
    search: Annotated[str, Stronger.NEITHER] = "",
    tenants: Annotated[str, Stronger.NEITHER] = "",
    guest: Annotated[str, Stronger.NEITHER] = "guest",
    names_tenant: Annotated[bool, Stronger.MORE] = False,
) -> Scene:
    """A store of your own that tenants share, searched by a Python function.

    The file has search(query, k, tenant), which returns texts, and add(text, tenant), by which
    facts are planted; with remove(text, tenant) they are taken out again. Use a copy of the store.

    Args:
        search: FILE.py:NAME of the function that searches.
        tenants: of which facts are planted, joined by commas; they exist or are made by add.
        guest: the tenant that the attacker is.
        names_tenant: whether a caller may name the tenant of a search, as where a filter is taken
            from the request.

    Raises:
        UsageError: the file, the function or add is not there, or a tenant is missing.
    """
    if not search:
        raise UsageError(f"search must be FILE.py:NAME, got none: {EXAMPLE}")
    check_there({"set search": search})
    names = tuple(dict.fromkeys(name.strip() for name in tenants.split(",") if name.strip()))
    if not names:
        raise UsageError(f"tenants must name at least one tenant, got none: {EXAMPLE}")
    if guest in names:
        raise UsageError(f"tenants must be others than {guest!r}, got {tenants!r}: {EXAMPLE}")
    function, add = load_object(search, "search"), function_beside(search, "add")
    if not callable(function):
        raise UsageError(f"{search} must be a function, got {type(function).__name__}")
    if add is None:
        place = search.rpartition(":")[0]
        raise UsageError(f"{place} must have add(text, tenant), by which facts are planted")
    part = OwnStore(
        function,
        add,
        function_beside(search, "remove"),
        names,
        guest,
        names_tenant,
        what=Path(search.rpartition(":")[0]).name,
    )
    return Scene(
        name="own_store",
        modality=Modality.LANGUAGE,
        digest=digest(["own store", code_of_object(search), names, guest, names_tenant]),
        # What the store holds besides is not known, so that a run on it is not continued.
        resumable=False,
        parts=(part,),
        model=part.called_by(guest, (), (), None),
        facts={"tenants": ", ".join(names)} | described({"search": search}),
    )
