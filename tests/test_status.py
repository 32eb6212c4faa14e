"""check-status over HTTP."""

import pytest
from support import LOCKED, Shop, new_merchant

from mock_epay.records import replace

PATH = "/check-status/payment/transaction/000000001"


def _ask(shop: Shop, token: str, path: str = PATH) -> dict[str, object]:
    response = shop.http.get(path, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    found: dict[str, object] = response.json()
    return found


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_an_unknown_invoice_is_not_found_with_http_200(shop: Shop, prefix: str) -> None:
    answer = _ask(shop, shop.status_token(), prefix + PATH)
    assert (answer["resultCode"], answer["transaction"]) == ("102", None)


def test_a_token_without_payment_may_ask_more_than_once(shop: Shop) -> None:
    token = shop.status_token()
    shop.buy()
    assert _ask(shop, token)["resultCode"] == _ask(shop, token)["resultCode"] == "100"


def test_the_latest_attempt_wins(shop: Shop) -> None:
    shop.buy(LOCKED)
    assert shop.status()["resultCode"] == "101"
    shop.buy()
    transaction = shop.status()["transaction"]
    assert (transaction["statusName"], transaction["cardMask"]) == ("CHARGE", "4405...5096")


def test_types_are_those_of_the_status_and_not_of_the_postlink(shop: Shop) -> None:
    shop.buy()
    transaction = shop.status()["transaction"]
    assert transaction["reasonCode"] == "0"
    assert transaction["secure"] is False
    assert len(transaction) == 39


def test_on_a_two_stage_terminal_the_money_is_held(shop: Shop) -> None:
    terminal = replace(shop.merchant.terminals[0], two_stage=True)
    merchant = new_merchant(shop.merchant.client_id, terminals=(terminal,))
    shop.sandbox.do(shop.sandbox.bank.store.add_merchant(merchant))
    shop.buy()
    answer = shop.status()
    assert answer["resultCode"] == "100"
    assert (answer["transaction"]["statusName"], answer["transaction"]["payoutAmount"]) == ("AUTH", 0)


def test_a_token_without_terminal_learns_nothing(shop: Shop) -> None:
    token = shop.token(invoiceID=None, amount=None, currency=None, terminal=None)
    assert _ask(shop, token["access_token"])["resultCode"] == "104"


def test_a_token_of_a_foreign_terminal_learns_nothing(shop: Shop) -> None:
    terminal = "d9d7978c-d6ee-4ec0-8cda-165251a4bf16"
    token = shop.token(invoiceID=None, amount=None, currency=None, terminal=terminal)
    assert _ask(shop, token["access_token"])["resultCode"] == "109"


def test_nor_does_it_by_the_id_of_a_transaction(shop: Shop) -> None:
    shop.buy()
    path = f"/check-status/payment/transactionId/{shop.status()['transaction']['id']}"
    token = shop.token(invoiceID=None, amount=None, currency=None, terminal="d9d7978c-d6ee-4ec0-8cda-165251a4bf16")
    answer = shop.http.get(path, headers={"Authorization": f"Bearer {token['access_token']}"}).json()
    assert (answer["resultCode"], "CHARGE" in str(answer)) == ("109", False)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic dGVzdDp0ZXN0"])
def test_without_a_token_nothing_is_answered(shop: Shop, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = shop.http.get(PATH, headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, 401)
    assert response.json()["field"] == "Authorization"
    assert response.headers["www-authenticate"] == "Bearer"


def test_an_unknown_token_is_refused(shop: Shop) -> None:
    response = shop.http.get(PATH, headers={"Authorization": "Bearer DCEB8O_ZM5U7SO_T_U5EJQ"})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_token")


def test_a_token_that_has_paid_is_spent(shop: Shop) -> None:
    token = shop.token()
    shop.buy(token=token)
    response = shop.http.get(PATH, headers={"Authorization": f"Bearer {token['access_token']}"})
    assert response.status_code == 401
    assert "spent" in response.json()["message"]


def test_a_token_expires_by_the_merchants_clock(shop: Shop) -> None:
    token = shop.status_token()
    shop.advance(7199)
    assert _ask(shop, token)["resultCode"] == "102"
    shop.advance(1)
    response = shop.http.get(PATH, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert "expired at" in response.json()["message"]
