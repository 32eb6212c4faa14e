"""Checks made of schemas that are quick to say yes: what they pass keeps the schema, what they do not pass may.

Nearly all that comes keeps its schema, and to find that out takes jsonschema twenty times as long. So a check need not
be right about what is wrong: a rule that it does not know, or a value of an odd type, it just does not pass.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from math import inf
from typing import Any, Final

Check = Callable[[Any], bool]
# Of a text: how long it is at least and at most, and what says whether it is such a one.
_Text = tuple[int, float, Callable[[str], object]]
_Keyword = tuple[frozenset[type], Callable[[Any, Mapping[str, Any]], Check]]

_OF_TEXTS: Final = {"pattern", "enum", "minLength", "maxLength"}
_SAYS_NOTHING: Final = {"$schema", "$id", "title", "description", "default", "writeOnly"}
_NOTHING: Final = object()
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float, Decimal),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def check_of(schema: Mapping[str, Any]) -> Check:
    """Return the check of a schema in which there is no `$ref`."""
    spoken = _spoken(schema)
    kinds = schema.get("type", [*_TYPES])
    types = frozenset(kind for name in ([kinds] if isinstance(kinds, str) else kinds) for kind in _TYPES[name])
    rules: list[Check] = [lambda value: type(value) in types]
    for word, rule in spoken.items():
        about, make = _KEYWORDS.get(word, _UNKNOWN)
        check = make(rule, schema)
        rules.append(check if types <= about else _for_some(about, check))
    return rules[0] if len(rules) == 1 else _all_of(rules)


def _text(schema: Mapping[str, Any]) -> _Text | None:
    """Return what a schema asks of a text, if it asks for one, and in a way that is soon checked; as most fields do."""
    kinds, spoken = schema.get("type"), _spoken(schema)
    if kinds != "string" or not spoken.keys() <= _OF_TEXTS or spoken.keys() >= {"pattern", "enum"}:
        return None
    fits: Callable[[str], object] = _always
    if "pattern" in spoken:
        fits = expression(spoken["pattern"]).search
    elif "enum" in spoken:
        fits = frozenset(spoken["enum"]).__contains__
    return spoken.get("minLength", 0), spoken.get("maxLength", inf), fits


def _spoken(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keywords of a schema that say what it asks for, but for the type; what is not known may be one."""
    return {
        word: rule
        for word, rule in schema.items()
        if word in _KEYWORDS or not (word == "type" or word in _SAYS_NOTHING or word.startswith("x-"))
    }


@cache
def expression(pattern: str) -> re.Pattern[str]:
    """Read a pattern as JSON Schema means it: its `$` is the very end, Python's may have a line break behind it."""
    return re.compile(rf"{pattern[:-1]}\Z" if pattern.endswith("$") else pattern)


def _for_some(types: frozenset[type], check: Check) -> Check:
    return lambda value: type(value) not in types or check(value)


def _all_of(rules: Sequence[Check]) -> Check:
    def keeps(value: Any) -> bool:
        for rule in rules:  # noqa: SIM110  (all() with a generator takes twice as long)
            if not rule(value):
                return False
        return True

    return keeps


def _properties(rule: Mapping[str, Any], _: Mapping[str, Any]) -> Check:
    texts = {name: text for name, part in rule.items() if (text := _text(part))}
    checks = {name: check_of(part) for name, part in rule.items() if name not in texts}

    def keeps(value: Any) -> bool:
        for name, one in value.items():
            if name in texts:  # written out, for a call takes as long as all else of it
                least, most, fits = texts[name]
                if not (type(one) is str and least <= len(one) <= most and fits(one)):
                    return False
            elif name in checks and not checks[name](one):
                return False
        return True

    return keeps


def _closed(rule: Any, schema: Mapping[str, Any]) -> Check:
    known = schema.get("properties", {}).keys()
    if rule is False:
        return lambda value: value.keys() <= known
    return _always if rule is True else _never


