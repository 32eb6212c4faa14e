"""Worlds beside each other: none leaves a trace in another, many cost nothing, and a dropped one is gone."""

import asyncio
import gc
import re
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter
from typing import Any, Final

import httpx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support import APPROVES, CHALLENGED, LOCKED, Receiver, receiver
from worlds import World, new_world

from mock_epay.bank import Bank
from mock_epay.desk import Desk
from mock_epay.desk.payments import DirectPayment
from mock_epay.model import Card, Payer
from mock_epay.postlinks import Courier
from mock_epay.server import Sandbox, running
from mock_epay.settings import Settings
from mock_epay.store.memory import MemoryStore

MANY: Final = 10_000
UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MARKS: Final = re.compile(r"\"(?:reference|approval_code|int_reference)\": \"(\w+)\"")
CARDS: Final = (APPROVES["pan"], LOCKED["pan"], CHALLENGED["pan"])
PLANS: Final = ("immediate", "never", "on_release", "delay(60)", "duplicate(2, 30)")

sides = st.sampled_from((0, 1))


class TwoWorlds(RuleBasedStateMachine):
    """Does things in one of two worlds, which have the same seed and the same invoice numbers."""

    sandbox: Sandbox
    http: httpx.Client
    shop: Receiver

    @initialize()
    def begin(self) -> None:
        self.worlds = [new_world(self.http, seed="same", postlink_retry_s=[60, 600]) for _ in range(2)]
        for world in self.worlds:
            world.do("PUT", "/clock", {"freeze": True, "set": "2026-07-01T12:00:00Z"})

    def alone(self, side: int, act: Callable[[World], object]) -> None:
        """Do something in one world and see that nothing of it shows in the other."""
        before = self.worlds[1 - side].dump()
        act(self.worlds[side])
        self.settle(self.worlds[side])
        assert self.worlds[1 - side].dump() == before

    def settle(self, world: World) -> None:
        """Wait until what is due now has gone out: a turned clock waits for it."""
        world.do("PUT", "/clock", {"advance_s": 0})

    @rule(side=sides, card=st.sampled_from(CARDS), answer=st.sampled_from(("pass", "fail", "leave")), invoice=st.none())
    def pay(self, side: int, card: str, answer: str, invoice: None) -> None:
        assert invoice is None
        link = f"{self.shop.url}/{side}"
        self.alone(side, lambda world: world.pay(card=card, challenge=answer, post_link=link, account_id="customer"))

    @rule(side=sides, code=st.sampled_from((0, 484, 493)), plan=st.sampled_from(PLANS))
    def decide(self, side: int, code: int, plan: str) -> None:
        decisions = [{"reason_code": code, "plan": plan}]
        self.alone(side, lambda world: world.do("POST", "/script", {"decisions": decisions}))

    @rule(side=sides, at=st.sampled_from(("token", "page", "status")))
    def break_once(self, side: int, at: str) -> None:
        self.alone(side, lambda world: world.do("POST", "/faults", {"faults": [{"at": at, "status": 503}]}))

    @rule(side=sides, status=st.sampled_from((200, 404, 500)))
    def answer(self, side: int, status: int) -> None:
        self.shop.answers[f"/{side}"] = [status] * 50

    @rule(side=sides, seconds=st.sampled_from((1, 60, 600, 1500)))
    def advance(self, side: int, seconds: int) -> None:
        self.alone(side, lambda world: world.do("PUT", "/clock", {"advance_s": seconds}))

    @rule(side=sides)
    def resend(self, side: int) -> None:
        self.alone(side, lambda world: world.ask("POST", "/postlinks/latest/resend"))

    @rule(side=sides)
    def ask_for_the_status(self, side: int) -> None:
        def ask(world: World) -> None:
            token = world.token()
            if token.status_code == 200:
                headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
                world.http.get("/check-status/payment/transaction/000000001", headers=headers)

        self.alone(side, ask)

    @rule(side=sides)
    def reset(self, side: int) -> None:
        def begin_anew(world: World) -> None:
            world.do("POST", "/reset")
            world.do("PUT", "/clock", {"freeze": True, "set": "2026-07-01T12:00:00Z"})

        self.alone(side, begin_anew)

    @rule(side=sides)
    def look_for_the_others_things(self, side: int) -> None:
        mine, other = self.worlds[side], self.worlds[1 - side]
        for one in other.get("/transactions")["transactions"]:
            assert mine.ask("GET", f"/transactions/{one['id']}").status_code == 404
        for one in other.get("/postlinks")["postlinks"]:
            assert mine.ask("POST", f"/postlinks/{one['id']}/resend").status_code == 404

    @invariant()
    def nothing_of_one_is_in_the_other(self) -> None:
        first, second = (world.dump() for world in self.worlds)
        assert not {*UUID.findall(first)} & {*UUID.findall(second)}
        assert not ({*MARKS.findall(first)} & {*MARKS.findall(second)})
        assert f'"client_id": "{self.worlds[1].client_id}"' not in first
        assert f'{self.shop.url}/1"' not in first
        assert f'{self.shop.url}/0"' not in second

    def teardown(self) -> None:
        for world in getattr(self, "worlds", ()):
            world.do("DELETE")


