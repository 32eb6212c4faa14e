import json

import pytest

from mock_epay import resources


@pytest.mark.parametrize(
    ("name", "rows"), [("cards", "card"), ("merchants", "merchant"), ("places", "place"), ("reasons", "0")]
)
def test_a_table_is_read_once(name: str, rows: str) -> None:
    assert resources.table(name)[rows]
    assert resources.table(name) is resources.table(name)


@pytest.mark.parametrize("name", ["no-such-table", "i18n"])
def test_a_table_that_is_not_there_is_not_made_up(name: str) -> None:
    with pytest.raises(FileNotFoundError):
        resources.table(name)


@pytest.mark.parametrize(("language", "word"), [("rus", "Магазин"), ("kaz", "Дүкен"), ("eng", "Shop")])
def test_words_are_those_of_the_language(language: str, word: str) -> None:
    assert resources.words(language)["order"]["shop"] == word
    assert resources.words(language) is resources.words(language)


def shape(words: object) -> object:
    """Return the keys of a table of words, and of theirs."""
    return {key: shape(value) for key, value in words.items()} if isinstance(words, dict) else None


def test_every_language_has_the_same_keys() -> None:
    assert shape(resources.words("rus")) == shape(resources.words("kaz")) == shape(resources.words("eng"))


def test_a_schema_s_name_is_its_file_s() -> None:
    names = resources.schema_names()

    assert {"token-request", "token-response", "payment-object", "postlink-success", "error"} <= names
    others = {"openapi.json", "samples"}
    assert {path.name for path in resources.SCHEMAS.iterdir()} == {f"{name}.json" for name in names} | others


def test_a_schema_is_the_text_of_its_file_read() -> None:
    for name in resources.schema_names():
        text = (resources.SCHEMAS / f"{name}.json").read_text("utf-8")
        assert resources.schema_text(name) == text
        assert resources.schema(name) == json.loads(text)
        assert resources.schema(name) is resources.schema(name)


@pytest.mark.parametrize(
    "name", ["", "no-such-schema", "../pyproject", "../mock_epay/data/cards", "error.json", "ERROR"]
)
def test_only_a_schema_s_own_name_opens_a_file(name: str) -> None:
    with pytest.raises(KeyError):
        resources.schema_text(name)


def test_the_folders_of_the_package_are_there() -> None:
    assert (resources.DATA / "cards.toml").is_file()
    assert (resources.STATIC / "payform" / "payment-api.js").is_file()
    assert (resources.TEMPLATES / "base.html").is_file()
