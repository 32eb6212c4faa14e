"""The words and templates of the pages a customer sees."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
from jinja2 import Environment, UndefinedError, nodes

from mock_epay.model import Language
from mock_epay.resources import STATIC, TEMPLATES, words
from mock_epay.settings import THREE_DS
from mock_epay.web.looks import Looks
from mock_epay.web.render import Sheet, clock, money, page, part, script_data

LANGUAGES: tuple[Language, ...] = get_args(Language)
FORMS_OF_A_NUMBER = {"rus": 3, "kaz": 1, "eng": 2}
SOURCES = {path.name: path.read_text("utf-8") for path in TEMPLATES.glob("*.html") if "demo" not in path.name}
SCRIPT = "".join((STATIC / "payform" / name).read_text("utf-8") for name in ("pay.js", "panel.js"))
STYLE = (STATIC / "payform" / "pay.css").read_text("utf-8")
ISSUER_SCRIPT = (STATIC / "issuer" / "issuer.js").read_text("utf-8")
ISSUER_STYLE = (STATIC / "issuer" / "issuer.css").read_text("utf-8")
KINDS = ("object", "token", "address", "too_large", "finished", "missing", "internal", "not_simulated", "link")
HOSTILE = """</script></title><b id=x>'"&{{ t }}"""

