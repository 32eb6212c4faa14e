import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mock_epay import issuer, resources
from mock_epay.model import Card, Payer
from mock_epay.web import cardform

GOOD = {"pan": "4405639704015096", "expiry": "01/25", "cvc": "815"}

# Of each problem of the table one example; a check digit is the issuer's business, so only the page's script has that.
PROBLEMS = [
    ("pan", "", "pan_missing"),
    ("pan", " - ", "pan_missing"),
    ("pan", "44056397040", "pan_short"),
    ("pan", "4" * 20, "pan_short"),
    ("pan", "four four zero five", "pan_short"),
    ("pan", "٤٤٠٥٦٣٩٧٠٤٠١٥٠٩٦", "pan_short"),
    ("expiry", "", "expiry_missing"),
    ("expiry", "   ", "expiry_missing"),
    ("expiry", "1/25", "expiry_format"),
    ("expiry", "01-25", "expiry_format"),
    ("expiry", "01/125", "expiry_format"),
    ("expiry", "01/1925", "expiry_format"),
    ("expiry", "2025-01", "expiry_format"),
    ("expiry", "٠١/٢٥", "expiry_format"),
    ("expiry", "00/25", "expiry_month"),
    ("expiry", "13/25", "expiry_month"),
    ("cvc", "", "cvc_missing"),
    ("cvc", " ", "cvc_missing"),
    ("cvc", "81x", "cvc_format"),
    ("cvc", "8 5", "cvc_format"),
    ("cvc", "٨١٥", "cvc_format"),
    ("cvc", "81", "cvc_three"),
    ("cvc", "8155", "cvc_three"),
    ("name", "N" * 256, "name_long"),
    ("email", "a@" + "b" * 254, "email_long"),
    ("email", "nobody", "email_format"),
    ("email", "no body@example.kz", "email_format"),
    ("email", "a@b@example.kz", "email_format"),
    ("email", "@example.kz", "email_format"),
    ("phone", "+" + "7" * 64, "phone_long"),
    ("phone", "7777", "phone_format"),
    ("phone", "call me", "phone_format"),
    ("phone", "77+7777", "phone_format"),
]


def read(**changes: str) -> cardform.CardForm:
    return cardform.read(GOOD | changes)


def test_a_good_form_is_read_whole() -> None:
    form = read(name=" AIDA S ", email=" a@example.kz", phone="+7 (777) 123-45-67 ", save_card="true")

    assert not form.problems
    assert form.card == Card(pan="4405639704015096", expiry="01/25", cvc="815")
    assert form.payer == Payer(name="AIDA S", email="a@example.kz", phone="+7 (777) 123-45-67")
    assert form.save_card


@pytest.mark.parametrize(("field", "text", "problem"), PROBLEMS)
def test_a_field_that_cannot_be_sent_is_named_with_its_problem(field: str, text: str, problem: str) -> None:
    assert read(**{field: text}).problems == {field: problem}


@pytest.mark.parametrize("code", ["815", "41699"])
def test_an_amex_card_has_a_code_of_four_digits(code: str) -> None:
    assert read(pan="377514500004820", cvc=code).problems == {"cvc": "cvc_four"}
    assert not read(pan="377514500004820", cvc="4169").problems


def test_every_problem_that_the_pages_have_words_for_has_an_example() -> None:
    found = {problem for _, _, problem in PROBLEMS} | {"cvc_four"}

    for language in ("rus", "kaz", "eng"):
        assert set(resources.words(language)["problems"]) == found | {"pan_check_digit"}


def test_an_empty_form_lacks_number_date_and_code_but_nothing_that_may_be_left_out() -> None:
    form = cardform.read({})

    assert form.problems == {"pan": "pan_missing", "expiry": "expiry_missing", "cvc": "cvc_missing"}
    assert form.payer == Payer()
    assert not form.save_card


def test_all_problems_are_named_at_once() -> None:
    form = cardform.read({"pan": "1", "expiry": "99/99", "cvc": "x", "name": "n" * 300, "email": "e", "phone": "p"})

    assert form.problems == {
        "pan": "pan_short",
        "expiry": "expiry_month",
        "cvc": "cvc_format",
        "name": "name_long",
        "email": "email_format",
        "phone": "phone_format",
    }


@pytest.mark.parametrize(
    "text",
    [
        "4405 6397 0401 5096",
        "4405-6397-0401-5096",
        " 4405639704015096\t",
        "4405\u00a06397\u00a00401\u00a05096",
        "44 0563 - 9704015096",
    ],
)
def test_blanks_and_dashes_in_a_number_do_not_count(text: str) -> None:
    form = read(pan=text)

    assert not form.problems
    assert form.card.pan == "4405639704015096"


@pytest.mark.parametrize("length", [12, 19])
def test_a_number_has_12_to_19_digits(length: int) -> None:
    assert not read(pan="4" * length).problems


@pytest.mark.parametrize(
    "text", ["01/25", "0125", "01 25", "01 / 25", " 01/25 ", "01/2025", "012025", "01 / 2025", "01\u00a0/\u00a025"]
)
def test_a_date_is_read_in_its_usual_forms(text: str) -> None:
    form = read(expiry=text)

    assert not form.problems
    assert form.card.expiry == "01/25"


@pytest.mark.parametrize(("text", "expiry"), [("0120", "01/20"), ("01/20", "01/20"), ("012020", "01/20")])
def test_the_year_20_is_not_taken_for_a_century(text: str, expiry: str) -> None:
    assert read(expiry=text).card.expiry == expiry


@pytest.mark.parametrize("month", range(1, 13))
def test_a_year_has_twelve_months(month: int) -> None:
    assert not read(expiry=f"{month:02}/25").problems


def test_a_date_that_cannot_be_read_leaves_no_date() -> None:
    assert read(expiry="soon").card.expiry == ""


@pytest.mark.parametrize("text", ["", "false", "on", "TRUE", "1"])
def test_a_card_is_saved_only_when_the_box_says_so(text: str) -> None:
    assert not read(save_card=text).save_card


def test_the_longest_values_that_are_taken() -> None:
    assert not read(name="N" * 255, email="a@" + "b" * 253, phone="7" * 64).problems


@pytest.mark.parametrize("card", issuer.test_cards().values(), ids=lambda card: card.pan)
def test_every_published_card_passes_the_form(card: issuer.TestCard) -> None:
    for pair in card.pairs:
        assert not read(pan=card.pan, expiry=pair.expiry, cvc=pair.cvc).problems


anything = st.text(st.characters(exclude_categories=()), max_size=30) | st.text("0123456789 /-", max_size=20)
forms = st.dictionaries(
    st.sampled_from(["pan", "expiry", "cvc", "name", "email", "phone", "save_card", "more"]), anything
)


@settings(deadline=None)
@given(forms)
def test_whatever_is_sent_its_problems_have_words(fields: dict[str, str]) -> None:
    form = cardform.read(fields)

    assert set(form.problems) <= {"pan", "expiry", "cvc", "name", "email", "phone"}
    assert set(form.problems.values()) <= set(resources.words("eng")["problems"])


@settings(deadline=None)
@given(forms)
def test_a_card_without_problems_can_be_decided(fields: dict[str, str]) -> None:
    form = cardform.read(GOOD | fields)

    assert form.problems or issuer.decide(form.card).reason_code in {0, 457, 465, 471, 486}
