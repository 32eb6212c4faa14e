"""The OpenAPI document is true: whatever Schemathesis makes of it, right or wrong, is answered as it says."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, count
from typing import Any, Final
from zlib import crc32

import httpx
import pytest
import requests
import schemathesis
from support import (
    APPROVES,
    CHALLENGED,
    LOCKED,
    SHOP_ID,
    Receiver,
    Shop,
    action,
    encrypted,
    hidden,
    marked,
    new_merchant,
)

from mock_epay import lz, records, resources
from mock_epay.errors import Refusal
from mock_epay.model import Dialect, Terminal
from mock_epay.script import PLANS
from mock_epay.server import Sandbox
from mock_epay.wire import control

ROUNDS: Final = 60  # of each operation, half of them right; beside these, what is at the edges of its rules
TWO_STAGE: Final = "5f7bdf8b-f34c-4aed-bd0c-47fa1e323496"
PATIENCE_S: Final = 0.01  # for what may not come

Case = schemathesis.Case[Any]
PATHS: Final[dict[str, Any]] = json.loads(resources.OPENAPI.read_text("utf-8"))["paths"]


def _in_path(path: str) -> str:
    """Return the document's example of what stands in a path, the last of such."""
    example: str = PATHS[path]["parameters"][-1]["example"]
    return example


def _in_body(path: str) -> dict[str, Any]:
    """Return the document's example of a body."""
    shown = next(iter(PATHS[path]["post"]["requestBody"]["content"].values()))
    example: dict[str, Any] = shown["example"] if "example" in shown else shown["examples"]["cabinet"]["value"]
    return example


def _ids(part: Any) -> Iterator[str]:
    """Return the ids in the document's examples of answers."""
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "id" and isinstance(value, str))
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    yield from chain.from_iterable(map(_ids, inner))


class Scene:
    """What one request is about. Each thing is made when the request asks for it, and so is new."""

    def __init__(self, shop: Shop, numbers: Iterator[int]) -> None:
        self.shop = shop
        self._numbers = numbers

    @cached_property
    def number(self) -> str:
        return self._new_number()

    @cached_property
    def paid(self) -> dict[str, Any]:
        return self._pay(APPROVES)

    @cached_property
    def held(self) -> dict[str, Any]:
        return self._pay(APPROVES, TWO_STAGE)

    @cached_property
    def asked(self) -> dict[str, Any]:
        return self._pay(CHALLENGED)

    @cached_property
    def code(self) -> str:
        fields = {"PaReq": self.secure["paReq"], "MD": self.secure["md"], "TermUrl": self.secure["termURL"]}
        return marked(self.shop.http.post("/acs", data=fields, follow_redirects=True), "sandbox-code")

    @cached_property
    def pa_res(self) -> str:
        fields = {"answer": "confirm", "code": self.code}
        return hidden(self.shop.http.post(f"/acs/{self.secure['md']}", data=fields), "PaRes")

    @cached_property
    def order(self) -> str:
        token = self.shop.token(invoiceID=self.number)
        return lz.compress(lz.flatten(self.shop.order(token, invoiceId=self.number, accountId=self.number)))

    @cached_property
    def page(self) -> str:
        return action(self.shop.http.get(f"/payform/?params={self.order}")).rpartition("/")[2]

    @cached_property
    def link(self) -> str:
        order = {"invoice_id": self.number, "amount": 10, "currency": "KZT", "description": "Tea"}
        answer = self.shop.http.post("/invoice", json=order | {"shop_id": SHOP_ID}, headers=self.bearer({}))
        return str(answer.json()["id"])

    @cached_property
    def postlink(self) -> str:
        return self._postlink(str(self.paid["invoiceID"]))

    @cached_property
    def held_postlink(self) -> str:
        self.control("script", {"decisions": [{"plan": "on_release"}]})
        return self._postlink(str(self.paid["invoiceID"]))

    @cached_property
    def token(self) -> str:
        return str(self.shop.token(invoiceID=self.number)["access_token"])

    @property
    def secure(self) -> dict[str, str]:
        fields: dict[str, str] = self.asked["secure3D"]
        return fields

    def access(self) -> str:
        """Return the token that the browser brings back from the issuer, or just some token."""
        return self.secure["termURL"].rpartition("=")[2] if "asked" in vars(self) else self.shop.status_token()

    def bearer(self, body: Mapping[str, Any]) -> dict[str, str]:
        """Present a token for the order in a body; one without an order if there is none, or none that can be paid."""
        order = {
            name: body[theirs] if isinstance(body.get(theirs), str | int | float) else None
            for name, theirs in (("invoiceID", "invoiceId"), ("amount", "amount"), ("currency", "currency"))
        }
        if "terminalId" in body:
            order["terminal"] = body["terminalId"]
        answer = self.shop.http.post("/oauth2/token", data=self.shop.request(**order))
        token = answer.json()["access_token"] if answer.is_success else self.shop.status_token()
        return {"Authorization": f"Bearer {token}"}

    def cryptogram(self, card: dict[str, str], terminal: str = "") -> str:
        return encrypted(self.shop.http, card, terminal or self.shop.terminal)

    def control(self, what: str, body: object = None, **query: str) -> dict[str, Any]:
        """Ask the control API for something of this shop's, or to do something in its world."""
        address = f"{CONTROL}/{self.shop.merchant.client_id}/{what}"
        method = "GET" if body is None else "POST"
        answer: dict[str, Any] = self.shop.http.request(method, address, json=body, params=query).json()
        return answer

    def _postlink(self, number: str) -> str:
        return str(self.control("postlinks", invoice_id=number)["postlinks"][0]["id"])

    def _pay(self, card: dict[str, str], terminal: str = "") -> dict[str, Any]:
        terminal = terminal or self.shop.terminal
        order = {"invoiceId": self._new_number(), "amount": 100, "currency": "KZT", "terminalId": terminal}
        order |= {"accountId": "somebody", "cardSave": True, "postLink": self.shop.post_link}
        order |= {"cryptogram": self.cryptogram(card, terminal)}
        answer: dict[str, Any] = self.shop.http.post(
            "/payment/cryptopay", json=order, headers=self.bearer(order)
        ).json()
        return answer

    def _new_number(self) -> str:
        return f"9{next(self._numbers)}"


