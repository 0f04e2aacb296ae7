"""What a guardrail is made of: a detector here, a service elsewhere, or a rule about the request as a whole.

- A `Detector` is pure, local and quick. One of `spans` finds places in a text, which can be replaced; the others judge a text
  as a whole.
- A `Service` asks somebody and takes time. It may fail.
- A `Rule` looks at the request itself: its size, its tools.

`Guard` is one named guardrail, ready to run; `build.py` makes it from the catalogue's.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from gateway.domain.call import Call, Operation
from gateway.domain.guardrails import Action, Direction, Guardrail
from gateway.domain.verdicts import Finding, Passage, Reading, Role


class Detector(Protocol):
    """Finds something in a text, at once. Holds no state of a call."""

    spans: bool

    def read(self, text: str, role: Role = Role.USER) -> Reading:
        """Return what stands in a text; findings ordered, not overlapping. Time is linear in its length."""

    def open_from(self, text: str) -> int:
        """Return from which character on more text could still complete or change a finding; `len(text)` where nothing is open.

        Only asked of `spans`. What stands before it may be released: whatever follows, no finding will begin there. What was
        released may be given again as context before new text.
        """

    def replacement(self, finding: Finding, original: str) -> str:
        """Return what takes the place of a redacted finding. Reading it again finds nothing."""


@runtime_checkable
class Scanner(Detector, Protocol):
    """A detector that reads a stream for less than `open_from` and `read` together."""

    def scan(self, text: str, start: int) -> tuple[Reading, int]:
        """Return what `read` and `open_from` would, in one go.

        Args:
            text: What was released, as context, and what is held.
            start: Where the context ends. Findings in it need not be given; a place in it says that nothing can be released,
                and then none need be given at all.
        """


class Service(Protocol):
    """Asks somebody else."""

    async def inspect(self, passages: Sequence[Passage], sources: Sequence[Passage] = (), *, tenant: str) -> list[Reading]:
        """Return a reading for each passage, in their order.

        Args:
            passages: What is judged.
            sources: Of an answer: its request's passages, which it should be founded on.
            tenant: Whose call it is: what is remembered of one tenant's texts is no other's.

        Raises:
            GuardrailUnavailable: There was no verdict in time.
        """


type Rule = Callable[[Call], Reading]
# The operation, the answer's document as it was parsed, and how many characters its texts have.
type AnswerRule = Callable[[Operation, Any, int], Reading]

EVERYBODY = frozenset(Role)


class Guard(msgspec.Struct, frozen=True):
    """One named guardrail, ready to run.

    Attributes:
        config: As the catalogue has it.
        directions: In which it looks.
        action: What it does about a finding.
        roles: Whose words it reads.
        detector: Runs first.
        service: Runs once no detector of the call has blocked it.
        rule: Looks at requests as a whole.
        answer_rule: Looks at answers as a whole.
    """

    config: Guardrail
    directions: frozenset[Direction]
    action: Action
    roles: frozenset[Role] = EVERYBODY
    detector: Detector | None = None
    service: Service | None = None
    rule: Rule | None = None
    answer_rule: AnswerRule | None = None
