import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mock_epay import issuer
from mock_epay.issuer import Decision, decide
from mock_epay.model import Card, ThreeDs
from mock_epay.wire import outgoing

# Written down once more, so that a slip in the table is found: both dates and codes that the bank prints.
PUBLISHED = [
    ("4405639704015096", "01/25", "815", 0),
    ("4405639704015096", "01/27", "321", 0),
    ("5522042705066736", "01/25", "525", 0),
    ("5522042705066736", "01/27", "775", 0),
    ("377514500004820", "01/25", "4169", 465),
    ("377514500004820", "01/28", "0198", 465),
    ("4003032704547597", "09/20", "170", 465),
    ("5578342710750560", "09/20", "254", 465),
]
NUMBERS = list(dict.fromkeys(pan for pan, *_ in PUBLISHED))

digits = st.text("0123456789", min_size=12, max_size=19)


def luhn_sum(pan: str) -> int:
    """Sum as the patent words it: write twice each second digit out, then add all digits there are."""
    written = "".join(str(int(digit) * (1 + index % 2)) for index, digit in enumerate(reversed(pan)))
    return sum(map(int, written))


def ask(pan: str, expiry: str = "01/25", cvc: str = "815") -> Decision:
    return decide(Card(pan=pan, expiry=expiry, cvc=cvc))


@pytest.mark.parametrize(("pan", "expiry", "cvc", "reason_code"), PUBLISHED)
def test_a_published_card_is_decided_by_its_status(pan: str, expiry: str, cvc: str, reason_code: int) -> None:
    decision = ask(pan, expiry, cvc)

    assert decision.reason_code == reason_code
    assert decision.why == ("test card, lock" if reason_code else "test card, unlock")
    assert decision.mask.issuer == "Halyk bank"
    assert decision.three_ds == "none"


def test_the_table_has_the_published_cards_and_no_other() -> None:
    cards = issuer.test_cards()

    pairs = [(card.pan, pair.expiry, pair.cvc) for card in cards.values() for pair in card.pairs]
    assert pairs == [(pan, expiry, cvc) for pan, expiry, cvc, _ in PUBLISHED]
    assert list(cards) == NUMBERS


@pytest.mark.parametrize(
    ("pan", "expiry", "cvc"),
    [
        ("4405639704015096", "01/25", "321"),
        ("4405639704015096", "01/27", "815"),
        ("5522042705066736", "01/25", "775"),
        ("5522042705066736", "01/27", "525"),
        ("377514500004820", "01/25", "0198"),
        ("377514500004820", "01/28", "4169"),
    ],
)
def test_the_date_of_one_page_with_the_code_of_the_other_is_a_wrong_code(pan: str, expiry: str, cvc: str) -> None:
    assert ask(pan, expiry, cvc).reason_code == 486


@pytest.mark.parametrize(("pan", "expiry", "cvc", "_"), PUBLISHED)
def test_a_wrong_code_is_declined_before_a_block(pan: str, expiry: str, cvc: str, _: int) -> None:
    assert ask(pan, expiry, cvc[:-1]).reason_code == 486
    assert ask(pan, expiry, cvc + "0").reason_code == 486


@pytest.mark.parametrize(("pan", "_", "cvc", "__"), PUBLISHED)
@pytest.mark.parametrize("expiry", ["12/30", "02/25", "01/52", ""])
def test_a_wrong_date_is_declined_before_a_wrong_code(pan: str, _: str, cvc: str, __: int, expiry: str) -> None:
    assert ask(pan, expiry, cvc).reason_code == 457
    assert ask(pan, expiry, "999").reason_code == 457


@pytest.mark.parametrize("pan", ["4111111111111111", "5555555555554444", "378282246310005", "4242424242424242"])
def test_a_number_outside_the_table_may_be_somebodys_card(pan: str) -> None:
    decision = ask(pan)

    assert (decision.reason_code, decision.why) == (471, "not a test card")
    assert decision.mask.issuer == ""


@pytest.mark.parametrize("pan", ["4405639704015097", "4111111111111112", "123456789012"])
def test_a_number_with_a_wrong_check_digit_is_called_so(pan: str) -> None:
    decision = ask(pan)

    assert (decision.reason_code, decision.why) == (471, "the number fails its check digit")


@settings(deadline=None)
@given(digits)
def test_a_number_passes_when_its_luhn_sum_ends_in_zero(pan: str) -> None:
    assert issuer.passes_check_digit(pan) is (luhn_sum(pan) % 10 == 0)


@settings(deadline=None)
@given(digits)
def test_of_ten_check_digits_one_passes(pan: str) -> None:
    assert sum(issuer.passes_check_digit(pan + digit) for digit in "0123456789") == 1


@settings(deadline=None)
@given(st.sampled_from(NUMBERS), st.data())
def test_one_digit_mistyped_is_noticed(pan: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(pan) - 1))
    digit = data.draw(st.sampled_from("0123456789").filter(lambda digit: digit != pan[place]))

    assert issuer.passes_check_digit(pan)
    assert not issuer.passes_check_digit(pan[:place] + digit + pan[place + 1 :])