# The document's examples, and some more: what they stand for where they are called so. Other values go as they are.
CONFIRM: Final = _in_body("/payment/confirm")
ENTER: Final = _in_body("/acs")
CABINET: Final = _in_body("/oauth2/token")
SIGN_IN: Final = _in_body("/_control/session")
CRYPTOGRAM: Final = _in_body("/payment/cryptopay")["cryptogram"]
PAID: Final = _in_path("/operation/{id}/refund")
CARD: Final = _in_path("/card/deactivate/{card_id}")
CONTROL: Final = "/_control/merchants"
POSTLINK: Final = _in_path(f"{CONTROL}/{{client_id}}/postlinks/{{id}}")
HELD: Final = _in_path(f"{CONTROL}/{{client_id}}/postlinks/{{id}}/release")
RESENT: Final = next(_ids(PATHS[f"{CONTROL}/{{client_id}}/postlinks/{{id}}/resend"]))
NEW: Final = "my-shop"
TOKEN: Final = "a token for an order"
STANDS_FOR: Final[dict[str, dict[str, Callable[[Scene], str]]]] = {
    "ID": {CONFIRM["ID"]: lambda scene: str(scene.asked["id"])},
    "MD": {CONFIRM["MD"]: lambda scene: scene.secure["md"]},
    "PaReq": {ENTER["PaReq"]: lambda scene: scene.secure["paReq"]},
    "PaRes": {CONFIRM["PaRes"]: lambda scene: scene.pa_res},
    "account_id": {_in_path("/cards/{account_id}"): lambda scene: str(scene.paid["accountId"])},
    "card_id": {CARD: lambda scene: str(scene.paid["cardID"])},
    "challenge_id": {_in_path("/acs/{challenge_id}"): lambda scene: scene.secure["md"]},
    "checkout_id": {_in_path("/payform/{checkout_id}"): lambda scene: scene.page},
    "client_id": {
        CABINET["client_id"]: lambda scene: scene.shop.merchant.client_id,
        NEW: lambda scene: f"my-shop-{scene.number}",
        # Schemathesis takes the ids in examples of answers for examples of what stands in a path.
        **dict.fromkeys(_ids(PATHS), lambda scene: scene.shop.merchant.client_id),
    },
    "client_secret": {CABINET["client_secret"]: lambda scene: scene.shop.merchant.client_secret},
    "code": {_in_body("/acs/{challenge_id}")["code"]: lambda scene: scene.code},
    "cryptogram": {
        CRYPTOGRAM: lambda scene: scene.cryptogram(APPROVES),
        "of a card that declines": lambda scene: scene.cryptogram(LOCKED),
        "of a card that asks": lambda scene: scene.cryptogram(CHALLENGED),
    },
    "email": {SIGN_IN["email"]: lambda scene: scene.shop.merchant.email},
    "id": {
        PAID: lambda scene: str(scene.paid["id"]),
        _in_path("/operation/{id}/charge"): lambda scene: str(scene.held["id"]),
        CONFIRM["ID"]: lambda scene: str(scene.asked["id"]),
        CARD: lambda scene: str(scene.paid["cardID"]),
        POSTLINK: lambda scene: scene.postlink,
        HELD: lambda scene: scene.held_postlink,
        RESENT: lambda scene: scene.postlink,
    },
    "invoiceId": {_in_body("/payment/cryptopay")["invoiceId"]: lambda scene: scene.number},
    "invoice_id": {
        _in_path("/check-status/payment/transaction/{invoice_id}"): lambda scene: str(scene.paid["invoiceID"]),
        _in_body("/invoice")["invoice_id"]: lambda scene: scene.number,
    },
    "link_id": {_in_path("/redirect/invoice-link/{link_id}"): lambda scene: scene.link},
    "params": {"packed": lambda scene: scene.order},
    "password": {
        CABINET["password"]: lambda scene: scene.shop.merchant.password,
        SIGN_IN["password"]: lambda scene: scene.shop.merchant.password,
    },
    "saved_card": {CARD: lambda scene: str(scene.paid["cardID"])},
    "shop_id": {_in_body("/invoice")["shop_id"]: lambda _: SHOP_ID},
    "token": {TOKEN: lambda scene: scene.token},
    "transaction_id": {_in_path("/payform/outcome/{transaction_id}"): lambda scene: str(scene.paid["id"])},
    "username": {CABINET["username"]: lambda scene: scene.shop.merchant.email},
}
# What is drawn for these, most of the time; without it nothing but refusals would be seen.
TERMINALS: Final = [CABINET["terminal"], TWO_STAGE]
DIRECTIONS: Final = ("decisions[*]", "rules[*].then")
DRAWN: Final[dict[str, list[Any]]] = {
    **{f"path.{name}": [*STANDS_FOR[name]] for name in STANDS_FOR if name.endswith("_id")},
    "path.client_id": [CABINET["client_id"]],
    "path.id": [PAID, _in_path("/operation/{id}/charge"), CONFIRM["ID"], CARD, CABINET["terminal"]],
    "path.name": [*sorted(resources.schema_names()), *sorted(path.stem for path in resources.SAMPLES.glob("*.json"))],
    "query.amount": ["100"],
    "query.invoice_id": [_in_path("/check-status/payment/transaction/{invoice_id}")],
    "query.params": [*STANDS_FOR["params"]],
    "query.transaction_id": [PAID],
    **{f"body.{name}": [*STANDS_FOR[name]] for name in STANDS_FOR if name not in {"id", "params"}},
    "body.amount": ["100", 100],
    "body.card": [APPROVES["pan"], LOCKED["pan"], CHALLENGED["pan"]],
    "body.cardId.id": [CARD],
    "body.client_id": [CABINET["client_id"]],
    "body.cvc": ["815", "170", "123"],
    "body.expiry": ["01/25", "09/20", "12/30"],
    "body.pan": [APPROVES["pan"], LOCKED["pan"], CHALLENGED["pan"]],
    "body.terminal": TERMINALS,
    "body.terminalId": TERMINALS,
    "body.plan": [*PLANS],
    **{f"body.{way}.plan": [*PLANS] for way in DIRECTIONS},
    **{f"body.{way}.reason_code": [0, 462, 484] for way in DIRECTIONS},
}
# The same for some operations only: the parameter, what is drawn for it, and the addresses.
DRAWN_THERE: Final[list[tuple[str, list[Any], str]]] = [
    ("path.id", [PAID, _in_path("/operation/{id}/charge"), CONFIRM["ID"], "latest"], f"^{CONTROL}/.*/transactions/"),
    ("path.id", [POSTLINK, HELD, "latest"], f"^{CONTROL}/.*/postlinks/"),
    ("body.client_id", [NEW, CABINET["client_id"]], f"^{CONTROL}$"),
    ("body.currency", ["KZT"], f"^{CONTROL}/"),
]
LINKS: Final = ("postLink", "failurePostLink", "post_link", "failure_post_link")
WAITS: Final = ("wait_s", "timeout_s")
LINK: Final = re.compile(resources.schema("payment-object")["properties"]["postLink"]["pattern"])

