"""Votes as rows of the table `feedback`.

    partition <yyyy-mm-ddThh>|<tenant>      the hour in which it was sent
    row <digest>                            of subscription, what is voted on, metric and who votes: the same vote, sent again, is this row

A vote on a request is joined with the request's usage record: `experiment`, `variant`, `user`, `session`, `called_at` are that record's.
One whose record is not written yet waits, without `called_at`, for `LATE` at most. Sent again in a later hour it is a second row of the
same name: who reads takes the later one.
"""

import datetime
import hashlib
from collections.abc import Mapping

import msgspec

from gateway.domain.tables import Value

FEEDBACK_TABLE = "feedback"
LATE = datetime.timedelta(minutes=20)  # the longest call, and until its record is written


class Vote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody thinks of a call, or of a session.

    Attributes:
        request_id: Of the call; empty where the session is meant.
        session_id: The session; empty where one call is meant.
        metric: Without the prefix `feedback.`.
        value: True is 1, false is 0.
        by: The user who votes; empty where nobody is named.
        at: When it came.
        called_at: When the call ended; None as long as its record is not known.
        user: The call's; so are session, experiment and variant.
    """

    tenant: str
    subscription: str
    request_id: str = ""
    session_id: str = ""
    metric: str
    value: float
    by: str = ""
    comment: str = ""
    at: datetime.datetime
    called_at: datetime.datetime | None = None
    user: str = ""
    session: str = ""
    experiment: str = ""
    variant: str = ""

    def __repr__(self) -> str:
        return f"Vote({self.tenant!r}, {self.subscription!r}, {self.request_id!r}, {self.metric!r}, …)"  # a comment is a client's text

    @property
    def key(self) -> str:
        """The row's: the same for the same vote."""
        parts = (self.subscription, self.request_id, self.session_id, self.metric, self.by)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def row(self) -> dict[str, Value]:
        """Return the row's properties; what is empty is left out."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value not in ("", None)}


def read_vote(values: Mapping[str, Value]) -> Vote:
    """Read a row."""
    return msgspec.convert(values, Vote)


def joined(vote: Vote, record: Mapping[str, Value]) -> Vote:
    """Return the vote with what the call's usage record says of it."""
    found = {name: str(record.get(name, "")) for name in ("user", "session", "experiment", "variant")}
    return msgspec.structs.replace(vote, called_at=msgspec.convert(record["at"], datetime.datetime), **found)
