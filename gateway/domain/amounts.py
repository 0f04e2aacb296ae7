"""What a call asks of its limits, and what it is charged in the end."""

import msgspec


class Amounts(msgspec.Struct, frozen=True, gc=False):
    """Requests, tokens and money of one call: reserved before it, settled after it.

    Attributes:
        requests: 1, or 0 for a call that was not answered and so counts against no calendar quota of calls.
        cost_micro_usd: 0 where no limit is on money.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micro_usd: int = 0

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


NOTHING = Amounts()
