import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mock_epay.settings import LOAD, Row, SettingError, Settings, chosen, load_line, rows, unknown_variables

ROWS = list(rows())

SECONDS = "a number of seconds above 0"
WHOLE = "a whole number, 0 or more"
YES_OR_NO = "1 or 0"
NUMBERS = "numbers of seconds above 0, separated by commas, or none, default, stubborn"


def test_without_any_text_settings_are_the_defaults() -> None:
    assert Settings.from_texts({}) == Settings.from_environment({}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("host", "0.0.0.0", "0.0.0.0"),
        ("seed", " kept as it is ", " kept as it is "),
        ("dialect", "observed", "observed"),
        ("port", "0", 0),
        ("port", " 9000 ", 9000),
        ("token_ttl_s", "999999999", 999999999),
        ("panel", "1", True),
        ("panel", "true", True),
        ("panel", "YES", True),
        ("panel", " on ", True),
        ("panel", "0", False),
        ("panel", "False", False),
        ("panel", "no", False),
        ("panel", "off", False),
        ("postlink_timeout_s", "2.5", 2.5),
        ("postlink_timeout_s", "1e2", 100.0),
        ("postlink_retry_s", "", ()),
        ("postlink_retry_s", "5", (5.0,)),
        ("postlink_retry_s", " 1, 2.5 ,60,", (1.0, 2.5, 60.0)),
    ],
)
def test_a_text_is_read_as_the_type_of_its_setting(name: str, text: str, value: object) -> None:
    read = getattr(Settings.from_texts({name: text}), name)

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "takes"),
    [
        ("dialect", "", "documented or observed"),
        ("dialect", "Observed", "documented or observed"),
        ("host", "", "text that is not empty"),
        ("host", " ", "text that is not empty"),
        ("port", "", WHOLE),
        ("port", "eighty", WHOLE),
        ("port", "80.5", WHOLE),
        ("port", "-1", WHOLE),
        ("port", "1000000000", WHOLE),
        ("page_attempts", "nan", WHOLE),
        ("keep_transactions", "9", "a whole number, 10 or more"),
        ("keep_events", "few", "a whole number, 10 or more"),
        ("keep_bodies", "-1", WHOLE),
        ("log_every", "0", "a whole number, 1 or more"),
        ("postlink_timeout_s", "soon", SECONDS),
        ("postlink_timeout_s", "0", SECONDS),
        ("postlink_timeout_s", "-0.1", SECONDS),
        ("postlink_timeout_s", "nan", SECONDS),
        ("postlink_timeout_s", "inf", SECONDS),
        ("postlink_retry_s", "5;30", NUMBERS),
        ("postlink_retry_s", "5,soon", NUMBERS),
        ("postlink_retry_s", "5,-30", NUMBERS),
        ("postlink_retry_s", "5,0", NUMBERS),
        ("panel", "", YES_OR_NO),
        ("panel", "2", YES_OR_NO),
        ("self_check", "maybe", YES_OR_NO),
    ],
)
def test_a_bad_value_is_named_with_its_variable_its_flag_and_what_it_takes(name: str, text: str, takes: str) -> None:
    variable = f"MOCK_EPAY_{name.upper()}"
    flag = f"--{name.replace('_', '-')}"

    with pytest.raises(SettingError) as refused:
        Settings.from_environment({variable: text})

    assert str(refused.value) == f'{variable} ({flag}) is "{text}": it takes {takes}'


@settings(deadline=None)
@given(name=st.sampled_from([row.name for row in ROWS]), text=st.text(max_size=12))
def test_any_text_gives_a_value_of_the_default_s_type_or_a_setting_error(name: str, text: str) -> None:
    try:
        read = getattr(Settings.from_texts({name: text}), name)
    except SettingError:
        return
    assert type(read) is type(getattr(Settings(), name))


@settings(deadline=None)
@given(whole=st.integers(0, 10**9 - 1), pauses=st.lists(st.floats(0, 10**8, exclude_min=True), max_size=5).map(tuple))
def test_numbers_are_read_back_as_they_were_written(whole: int, pauses: tuple[float, ...]) -> None:
    texts = {"token_ttl_s": str(whole), "postlink_retry_s": ",".join(map(repr, pauses))}

    assert Settings.from_texts(texts) == Settings(token_ttl_s=whole, postlink_retry_s=pauses)


