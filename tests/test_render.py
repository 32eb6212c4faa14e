"""The words and templates of the pages a customer sees."""

import re
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
from jinja2 import Environment, UndefinedError, nodes

from mock_epay.model import Language
from mock_epay.resources import STATIC, TEMPLATES, words
from mock_epay.web.render import money, page, part

LANGUAGES: tuple[Language, ...] = get_args(Language)
FORMS_OF_A_NUMBER = {"rus": 3, "kaz": 1, "eng": 2}
SOURCES = {path.name: path.read_text("utf-8") for path in TEMPLATES.glob("*.html") if "demo" not in path.name}
SCRIPT = (STATIC / "payform" / "pay.js").read_text("utf-8")
STYLE = (STATIC / "payform" / "pay.css").read_text("utf-8")
KINDS = ("object", "token", "address", "too_large", "finished", "missing", "internal", "not_simulated")

PLACE = {"static": "/payform/static", "short": False, "shop": "Дүкен «Алма»"}
CARDS = {
    "cards": [
        {"pan": "4405639704015096", "brand": "VISA", "expiry": "01/25", "cvc": "815", "status": "unlock"},
        {"pan": "377514500004820", "brand": "AMEX", "expiry": "01/25", "cvc": "4169", "status": "lock"},
    ],
    "own": [
        {
            "pan": "4000000000009995",
            "brand": "VISA",
            "expiry": "12/30",
            "cvc": "123",
            "status": "lock",
            "code": 484,
            "reason": "Недостаточно средств",
        }
    ],
}
PANEL = {
    "cards": "",
    "object": [("invoiceId", "000000001"), ("failureBackLink", "")],
    "hints": [{"field": "postLink", "value": "http://localhost/", "why": "out of reach", "tag": "O"}],
}
FORM = PLACE | {
    "invoice": "000000001",
    "amount": "100 ₸",
    "description": "Тест",
    "action": "/payform/pay/1",
    "values": {"name": "Arman Ali", "email": "a@example.kz", "phone": "+77777777777", "save_card": True},
    "problems": {},
    "can_save_card": True,
    "attempts_left": 3,
    "seconds_left": 1199,
    "leave_url": "https://shop.example/fail",
    "panel": PANEL,
}
APPROVED = PLACE | {
    "invoice": "000000001",
    "amount": "100 ₸",
    "card_mask": "4405...5096",
    "reference": "001111111111",
    "approval_code": "123456",
    "back_link": "https://shop.example/ok?a=1&b=%20x'y#z",
    "countdown_s": 5,
}
DECLINED = PLACE | {
    "reason": "Карта заблокирована",
    "reason_code": 465,
    "not_a_test_card": False,
    "try_again_url": "/payform/?again",
    "attempts_left": 2,
    "seconds_left": 61,
    "leave_url": "https://shop.example/fail",
}
CLOSED = PLACE | {"reason": "Время вышло", "reason_code": 504, "leave_url": "https://shop.example/fail"}
REFUSED = PLACE | {
    "kind": "object",
    "field": "description",
    "value": "Ж" * 63,
    "rule": "at most 125 bytes",
    "source": "payment object",
    "message": None,
    "leave_url": None,
}
NO_FACTS = dict.fromkeys(("field", "value", "rule", "source", "message"))
ORDER = {"invoice": "000000001", "amount": "100 ₸"}
PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "form": ("form.html", FORM),
    "form without tools": ("form.html", FORM | {"panel": None, "can_save_card": False, "description": ""}),
    "form without hints": ("form.html", FORM | {"panel": PANEL | {"hints": []}}),
    "form with problems": ("form.html", FORM | {"problems": {"pan": "pan_short", "cvc": "cvc_four"}}),
    "approved": ("approved.html", APPROVED),
    "declined": ("declined.html", DECLINED),
    "declined, order named": ("declined.html", DECLINED | ORDER | {"not_a_test_card": True}),
    "closed": ("closed.html", CLOSED),
    "closed, order named": ("closed.html", CLOSED | ORDER | {"reason_code": "505"}),
    **{f"refused: {kind}": ("refused.html", REFUSED | {"kind": kind}) for kind in KINDS},
    "refused, no facts": ("refused.html", REFUSED | NO_FACTS),
}
STATES = {"form": "open", "approved": "approved", "declined": "declined", "closed": "closed", "refused": "refused"}


