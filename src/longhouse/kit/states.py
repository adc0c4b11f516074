"""State machines as tables: which state may follow which, written once next to the enum.

Rooms build one `Transitions` per enum and use it in two ways: a pure decision calls `check`, and
a store writes `UPDATE … WHERE state IN sources(target)`, so that a race has one winner. This
module moves nothing itself.
"""

from collections.abc import Hashable, Mapping, Set
from typing import Generic, TypeVar

from longhouse.kit.errors import Conflict, Json

S = TypeVar("S", bound=Hashable)


class IllegalTransition(Conflict):
    """There is no step between these two states."""

    code = "illegal-transition"

    def __init__(self, before: object, after: object, *, possible: tuple[object, ...]) -> None:
        names: list[Json] = [str(state) for state in possible]
        where_to = f"From there it can only become {', '.join(map(str, possible))}."
        super().__init__(
            f"What is {before} cannot become {after}.",
            hint=where_to if possible else "That state is final.",
            before=str(before),
            after=str(after),
            possible=names,
        )


class Transitions(Generic[S]):
    """The allowed steps of one kind of thing: `{state: {states that may follow}}`."""

    def __init__(self, table: Mapping[S, Set[S]]) -> None:
        unknown = {target for targets in table.values() for target in targets} - table.keys()
        if unknown:
            raise ValueError(f"states without a line of their own: {sorted(map(str, unknown))}")
        self._table: dict[S, frozenset[S]] = {
            state: frozenset(targets) for state, targets in table.items()
        }

    @property
    def terminal(self) -> frozenset[S]:
        """The states nothing follows."""
        return frozenset(state for state, targets in self._table.items() if not targets)

    def sources(self, target: S) -> tuple[S, ...]:
        """The states from which `target` can be reached in one step, in the table's order."""
        return tuple(state for state, targets in self._table.items() if target in targets)

    def targets(self, source: S) -> tuple[S, ...]:
        """The states that may follow `source`, in the table's order."""
        return tuple(state for state in self._table if state in self._table[source])

    def allows(self, before: S, after: S) -> bool:
        """Whether that step exists."""
        return after in self._table[before]

    def check(self, before: S, after: S) -> None:
        """Raise `IllegalTransition` unless that step exists."""
        if not self.allows(before, after):
            raise IllegalTransition(before, after, possible=self.targets(before))