CONFIG: Final = schemathesis.Config.from_dict(
    {
        "seed": 1,
        "generation": {
            "deterministic": True,
            "max-examples": ROUNDS,
            "mode": "all",
            "with-security-parameters": False,  # the scene has better ones
        },
        "dictionaries": {name: {"values": values} for name, values in DRAWN.items()}
        | {f"{name} {where}": {"values": values} for name, values, where in DRAWN_THERE},
        "parameters": {name: {"dictionary": name, "probability": 0.75} for name in DRAWN},
        "operations": [
            {
                "include-path-regex": where,
                "parameters": {name: {"dictionary": f"{name} {where}", "probability": 0.75}},
            }
            for name, _, where in DRAWN_THERE
        ],
        "phases": {
            # What is learned from answers differs from run to run.
            "fuzzing": {"error-feedback": {"enabled": False}, "extra-data-sources": {"responses": False}},
            "examples": {
                "checks": {"positive_data_acceptance": {"enabled": True, "expected-statuses": ["2xx", "3xx", "501"]}}
            },
        },
        "checks": {
            # What has the right form may still be about nothing there is: the examples alone have to succeed.
            "positive_data_acceptance": {"enabled": False},
            # The sandbox takes what the bank does: blank fields, numbers for texts, unknown values of optional fields.
            "negative_data_rejection": {"enabled": False},
            # 501 is what the document says of services that are not simulated; elsewhere it is not in the document.
            "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "501"]},
        },
    }
)
contract = schemathesis.openapi.from_path(resources.OPENAPI, config=CONFIG)


