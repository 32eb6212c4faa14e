"""A sandbox from a test's point of view: its merchants, and what each one's world is told to do and asked about.

A call returns when the sandbox has answered. All state is the sandbox's, so threads may share a client.
"""

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

from mock_epay import answers, lz
from mock_epay.answers import Event, Happening, Hint, Invoice, Postlink, Timeline, Transaction, Urls
from mock_epay.client.clock import WorldClock
from mock_epay.client.line import Line
from mock_epay.receiver import Receiver, Receivers

SCOPE: Final = "webapi usermanagement email_send verification statement statistics payment"
CONTROL_TOKEN: Final = "MOCK_EPAY_CONTROL_TOKEN"  # noqa: S105

_OK: Final = range(200, 300)
_TIMEOUT: Final = 408
_SHOWN: Final = 200  # characters of an answer that is not understood
TAIL: Final = 6  # digits of an invoice number that must be unique by themselves

__tracebackhide__ = True  # of a call that fails, pytest shows the test's own line

Money = Decimal | float | str


class EpayError(Exception):
    """A request that the sandbox did not carry out; the message is its own.

    `status` is the answer's, 0 when there was none; `field`, `value` and `rule` are empty where the sandbox names none;
    `answer` is all that it said.
    """

    def __init__(self, message: str, *, status: int = 0, answer: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.answer = dict(answer or {})
        self.field, self.value, self.rule = (str(self.answer.get(name, "")) for name in ("field", "value", "rule"))


class NotInTime(EpayError, AssertionError):  # noqa: N818  (what was waited for did not come: a test's finding)
    """What was waited for did not happen; the message tells the nearest miss."""


class NotReachable(EpayError):  # noqa: N818  (nobody refused anything)
    """There is no sandbox at the address."""


class EpayServer:
    """A running sandbox. Its merchants' worlds do not touch each other.

    `control_token` is by default what `MOCK_EPAY_CONTROL_TOKEN` has; `receiver_host` is the name by which the sandbox
    reaches the receivers of this process.
    """

    def __init__(self, url: str, *, control_token: str | None = None, receiver_host: str = "127.0.0.1") -> None:
        self.url = url.rstrip("/")
        self._token = os.environ.get(CONTROL_TOKEN, "") if control_token is None else control_token
        self._line = Line()
        self._receiver_host = receiver_host
        self._receivers: Receivers | None = None

    def health(self) -> dict[str, Any]:
        """Return what the sandbox says of itself.

        Raises:
            NotReachable: there is none.

        """
        return dict(self.control("GET", "/health"))

    def settings(self) -> list[dict[str, Any]]:
        """Return the sandbox's settings, with their values."""
        return list(self.control("GET", "/settings")["settings"])

    def cards(self) -> list[dict[str, Any]]:
        """Return the test cards."""
        return list(self.control("GET", "/cards")["cards"])

    def reasons(self) -> list[dict[str, Any]]:
        """Return the reason codes, with the card that is declined with each."""
        return list(self.control("GET", "/reasons")["reasons"])

    def merchants(self) -> list["Epay"]:
        """Return all merchants."""
        return [Epay(self, facts) for facts in self.control("GET", "/merchants")["merchants"]]

    def merchant(self, client_id: str = "test") -> "Epay":
        """Return a merchant that is there.

        Raises:
            EpayError: it is not.

        """
        return Epay(self, self.control("GET", f"/merchants/{_quoted(client_id)}"))

    def new_merchant(self, **facts: Any) -> "Epay":
        """Make a merchant with a world of its own; with a `seed`, all that is invented is the same each time.

        Raises:
            EpayError: the facts make no merchant, or there is one with this client id (409).

        """
        return Epay(self, self.control("POST", "/merchants", facts))

    def receiver(self) -> Receiver:
        """Return a new address for postlinks, in this process."""
        self._receivers = self._receivers or Receivers(self._receiver_host)
        return self._receivers.receiver()

    def control(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Call the control API; what is None in a query is left out."""
        named = _given(query)
        address = f"{self.url}/_control{path}{'?' if named else ''}{urlencode(named)}"
        wait_s = named.get("wait_s") or named.get("timeout_s") or 0
        return self._ask(method, address, body=body, bearer=self._token, wait_s=wait_s)

    def shop(self, method: str, url: str, *, form: Mapping[str, Any] | None = None, bearer: str = "") -> Any:
        """Call the bank as a shop's server does; what is None in a form is left out."""
        return self._ask(method, url, form=None if form is None else _given(form), bearer=bearer)

    def close(self) -> None:
        """Let go of connections and receivers; the sandbox goes on."""
        self._line.close()
        if self._receivers:
            self._receivers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, wrong: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, method: str, url: str, **sent: Any) -> Any:
        """Send a request, as the line does, and return its answer, read as JSON; None when it is empty.

        Raises:
            EpayError: it was refused, broke off, or was not answered in JSON.

        """
        try:
            status, text = self._line.ask(method, url, **sent)
        except ConnectionError as wrong:
            start = "start one with `mock-epay serve`, or give the address of one"
            raise NotReachable(f"there is no sandbox at {self.url}: {wrong}; {start}") from None
        except OSError as wrong:
            raise EpayError(f"{method} {url} was not answered: {wrong}") from None
        return _read(status, text)


class Epay:
    """One merchant and its world: what its shop would ask, and what a test wants done or known."""

    def __init__(self, server: EpayServer, merchant: Mapping[str, Any]) -> None:
        self.server = server
        self.merchant = dict(merchant)
        self.clock = WorldClock(self.control)
        self.dropped = False
        self._numbers = itertools.count(1)
        self._hands_out = False
        self._receivers: list[Receiver] = []

    @property
    def client_id(self) -> str:
        """Return the ClientID of the shop's credentials."""
        return str(self.merchant["client_id"])

    @property
    def client_secret(self) -> str:
        """Return the ClientSecret."""
        return str(self.merchant["client_secret"])

    @property
    def terminal(self) -> str:
        """Return the TerminalID."""
        return str(self.merchant["terminal"])

    @property
    def name(self) -> str:
        """Return the shop's name."""
        return str(self.merchant["name"])

    @property
    def email(self) -> str:
        """Return the address of the cabinet's user."""
        return str(self.merchant["email"])

    @property
    def password(self) -> str:
        """Return the password of the cabinet's user."""
        return str(self.merchant["password"])

    @property
    def seed(self) -> str:
        """Return what every invented value depends on."""
        return str(self.merchant["seed"])

    @property
    def urls(self) -> Urls:
        """Return the addresses for the shop's configuration."""
        return answers.read(Urls, self.merchant["urls"])

    # What the shop would ask.

    def invoice_id(self) -> str:
        """Return the next order number, of 9 digits, whose last 6 no other invoice of this world has."""
        self._hands_out = True
        taken = {invoice.invoice_id[-TAIL:] for invoice in self.invoices()}
        return next(number for count in self._numbers if (number := f"{count:09}")[-TAIL:] not in taken)

    def token(
        self,
        invoice_id: str | None = None,
        *,
        amount: Money = 100,
        currency: str = "KZT",
        post_link: str | None = None,
        failure_post_link: str | None = None,
        secret_hash: str | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Ask for a token as a shop's server does, and return the whole answer.

        Without an invoice it is a token that looks things up. `more` are fields in the bank's spelling; what is None
        is left out.

        Raises:
            EpayError: it is refused.

        """
        credentials = {"client_id": self.client_id, "client_secret": self.client_secret, "terminal": self.terminal}
        order = {"invoiceID": invoice_id, "amount": answers.number(amount), "currency": currency}
        links = {"postLink": post_link, "failurePostLink": failure_post_link, "secret_hash": secret_hash}
        fields = {"grant_type": "client_credentials", "scope": SCOPE, **credentials, **links}
        return dict(self.server.shop("POST", self.urls.token, form=fields | (order if invoice_id else {}) | more))

    def payment_object(
        self,
        invoice_id: str | None = None,
        *,
        amount: Money = 100,
        currency: str = "KZT",
        post_link: str | None = None,
        failure_post_link: str | None = None,
        auth: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Return what a shop's page gives to `halyk.pay`; without `auth` a token is asked for.

        `more` are fields in the bank's spelling; what is None is left out.
        """
        invoice_id = invoice_id or self.invoice_id()
        fields = {
            "invoiceId": invoice_id,
            "amount": answers.number(amount),
            "currency": currency,
            "terminal": self.terminal,
            "description": f"Order {invoice_id}",
            "language": "eng",
            "backLink": "https://example.kz/success",
            "postLink": post_link,
            "failurePostLink": failure_post_link,
            "auth": auth or self.token(invoice_id, amount=amount, currency=currency),
        }
        return _given(fields | more)

    def page_url(self, order: Mapping[str, Any]) -> str:
        """Return the address of the pay page that `halyk.pay` opens for a payment object."""
        return f"{self.urls.payform}?params={lz.compress(lz.flatten(order))}"

    def status(self, invoice_id: str) -> dict[str, Any]:
        """Ask how an invoice stands, as a shop's server does."""
        url = f"{self.urls.api}/check-status/payment/transaction/{_quoted(invoice_id)}"
        return dict(self.server.shop("GET", url, bearer=self.token()["access_token"]))

    def charge(self, transaction: str | Transaction, amount: Money | None = None) -> Transaction:
        """Take held money, or so much of it, and return the transaction as it then stands."""
        return self._operate("charge", transaction, amount)

    def cancel(self, transaction: str | Transaction) -> Transaction:
        """Let go of held money and return the transaction as it then stands."""
        return self._operate("cancel", transaction, None)

    def refund(self, transaction: str | Transaction, amount: Money | None = None) -> Transaction:
        """Give money back, or so much of it, and return the transaction as it then stands."""
        return self._operate("refund", transaction, amount)

    # What a cardholder does.

    def pay(
        self,
        invoice_id: str | None = None,
        *,
        amount: Money | None = None,
        card: str | Mapping[str, str] | None = None,
        challenge: str = "pass",
        post_link: str | None = None,
        failure_post_link: str | None = None,
        **more: Any,
    ) -> Transaction:
        """Pay as a cardholder on the pay page; a payment that is declined is returned too.

        The token is the latest that the shop has asked for this invoice, or else a new one. `card` is a number, or a
        mapping of `pan`, `expiry`, `cvc`; `challenge` is what the cardholder does if 3-D Secure asks: pass, fail,
        cancel or leave. `more` is what else a payment may have in the control API, such as `account_id`.
        """
        if invoice_id is None and self._hands_out and "token" not in more:
            invoice_id = self.invoice_id()  # or the sandbox might take one that was handed out and is not used yet
        payment = {
            "invoice_id": invoice_id,
            "amount": None if amount is None else answers.number(amount),
            "card": card,
            "challenge": challenge,
            "post_link": post_link,
            "failure_post_link": failure_post_link,
        }
        return answers.read(Transaction, self.control("POST", "/payments", _given(payment) | more))

    def answer_challenge(self, transaction: str | Transaction = "latest", answer: str = "pass") -> Transaction:
        """Answer 3-D Secure, which waits, as a cardholder: pass, fail or cancel; the payment then goes on, or ends."""
        path = f"/transactions/{_id(transaction)}/challenge"
        return answers.read(Transaction, self.control("POST", path, {"answer": answer}))

    def link(self, invoice_id: str | None = None, **more: Any) -> str:
        """Let an order wait at an address and return that: of a pay page, as a browser may open it."""
        return str(self.control("POST", "/links", _given({"invoice_id": invoice_id, **more}))["url"])

    # What a test wants to happen.

    def script(self, *decisions: Mapping[str, Any]) -> None:
        """Say what becomes of the next payments, one decision for each in turn."""
        self.control("POST", "/script", {"decisions": decisions})

    def decide_next(self, **decision: Any) -> None:
        """Say what becomes of the next payment; what is None is left out."""
        self.script(_given(decision))

    def decline_next(
        self, reason_code: int = 484, *, times: int | None = None, invoice_id: str | None = None, **more: Any
    ) -> None:
        """Decline the next payment, or so many, or the next of this invoice."""
        self.decide_next(reason_code=reason_code, times=times, invoice_id=invoice_id, **more)

    def approve_next(self, *, times: int | None = None, invoice_id: str | None = None, **more: Any) -> None:
        """Approve the next payment, whatever its card."""
        self.decide_next(reason_code=0, times=times, invoice_id=invoice_id, **more)

    def challenge_next(self, *, times: int | None = None, invoice_id: str | None = None, **more: Any) -> None:
        """Let 3-D Secure ask at the next payment, whatever its card."""
        self.decide_next(challenge="challenge", times=times, invoice_id=invoice_id, **more)

    def rule(self, *, match: Mapping[str, Any], then: Mapping[str, Any], name: str = "") -> None:
        """Say what becomes of every payment that matches, from now on."""
        self.control("POST", "/script", {"rules": [{"name": name, "match": match, "then": then}]})

    def unused(self) -> list[dict[str, Any]]:
        """Return the decisions that are still to be used; `left` is how many times."""
        return [decision for decision in self.control("GET", "/script")["decisions"] if decision["left"]]

    def clear_script(self) -> None:
        """Forget decisions and rules."""
        self.control("DELETE", "/script")

    def fault(self, at: str, **facts: Any) -> None:
        """Spoil the next answer of a service, such as `token` or `status`, as the facts say."""
        self.control("POST", "/faults", {"faults": [{"at": at, **facts}]})

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults, with how often each is still to strike, and has struck."""
        return list(self.control("GET", "/faults")["faults"])

    def clear_faults(self) -> None:
        """Spoil nothing more."""
        self.control("DELETE", "/faults")

    def resend(
        self,
        postlink: str | Postlink = "latest",
        *,
        url: str | None = None,
        fields: Mapping[str, Any] | None = None,
        text: str | None = None,
    ) -> Postlink:
        """Send a postlink once more, as the bank may; to another address, with other fields, or with another body.

        A field of None is taken out.
        """
        changes = _given({"url": url, "fields": fields, "text": text})
        return answers.read(Postlink, self.control("POST", f"/postlinks/{_id(postlink)}/resend", changes))

    def release(self, postlink: str | Postlink = "latest") -> Postlink:
        """Let a postlink go out now that is held, or waits for its time."""
        return answers.read(Postlink, self.control("POST", f"/postlinks/{_id(postlink)}/release"))

    def withhold(self, postlink: str | Postlink = "latest") -> Postlink:
        """Let a postlink never go out, or not again."""
        return answers.read(Postlink, self.control("POST", f"/postlinks/{_id(postlink)}/cancel"))

    def receiver(self) -> Receiver:
        """Return an address for postlinks that lives until the merchant is dropped."""
        self._receivers.append(self.server.receiver())
        return self._receivers[-1]

    # What a test wants to know.

    def transactions(self, *, invoice_id: str | None = None, status: str | None = None) -> list[Transaction]:
        """Return the attempts to pay, oldest first."""
        found = self.control("GET", "/transactions", invoice_id=invoice_id, status=status)
        return [answers.read(Transaction, facts) for facts in found["transactions"]]

    def transaction(self, transaction: str | Transaction = "latest") -> Transaction:
        """Return one attempt to pay as it stands now."""
        return answers.read(Transaction, self.control("GET", f"/transactions/{_id(transaction)}"))

    def invoices(self) -> list[Invoice]:
        """Return the orders that were asked a token for, or paid."""
        return [answers.read(Invoice, facts) for facts in self.control("GET", "/invoices")["invoices"]]

    def timeline(self, invoice_id: str) -> Timeline:
        """Return all that is known of one invoice."""
        return answers.read(Timeline, self.control("GET", f"/invoices/{_quoted(invoice_id)}"))

    def timelines(self, invoice_id: str | None = None) -> Iterator[Timeline]:
        """Return all that is known of one invoice, or of each."""
        named = [invoice_id] if invoice_id else [invoice.invoice_id for invoice in self.invoices()]
        return map(self.timeline, named)

    def hints(self, invoice_id: str | None = None) -> list[Hint]:
        """Return what the bank may not like in the shop's requests for one invoice, or for all."""
        return [hint for timeline in self.timelines(invoice_id) for hint in timeline.hints]

    def story(self, invoice_id: str | None = None) -> list[str]:
        """Tell what happened, for one invoice or for each: a line with its number, and a line for each thing."""
        return [
            line
            for timeline in self.timelines(invoice_id)
            for line in (f"{timeline.invoice_id}:", *(f"  {sentence}" for sentence in timeline.story))
        ]

    def events(self, after: int = 0, *, kind: str | None = None, invoice_id: str | None = None) -> list[Event]:
        """Return what happened after the event of this number, oldest first."""
        found = self.control("GET", "/events", after=after, kind=kind, invoice_id=invoice_id)
        return [answers.read(Event, facts) for facts in found["events"]]

    def postlinks(
        self,
        *,
        invoice_id: str | None = None,
        transaction_id: str | None = None,
        state: str | None = None,
        count: int | None = None,
        wait_s: float = 0,
    ) -> list[Postlink]:
        """Return the postlinks, oldest first; with `wait_s`, once there are `count` of them or the seconds are over."""
        asked = {"invoice_id": invoice_id, "transaction_id": transaction_id, "state": state, "count": count}
        found = self.control("GET", "/postlinks", wait_s=wait_s or None, **asked)
        return [answers.read(Postlink, facts) for facts in found["postlinks"]]

    def postlink(self, postlink: str | Postlink = "latest") -> Postlink:
        """Return one postlink as it stands now."""
        return answers.read(Postlink, self.control("GET", f"/postlinks/{_id(postlink)}"))

    def wait_for(self, until: str, *, invoice_id: str | None = None, after: int = 0, timeout_s: float = 5) -> Happening:
        """Return the first event of a kind, past or to come, behind the one numbered `after`.

        Raises:
            NotInTime: there was none within so many real seconds.

        """
        asked = {"until": until, "invoice_id": invoice_id, "after": after, "timeout_s": timeout_s}
        return answers.read(Happening, self.control("GET", "/wait", **asked))

    def wait_for_postlink(self, invoice_id: str | None = None, *, after: int = 0, timeout_s: float = 5) -> Postlink:
        """Return the first postlink that the shop has taken, or takes within so many real seconds.

        Raises:
            NotInTime: there was none.

        """
        kind = "postlink.delivered"
        postlink = self.wait_for(kind, invoice_id=invoice_id, after=after, timeout_s=timeout_s).postlink
        assert postlink is not None
        return postlink

    def assert_no_postlink(self, invoice_id: str | None = None, *, within_s: float = 0) -> None:
        """Make sure that no postlink was sent or is to be, nor will be within so many seconds of the world's clock.

        Nothing is waited for: a payment and its postlink are made together, so what is not there will not come by
        itself. With `within_s` the clock is put forward, so that what falls due by then has happened.

        Raises:
            AssertionError: there is one; the message tells its story.

        """
        if within_s:
            self.clock.advance(within_s)
        found = self.postlinks(invoice_id=invoice_id)
        if found:
            raise AssertionError("\n".join([*map(_told, found), *self.story(found[0].invoice_id)]))

    # The merchant itself.

    def configure(self, **changes: Any) -> None:
        """Change facts of the merchant, such as `dialect`, `two_stage` or `postlink_retry_s`."""
        self.merchant = dict(self.control("PATCH", "", changes))

    def reset(self) -> None:
        """Begin a new world with the same credentials."""
        self.merchant = dict(self.control("POST", "/reset"))
        self._numbers = itertools.count(1)

    def drop(self) -> None:
        """End the merchant, its world and its receivers: what was still to be sent is not."""
        for receiver in self._receivers:
            receiver.close()
        self.control("DELETE", "")
        self.dropped = True

    def control(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Call the control API of this merchant's world, for what has no method here."""
        return self.server.control(method, f"/merchants/{_quoted(self.client_id)}{path}", body, **query)

    def _operate(self, operation: str, transaction: str | Transaction, amount: Money | None) -> Transaction:
        asked = "" if amount is None else f"?amount={answers.number(amount)}"
        url = f"{self.urls.api}/operation/{_id(transaction)}/{operation}{asked}"
        self.server.shop("POST", url, bearer=self.token()["access_token"])
        return self.transaction(transaction)


def _read(status: int, text: bytes) -> Any:
    """Return what an answer says.

    Raises:
        EpayError: it is a refusal, or no JSON.

    """
    try:
        said = json.loads(text) if text else None
    except ValueError:
        shown = text[:_SHOWN].decode("utf-8", "replace")
        raise EpayError(f"the answer, {status}, is no JSON: {shown}", status=status) from None
    if status in _OK:
        return said
    answer = said if isinstance(said, dict) else {}
    message = answer.get("message", f"the answer is {status}")
    kind = NotInTime if status == _TIMEOUT else EpayError
    raise kind(message, status=status, answer=answer)


def _given(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def _id(one: str | Transaction | Postlink) -> str:
    return _quoted(one if isinstance(one, str) else one.id)


def _quoted(part: str) -> str:
    return quote(part, safe="")


def _told(postlink: Postlink) -> str:
    result = f", {postlink.result}" if postlink.result else ""
    tries = f"{postlink.tries} {'try' if postlink.tries == 1 else 'tries'}"
    return f"a postlink of {postlink.invoice_id} to {postlink.url} is {postlink.state} ({tries}{result})"
