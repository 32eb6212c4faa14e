"""Faults on demand: slow, refused, broken off, dropped; where, how often, and with what effect."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final

import httpx
import pytest
from support import APPROVES, Shop, action, encrypted, state
from worlds import World, new_world

from mock_epay import lz
from mock_epay.bank import Bank, merchants, scripts
from mock_epay.model import Merchant
from mock_epay.script import PlannedFault, Script
from mock_epay.settings import Settings
from mock_epay.store.memory import MemoryStore
from mock_epay.store.shapes import Stored

Call = Callable[[World], httpx.Response]


def bearer(world: World) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.token().json()['access_token']}"}


def page(world: World) -> httpx.Response:
    token = world.token(invoiceID="000000001", amount=100).json()
    order = {"invoiceId": "000000001", "amount": 100, "currency": "KZT", "terminal": world.facts["terminal"]}
    order |= {"backLink": "https://example.kz", "postLink": "http://127.0.0.1:9/", "language": "eng"}
    order |= {"description": "Tea", "auth": token}
    return world.http.get(f"/payform/?params={lz.compress(lz.flatten(order))}")


def link(world: World) -> httpx.Response:
    order = {"invoice_id": "000000002", "amount": 10, "currency": "KZT", "description": "Tea"}
    order["shop_id"] = world.facts["terminals"][0]["shop_id"]
    return world.http.post("/api/invoice", json=order, headers=bearer(world))


def cryptopay(world: World) -> httpx.Response:
    order = {"amount": 100, "currency": "KZT", "invoiceId": "000000003", "terminalId": world.facts["terminal"]}
    order["cryptogram"] = encrypted(world.http, APPROVES, world.facts["terminal"])
    token = world.token(invoiceID="000000003", amount=100).json()["access_token"]
    return world.http.post("/payment/cryptopay", json=order, headers={"Authorization": f"Bearer {token}"})


# Where a fault may strike, and a request that goes there.
PLACES: Final[dict[str, Call]] = {
    "token": lambda world: world.token(invoiceID="000000009", amount=1),
    "script": lambda world: world.http.get(world.facts["urls"]["script"]),
    "page": page,
    "status": lambda world: world.http.get("/check-status/payment/transaction/1", headers=bearer(world)),
    "operations": lambda world: world.http.post(
        f"/operation/{world.pay()['id']}/refund?amount=10", headers=bearer(world)
    ),
    "payments": cryptopay,
    "cards": lambda world: world.http.get("/cards/nobody", headers=bearer(world)),
    "links": link,
    "terminals": lambda world: world.http.get(f"/terminals/{world.facts['terminal']}", headers=bearer(world)),
}


def plan(world: World, **fault: object) -> list[dict[str, Any]]:
    planned: list[dict[str, Any]] = world.do("POST", "/faults", {"faults": [fault]})["faults"]
    return planned


@pytest.mark.parametrize("at", PLACES)
def test_a_service_refuses_once_as_was_planned_and_then_works(world: World, at: str) -> None:
    usual = 400 if at == "cards" else 200
    plan(world, at=at, status=503)
    refused = PLACES[at](world)
    assert refused.status_code == 503
    assert refused.json()["error"] == "planned_fault"
    assert refused.json()["message"] == f"a planned fault of {at}: the script wants status 503"
    assert PLACES[at](world).status_code == usual
    assert world.get("/faults")["faults"][0].items() >= {"struck": 1, "left": 0}.items()
    assert world.kinds().count("fault.struck") == 1


@pytest.mark.parametrize("at", ["token", "script", "page", "status"])
def test_an_answer_breaks_off_in_the_middle(world: World, at: str) -> None:
    plan(world, at=at, garbled=True, times=None)
    broken = PLACES[at](world)
    assert broken.status_code == 200
    again = PLACES[at](world)
    assert again.headers["content-type"] == broken.headers["content-type"]
    world.do("DELETE", "/faults")
    assert world.get("/faults")["faults"] == []
    whole = PLACES[at](world)
    assert len(broken.content) in {len(whole.content) // 2 - 1, len(whole.content) // 2, len(whole.content) // 2 + 1}
    with pytest.raises(json.JSONDecodeError):
        broken.json()


@pytest.mark.parametrize("at", ["token", "status", "page"])
def test_a_connection_is_dropped_without_an_answer(world: World, at: str) -> None:
    plan(world, at=at, drop=True)
    with pytest.raises(httpx.RemoteProtocolError):
        PLACES[at](world)
    assert PLACES[at](world).status_code == 200


def test_an_answer_comes_late(world: World) -> None:
    plan(world, at="token", delay_s=0.2)
    start = perf_counter()
    assert world.token().status_code == 200
    assert perf_counter() - start >= 0.2


@pytest.mark.parametrize(("after", "taken"), [(False, 100), (True, 90)])
def test_a_request_takes_effect_first_where_the_fault_says_so(world: World, after: object, taken: int) -> None:
    paid = world.pay()
    plan(world, at="operations", status=504, after=after)
    response = world.http.post(f"/operation/{paid['id']}/refund?amount=10", headers=bearer(world))
    assert response.status_code == 504
    found = world.get(f"/transactions/{paid['id']}")
    assert found["taken"] - found["returned"] == taken


def test_a_fault_that_lets_the_request_through_first_hides_its_refusal(world: World) -> None:
    plan(world, at="operations", status=502, after=True)
    response = world.http.post("/operation/8f7c1f2e-6a40-4d0c-9d0e-0f0a3f5b7c11/refund", headers=bearer(world))
    assert response.status_code == 502


def test_an_attempt_is_made_though_the_page_breaks(world: World) -> None:
    opened = page(world)
    plan(world, at="page", drop=True, after=True)
    with pytest.raises(httpx.RemoteProtocolError):
        world.http.post(action(opened), data=APPROVES)
    assert state(world.http.get(action(opened)))[0] == "approved"


def test_a_browser_may_read_a_refusal_of_the_token(world: World) -> None:
    plan(world, at="token", status=500)
    assert world.token().headers["access-control-allow-origin"] == "*"


def test_some_of_the_answers_fail_and_always_the_same_ones(http: httpx.Client) -> None:
    def tell() -> list[int]:
        world = new_world(http, seed="weather")
        plan(world, at="status", status=503, times=None, probability=0.5)
        answers = [PLACES["status"](world).status_code for _ in range(20)]
        world.do("DELETE")
        return answers

    first = tell()
    assert set(first) == {200, 503}
    assert first == tell()


def test_faults_are_one_merchants_own(world: World, shop: Shop) -> None:
    plan(world, at="token", status=503, times=None)
    assert shop.token()["access_token"]
    assert world.token(client_id="nobody").status_code == 401
    assert world.token().status_code == 503


class Ending(MemoryStore):
    """A store in which a world ends as soon as somebody knows that it has a script; `end` is how."""

    def __init__(self, end: Callable[["Ending", Merchant], Awaitable[object]]) -> None:
        super().__init__()
        self.end = end

    async def owner(self, kind: type[Stored], key: str) -> str | None:
        """See `Store`."""
        found = await super().owner(kind, key)
        if found and kind is Script:
            await self.end(self, self.world(found).merchant)
        return found


async def dropped(store: Ending, merchant: Merchant) -> None:
    await store.drop_merchant(merchant.client_id)


async def begun_anew(store: Ending, merchant: Merchant) -> None:
    await store.add_merchant(merchant)


@pytest.mark.parametrize("end", [dropped, begun_anew])
def test_a_fault_of_a_world_that_has_just_ended_does_not_strike(
    end: Callable[[Ending, Merchant], Awaitable[object]],
) -> None:
    async def strike() -> PlannedFault | None:
        store, settings = Ending(end), Settings()
        merchant = merchants.make(merchants.built_in()[0], settings)
        await store.add_merchant(merchant)
        async with store.work(merchant.client_id) as work:
            await scripts.add(work, faults=[PlannedFault(id=0, at="token", drop=True)])
        return await Bank(store, settings).strike("token", merchant.client_id)

    assert asyncio.run(strike()) is None