@dataclass(repr=False)
class World:
    """Two shops, one for each dialect, and whom their requests go to."""

    shops: list[Shop]
    session: requests.Session
    numbers: Iterator[int] = field(default_factory=lambda: count(618_034))

    @contextmanager
    def scene(self, case: Case) -> Iterator[Scene]:
        """Set a scene; in whose shop depends on the case alone. What is done to a world has one of its own."""
        shop = self.shops[crc32(repr(case).encode()) % len(self.shops)]
        if case.path.startswith(CONTROL):
            with self._own(shop) as own:
                yield Scene(own, self.numbers)
        else:
            yield Scene(shop, self.numbers)

    @contextmanager
    def _own(self, shop: Shop) -> Iterator[Shop]:
        """Have a shop like another for a while."""
        known = shop.merchant
        merchant = records.replace(
            known, client_id=f"{known.client_id}-{next(self.numbers)}", terminals=known.terminals
        )
        facts = {name: getattr(merchant, name) for name in ("client_id", "client_secret", "dialect", "seed")}
        terminals = [{"id": one.id, "two_stage": one.two_stage} for one in known.terminals]
        shop.http.post(CONTROL, json=facts | {"terminals": terminals}).raise_for_status()
        yield replace(shop, merchant=merchant)
        shop.http.delete(f"{CONTROL}/{merchant.client_id}")


@pytest.fixture(scope="module")
def world(sandbox: Sandbox, http: httpx.Client, shop_server: Receiver) -> Iterator[World]:
    dialects: tuple[Dialect, ...] = ("documented", "observed")
    with requests.Session() as session:
        yield World([_shop(dialect, sandbox, http, shop_server) for dialect in dialects], session)


def _shop(dialect: Dialect, sandbox: Sandbox, http: httpx.Client, shop_server: Receiver) -> Shop:
    terminals = (
        Terminal(id=CABINET["terminal"], tid="92061101", shop_id=SHOP_ID),
        Terminal(id=TWO_STAGE, tid="92061103", shop_id=SHOP_ID, two_stage=True),
    )
    merchant = new_merchant(f"fuzzed-{dialect}", dialect=dialect, terminals=terminals)
    sandbox.do(sandbox.bank.store.add_merchant(merchant))
    return Shop(sandbox, http, merchant, f"{shop_server.url}/fuzzed")


