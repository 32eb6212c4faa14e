"""Pay page addresses that nobody's shop would make: 100,000 of them, each answered below 500 and at once."""

import asyncio
import gc
import random
import time
from typing import Any, Final

import pytest
from support import new_merchant

from mock_epay import lz
from mock_epay.bank import Bank
from mock_epay.model import TokenRequest
from mock_epay.notes import Notes
from mock_epay.settings import Settings
from mock_epay.store.memory import MemoryStore
from mock_epay.web import create_app

PARTS: Final = 10
EACH: Final = 10_000
MOST_SECONDS: Final = 0.05  # of processor time, so that a busy machine proves nothing

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-$"
ORDER: Final = {
    "invoiceId": "000000001",
    "backLink": "https://example.kz/success.html",
    "postLink": "https://example.kz/",
    "language": "rus",
    "description": "Тест",
    "terminal": "67e34d63-102f-4bd1-898e-370781d0074d",
    "amount": 100,
    "currency": "KZT",
    "auth": {"access_token": "DCEB8O_ZM5U7SO_T_U5EJQ", "expires_in": 7200, "scope": "payment"},
}
ODD: Final = ["", "\0", "\n", "%", "&", "=", "<script>", "1e999", "-1", "9" * 400, "😀" * 40, "true", "null", "\u202e"]


def _params(chance: random.Random, token: str) -> str:
    kind = chance.randrange(4)
    if kind == 0:
        return "".join(chance.choices(ALPHABET, k=chance.randrange(1, 300)))
    if kind == 1:
        return "".join(chr(chance.randrange(32, 127)) for _ in range(chance.randrange(1, 60)))
    order: dict[str, Any] = ORDER | {"auth": dict.fromkeys(["access_token"], token)}
    if kind == 2:
        name = chance.choice([*order, "cardSave", "accountId", "invoiceIdAlt", "data", "phone", "paymentType"])
        return lz.compress(lz.flatten(order | {name: chance.choice(ODD)}))
    packed = list(lz.compress(lz.flatten(order)))
    for _ in range(chance.randrange(1, 6)):
        packed[chance.randrange(len(packed))] = chance.choice(ALPHABET)
    return "".join(packed[: chance.randrange(1, len(packed) + 1)])


async def _get(app: Any, params: str) -> int:
    query = "params=" + "".join(char if char.isalnum() else f"%{ord(char):02X}" for char in params)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/payform/",
        "raw_path": b"/payform/",
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[-1]["body"].endswith(b"</html>") or sent[-1]["body"].endswith(b"</html>\n")
    return int(sent[0]["status"])


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, PARTS))])
def test_any_address_is_answered_at_once_and_below_500(part: int) -> None:
    chance = random.Random(part)

    async def run() -> dict[int, int]:
        bank = Bank(MemoryStore(), Settings())
        merchant = new_merchant("hostile")
        await bank.store.add_merchant(merchant)
        request = TokenRequest(client_id=merchant.client_id, client_secret=merchant.client_secret, scope="payment")
        token = (await bank.issue_token(request, Notes()))[0].value
        app = create_app(bank)
        await _get(app, "warm")
        answers: dict[int, int] = {}
        gc.collect()
        gc.freeze()  # what other tests have left behind is not this one's to walk through
        for _ in range(EACH):
            params = _params(chance, token)
            start = time.thread_time()
            status = await _get(app, params)
            took = time.thread_time() - start
            assert status < 500, params
            assert took < MOST_SECONDS, (took, params)
            answers[status] = answers.get(status, 0) + 1
        return answers

    answers = asyncio.run(run())
    # The addresses reach different depths: the codec, the object's rules, the token.
    assert set(answers) >= {400, 401}