class Elements(HTMLParser):
    """Every element of a page, and whether each one that opens is closed."""

    VOID = frozenset({"meta", "link", "input", "rect", "circle", "path", "use"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"<{tag}> repeats an attribute"
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def by_id(self, testid: str) -> dict[str, str | None]:
        (match,) = [attrs for _, attrs in self.found if attrs.get("data-testid") == testid]
        return match


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, dict):
        yield path, tree
        return
    for key, branch in tree.items():
        yield from leaves(branch, f"{path}.{key}".lstrip("."))


def shown(template: str, language: Language = "eng", /, **context: object) -> tuple[str, Elements]:
    panel = context.get("panel")
    if isinstance(panel, dict):
        context["panel"] = panel | {"cards": part("_cards.html", language=language, **CARDS)}
    html = page(template, language=language, **context)
    return html, Elements(html)


def word_patterns() -> set[str]:
    """Read which words the templates ask for; a key computed at run time becomes `[^.]+`."""
    return {
        pattern
        for source in SOURCES.values()
        for node in Environment(autoescape=True).parse(source).find_all((nodes.Getattr, nodes.Getitem))
        if (pattern := chain(node))
    }


def chain(node: nodes.Node) -> str:
    if isinstance(node, nodes.Getattr):
        key = node.attr
    elif isinstance(node, nodes.Getitem):
        key = node.arg.value if isinstance(node.arg, nodes.Const) else "[^.]+"
    else:
        return ""
    if isinstance(node.node, nodes.Name):
        return key if node.node.name == "t" else ""
    before = chain(node.node)
    return before and f"{before}.{'[^.]+' if key == 'items' else key}"


def is_asked_for(key: str, patterns: set[str]) -> bool:
    return any(re.fullmatch(pattern, key) for pattern in patterns)


def test_the_three_languages_have_the_same_words() -> None:
    rus, kaz, eng = (sorted(key for key, _ in leaves(words(language))) for language in LANGUAGES)
    assert rus == kaz == eng


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_empty_and_a_number_has_the_forms_of_its_language(language: Language) -> None:
    for key, word in leaves(words(language)):
        forms = word if isinstance(word, list) else [word]
        assert all(form.strip() == form and form for form in forms), key
        if isinstance(word, list):
            assert len(forms) == FORMS_OF_A_NUMBER[language], key


def test_the_places_to_fill_agree_between_languages() -> None:
    def places(language: Language) -> dict[str, set[str]]:
        return {
            f"{key} {form}": set(re.findall(r"{\w*}", form if isinstance(word, list) else word))
            for key, word in leaves(words(language))
            for form in (word if isinstance(word, list) else [""])
        }

    by_key = [
        {(key.split(" ")[0], *sorted(found)) for key, found in places(language).items()} for language in LANGUAGES
    ]
    assert by_key[0] == by_key[1] == by_key[2]


def test_every_word_is_used_by_a_template() -> None:
    patterns = word_patterns()
    assert [key for key, _ in leaves(words("eng")) if not is_asked_for(key, patterns)] == []


def test_every_word_a_template_asks_for_exists() -> None:
    keys = {key for key, _ in leaves(words("eng"))}
    branches = {key.rsplit(".", depth)[0] for key in keys for depth in range(key.count(".") + 1)}
    assert [pattern for pattern in word_patterns() if not any(re.fullmatch(pattern, k) for k in branches)] == []


def test_no_word_has_the_name_of_something_a_dict_can_do() -> None:
    assert not {part for key, _ in leaves(words("eng")) for part in key.split(".")} & set(dir(dict))


@pytest.mark.parametrize("name", SOURCES)
def test_a_template_holds_no_words_of_its_own(name: str) -> None:
    code = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", SOURCES[name], flags=re.DOTALL)
    spoken = re.findall(r'(?:aria-label|title|alt|placeholder)="([^"]*)"', code)
    text = re.sub(r"""<[^>]*>|[\w-]+="[^"]*\"""", "", code)
    assert not re.search(r"[^\W\d_]", " ".join([text, *spoken]))


def test_the_script_holds_no_words_of_its_own() -> None:
    assert SCRIPT.isascii()
    assert not re.search(r"textContent\s*=\s*[\"'`][^\"'`$]*[a-z]", SCRIPT)


def test_the_script_asks_only_for_problems_that_have_words() -> None:
    asked = set(re.findall(r'"((?:pan|expiry|cvc)-[a-z-]+)"', SCRIPT))
    assert len(asked) == 10
    assert {key.replace("-", "_") for key in asked} <= set(words("eng")["problems"])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_sound_in_every_language(name: str, short: bool, language: Language) -> None:
    template, context = PAGES[name]
    html, elements = shown(template, language, **context | {"short": short})
    body = next(attrs for tag, attrs in elements.found if tag == "body")
    assert body["data-state"] == STATES[template.removesuffix(".html")]
    assert elements.found[0] == ("html", {"lang": {"rus": "ru", "kaz": "kk", "eng": "en"}[language]})
    assert elements.open == []
    ids = [attrs["id"] for _, attrs in elements.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert len((html + SCRIPT + STYLE).encode()) < 60_000


@pytest.mark.parametrize("name", PAGES)
def test_no_page_needs_more_than_the_strict_policy_allows(name: str) -> None:
    template, context = PAGES[name]
    _, elements = shown(template, **context)
    for tag, attrs in elements.found:
        assert tag != "style"
        assert not [attr for attr in attrs if attr == "style" or attr.startswith("on")]
    loads = [attrs.get("src") or attrs.get("href") or "" for tag, attrs in elements.found if tag in {"script", "link"}]
    assert loads
    for address in loads:
        assert address.startswith("/payform/static/")
        assert (STATIC / "payform" / address.removeprefix("/payform/static/")).is_file()


def test_no_page_asks_another_host_for_anything() -> None:
    assert not re.search(r"https?:|url\(|@import", STYLE + SCRIPT)


def test_a_missing_value_fails_loudly() -> None:
    with pytest.raises(UndefinedError, match="invoice"):
        page("form.html", language="rus", **PLACE)


def test_a_missing_word_fails_loudly() -> None:
    with pytest.raises(UndefinedError, match="weather"):
        page("refused.html", language="kaz", **REFUSED | {"kind": "weather"})


def test_what_a_merchant_sends_is_text_never_markup() -> None:
    html = page("form.html", language="rus", **FORM | {"description": '<b>"&', "shop": "</title><script>"})
    assert "&lt;b&gt;&#34;&amp;" in html
    assert "</title><script>" not in html


def test_the_form_names_its_fields_for_browsers_and_robots() -> None:
    _, elements = shown("form.html", **FORM)
    assert {name: elements.by_id(name)["autocomplete"] for name in ("pan", "expiry", "cvc", "name")} == {
        "pan": "cc-number",
        "expiry": "cc-exp",
        "cvc": "cc-csc",
        "name": "cc-name",
    }
    for name in ("pan", "expiry", "cvc", "name", "email", "phone"):
        assert elements.by_id(name)["name"] == name
        assert elements.by_id(name)["aria-describedby"] == f"{name}-problem"
        assert "aria-invalid" not in elements.by_id(name)
    assert elements.by_id("save-card") == {
        "type": "checkbox",
        "name": "save_card",
        "value": "true",
        "data-testid": "save-card",
        "checked": None,
    }
    assert elements.by_id("form")["action"] == "/payform/pay/1"
    for name in ("pay", "back-to-shop", "amount", "invoice", "shop", "description", "attempts-left", "panel"):
        elements.by_id(name)


def test_the_card_is_never_printed_back() -> None:
    _, elements = shown("form.html", **FORM | {"problems": {"pan": "pan_check_digit"}})
    assert not [name for name in ("pan", "expiry", "cvc") if "value" in elements.by_id(name)]


def test_a_problem_stands_beside_its_field() -> None:
    html, elements = shown("form.html", **FORM | {"problems": {"pan": "pan_short"}})
    assert elements.by_id("pan")["aria-invalid"] == "true"
    assert elements.by_id("problem-pan")["data-problem"] == "pan_short"
    assert re.search(r'id="pan-problem"[^>]*>The number is incomplete<', html)
    assert "aria-invalid" not in elements.by_id("cvc")
    elements.by_id("check-fields")


def test_a_form_without_extras_has_no_trace_of_them() -> None:
    html = page("form.html", language="eng", **FORM | {"panel": None, "can_save_card": False, "leave_url": None})
    assert not re.search(r'data-testid="(panel|save-card|back-to-shop|check-fields)"', html)


def test_the_tools_show_cards_hints_and_the_payment_object() -> None:
    html, elements = shown("form.html", **FORM)
    card = elements.by_id("test-card-377514500004820")
    assert (card["data-expiry"], card["data-cvc"], card["data-status"]) == ("01/25", "4169", "lock")
    assert "3775\N{NO-BREAK SPACE}145000\N{NO-BREAK SPACE}04820" in html
    assert "4405\N{NO-BREAK SPACE}6397\N{NO-BREAK SPACE}0401\N{NO-BREAK SPACE}5096" in html
    assert "out of reach" in html
    assert "<dt>failureBackLink</dt><dd></dd>" in html


def test_time_left_is_a_clock_that_knows_where_to_go_when_it_is_over() -> None:
    html, elements = shown("form.html", **FORM | {"page_url": "/payform/?params=x"})
    assert elements.by_id("time-left") == {
        "data-left": "1199",
        "data-over": "/payform/?params=x",
        "data-testid": "time-left",
    }
    assert ">19:59<" in html
    assert ">1:01<" in page("declined.html", language="eng", **DECLINED)


@pytest.mark.parametrize(
    ("language", "number", "said"),
    [
        ("rus", 0, "Осталось 0 попыток"),
        ("rus", 1, "Осталась 1 попытка"),
        ("rus", 3, "Осталось 3 попытки"),
        ("rus", 5, "Осталось 5 попыток"),
        ("rus", 11, "Осталось 11 попыток"),
        ("rus", 12, "Осталось 12 попыток"),
        ("rus", 21, "Осталась 21 попытка"),
        ("rus", 22, "Осталось 22 попытки"),
        ("kaz", 1, "1 әрекет қалды"),
        ("kaz", 3, "3 әрекет қалды"),
        ("eng", 1, "1 attempt left"),
        ("eng", 2, "2 attempts left"),
    ],
)
def test_a_number_takes_the_form_of_its_language(language: Language, number: int, said: str) -> None:
    assert f">{said}<" in page("declined.html", language=language, **DECLINED | {"attempts_left": number})


@pytest.mark.parametrize(
    ("amount", "currency", "language", "written"),
    [
        ("15000", "KZT", "rus", "15_000_₸"),
        ("15000.5", "KZT", "rus", "15_000,50_₸"),
        ("15000.00", "KZT", "kaz", "15_000_₸"),
        ("1234567.89", "USD", "kaz", "1_234_567,89_$"),
        ("100", "EUR", "rus", "100_EUR"),
        ("15000.5", "KZT", "eng", "15,000.50_₸"),
        ("15000", "USD", "eng", "$15,000"),
        ("0.1", "EUR", "eng", "0.10_EUR"),
        ("0", "USD", "eng", "$0"),
    ],
)
def test_money_is_written_as_the_language_does(amount: str, currency: str, language: Language, written: str) -> None:
    assert money(Decimal(amount), currency, language) == written.replace("_", "\N{NO-BREAK SPACE}")


def test_an_approved_page_returns_to_the_shops_link_as_it_was_written() -> None:
    _, elements = shown("approved.html", **APPROVED)
    button = elements.by_id("back-to-shop")
    assert (button["href"], button["data-return-in"]) == ("https://shop.example/ok?a=1&b=%20x'y#z", "5")
    refresh = {"http-equiv": "refresh", "content": "5; url=https://shop.example/ok?a=1&b=%20x'y#z"}
    assert ("meta", refresh) in elements.found


def test_an_approved_page_in_the_widget_only_tells_the_shops_page() -> None:
    html, elements = shown("approved.html", **APPROVED | {"short": True})
    assert ("main", {"class": "sheet", "data-tell": "success"}) in elements.found
    assert "shop.example" not in html
    assert "countdown" not in html


@pytest.mark.parametrize("name", ["form", "declined", "closed", "refused, no facts"])
def test_in_the_widget_the_way_back_is_a_message(name: str) -> None:
    template, context = PAGES[name]
    html, elements = shown(template, **context | {"short": True})
    assert elements.by_id("back-to-shop")["data-tell"] == "failure"
    assert "shop.example" not in html


def test_a_declined_page_offers_another_attempt_and_says_when_the_card_was_not_a_test_card() -> None:
    html, elements = shown("declined.html", **DECLINED | {"not_a_test_card": True})
    assert elements.by_id("try-again")["href"] == "/payform/?again"
    assert words("eng")["declined"]["not_a_test_card"].replace("'", "&#39;") in html
    assert "not-a-test-card" not in page("declined.html", language="eng", **DECLINED)
    assert elements.by_id("page")["data-reason-code"] == "465"
    assert '<dd data-testid="reason-code">465</dd>' in html


def test_an_approved_page_has_the_reason_code_of_success_and_a_refused_page_has_none() -> None:
    assert shown("approved.html", **APPROVED)[1].by_id("page")["data-reason-code"] == "0"
    assert shown("refused.html", **REFUSED)[1].by_id("page")["data-reason-code"] == ""


@pytest.mark.parametrize(
    ("code", "title"), [(504, "Time is up"), ("505", "No attempts left"), (100, "The pay page is closed")]
)
def test_a_closed_page_says_what_closed_it(code: int | str, title: str) -> None:
    html, elements = shown("closed.html", **CLOSED | {"reason_code": code})
    assert f"<h1>{title}</h1>" in html
    assert elements.by_id("page")["data-reason-code"] == str(code)


def test_a_refused_page_tells_the_developer_the_field_the_value_and_the_rule() -> None:
    html = page("refused.html", language="eng", **REFUSED)
    assert '<dd lang="en" data-testid="error-field">description</dd>' in html
    assert '<dd lang="en" data-testid="error-rule">at most 125 bytes</dd>' in html
    assert "error-message" not in html
    assert 'data-testid="developer"' not in page("refused.html", language="eng", **REFUSED | NO_FACTS)
    assert "back-to-shop" not in html
