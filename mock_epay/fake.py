"""Values the bank invents: ids, tokens, references, names, places. With a seed they are the same in every run."""

import secrets
from base64 import b32encode
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from uuid import UUID

from mock_epay import resources
from mock_epay.model import Place

if TYPE_CHECKING:
    from faker import Faker

_TOKEN_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"  # noqa: S105
_TOKEN_LENGTH: Final = 22
# What each byte stands for; some letters come a seventh more often than others.
_TOKEN_LETTERS: Final = bytes(ord(_TOKEN_ALPHABET[byte % len(_TOKEN_ALPHABET)]) for byte in range(256))


def fresh_seed() -> str:
    """Return a seed that no other world has."""
    return secrets.token_hex(8)


class Fake:
    """Plausible values that depend on the path alone: seed, merchant, invoice, which attempt.

    The draws are a function of (path, purpose), so what one test asks for never shifts what another one gets.
    """

    __slots__ = ("_path",)

    def __init__(self, *path: str) -> None:
        self._path = "\0".join(path)

    def number(self, purpose: str) -> int:
        """Return 256 bits as a number."""
        return int.from_bytes(self._bytes(purpose, 32), "big")

    def uuid(self, purpose: str) -> str:
        """Return a UUID of version 4 in lower case."""
        return str(UUID(bytes=self._bytes(purpose, 16), version=4))

    def token(self) -> str:
        """Return an access token: 22 of `A-Z0-9_`, as the documented sample has them."""
        return spell(self._bytes("token", _TOKEN_LENGTH))

    def digits(self, purpose: str, length: int) -> str:
        """Return `length` digits of which the first is not 0."""
        low = 10 ** (length - 1)
        return str(low + self.number(purpose) % (9 * low))

    def word(self, purpose: str) -> str:
        """Return 16 letters and digits, upper case."""
        return b32encode(self._bytes(purpose, 10)).decode()

    def holder(self) -> str:
        """Return a cardholder's name as it is embossed on a card."""
        faker = _faker()
        faker.seed_instance(self.number("holder"))
        return f"{faker.first_name()} {faker.last_name()}".upper()

    def place(self) -> Place:
        """Return an address on the internet and where it is."""
        number = self.number("place")
        places = resources.table("places")["place"]
        chosen = places[number % len(places)]
        network = chosen["networks"][(number >> 8) % len(chosen["networks"])]
        return Place(
            ip=f"{network}.{(number >> 16) % 256}.{1 + (number >> 24) % 254}",
            country="Kazakhstan",
            city=chosen["city"],
            longitude=chosen["longitude"],
            latitude=chosen["latitude"],
        )

    def _bytes(self, purpose: str, size: int) -> bytes:
        return blake2b(f"{self._path}\0{purpose}".encode("utf-8", "surrogatepass"), digest_size=size).digest()


def chance_token() -> str:
    """Return an access token that depends on nothing: for tokens that belong to no invoice."""
    return spell(secrets.token_bytes(_TOKEN_LENGTH))


def spell(drawn: bytes) -> str:
    """Spell bytes in the alphabet of access tokens."""
    return drawn.translate(_TOKEN_LETTERS).decode()


@cache
def _faker() -> "Faker":
    from faker import Faker  # noqa: PLC0415  (a tenth of a second that most servers never need)

    return Faker("en_US", use_weighting=False)