LINKS = {name: f"?lang={name}" for name in LANGUAGES}
PLACE = {"static": "/payform/static", "short": False, "shop": "Дүкен «Алма»"}
CHECKOUT = PLACE | {"looks": Looks(), "place": "/payform/1"}
CARDS = {
    "plans": [{"name": "never", "incident": "The notice is lost."}],
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
            "secure": "none",
        },
        *(
            {"pan": pan, "brand": "VISA", "expiry": "12/30", "cvc": "123", "status": status, "secure": secure}
            | {"code": code, "reason": reason}
            for pan, status, secure, code, reason in [
                ("4000000000003220", "unlock", "challenge", 0, "Оплата прошла"),
                ("4000000000003055", "unlock", "frictionless", 0, "Оплата прошла"),
                ("4000008400001629", "lock", "challenge", 462, "Банк отклонил оплату"),
                ("4000000000000077", "unlock", "none", 0, "Оплата прошла"),
            ]
        ),
    ],
    "reasons": "/payform/reasons/eng.json",
    "any_card": {"expiry": "12/30", "cvc": "123"},
}
PANEL: dict[str, Any] = {
    "cards": "",
    "sent": [
        ("invoiceId", "000000001", "000000001", False),
        ("postLink", "", "http://localhost/", True),
        ("scope", "payment", "", False),
    ],
    "timeline": "/cabinet/test/invoices/000000001",
}
HINTS = [
    {
        "rule": "postlink-local",
        "field": "postLink",
        "value": "http://localhost/",
        "why": "out of reach",
        "tag": "observed",
    }
]
SAVED_CARDS = [
    {"id": "c-1", "mask": "4405...5096", "brand": "VISA", "chosen": False},
    {"id": "c-2", "mask": "5522...6736", "brand": "MasterCard", "chosen": True},
    {"id": "c-3", "mask": "9999...0000", "brand": "", "chosen": False},
]
FORM = CHECKOUT | {
    "invoice": "000000001",
    "amount": "100 ₸",
    "description": "Тест",
    "payer": {"name": "Arman Ali", "email": "a@example.kz", "phone": "+77777777777"},
    "problems": (),
    "card": None,
    "autofill": "",
    "saved_cards": [],
    "another_card": False,
    "can_save_card": True,
    "save_card": True,
    "verification": False,
    "attempts_left": 3,
    "seconds_left": 1199,
    "time_left": "19:59",
    "leave_url": "https://shop.example/fail",
    "panel": PANEL,
    "hints": HINTS,
    "hints_data": script_data(HINTS),
}
APPROVED = CHECKOUT | {
    "invoice": "000000001",
    "amount": "100 ₸",
    "card_mask": "4405...5096",
    "reference": "001111111111",
    "approval_code": "123456",
    "back_link": "https://shop.example/ok?a=1&b=%20x'y#z",
    "countdown_s": 5,
    "verified": False,
    "saved_card": False,
}
DECLINED = CHECKOUT | {
    "reason": "Карта заблокирована",
    "reason_code": 465,
    "not_a_test_card": False,
    "attempts_left": 2,
    "seconds_left": 61,
    "time_left": "1:01",
    "leave_url": "https://shop.example/fail",
}
CLOSED = CHECKOUT | {"reason": "Время вышло", "reason_code": 504, "leave_url": "https://shop.example/fail"}
REFUSED = PLACE | {
    "languages": LINKS,
    "kind": "object",
    "field": "description",
    "value": "Ж" * 63,
    "rule": "at most 125 bytes",
    "source": "payment object",
    "message": None,
    "leave_url": None,
}
OUTCOME = PLACE | {
    "languages": LINKS,
    "invoice": "000000001",
    "amount": "100 ₸",
    "approved": True,
    "reference": "001111111111",
    "reason": "Оплата прошла",
    "reason_code": 0,
}
AT_ISSUER = {"static": "/acs/static", "short": False, "languages": LINKS, "looks": Looks(), "place": "/acs/1"}
ISSUER = AT_ISSUER | {
    "shop": "Дүкен «Алма»",
    "amount": "100 ₸",
    "card_mask": "4000...3220",
    "issuer": "Sandbox bank",
    "code": "123456",
    "tries_left": 3,
    "wrong": False,
    "leave_url": "https://shop.example/fail",
    "seconds_left": 299,
    "time_left": "4:59",
}
ISSUER_RETURN = AT_ISSUER | {"term_url": "https://shop.example/3ds?a=1&b='#z", "md": "m-1", "pa_res": "eJxVUt9v"}
NO_FACTS = dict.fromkeys(("field", "value", "rule", "source", "message"))
ORDER = {"invoice": "000000001", "amount": "100 ₸"}
PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "form": ("form.html", FORM),
    "form without tools": ("form.html", FORM | {"panel": None, "can_save_card": False, "description": ""}),
    "form without hints": ("form.html", FORM | {"hints": [], "hints_data": script_data([])}),
    "form with saved cards": ("form.html", FORM | {"saved_cards": SAVED_CARDS}),
    "form with problems": ("form.html", FORM | {"problems": (("pan", "pan_short"), ("cvc", "cvc_four"))}),
    "approved": ("approved.html", APPROVED),
    "approved, card saved": ("approved.html", APPROVED | {"saved_card": True}),
    "verified": ("approved.html", APPROVED | {"verified": True, "saved_card": True}),
    "declined": ("declined.html", DECLINED),
    "declined, order named": ("declined.html", DECLINED | ORDER | {"not_a_test_card": True}),
    "closed": ("closed.html", CLOSED),
    "closed, order named": ("closed.html", CLOSED | ORDER | {"reason_code": "505"}),
    **{f"refused: {kind}": ("refused.html", REFUSED | {"kind": kind}) for kind in KINDS},
    "refused, no facts": ("refused.html", REFUSED | NO_FACTS),
    "outcome": ("outcome.html", OUTCOME),
    "outcome, declined": ("outcome.html", OUTCOME | {"approved": False, "reason_code": 462}),
    "issuer": ("issuer.html", ISSUER),
    "issuer, wrong code": ("issuer.html", ISSUER | {"wrong": True, "tries_left": 1}),
    "issuer, nothing known": ("issuer.html", ISSUER | {"issuer": "", "code": None, "leave_url": None}),
    "issuer, return": ("issuer_return.html", ISSUER_RETURN),
}
STATES = {
    "form": "open",
    "approved": "approved",
    "declined": "declined",
    "closed": "closed",
    "refused": "refused",
    "outcome": "approved",
    "outcome, declined": "declined",
    "issuer": "challenge",
    "issuer_return": "returning",
}


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
    of_pages = [key for key, _ in leaves(words("eng")) if not key.startswith("cabinet.")]  # spoken by scripts
    assert [key for key in of_pages if not is_asked_for(key, patterns)] == []


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