def _test_of(operation_id: str) -> Callable[..., None]:
    # Not `include`, which includes all when the configuration has settings for some.
    @contract.exclude(lambda seen: seen.operation.definition.raw["operationId"] != operation_id).parametrize()
    def answers_as_the_document_says(case: Case, world: World) -> None:
        with world.scene(case) as scene:
            _answers_as_the_document_says(case, scene, world.session)

    answers: Callable[..., None] = answers_as_the_document_says
    return answers


def _answers_as_the_document_says(case: Case, scene: Scene, session: requests.Session) -> None:
    usual = {"timeout_s": PATIENCE_S} if case.path.endswith("/wait") else {}
    case = case.derive(query=_real(usual | case.query, scene))  # a copy, for the case itself may be needed again
    case.path_parameters = _real(case.path_parameters, scene)
    if isinstance(case.body, dict):
        case.body = _real(case.body, scene)
    given = _given(case, scene)
    response = case.call(base_url=scene.shop.sandbox.url, session=session, **given)
    case.validate_response(response, headers=given.get("headers"), transport_kwargs=given)
    if case.path == CONTROL and response.status_code == 201:
        scene.shop.http.delete(f"{CONTROL}/{response.json()['client_id']}").raise_for_status()


IDS: Final = [operation["operationId"] for path in PATHS.values() for operation in path.values() if "tags" in operation]
# One function for each operation: with one for all, pytest would have one name for all of them.
TESTS: Final = {f"test_{one}_answers_as_the_document_says": _test_of(one) for one in IDS}
pytest.mark.slow(TESTS["test_checkHandler_answers_as_the_document_says"])  # each case checks a whole handler
globals().update(TESTS)


def _real(values: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """Put real things where there are stand-ins. No notice goes anywhere but to the tests' own receiver."""
    real: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            real[name] = _real(value, scene)
        elif name in LINKS and isinstance(value, str) and LINK.search(value.strip()):
            real[name] = scene.shop.post_link
        elif name in WAITS:
            real[name] = _brief(value)
        else:
            meant = STANDS_FOR.get(name, {}).get(value) if isinstance(value, str) else None
            real[name] = meant(scene) if meant else value
    return real


def _brief(seconds: Any) -> Any:
    with suppress(TypeError, ValueError):
        return min(float(seconds), PATIENCE_S)
    return seconds


def _given(case: Case, scene: Scene) -> dict[str, Any]:
    """Return what the operation's security asks for; of the control API, answers that end."""
    schemes = {scheme for one in case.operation.definition.raw["security"] for scheme in one}
    if "control" in schemes:
        return {"headers": {"Accept": "application/json"}}
    if "access" in schemes:
        return {"params": {"Access": scene.access()}}
    body = case.body if isinstance(case.body, dict) else {}
    return {"headers": scene.bearer(body)} if "bearer" in schemes else {}


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("clock", '{"advance_s": 1e99999999999999999999}'),
        ("payments", '{"amount": 1e99999}'),
        ("script", '{"rules": [{"match": {"amount": 1e99999}, "then": {}}]}'),
        ("faults", '{"faults": [{"at": "status", "delay_s": 1e99999}]}'),
    ],
)
def test_numbers_that_nobody_can_count_to_are_refused(shop: Shop, http: httpx.Client, what: str, text: str) -> None:
    method = "PUT" if what == "clock" else "POST"
    address = f"{CONTROL}/{shop.merchant.client_id}/{what}"
    response = http.request(method, address, content=text, headers={"Content-Type": "application/json"})
    assert response.status_code == 400


@pytest.mark.parametrize("number", ["nan", "inf", "1e99999", "1e99999999999999999999"])
def test_such_numbers_are_refused_in_a_file_of_rules_too(number: str) -> None:
    with pytest.raises(Refusal, match=r"control API|TOML is needed"):
        control.rules_of_file(f"[[rules]]\nmatch = {{ amount = {number} }}\nthen = {{}}\n")
