"""Merchants: what one is made of, from what its owner says and what the settings say."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from mock_epay import fake, resources
from mock_epay.dialects import SPELLINGS
from mock_epay.errors import CONTROL_API, BadField
from mock_epay.model import Merchant, Terminal
from mock_epay.records import replace
from mock_epay.settings import Settings, chosen, rows

DOCUMENTED: Final = "test"  # the ClientID of the bank's documents
# The settings that a merchant may have of its own.
OWN: Final = tuple(row.name for row in rows() if row.per_merchant)
# The facts that are kept as they are said.
_PLAIN: Final = frozenset({"client_secret", "name", "email", "password", "seed", *OWN})


def built_in() -> Sequence[Mapping[str, Any]]:
    """Return the facts of the merchants that every sandbox has."""
    facts: Sequence[Mapping[str, Any]] = resources.table("merchants")["merchant"]
    return facts


def documented() -> Mapping[str, Any]:
    """Return the facts of the merchant that the bank's documents name."""
    return next(facts for facts in built_in() if facts["client_id"] == DOCUMENTED)


@cache
def built_in_ids() -> frozenset[str]:
    """Return who they are."""
    return frozenset(str(facts["client_id"]) for facts in built_in())


def make(facts: Mapping[str, Any], settings: Settings) -> Merchant:
    """Return a merchant; what its owner does not say is invented, or as the settings have it.

    With a seed, all that is invented is the same each time, the credentials too. A single `terminal` may be named
    instead of `terminals`, which are rows of facts.
    """
    seed = facts.get("seed") or settings.seed or fake.fresh_seed()
    own = {name: facts.get(name, getattr(settings, name)) for name in OWN}
    client_id = facts.get("client_id") or f"shop-{fake.Fake(seed).word('client_id').lower()}"
    invented = fake.Fake(seed, client_id)
    two_stage = facts.get("two_stage", SPELLINGS[own["dialect"]].two_stage)
    rows = facts.get("terminals") or [{"id": facts["terminal"]} if facts.get("terminal") else {}]
    return Merchant(
        client_id=client_id,
        client_secret=facts.get("client_secret") or invented.word("client_secret"),
        name=facts.get("name") or f"Shop {client_id}",
        email=facts.get("email") or f"{client_id}@example.kz",
        password=facts.get("password") or invented.word("password"),
        terminals=tuple(
            Terminal(**_invented_terminal(invented, number) | {"two_stage": two_stage} | row)
            for number, row in enumerate(rows)
        ),
        seed=seed,
        **own,
    )


def change(merchant: Merchant, facts: Mapping[str, Any]) -> Merchant:
    """Return a merchant with some facts changed."""
    changes = dict(facts)
    if "two_stage" in changes:
        two_stage = changes.pop("two_stage")
        changes["terminals"] = [{"id": one.id, "two_stage": two_stage} for one in merchant.terminals]
    if "terminals" in changes:
        changes["terminals"] = _with_changes(merchant, changes["terminals"])
    return replace(merchant, **changes)


def overruled(stored: Iterable[Merchant], own: Sequence[Mapping[str, Any]], settings: Settings) -> dict[str, list[str]]:
    """Return what merchants of a store have otherwise than the settings that are given, or those of the sandbox's own.

    It is told of those that every sandbox has and of its `own`, by their `client_id`.
    """
    given = {name: getattr(settings, name) for name in chosen(settings) if name in OWN}
    wanted = dict.fromkeys(built_in_ids(), given)
    wanted |= {facts["client_id"]: given | {name: facts[name] for name in _PLAIN & facts.keys()} for facts in own}
    other = {
        one.client_id: sorted(name for name, value in wanted[one.client_id].items() if getattr(one, name) != value)
        for one in stored
        if one.client_id in wanted
    }
    return {client_id: names for client_id, names in other.items() if names}


def _invented_terminal(invented: fake.Fake, number: int) -> dict[str, Any]:
    """Return the facts of a merchant's terminal; the first one's stay what they are whatever else there is."""
    more = f" {number + 1}" if number else ""
    return {
        "id": invented.uuid(f"terminal{more}"),
        "tid": invented.digits(f"tid{more}", 8),
        "shop_id": invented.uuid(f"shop{more}"),
    }


def _with_changes(merchant: Merchant, rows: Sequence[Mapping[str, Any]]) -> tuple[Terminal, ...]:
    """Return a merchant's terminals, those of the rows changed.

    Raises:
        BadField: a row is about a terminal that the merchant does not have.

    """
    terminals = {one.id: one for one in merchant.terminals}
    for number, row in enumerate(rows):
        if row["id"] not in terminals:
            raise BadField(f"terminals.{number}.id", row["id"], f"a terminal of {merchant.client_id}", CONTROL_API)
        terminals[row["id"]] = replace(terminals[row["id"]], two_stage=row["two_stage"])
    return tuple(terminals.values())
