"""A shop and its customers use the bank's services in whatever order, with odd values: no 5xx, no money made."""

import json
from decimal import Decimal
from itertools import count
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    multiple,
    rule,
    run_state_machine_as_test,
)
from support import APPROVES, CHALLENGED, LOCKED, PATIENCE_S, SCOPE, action, encrypted, hidden, marked, state
from worlds import TROUBLE, World, new_world

from mock_epay import lz

ROUNDS: Final = 40
STEPS: Final = 40
DAYS: Final = 3  # of which the first is the same each time
ACCOUNT: Final = "customer-7"
STRANGER: Final = {"pan": "4929831174420651", "expiry": "12/30", "cvc": "123"}
CARDS: Final = st.sampled_from([CHALLENGED, CHALLENGED, CHALLENGED, APPROVES, APPROVES, APPROVES, LOCKED, STRANGER])
AMOUNTS: Final = st.sampled_from(["", "0", "-1", "0.01", "1", "50", "99.99", "100", "100.001", "1e2", "NaN", "9" * 40])
OPERATIONS: Final = st.sampled_from(["charge", "cancel", "refund"])
ODD: Final = st.sampled_from(["", " ", "0", "-1", "null", "\0", "\r\n", "қ", "😀", "'\"<>", "../..", "%00", "a" * 5000])
ODD_JSON: Final[st.SearchStrategy[Any]] = ODD | st.sampled_from(
    [None, True, 0, -1, 1.5, 10**30, [], {}, [[]], {"id": []}]
)
TOKEN: Final = ("scope", "terminal", "currency", "postLink", "grant_type", "invoiceID", "client_id", "client_secret")
PAYMENT: Final = ("amount", "invoiceId", "accountId", "cardSave", "name", "postLink", "backLink", "language")
REACHED: Final = {"token", "cryptopay", "page", "form", "acs", "code", "confirm", "refund", "status", "cards"}
REFUSED: Final = {"token", "cryptopay", "charge", "refund"}
CODES: Final = st.sampled_from(["", "000000", "1" * 100, "қ", "right", "right", "right"])


def with_odd(*names: str, values: st.SearchStrategy[Any] = ODD_JSON) -> st.SearchStrategy[dict[str, Any]]:
    """Give nothing, or one field with an odd value."""
    return st.just({}) | st.just({}) | st.dictionaries(st.sampled_from(names), values, min_size=1, max_size=1)


class Token(NamedTuple):
    """What a token was asked for, and was given."""

    number: str
    answer: dict[str, Any]

    @property
    def bearer(self) -> str:
        return str(self.answer["access_token"])