@pytest.mark.parametrize(
    ("pan", "brand"),
    [
        ("340000000000009", "AMEX"),
        ("370000000000002", "AMEX"),
        ("350000000000000", ""),
        ("360000000000000", ""),
        ("380000000000000", ""),
        ("3300000000000000", ""),
        ("5100000000000000", "MasterCard"),
        ("5500000000000000", "MasterCard"),
        ("5000000000000000", ""),
        ("5600000000000000", ""),
        ("2221000000000000", "MasterCard"),
        ("2720000000000000", "MasterCard"),
        ("2100000000000000", ""),
        ("2800000000000000", ""),
        ("4000000000000000", "VISA"),
        ("4999999999999999", "VISA"),
        ("3999999999999999", ""),
        ("0412345678901234", ""),
    ],
)
def test_the_first_digits_tell_the_brand(pan: str, brand: str) -> None:
    assert issuer.brand_of(pan) == brand


@pytest.mark.parametrize("pan", NUMBERS)
def test_the_table_names_the_brand_that_the_number_tells(pan: str) -> None:
    card = issuer.test_cards()[pan]

    assert ask(pan).mask.brand == issuer.brand_of(pan) == card.brand


@settings(deadline=None)
@given(digits)
def test_a_mask_keeps_the_first_six_digits_and_the_last_four(pan: str) -> None:
    mask = ask(pan).mask

    assert (mask.first, mask.last) == (pan[:6], pan[-4:])


@settings(deadline=None)
@given(st.text("0123456789", min_size=13, max_size=19), st.text("0123456789", min_size=3, max_size=4))
def test_neither_a_card_nor_a_decision_shows_the_number_or_code(pan: str, cvc: str) -> None:
    card = Card(pan=pan, expiry="11/33", cvc=cvc)

    assert repr(card) == str(card) == "Card()"
    assert pan not in repr(decide(card))


@pytest.mark.parametrize("own", issuer.own_cards().values(), ids=lambda own: own.pan)
def test_the_sandboxs_own_cards_do_as_their_row_says_with_any_date_and_code(own: issuer.OwnCard) -> None:
    assert issuer.passes_check_digit(own.pan)
    assert issuer.brand_of(own.pan) == own.brand
    assert own.pan not in issuer.test_cards()
    for expiry, cvc in (("12/30", "123"), ("01/20", "000")):
        decision = issuer.decide(Card(pan=own.pan, expiry=expiry, cvc=cvc))
        assert (decision.reason_code, decision.three_ds) == (own.reason_code, own.three_ds)


@pytest.mark.parametrize("policy", ["none", "frictionless", "challenge"])
@pytest.mark.parametrize(("pan", "expiry", "cvc", "reason_code"), PUBLISHED)
def test_a_policy_overrules_what_a_card_has_of_3d_secure(
    policy: ThreeDs, pan: str, expiry: str, cvc: str, reason_code: int
) -> None:
    decision = decide(Card(pan=pan, expiry=expiry, cvc=cvc), policy)
    assert (decision.three_ds, decision.reason_code) == (policy, reason_code)


@pytest.mark.parametrize(("pan", "cvc"), [("4405639704015096", "000"), ("4405639704015097", "815")])
def test_nobody_is_asked_about_a_card_whose_data_are_wrong(pan: str, cvc: str) -> None:
    assert decide(Card(pan=pan, expiry="01/25", cvc=cvc), "challenge").three_ds == "none"


@pytest.mark.parametrize("code", outgoing.reason_codes())
def test_each_reason_code_has_a_card_number(code: int) -> None:
    pan = issuer.card_for(code)
    assert issuer.passes_check_digit(pan)
    assert len(pan) == 16
    expected = code or issuer.INVALID_NUMBER  # success needs no card of this kind
    assert ask(pan).reason_code == expected
    assert ask(pan[:-1] + str((int(pan[-1]) + 1) % 10)).reason_code == issuer.INVALID_NUMBER


def test_a_number_of_the_family_for_a_code_that_is_none_is_no_test_card() -> None:
    assert ask(issuer.card_for(9999)).why == issuer.NOT_A_TEST_CARD


@pytest.mark.parametrize("pan", ["4405639704015096", "4000000000003220", "4000000000003055"])
def test_a_saved_card_is_found_by_its_mask_alone(pan: str) -> None:
    card = issuer.card_of(pan)
    assert card is not None
    fresh = decide(card)
    again = issuer.decide_saved(fresh.mask, card.cvc)
    assert (again.reason_code, again.mask, again.three_ds) == (0, fresh.mask, fresh.three_ds)
    assert issuer.decide_saved(fresh.mask, None, "none").three_ds == "none"


def test_cards_that_approve_differ_in_their_masks() -> None:
    pans = [*issuer.test_cards(), *(pan for pan, own in issuer.own_cards().items() if own.reason_code == 0)]
    assert len({(pan[:6], pan[-4:]) for pan in pans}) == len(pans)
