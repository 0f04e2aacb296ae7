"""Tables for the limiter: what it announces in a transaction is heard as soon as that is done.

What nobody hears, because the process died or the store's answer was lost, is found by the next sweep.
"""

from collections.abc import Callable, Sequence

from gateway.alerts.thresholds import ANNOUNCED, LIMITS
from gateway.domain.tables import Write
from gateway.ports import Tables


class OverheardTables:
    """See `ports.Tables`.

    Args:
        tables: Does all the work.
        announced: Called with the partition and the row of each announcement that was written.
    """

    def __init__(self, tables: Tables, announced: Callable[[str, str], None]) -> None:
        self._transact = tables.transact
        self._announced = announced
        self.get, self.query = tables.get, tables.query
        self.insert, self.upsert, self.replace, self.delete = tables.insert, tables.upsert, tables.replace, tables.delete
        self.close = tables.close

    async def transact(self, table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:
        """Do all writes or none, and hear what they announce."""
        etags = await self._transact(table, partition, writes)
        if table == LIMITS:
            for write in writes:
                if write.row.startswith(ANNOUNCED):
                    self._announced(partition, write.row)
        return etags