class Trade(RuleBasedStateMachine):
    """One merchant's day. What an answer gives, later requests use."""

    http: httpx.Client
    done: set[tuple[str, int]]
    two_stage: bool

    tokens = Bundle("tokens")
    lookups = Bundle("lookups")
    paid = Bundle("paid")
    answers = Bundle("answers")
    cards = Bundle("cards")
    pages = Bundle("pages")

    def __init__(self) -> None:
        super().__init__()
        self.world: World = new_world(self.http, two_stage=self.two_stage, postlink_retry_s="none")
        self.numbers = count(1)

    def teardown(self) -> None:
        """See to it that no money was made, and leave."""
        for one in self.world.get("/transactions")["transactions"]:
            assert 0 <= Decimal(str(one["taken"])) <= Decimal(str(one["amount"]))
        self.world.dump()
        self.world.do("DELETE")

    def ask(self, name: str, method: str, path: str, bearer: str = "", **more: Any) -> httpx.Response:
        """Make a request, which must be answered in time, and not with a fault."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        answer = self.http.request(method, path, headers=headers, **more)
        assert answer.status_code < 500, (name, path, more, answer.text)
        self.done.add((name, answer.status_code))
        return answer

    @rule(target=tokens)
    def token(self) -> Token:
        return self.right_token()

    @rule(target=lookups)
    def token_to_look(self) -> Token:
        return self.right_token(invoiceID="")

    @rule(target=tokens, amount=AMOUNTS, odd=with_odd(*TOKEN, values=ODD))
    def odd_token(self, amount: str, odd: dict[str, str]) -> MultipleResults[Token]:
        return multiple(*self.asked_for({"amount": amount, "currency": "KZT"} | odd))

    def right_token(self, **changes: str) -> Token:
        (token,) = self.asked_for({"amount": "100", "currency": "KZT"} | changes)
        return token

    def asked_for(self, order: dict[str, str]) -> list[Token]:
        fields = {
            "grant_type": "client_credentials",
            "scope": SCOPE,
            "client_id": self.world.client_id,
            "client_secret": self.world.facts["client_secret"],
            "terminal": self.world.facts["terminal"],
            "invoiceID": f"{next(self.numbers):09}",
        } | order
        got = self.ask("token", "POST", "/oauth2/token", data=fields)
        return [Token(fields["invoiceID"], got.json())] if got.is_success else []

    def order(self, token: Token, odd: dict[str, Any]) -> dict[str, Any]:
        return {
            "invoiceId": token.number,
            "amount": 100,
            "currency": "KZT",
            "name": "Arman Ali",
            "description": "Order",
            "accountId": ACCOUNT,
            "email": "a@example.kz",
            "phone": "+77770000000",
            "cardSave": True,
            "postLink": TROUBLE,
            "backLink": "https://example.kz/",
            "language": "rus",
        } | odd

    @rule(target=paid, card=CARDS)
    def pay(self, card: dict[str, str]) -> Any:
        return self.by_card(self.right_token(), card, {})

    @rule(target=paid, token=tokens, card=CARDS, odd=with_odd(*PAYMENT, "cryptogram", "terminalId"))
    def pay_by_card(self, token: Token, card: dict[str, str], odd: dict[str, Any]) -> Any:
        return self.by_card(token, card, odd)

    def by_card(self, token: Token, card: dict[str, str], odd: dict[str, Any]) -> Any:
        terminal = self.world.facts["terminal"]
        more = {"terminalId": terminal, "cryptogram": encrypted(self.http, card, terminal)}
        body = self.order(token, more | odd)
        return named(self.ask("cryptopay", "POST", "/payment/cryptopay", token.bearer, json=body))

    @rule(target=paid, token=consumes(tokens), card=cards, odd=with_odd(*PAYMENT, "cardId", "recurrent", "paymentType"))
    def pay_by_saved_card(self, token: Token, card: str, odd: dict[str, Any]) -> Any:
        body = self.order(token, {"paymentType": "cardId", "cardId": {"id": card}} | odd)
        return named(self.ask("saved card", "POST", "/payments/cards/auth", token.bearer, json=body))

    @rule(target=pages, token=tokens, odd=with_odd(*PAYMENT, "terminal", "auth", "data"))
    def open_page(self, token: Token, odd: dict[str, Any]) -> Any:
        more = {"terminal": self.world.facts["terminal"], "auth": token.answer}
        params = lz.compress(lz.flatten(self.order(token, more | odd)))
        page = self.ask("page", "GET", "/payform/", params={"params": params})
        return action(page) if page.is_success and state(page)[0] == "open" else multiple()

    @rule(
        page=pages,
        card=CARDS,
        code=CODES,
        odd=with_odd("pan", "expiry", "cvc", "name", "email", "save_card", "card_id", values=ODD),
    )
    def pay_on_page(self, page: str, card: dict[str, str], code: str, odd: dict[str, str]) -> None:
        fields = card | {"save_card": "true"} | odd
        shown = self.ask("form", "POST", page, data=fields, follow_redirects=True)
        self.returns(shown, code)

    @rule(target=answers, one=paid, code=CODES, odd=with_odd("PaReq", "MD", "TermUrl", values=ODD))
    def answer_the_issuer(self, one: dict[str, Any], code: str, odd: dict[str, str]) -> Any:
        asked = one.get("secure3D")
        if not asked:
            return multiple()
        fields = {"PaReq": asked["paReq"], "MD": asked["md"], "TermUrl": asked["termURL"]} | odd
        page = self.ask("acs", "POST", "/acs", data=fields, follow_redirects=True)
        return multiple(*((one, text) for text in self.returns(page, code)))

    def returns(self, page: httpx.Response, code: str) -> list[str]:
        """Answer on the issuer's page, if it is that; return what it gives the browser to bring back."""
        if 'data-testid="sandbox-code"' not in page.text:
            return []
        given = marked(page, "sandbox-code") if code == "right" else code
        form = {"answer": "confirm" if code else "cancel", "code": given}
        back = self.ask("code", "POST", action(page), data=form, follow_redirects=True)
        return [hidden(back, "PaRes")] if 'name="PaRes"' in back.text else []

    @rule(target=paid, ways=st.lists(st.booleans(), min_size=1, max_size=3))
    def pay_and_confirm(self, ways: list[bool]) -> Any:
        one = self.by_card(self.right_token(), CHALLENGED, {})
        asked = one["secure3D"]
        fields = {"PaReq": asked["paReq"], "MD": asked["md"], "TermUrl": asked["termURL"]}
        page = self.ask("acs", "POST", "/acs", data=fields, follow_redirects=True)
        (pa_res,) = self.returns(page, "right")
        for by_shop in ways:
            self.confirm((one, pa_res), self.right_token(invoiceID=""), {}, by_shop=by_shop)
        return one

    @rule(answer=answers, token=lookups | tokens, odd=with_odd("PaRes", "MD", "ID"), by_shop=st.booleans())
    def confirm(self, answer: tuple[dict[str, Any], str], token: Token, odd: dict[str, Any], *, by_shop: bool) -> None:
        one, pa_res = answer
        fields = {"MD": one["secure3D"]["md"], "PaRes": pa_res} | odd
        if by_shop:
            self.ask("confirm", "POST", "/payment/confirm", token.bearer, json={"ID": one["id"]} | fields)
        else:
            texts = {name: text if isinstance(text, str) else json.dumps(text) for name, text in fields.items()}
            self.ask("way back", "POST", one["secure3D"]["termURL"], data=texts)

    @rule(target=paid, acts=st.lists(st.tuples(OPERATIONS, st.none() | AMOUNTS), min_size=1, max_size=4))
    def pay_and_operate(self, acts: list[tuple[str, str | None]]) -> Any:
        one = self.by_card(self.right_token(), APPROVES, {})
        for operation, amount in acts:
            self.operate(one, self.right_token(invoiceID=""), operation, amount)
        return one

    @rule(one=paid, token=lookups | tokens, operation=OPERATIONS, amount=st.none() | AMOUNTS)
    def operate(self, one: dict[str, Any], token: Token, operation: str, amount: str | None) -> None:
        more: dict[str, Any] = {} if amount is None else {"params": {"amount": amount}}
        self.ask(operation, "POST", f"/operation/{one['id']}/{operation}", token.bearer, **more)

    @rule(token=lookups | tokens, operation=OPERATIONS, odd=ODD, body=ODD_JSON)
    def operate_on_nothing(self, token: Token, operation: str, odd: str, body: Any) -> None:
        self.ask(operation, "POST", f"/operation/{quote(odd, safe='')}/{operation}", token.bearer, json=body)

    @rule(one=paid, token=lookups | tokens)
    def look(self, one: dict[str, Any], token: Token) -> None:
        for path in (f"transactionId/{one['id']}", f"transaction/{token.number}", "transaction/000000001"):
            self.ask("status", "GET", f"/check-status/payment/{path}", token.bearer)
        self.ask("terminal", "GET", f"/terminals/{self.world.facts['terminal']}", token.bearer)

    @rule(target=cards, token=lookups | tokens, account=st.just(ACCOUNT) | st.just(ACCOUNT) | ODD)
    def list_cards(self, token: Token, account: str) -> Any:
        got = self.ask("cards", "GET", f"/cards/{quote(account, safe='')}", token.bearer)
        return multiple(*(one["ID"] for one in got.json())) if got.is_success else multiple()

    @rule(card=cards | ODD, token=lookups | tokens)
    def deactivate(self, card: str, token: Token) -> None:
        self.ask("deactivate", "POST", f"/card/deactivate/{quote(card, safe='')}", token.bearer)


def named(answer: httpx.Response) -> Any:
    """Return what an answer to a payment names, if it was made."""
    return answer.json() if answer.is_success else multiple()


@pytest.mark.slow
@pytest.mark.parametrize("stages", [1, 2])
def test_whatever_is_done_in_whatever_order_is_answered_below_500(http: httpx.Client, stages: int) -> None:
    done: set[tuple[str, int]] = set()

    class Day(Trade):
        pass

    def reached() -> bool:
        """Say whether something came of what does not depend on more luck, and something was refused."""
        came = {name for name, status in done if status < 400}
        return came >= REACHED and {name for name, status in done if status >= 400} >= REFUSED

    with httpx.Client(base_url=http.base_url, timeout=PATIENCE_S) as client:
        Day.http, Day.done, Day.two_stage = client, done, stages == 2
        for day in range(DAYS):
            run_state_machine_as_test(
                Day,
                settings=settings(
                    max_examples=ROUNDS,
                    stateful_step_count=STEPS,
                    deadline=None,
                    derandomize=day == 0,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
            if reached():
                break
    assert reached(), sorted(done)
