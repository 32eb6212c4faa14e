"""What the TypeScript compiler makes of the declarations that go with payment-api.js."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from mock_epay import resources

JS: Final = Path(__file__).parent / "js"
DECLARATIONS: Final = Path(__file__).parents[1] / "mock_epay" / "static" / "payform" / "payment-api.d.ts"
FOUND: Final = re.compile(r"(?P<file>[\w-]+)\.ts\((?P<line>\d+),(?P<column>\d+)\): error TS\d+: (?P<text>.*)")

ORDER: Final = """
export const auth = {
  access_token: "DCEB8O_ZM5U7SO_T_U5EJQ", expires_in: 7200, refresh_token: "", scope: "payment", token_type: "Bearer",
};
export const order = {
  invoiceId: "000000001", backLink: "https://shop.kz/paid", language: "rus", description: "Tea", amount: 100,
  terminal: "67e34d63-102f-4bd1-898e-370781d0074d", currency: "KZT", auth,
};
"""
IMPORT: Final = 'import { auth, order } from "./order";'

# The slip, a program with it, and what the complaint names or points at.
SLIPS: Final = {
    "no-back-link": ("const { backLink, ...rest } = order; halyk.pay(rest);", "'backLink' is missing"),
    "no-invoice": ("const { invoiceId, ...rest } = order; halyk.showPaymentWidget(rest);", "'invoiceId' is missing"),
    "no-auth": ("const { auth: token, ...rest } = order; halyk.cardverification(rest);", "'auth' is missing"),
    "card-save-as-text": ('halyk.pay({ ...order, cardSave: "true" });', "cardSave"),
    "card-save-as-number": ("halyk.pay({ ...order, cardSave: 1 });", "cardSave"),
    "bare-token": ("halyk.pay({ ...order, auth: auth.access_token });", "auth"),
    "half-a-token": ('halyk.pay({ ...order, auth: { access_token: "A" } });', "expires_in, refresh_token"),
    "token-to-come": ("halyk.pay({ ...order, auth: Promise.resolve(auth) });", "auth"),
    "amount-as-text": ('halyk.pay({ ...order, amount: "100" });', "amount"),
    "invoice-as-number": ("halyk.pay({ ...order, invoiceId: 1 });", "invoiceId"),
    "link-that-may-not-be": ("halyk.pay({ ...order, backLink: order.backLink || undefined });", "backLink"),
    "callback-as-text": ('halyk.showPaymentWidget(order, "done");', "'(result: WidgetResult) => void'"),
    "callback-of-something-else": ("halyk.showPaymentWidget(order, (code: number) => code);", "'WidgetResult'"),
    "callback-to-pay": ("halyk.pay(order, () => {});", "Expected 1 argument"),
    "no-such-function": ("halyk.payment(order);", "'payment' does not exist"),
    "no-payment": ("window.halyk.pay();", "Expected 1 argument"),
}

# Compiles only if the declarations have just the fields of the schemas and just the functions of the script.
EXACT: Final = """
type Named<T> = { [K in keyof T as string extends K ? never : number extends K ? never : K]: T[K] };
type Shape<T> = { [K in keyof Named<T>]-?: {} extends Pick<T, K> ? "optional" : "required" };
type Offered<T extends string> = T extends T ? (string extends T ? never : T) : never;

export const payment: Shape<Halyk.PaymentObject> = %(payment)s;
export const token: Shape<Halyk.Token> = %(token)s;
export const functions: Record<keyof typeof halyk, "function"> = %(functions)s;
export const config: Halyk.Config = %(config)s;
export const languages: Record<Offered<Halyk.Language>, true> = { rus: true, kaz: true, eng: true };