def _required(rule: Sequence[str], _: Mapping[str, Any]) -> Check:
    needed = frozenset(rule)
    return lambda value: needed <= value.keys()


def _dependent(rule: Mapping[str, Sequence[str]], _: Mapping[str, Any]) -> Check:
    return _all_of([_needs(name, frozenset(needed)) for name, needed in rule.items()])


def _needs(name: str, needed: frozenset[str]) -> Check:
    return lambda value: name not in value or needed <= value.keys()


def _if(rule: Mapping[str, Any], schema: Mapping[str, Any]) -> Check:
    """Know one form of a condition: that a field is one certain value, and maybe that it is there."""
    [name] = fields = [*rule.get("properties", {})][:1] or [""]
    value = rule.get("properties", {}).get(name, {}).get("const", _NOTHING)
    plain = {"properties": {name: {"const": value}}}
    if rule not in (plain, plain | {"required": fields}):
        return _never
    absent = _NOTHING if "required" in rule else value
    then = check_of(schema.get("then", {}))
    return lambda whole: whole.get(name, absent) != value or then(whole)


def _items(rule: Mapping[str, Any], _: Mapping[str, Any]) -> Check:
    check = check_of(rule)
    return lambda value: all(map(check, value))


def _one_of(rule: Sequence[Any]) -> Check:
    """Compare texts and such; in JSON true is not 1, in Python it is."""
    plain = [(type(one) is bool, one) for one in rule if isinstance(one, str | int | None)]
    return lambda value: (type(value) is bool, value) in plain


def _any_of(rule: Sequence[Mapping[str, Any]], _: Mapping[str, Any]) -> Check:
    checks = [check_of(part) for part in rule]
    return lambda value: any(check(value) for check in checks)


def _pattern(rule: str, _: Mapping[str, Any]) -> Check:
    search = expression(rule).search
    return lambda value: search(value) is not None


def _always(_: Any) -> bool:
    return True


def _never(_: Any) -> bool:
    return False


_TEXT, _NUMBER, _OBJECT, _LIST = (frozenset(_TYPES[name]) for name in ("string", "number", "object", "array"))
_ANY: Final = frozenset(kind for kinds in _TYPES.values() for kind in kinds)
_UNKNOWN: Final[_Keyword] = (_ANY, lambda _, __: _never)
# Each keyword: what it is about, for it means nothing to other values, and what makes its check of rule and schema.
_KEYWORDS: Final[dict[str, _Keyword]] = {
    "properties": (_OBJECT, _properties),
    "additionalProperties": (_OBJECT, _closed),
    "required": (_OBJECT, _required),
    "dependentRequired": (_OBJECT, _dependent),
    "minProperties": (_OBJECT, lambda least, _: lambda value: len(value) >= least),
    "if": (_OBJECT, _if),
    "then": (_ANY, lambda _, __: _always),  # comes with its `if`
    "items": (_LIST, _items),
    "minItems": (_LIST, lambda least, _: lambda value: len(value) >= least),
    "maxItems": (_LIST, lambda most, _: lambda value: len(value) <= most),
    "const": (_ANY, lambda rule, _: _one_of([rule])),
    "enum": (_ANY, lambda rule, _: _one_of(rule)),
    "anyOf": (_ANY, _any_of),
    "allOf": (_ANY, lambda rule, _: _all_of([check_of(part) for part in rule])),
    "pattern": (_TEXT, _pattern),
    "minLength": (_TEXT, lambda least, _: lambda value: len(value) >= least),
    "maxLength": (_TEXT, lambda most, _: lambda value: len(value) <= most),
    "x-maxBytes": (_TEXT, lambda most, _: lambda value: len(value.encode("utf-8", "surrogatepass")) <= most),
    "minimum": (_NUMBER, lambda least, _: lambda value: value >= least),
    "maximum": (_NUMBER, lambda most, _: lambda value: value <= most),
    "exclusiveMinimum": (_NUMBER, lambda bound, _: lambda value: value > bound),
    "exclusiveMaximum": (_NUMBER, lambda bound, _: lambda value: value < bound),
}