def test_two_worlds_at_once_leave_no_trace_in_each_other(sandbox: Sandbox, http: httpx.Client) -> None:
    with receiver() as shop:
        machine = type("Worlds", (TwoWorlds,), {"sandbox": sandbox, "http": http, "shop": shop})
        budget = settings(max_examples=25, stateful_step_count=12, deadline=None)
        run_state_machine_as_test(machine, settings=budget)


def desk() -> Desk:
    bank = Bank(MemoryStore(), Settings())
    return Desk(bank, Courier(bank.store))


def test_a_new_merchant_and_a_reset_take_less_than_a_millisecond_among_ten_thousand() -> None:
    async def story() -> tuple[float, float]:
        one = desk()
        for _ in range(MANY):
            await one.worlds.new_merchant({})
        names = [merchant.client_id for merchant in (await one.worlds.merchants())[:: MANY // 200]]
        for name in names:
            await pay(one, name)
        return await timed(lambda _: one.worlds.new_merchant({}), names), await timed(one.worlds.reset, names)

    new, reset = asyncio.run(story())
    assert new < 0.001
    assert reset < 0.001


async def timed(act: Callable[[str], Any], names: list[str]) -> float:
    """Return the median of the seconds that an act takes."""
    took = []
    for name in names:
        start = perf_counter()
        await act(name)
        took.append(perf_counter() - start)
    return median(took)


async def pay(one: Desk, client_id: str) -> None:
    card = Card(pan=LOCKED["pan"], expiry=LOCKED["expiry"], cvc=LOCKED["cvc"])
    await one.pay(client_id, DirectPayment(fields={}, card=card, payer=Payer()))


def test_a_dropped_world_frees_its_memory() -> None:
    async def story() -> tuple[int, int]:
        one = desk()

        async def generation() -> None:
            """Let worlds come, pay, have pages that fall due, and go."""
            for number in range(100):
                merchant = await one.worlds.new_merchant({"client_id": f"shop-{number}"})
                await pay(one, merchant.client_id)
                await one.timekeeper.turn(merchant.client_id, freeze=False, moment=None, seconds=1, resume=False)
                await one.worlds.drop_merchant(merchant.client_id)

        await generation()  # what is made once and kept, such as compiled schemas
        tracemalloc.start()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        await generation()
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return after - before, peak - before

    grown, peak = asyncio.run(story())
    assert grown < 40_000  # bytes, of which a hundred worlds would have a million
    assert peak > grown


def test_worlds_at_once_from_many_threads_are_all_their_own() -> None:
    def live(url: str) -> tuple[str, str]:
        with httpx.Client(base_url=url) as http:
            world = new_world(http)
            paid = world.pay(invoice_id="000000001", amount=7)
            assert [one["id"] for one in world.get("/transactions")["transactions"]] == [paid["id"]]
            world.do("DELETE")
            return world.client_id, paid["id"]

    with running(Settings(port=0)) as sandbox, ThreadPoolExecutor(8) as pool:
        lives = list(pool.map(live, [sandbox.url] * 64))
    assert len({name for name, _ in lives}) == len({paid for _, paid in lives}) == 64