@pytest.mark.parametrize("script", [SCRIPT, ISSUER_SCRIPT], ids=["pay", "issuer"])
def test_a_script_holds_no_words_of_its_own(script: str) -> None:
    assert script.isascii()
    assert not re.search(r"textContent\s*=\s*[\"'`][^\"'`$]*[a-z]", script)


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
    assert body["data-state"] == STATES.get(name) or STATES[template.removesuffix(".html")]
    assert elements.found[0] == ("html", {"lang": {"rus": "ru", "kaz": "kk", "eng": "en"}[language]})
    assert elements.open == []
    ids = [attrs["id"] for _, attrs in elements.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    files = ISSUER_SCRIPT + ISSUER_STYLE if context["static"] == "/acs/static" else SCRIPT + STYLE
    assert len((html + files).encode()) < 60_000


@pytest.mark.parametrize("name", PAGES)
def test_no_page_needs_more_than_the_strict_policy_allows(name: str) -> None:
    template, context = PAGES[name]
    _, elements = shown(template, **context)
    for tag, attrs in elements.found:
        assert tag != "style"
        assert not [attr for attr in attrs if attr == "style" or attr.startswith("on")]
    loads = [
        attrs.get("src") or attrs.get("href") or ""
        for tag, attrs in elements.found
        if tag in {"script", "link"} and attrs.get("type") != "application/json"
    ]
    assert len(loads) == 3 + (context.get("panel") is not None)
    for address in loads:
        place, name = re.fullmatch(r"/(payform|acs)/static/([\w.-]+)", address).groups()  # type: ignore[union-attr]
        assert f"/{place}/static" == context["static"]
        assert (STATIC / {"payform": "payform", "acs": "issuer"}[place] / name).is_file()


def test_no_page_asks_another_host_for_anything() -> None:
    assert not re.search(r"https?:|url\(|@import", STYLE + SCRIPT + ISSUER_STYLE + ISSUER_SCRIPT)


def test_a_missing_value_fails_loudly() -> None:
    with pytest.raises(UndefinedError, match="is undefined"):
        page("form.html", language="rus", **PLACE)


def test_a_missing_word_fails_loudly() -> None:
    with pytest.raises(UndefinedError, match="weather"):
        page("refused.html", language="kaz", **REFUSED | {"kind": "weather"})


def test_what_a_merchant_sends_is_text_never_markup() -> None:
    html = page("form.html", language="rus", **FORM | {"description": '<b>"&', "shop": "</title><script>"})
    assert "&lt;b&gt;&#34;&amp;" in html
    assert "</title><script>" not in html


def hostile(value: Any, key: str = "") -> Any:
    """Return a context with a hostile text for each text, but where it is empty or a key of ours."""
    if isinstance(value, dict):
        return {name: hostile(inner, name) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [hostile(inner, key) for inner in value]
    ours = key in {"static", "cards", "status", "secure", "brand", "kind", "problems", "hints_data"}
    return HOSTILE if isinstance(value, str) and value and not ours else value


@pytest.mark.parametrize("text", ["Иван", HOSTILE, "100 %", "%s %(x)s {shop}", "\U00100000\U00100001", "Markup"])
@pytest.mark.parametrize(("template", "context"), [("approved.html", APPROVED), ("declined.html", DECLINED | ORDER)])
def test_a_sheet_has_its_own_texts_where_the_template_has_them(
    template: str, context: dict[str, Any], text: str
) -> None:
    texts = {name: text for name, value in context.items() if isinstance(value, str) and name != "static"}
    sheet = Sheet()
    made = sheet.page(template, language="rus", **context | {name: sheet.text(text) for name in texts})
    assert made.decode() == page(template, language="rus", **context | texts)


@pytest.mark.parametrize("nothing", ["", None])
def test_a_sheet_has_no_place_for_nothing(nothing: str | None) -> None:
    sheet = Sheet()
    made = sheet.page("declined.html", language="eng", **DECLINED | {"leave_url": sheet.text(nothing)})
    assert "back-to-shop" not in made.decode()


def test_two_sheets_share_what_is_not_their_own() -> None:
    def made(shop: str, amount: str) -> str:
        sheet = Sheet()
        texts = {"shop": sheet.text(shop), "amount": sheet.text(amount)}
        return sheet.page("approved.html", language="eng", **APPROVED | texts).decode()

    first, second = made("Alma", "100 ₸"), made("<Nan>", "$5 & more")
    assert first.replace("Alma", "&lt;Nan&gt;").replace("100 ₸", "$5 &amp; more") == second


@pytest.mark.parametrize(("seconds", "shown"), [(1199, "19:59"), (61, "1:01"), (0, "0:00"), (6000, "100:00")])
def test_a_clock_has_minutes_and_seconds(seconds: int, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize("name", PAGES)
def test_no_text_on_any_page_becomes_markup(name: str) -> None:
    template, context = PAGES[name]
    tame, wild = shown(template, **context)[1], shown(template, **hostile(context))[1]
    assert [tag for tag, _ in tame.found] == [tag for tag, _ in wild.found]
    assert [list(attrs) for _, attrs in tame.found] == [list(attrs) for _, attrs in wild.found]


def test_no_text_in_the_tools_becomes_markup() -> None:
    tame = Elements(part("_cards.html", language="eng", **CARDS))
    wild = Elements(part("_cards.html", language="eng", **{key: hostile(rows) for key, rows in CARDS.items()}))
    assert [tag for tag, _ in tame.found] == [tag for tag, _ in wild.found]


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
    assert elements.by_id("form")["action"] == "/payform/1"
    for name in ("pay", "back-to-shop", "amount", "invoice", "shop", "description", "attempts-left", "panel"):
        elements.by_id(name)


def test_the_card_is_never_printed_back() -> None:
    _, elements = shown("form.html", **FORM | {"problems": (("pan", "pan_check_digit"),)})
    assert not [name for name in ("pan", "expiry", "cvc") if "value" in elements.by_id(name)]


def test_a_problem_stands_beside_its_field() -> None:
    html, elements = shown("form.html", **FORM | {"problems": (("pan", "pan_short"),)})
    assert elements.by_id("pan")["aria-invalid"] == "true"
    assert elements.by_id("problem-pan")["data-problem"] == "pan_short"
    assert re.search(r'id="pan-problem"[^>]*>The number is incomplete<', html)
    assert "aria-invalid" not in elements.by_id("cvc")
    elements.by_id("check-fields")


def test_a_card_that_is_saved_may_be_chosen_instead_of_another() -> None:
    def chosen(card_id: str) -> list[str]:
        saved = [card | {"chosen": card["id"] == card_id} for card in SAVED_CARDS]
        _, elements = shown("form.html", **FORM | {"saved_cards": saved, "another_card": not card_id})
        radios = {str(attrs["data-testid"]): attrs for _, attrs in elements.found if attrs.get("name") == "card_id"}
        assert {name: radio["value"] for name, radio in radios.items()} == {
            "saved-card-c-1": "c-1",
            "saved-card-c-2": "c-2",
            "saved-card-c-3": "c-3",
            "another-card": "",
        }
        return [name for name, radio in radios.items() if "checked" in radio]

    assert chosen("c-2") == ["saved-card-c-2"]
    assert chosen("") == ["another-card"]
    assert chosen("gone") == []


def test_what_a_saved_card_makes_needless_is_hidden_by_the_style() -> None:
    html, _ = shown("form.html", **FORM | {"saved_cards": SAVED_CARDS})
    form = html.partition("</form>")[0]
    groups = re.split(r'(?=<(?:div|label|fieldset) class="(?:field|pair|check|saved))', form)
    needless = {
        name for group in groups if "new-card" in group.split(">")[0] for name in re.findall(r' name="(\w+)"', group)
    }
    assert needless == {"pan", "expiry", "name", "save_card"}
    assert """form:has([name="card_id"]:checked:not([value=""])) .new-card { display: none; }""" in STYLE


def test_a_form_without_saved_cards_does_not_ask_for_one() -> None:
    assert 'name="card_id"' not in page("form.html", language="eng", **FORM)


def test_a_box_that_is_not_ticked_says_so() -> None:
    _, elements = shown("form.html", **FORM)
    said = [attrs["value"] for _, attrs in elements.found if attrs.get("name") == "save_card"]
    assert said == ["false", "true"]


def test_a_form_that_checks_a_card_does_not_ask_to_pay() -> None:
    html = page("form.html", language="eng", **FORM | {"verification": True, "can_save_card": False})
    assert "<h1>Card check</h1>" in html
    assert "Check the card</span>" in html
    assert "Pay " not in html.partition("<form")[2].partition("</form>")[0]


def test_a_form_without_extras_has_no_trace_of_them() -> None:
    html = page("form.html", language="eng", **FORM | {"panel": None, "can_save_card": False, "leave_url": None})
    assert not re.search(r'data-testid="(panel|save-card|back-to-shop|check-fields)"', html)


def test_the_tools_show_cards_and_hints() -> None:
    html, elements = shown("form.html", **FORM)
    card = elements.by_id("test-card-377514500004820")
    assert (card["data-expiry"], card["data-cvc"], card["data-status"]) == ("01/25", "4169", "lock")
    assert "3775\N{NO-BREAK SPACE}145000\N{NO-BREAK SPACE}04820" in html
    assert "4405\N{NO-BREAK SPACE}6397\N{NO-BREAK SPACE}0401\N{NO-BREAK SPACE}5096" in html
    assert "out of reach" in html


def test_the_sandboxs_own_cards_say_what_becomes_of_each() -> None:
    html, _ = shown("form.html", **FORM)
    assert re.findall(r'class="verdict">([^<]*)<', html) == [
        "approves",
        "declines",
        "484: Недостаточно средств",
        "3-D Secure asks for a code, then approves",
        "3-D Secure without a question, approves",
        "3-D Secure asks for a code, then 462: Банк отклонил оплату",
        "approves",
    ]


def test_what_token_and_object_say_alike_is_said_once() -> None:
    html, _ = shown("form.html", **FORM)
    assert re.findall(r'<th scope="row">([^<]*)</th><td([^>]*)>([^<]*)</td>(?:<td>([^<]*)</td>)?', html) == [
        ("invoiceId", ' colspan="2"', "000000001", ""),
        ("postLink", "", "", "http://localhost/"),
        ("scope", "", "payment", ""),
    ]
    assert '<tr class="hinted" data-testid="sent-postLink">' in html
    assert html.count('class="hinted"') == 1


def test_any_reason_is_looked_for_in_a_list_that_is_loaded_when_it_is_needed() -> None:
    html, elements = shown("form.html", **FORM)
    box = elements.by_id("any-reason")
    assert (box["data-reasons"], box["data-expiry"], box["data-cvc"]) == ("/payform/reasons/eng.json", "12/30", "123")
    assert f'for="{box["id"]}"' in html
    for name in ("aria-describedby", "aria-controls"):
        assert f'id="{box[name]}"' in html


def test_3d_secure_can_be_chosen_and_goes_with_the_form() -> None:
    html, elements = shown("form.html", **FORM)
    choice = elements.by_id("three-ds")
    assert (choice["name"], choice["form"]) == ("three_ds", "pay")
    offered = re.findall('<option value="([^"]*)"', html.partition('id="three-ds"')[2].partition("</select>")[0])
    assert offered == ["", *(policy for policy in THREE_DS if policy != "card")]


def test_a_plan_can_be_chosen_and_goes_with_the_form() -> None:
    html, elements = shown("form.html", **FORM)
    choice = elements.by_id("plan")
    assert (choice["name"], choice["form"]) == ("plan", "pay")
    assert '<option value="never" title="The notice is lost." lang="en">never</option>' in html
    assert f'id="{choice["aria-describedby"]}"' in html


@pytest.mark.parametrize("panel", [PANEL, None])
def test_hints_are_there_for_the_console_with_or_without_tools(panel: dict[str, Any] | None) -> None:
    hints = [HINTS[0] | {"value": HOSTILE, "why": "так"}]
    html, elements = shown("form.html", **FORM | {"hints": hints, "hints_data": script_data(hints), "panel": panel})
    assert ("script", {"type": "application/json", "id": "hints"}) in elements.found
    (block,) = re.findall(r'<script type="application/json" id="hints">(.*?)</script>', html)
    assert json.loads(block) == hints
    assert not set("<>&'") & set(block)
    assert ('data-testid="hint"' in html) == (panel is not None)
    assert ("<code>postlink-local</code>" in html) == (panel is not None)


def test_time_left_is_a_clock_that_knows_where_to_go_when_it_is_over() -> None:
    html, elements = shown("form.html", **FORM)
    assert elements.by_id("time-left") == {
        "data-left": "1199",
        "data-over": "/payform/1?again=1",
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


def test_a_card_that_was_only_checked_has_cost_nothing() -> None:
    html, elements = shown("approved.html", **APPROVED | {"verified": True, "saved_card": True})
    assert "<h1>Card checked</h1>" in html
    assert "100" not in html
    elements.by_id("verified")
    elements.by_id("card-saved")
    plain = page("approved.html", language="eng", **APPROVED)
    assert not re.search(r'data-testid="(verified|card-saved)"', plain)


def test_an_outcome_says_how_it_ended_and_why() -> None:
    html, elements = shown("outcome.html", **OUTCOME)
    assert "<h1>Payment approved</h1>" in html
    assert 'data-testid="reason' not in html
    assert elements.by_id("page")["data-reason-code"] == "0"
    html, elements = shown("outcome.html", **OUTCOME | {"approved": False, "reason_code": 462, "reason": "No"})
    assert "<h1>Payment declined</h1>" in html
    assert '<p class="lead" data-testid="reason">No</p>' in html
    assert '<dd data-testid="reason-code">462</dd>' in html
    assert elements.by_id("page")["data-reason-code"] == "462"
    assert [attrs["href"] for tag, attrs in elements.found if tag in {"a", "form"}] == list(LINKS.values())


# The issuer.


def test_the_issuer_asks_for_the_code_and_enter_confirms() -> None:
    html, elements = shown("issuer.html", **ISSUER)
    field = elements.by_id("code")
    assert (field["name"], field["inputmode"], field["autocomplete"], field["maxlength"]) == (
        "code",
        "numeric",
        "one-time-code",
        "6",
    )
    assert "autofocus" in field
    assert (elements.by_id("form")["method"], elements.by_id("form")["action"]) == ("post", "/acs/1")
    buttons = [attrs for tag, attrs in elements.found if tag == "button" and attrs["type"] == "submit"]
    assert [attrs["value"] for attrs in buttons] == ["fail", "confirm", "cancel"]
    sandbox, bank = re.findall("<form.*?</form>", html, re.DOTALL)  # Enter in the field must never press "fail"
    assert 'value="fail"' in sandbox
    assert 'value="fail"' not in bank
    assert "formnovalidate" in elements.by_id("cancel")
    for name, text in {
        "shop": "Дүкен «Алма»",
        "amount": "100 ₸",
        "card-mask": "4000...3220",
        "tries-left": "3 attempts left",
        "issuer": "Sandbox bank",
        "problem-code": "",
        "sandbox-code": "123456",
    }.items():
        assert re.search(f'data-testid="{name}">{re.escape(text)}<', html), name
    assert elements.by_id("fill-code")["data-fill"] == "123456"
    assert "hidden" in elements.by_id("fill-code")
    assert elements.by_id("page")["data-reason-code"] == ""


def test_the_issuer_says_that_a_code_was_wrong() -> None:
    html, elements = shown("issuer.html", **ISSUER | {"wrong": True, "tries_left": 1})
    assert elements.by_id("code")["aria-invalid"] == "true"
    assert words("eng")["issuer"]["wrong"] in html
    assert ">1 attempt left<" in html
    assert "aria-invalid" not in page("issuer.html", language="eng", **ISSUER)


def test_the_issuer_keeps_the_code_to_itself_when_the_tools_are_off() -> None:
    html = page("issuer.html", language="eng", **ISSUER | {"code": None, "issuer": "", "leave_url": None})
    assert not re.search(r'123456|data-testid="(sandbox-code|fill-code|back-to-shop)"', html)
    assert words("eng")["issuer"]["unnamed"] in html


def test_the_issuer_sends_the_browser_back_with_its_answer() -> None:
    _, elements = shown("issuer_return.html", **ISSUER_RETURN)
    assert elements.by_id("form") == {
        "method": "post",
        "action": "https://shop.example/3ds?a=1&b='#z",
        "data-send": None,
        "data-testid": "form",
    }
    hidden = {attrs["name"]: attrs["value"] for _, attrs in elements.found if attrs.get("type") == "hidden"}
    assert hidden == {"MD": "m-1", "PaRes": "eJxVUt9v"}
    assert elements.by_id("continue")["type"] == "submit"


def test_the_issuers_script_asks_only_for_problems_that_have_words() -> None:
    asked = set(re.findall(r'"(code-[a-z-]+)"', ISSUER_SCRIPT))
    assert asked == {"code-missing", "code-short"}
    assert asked <= {attr.removeprefix("data-") for attr in shown("issuer.html", **ISSUER)[1].by_id("form")}


@pytest.mark.parametrize("name", ["form", "declined", "closed", "refused, no facts", "issuer"])
def test_in_the_widget_the_way_back_is_a_message(name: str) -> None:
    template, context = PAGES[name]
    html, elements = shown(template, **context | {"short": True})
    assert elements.by_id("back-to-shop")["data-tell"] == "failure"
    assert "shop.example" not in html


def test_a_declined_page_offers_another_attempt_and_says_when_the_card_was_not_a_test_card() -> None:
    html, elements = shown("declined.html", **DECLINED | {"not_a_test_card": True})
    assert elements.by_id("try-again")["href"] == "/payform/1?again=1"
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