type FromSchema = { %(types)s};
declare const fromSchema: FromSchema;
declare const fromDeclarations: Halyk.PaymentObject;
export const oneWay: Halyk.PaymentObject = fromSchema;
export const otherWay: FromSchema = fromDeclarations;
"""


@dataclass(frozen=True, slots=True)
class Complaint:
    program: str
    text: str
    place: str


def test_a_shop_that_does_all_as_it_should_compiles_with_a_reference() -> None:
    assert _tsc(JS, "shop.ts") == ""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> list[Complaint]:
    """Compile all programs at once, with the declarations among them: the compiler is slower to start than to work."""
    folder = tmp_path_factory.mktemp("shops")
    programs = {slip: f"{IMPORT} {program}" for slip, (program, _) in SLIPS.items()}
    programs |= {"right": f"{IMPORT} halyk.pay({{ ...order, auth }});", "order": ORDER, "exact": EXACT % _facts()}
    for name, program in programs.items():
        (folder / f"{name}.ts").write_text(program)
    said = _tsc(folder, str(DECLARATIONS), *(f"{name}.ts" for name in programs))

    # What is indented goes on about the complaint above it.
    found = [FOUND.fullmatch(one) for one in said.replace("\n ", " ").splitlines()]
    assert all(found), said
    return [
        Complaint(
            one["file"], one["text"], programs[one["file"]].splitlines()[int(one["line"]) - 1][int(one["column"]) - 1 :]
        )
        for one in found
        if one
    ]


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_told_with_the_name_of_what_is_wrong(complaints: list[Complaint], slip: str) -> None:
    (complaint,) = [one for one in complaints if one.program == slip]
    name = SLIPS[slip][1]

    assert name in complaint.text or complaint.place.startswith(name)


@pytest.mark.parametrize("program", ["right", "order"])
def test_a_program_without_a_slip_is_not_complained_of(complaints: list[Complaint], program: str) -> None:
    assert [one for one in complaints if one.program == program] == []


def test_the_declarations_are_those_of_the_schemas_and_of_the_script(complaints: list[Complaint]) -> None:
    assert [one for one in complaints if one.program == "exact"] == []


def _tsc(folder: Path, *files: str) -> str:
    compiler = [str(JS / "node_modules" / ".bin" / "tsc"), "--noEmit", "--strict", "--pretty", "false"]
    ran = subprocess.run([*compiler, *files], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert (ran.returncode == 0) is (ran.stdout == "")
    return ran.stdout


def _facts() -> dict[str, str]:
    """Return what schemas and script say, as TypeScript."""
    payment = resources.schema("payment-object")
    tokens = [resources.schema(name) for name in ("token-response", "token-response-observed")]
    token = "".join(f"{name}: {_type(*tokens, name=name)}; " for name in tokens[0]["properties"])
    types = {name: f"{{ {token}}}" if name == "auth" else _type(payment, name=name) for name in payment["properties"]}
    marks = {name: "" if name in payment["required"] else "?" for name in types}
    return {
        "payment": _shape(payment),
        "token": _shape(tokens[0]),
        "types": "".join(f"{name}{marks[name]}: {types[name]}; " for name in types),
        "functions": _script("Object.fromEntries(Object.keys(halyk).map((name) => [name, typeof halyk[name]]))"),
        "config": _script("halyk.Config()"),
    }


def _shape(schema: dict[str, Any]) -> str:
    return json.dumps({name: "required" if name in schema["required"] else "optional" for name in schema["properties"]})


def _type(*schemas: dict[str, Any], name: str) -> str:
    kinds: list[str] = []
    for schema in schemas:
        kind = schema["properties"][name]["type"]
        kinds += [kind] if isinstance(kind, str) else kind
    return " | ".join("number" if kind == "integer" else kind for kind in kinds)


def _script(code: str) -> str:
    """Return what the script answers a shop, as JSON."""
    case: dict[str, Any] = {
        "code": code,
        "current": "https://epay.test/payform/payment-api.js",
        "scripts": [],
        "data": None,
    }
    shop = ["node", str(JS / "shop.js")]
    answer = subprocess.run(shop, input=json.dumps(case) + "\n", capture_output=True, text=True, check=True).stdout
    return json.dumps(json.loads(answer)["result"])