def test_flags_overrule_the_environment_where_they_are_given() -> None:
    environment = {"MOCK_EPAY_PORT": "1111", "MOCK_EPAY_SEED": "from the environment", "PORT": "3333"}

    read = Settings.from_environment(environment, port="2222", seed=None, host=None)

    assert read == Settings(port=2222, seed="from the environment")


def test_a_flag_saves_from_a_bad_value_in_the_environment() -> None:
    assert Settings.from_environment({"MOCK_EPAY_PORT": "eighty"}, port="80").port == 80


def test_an_empty_flag_is_given() -> None:
    assert Settings.from_environment({"MOCK_EPAY_SEED": "one"}, seed="").seed == ""


def test_each_setting_has_a_row_in_the_order_of_the_table() -> None:
    assert [row.name for row in ROWS] == list(Settings.__annotations__)
    assert [row.default for row in ROWS] == [getattr(Settings(), name) for name in Settings.__annotations__]
    assert all(row.explanation for row in ROWS)


def test_settings_are_a_value() -> None:
    one = Settings(port=1)
    with pytest.raises(AttributeError, match="frozen"):
        one.port = 2  # type: ignore[misc]
    assert one == pickle.loads(pickle.dumps(one)) == Settings(port=1)  # as workers get them
    assert one not in [Settings(), 1]
    assert {one, Settings(port=1), Settings()} == {one, Settings()}


def test_a_name_that_is_no_setting_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="no setting prot"):
        Settings(prot=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_shown_default_means_the_default(row: Row) -> None:
    assert Settings.from_environment({row.variable: row.shown}) == Settings()


@pytest.mark.parametrize(
    ("default", "shown"),
    [
        (True, "1"),
        (False, "0"),
        (7200, "7200"),
        (10.0, "10"),
        (0.5, "0.5"),
        ((5.0, 0.5, 600.0), "5,0.5,600"),
        ((), ""),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_default_is_shown_as_one_would_type_it(default: Any, shown: str) -> None:
    assert Row(default, "why").shown == shown


def test_a_row_knows_its_names() -> None:
    row = next(row for row in ROWS if row.name == "page_ttl_s")

    assert (row.variable, row.flag) == ("MOCK_EPAY_PAGE_TTL_S", "--page-ttl-s")


def test_unknown_variables_come_in_order_with_the_nearest_known_name() -> None:
    environment = {
        "MOCK_EPAY_TOKEN_TTL": "60",
        "MOCK_EPAY_PORT": "8080",
        "MOCK_EPAY_PAGE_TTLS": "60",
        "MOCK_EPAY_ZEBRA_CROSSING": "1",
        "EPAY_PORT": "1",
        "mock_epay_port": "1",
    }

    assert list(unknown_variables(environment)) == [
        ("MOCK_EPAY_PAGE_TTLS", "MOCK_EPAY_PAGE_TTL_S"),
        ("MOCK_EPAY_TOKEN_TTL", "MOCK_EPAY_TOKEN_TTL_S"),
        ("MOCK_EPAY_ZEBRA_CROSSING", None),
    ]


def test_no_variable_of_the_table_is_unknown() -> None:
    assert not list(unknown_variables({row.variable: row.shown for row in ROWS}))


def test_the_profile_for_load_tests_is_a_set_of_settings_that_others_overrule() -> None:
    assert Settings.from_texts({"load": "0"}) == Settings()
    loaded = Settings.from_environment({"MOCK_EPAY_LOAD": "1"}, keep_bodies="5")
    assert {name: text for name, text in chosen(loaded).items() if name != "load"} == {**LOAD, "keep_bodies": "5"}
    assert load_line(loaded).endswith("and 5 tries of postlinks are kept")
    assert load_line(Settings()) == ""


def test_chosen_settings_are_those_that_are_not_the_usual() -> None:
    made = Settings(port=9000, tls=True, postlink_timeout_s=2.5, postlink_retry_s=(1.0, 2.0), seed="s")

    assert chosen(Settings()) == {}
    assert chosen(made) == {
        "port": "9000",
        "tls": "1",
        "seed": "s",
        "postlink_timeout_s": "2.5",
        "postlink_retry_s": "1,2",
    }


def test_secrets_are_stars() -> None:
    made = Settings(control_token="a secret", rules="https://user:pa:ss@host/rules", plan="never")

    assert chosen(made) == {"plan": "never", "control_token": "***", "rules": "https://user:***@host/rules"}
    assert [row.name for row in ROWS if row.secret] == ["control_token"]
