import re
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from mock_epay import fake, resources
from mock_epay.fake import Fake

# Any text without the character that separates the parts of a path; halves of surrogate pairs too.
parts = st.text(st.characters(exclude_categories=(), exclude_characters="\0"), max_size=8)
paths = st.lists(parts, min_size=1, max_size=4).map(tuple)
purposes = st.text("abcdefghijklmnopqrstuvwxyz-", max_size=8)

DRAWS: tuple[Callable[[Fake], object], ...] = (
    lambda fakes: fakes.number("a"),
    lambda fakes: fakes.uuid("a"),
    lambda fakes: fakes.token(),
    lambda fakes: fakes.digits("a", 20),
    lambda fakes: fakes.word("a"),
    lambda fakes: fakes.holder(),
    lambda fakes: fakes.place(),
)


@settings(deadline=None)
@given(paths, st.permutations(range(len(DRAWS))))
def test_a_path_decides_every_value_whatever_was_drawn_before(path: tuple[str, ...], order: list[int]) -> None:
    fakes = Fake(*path)
    one_after_another = {index: DRAWS[index](fakes) for index in order}

    assert one_after_another == {index: DRAWS[index](Fake(*path)) for index in range(len(DRAWS))}


@settings(deadline=None)
@given(paths, paths)
def test_draws_of_one_path_never_shift_those_of_another(path: tuple[str, ...], other: tuple[str, ...]) -> None:
    first = Fake(*path).holder()

    Fake(*other).holder()

    assert Fake(*path).holder() == first


@settings(deadline=None)
@given(st.lists(paths, min_size=2, max_size=5, unique=True))
def test_another_path_has_other_values(some: list[tuple[str, ...]]) -> None:
    for draw in (Fake.token, lambda one: one.uuid("a"), lambda one: one.digits("a", 30), lambda one: one.word("a")):
        assert len({draw(Fake(*path)) for path in some}) == len(some)


@settings(deadline=None)
@given(paths, st.lists(purposes, min_size=2, max_size=5, unique=True))
def test_another_purpose_has_another_value(path: tuple[str, ...], some: list[str]) -> None:
    assert len({Fake(*path).number(purpose) for purpose in some}) == len(some)


@settings(deadline=None)
@given(paths)
def test_a_token_is_22_capitals_digits_and_underscores(path: tuple[str, ...]) -> None:
    assert re.fullmatch("[A-Z0-9_]{22}", Fake(*path).token())


@settings(deadline=None)
@given(st.binary(min_size=22, max_size=22))
def test_whatever_is_drawn_is_spelt_as_a_token(drawn: bytes) -> None:
    assert re.fullmatch("[A-Z0-9_]{22}", fake.spell(drawn))


def test_every_letter_of_a_token_is_drawn_about_as_often() -> None:
    spelt = Counter(fake.spell(bytes(range(256))))
    assert len(spelt) == 37
    assert set(spelt.values()) == {6, 7}


def test_tokens_that_depend_on_nothing_look_alike_and_differ() -> None:
    drawn = {fake.chance_token() for _ in range(100)}

    assert len(drawn) == 100
    assert all(re.fullmatch("[A-Z0-9_]{22}", token) for token in drawn)


def test_fresh_seeds_differ() -> None:
    assert len({fake.fresh_seed() for _ in range(100)}) == 100


@settings(deadline=None)
@given(paths, purposes)
def test_a_uuid_is_of_version_4_in_lower_case(path: tuple[str, ...], purpose: str) -> None:
    text = Fake(*path).uuid(purpose)

    assert UUID(text).version == 4
    assert text == str(UUID(text))


@settings(deadline=None)
@given(paths, purposes, st.integers(1, 40))
def test_digits_are_as_many_as_asked_for_and_begin_with_no_zero(
    path: tuple[str, ...], purpose: str, length: int
) -> None:
    assert re.fullmatch(f"[1-9][0-9]{{{length - 1}}}", Fake(*path).digits(purpose, length))


@settings(deadline=None)
@given(paths, purposes)
def test_a_word_is_16_capitals_and_digits(path: tuple[str, ...], purpose: str) -> None:
    assert re.fullmatch("[A-Z2-7]{16}", Fake(*path).word(purpose))


@settings(deadline=None)
@given(paths)
def test_a_holder_has_the_two_names_of_a_card_in_capitals(path: tuple[str, ...]) -> None:
    assert re.fullmatch(r"[A-Z'-]+ [A-Z' -]+", Fake(*path).holder())


@settings(deadline=None)
@given(paths)
def test_a_place_is_a_city_of_the_table_with_an_address_of_its_networks(path: tuple[str, ...]) -> None:
    place = Fake(*path).place()

    row = next(row for row in resources.table("places")["place"] if row["city"] == place.city)
    assert (place.longitude, place.latitude, place.country) == (row["longitude"], row["latitude"], "Kazakhstan")
    assert place.ip.rsplit(".", 2)[0] in row["networks"]
    assert IPv4Address(place.ip).packed[3] not in {0, 255}


def test_every_city_and_network_of_the_table_occurs() -> None:
    drawn = [Fake(str(number)).place() for number in range(500)]

    rows = resources.table("places")["place"]
    assert {place.city for place in drawn} == {row["city"] for row in rows}
    assert {place.ip.rsplit(".", 2)[0] for place in drawn} == {network for row in rows for network in row["networks"]}
