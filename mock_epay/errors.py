"""Every way the bank says no.

    Refusal                     400  invalid_request
    ├── BadField                     one field breaks one rule
    ├── UnsupportedGrant             unsupported_grant_type
    ├── InvalidScope                 invalid_scope
    ├── WrongUser               401  invalid_user: the cabinet does not know them
    ├── InvalidClient           401  invalid_client
    ├── InvalidToken            401  invalid_token: unknown, expired
    │   └── SpentToken               it has served its one operation
    ├── Declined                     the issuer, or 3-D Secure, says no to a payment
    ├── Forbidden               403  a page of somebody else's, or a foreign name for this machine
    ├── NotFound                404
    ├── ExpiredLink             410  an invoice link that lasts no more
    ├── WrongMethod             405
    ├── NotInTime               408  what was waited for did not happen
    ├── TooSlow                 408  the request came too slowly
    ├── Conflict                409  the state of things forbids it
    ├── TooLarge                413
    ├── AddressTooLong          414
    ├── NotJson                 415
    ├── HeadTooLarge            431
    ├── Fault                   500  the sandbox itself is wrong
    │   └── OutOfOrder          503  its store is, and perhaps not for long
    ├── PlannedRefusal          any  a script wants a service to fail
    ├── NotSimulated            501  the bank has it, the sandbox does not
    └── Busy                    503  more at once than the sandbox takes

A refusal is raised where the rule stands and becomes JSON or a page at the edge, in `mock_epay.web`.
"""

from typing import ClassVar

SHOWN = 80  # characters of a refused value that are worth repeating
CONTROL_API = "documented: control API"  # the source of rules that are the sandbox's, not the bank's


class Refusal(Exception):  # noqa: N818  (the bank refuses; nothing went wrong in the program)
    """A request that the bank does not carry out.

    `field`, `value`, `rule` and `source` are there for the developer who has to mend the request: which field, what
    stood in it, what the rule is, and where the rule comes from.
    """

    status: ClassVar[int] = 400
    error: ClassVar[str] = "invalid_request"

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        field: str | None = None,
        value: str | None = None,
        rule: str | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.status if code is None else code
        self.field = field
        self.value = value
        self.rule = rule
        self.source = source


class BadField(Refusal):
    """One field of a request breaks one rule; the message is made of the parts."""

    def __init__(self, field: str, value: str | None, rule: str, source: str, *, code: int | None = None) -> None:
        shown = None if value is None else excerpt(value)
        stated = "is missing" if shown is None else f'is "{shown}"'
        super().__init__(
            f"{excerpt(field)} {stated}: {rule} ({source})",
            code=code,
            field=excerpt(field),
            value=shown,
            rule=rule,
            source=source,
        )


class UnsupportedGrant(BadField):
    """A grant that the token endpoint does not know."""

    error = "unsupported_grant_type"


class InvalidScope(BadField):
    """A token without a usable scope."""

    error = "invalid_scope"


class InvalidClient(BadField):
    """The merchant's credentials are missing or wrong."""

    status = 401
    error = "invalid_client"


class WrongUser(Refusal):
    """Somebody who is no merchant's user of the cabinet; it is not said whether the name or the password is wrong."""

    status = 401
    error = "invalid_user"


class InvalidToken(Refusal):
    """A token that is unknown, spent or expired."""

    status = 401
    error = "invalid_token"


class SpentToken(InvalidToken):
    """A token that has served its one operation."""


class Declined(Refusal):
    """A payment that was tried and did not succeed; its code is the reason code."""

    error = "declined"


class Forbidden(Refusal):
    """A request that a developer did not mean to make: another site's page sent it, or had it sent here."""

    status = 403
    error = "forbidden"


class NotFound(Refusal):
    """Nothing stands at this address."""

    status = 404
    error = "not_found"


class ExpiredLink(Refusal):
    """An invoice link that lasts no more."""

    status = 410
    error = "expired_link"


class WrongMethod(Refusal):
    """The address exists, the method does not."""

    status = 405
    error = "method_not_allowed"


class NotInTime(Refusal):
    """What was waited for did not happen."""

    status = 408
    error = "timeout"


class Conflict(BadField):
    """The state of things forbids what was asked for."""

    status = 409
    error = "conflict"


class TooLarge(Refusal):
    """More bytes than the sandbox reads."""

    status = 413
    error = "too_large"


class TooSlow(Refusal):
    """A request that took too long to arrive."""

    status = 408
    error = "too_slow"


class AddressTooLong(Refusal):
    """An address that is longer than the sandbox reads."""

    status = 414
    error = "address_too_long"


class HeadTooLarge(Refusal):
    """More headers than the sandbox reads."""

    status = 431
    error = "head_too_large"


class Busy(Refusal):
    """More at once than the sandbox takes."""

    status = 503
    error = "busy"


class NotJson(BadField):
    """A body of another type than JSON."""

    status = 415
    error = "not_json"


class Fault(Refusal):
    """Something in the sandbox itself has failed; the traceback goes to the log, never to the caller."""

    status = 500
    error = "server_error"


class OutOfOrder(Fault):
    """The store fails, so nothing can be kept; the same request may be carried out later."""

    status = 503
    error = "out_of_order"


class PlannedRefusal(Refusal):
    """A service that fails because a script wants it to; its status is the script's."""

    status = 500
    error = "planned_fault"


class NotSimulated(Refusal):
    """A service the bank has and the sandbox does not."""

    status = 501
    error = "not_simulated"


def excerpt(value: str) -> str:
    """Return `value`, short enough to stand in a message."""
    return value if len(value) <= SHOWN else f"{value[:SHOWN]}…"
