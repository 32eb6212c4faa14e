"""What values are made of: frozen records, which cost a tenth of a dataclass to make, to change and to declare."""

from functools import cache
from typing import Annotated, dataclass_transform, get_args, get_type_hints

import msgspec
from msgspec import field
from msgspec.structs import fields, replace

__all__ = ["Record", "Secret", "field", "needed_fields", "replace"]

# The text of a field that is not shown when its record is.
Secret = Annotated[str, "secret"]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """A value: frozen, equal to what has the same fields, and no concern of the garbage collector's.

    It must not lead back to itself, then. `kw_only` has to be said of each kind.
    """

    def __repr__(self) -> str:
        """Show all but what is secret."""
        kind = type(self)
        shown = [f"{name}={getattr(self, name)!r}" for name in kind.__struct_fields__ if name not in _secrets(kind)]
        return f"{kind.__name__}({', '.join(shown)})"


def needed_fields(kind: type[Record]) -> frozenset[str]:
    """Return the fields that have no default."""
    return frozenset(one.name for one in fields(kind) if one.required)


@cache
def _secrets(kind: type[Record]) -> frozenset[str]:
    hints = get_type_hints(kind, include_extras=True)
    return frozenset(name for name, hint in hints.items() if Secret in (hint, *get_args(hint)))
