"""The files that travel with the package: facts, words, schemas, pages."""

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
DATA = PACKAGE / "data"
STATIC = PACKAGE / "static"
TEMPLATES = PACKAGE / "templates"

# The wheel carries the schemas inside the package; a checkout has them at its top.
SCHEMAS = next(folder for folder in (PACKAGE / "schemas", PACKAGE.parent / "schemas") if folder.is_dir())
# Not a schema itself: it stands beside those that it refers to.
OPENAPI = SCHEMAS / "openapi.json"
# Notices as the bank sends them.
SAMPLES = SCHEMAS / "samples"


@cache
def table(name: str) -> dict[str, Any]:
    """Return a table of facts: `cards`, `merchants`, `places`, `reasons`."""
    return tomllib.loads((DATA / f"{name}.toml").read_text("utf-8"))


@cache
def words(language: str) -> dict[str, Any]:
    """Return the words of the pages in `rus`, `kaz` or `eng`."""
    return tomllib.loads((DATA / "i18n" / f"{language}.toml").read_text("utf-8"))


@cache
def schema_text(name: str) -> str:
    """Return the text of `schemas/<name>.json`; KeyError when there is none."""
    if name not in schema_names():
        raise KeyError(name)
    return (SCHEMAS / f"{name}.json").read_text("utf-8")


@cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema, read; not to be changed."""
    loaded: dict[str, Any] = json.loads(schema_text(name))
    return loaded


@cache
def schema_names() -> frozenset[str]:
    """Return the names of the schemas there are."""
    return frozenset(path.stem for path in SCHEMAS.glob("*.json") if path != OPENAPI)
