"""The Blobs port in memory, with faults at a test's word."""

from gateway.domain.tables import EntityExists, check_blob_name, check_container_name
from gateway.errors import NotFound, StoreUnavailable


class FakeBlobs:
    """See `ports.Blobs`. `down` makes everything fail."""

    def __init__(self) -> None:
        self.data: dict[tuple[str, str], bytes] = {}
        self.down = False
        self.listed = 0

    def names(self) -> list[str]:
        return sorted(name for _, name in self.data)

    async def put(
        self, container: str, name: str, data: bytes, *, content_type: str = "application/octet-stream", overwrite: bool = True
    ) -> str:
        del content_type
        self._arrive(container)
        check_blob_name(name)
        if not overwrite and (container, name) in self.data:
            raise EntityExists("it is there")
        self.data[container, name] = data
        return '"1"'

    async def get(self, container: str, name: str) -> bytes:
        self._arrive(container)
        if (container, name) not in self.data:
            raise NotFound("it is not there")
        return self.data[container, name]

    async def delete(self, container: str, name: str) -> bool:
        self._arrive(container)
        return self.data.pop((container, name), None) is not None

    async def list(self, container: str, prefix: str = "", *, limit: int = 1000, after: str | None = None) -> list[str]:
        self._arrive(container)
        self.listed += 1
        names = sorted(name for where, name in self.data if where == container and name.startswith(prefix))
        return [name for name in names if after is None or name > after][:limit]

    async def close(self) -> None:
        pass

    def _arrive(self, container: str) -> None:
        check_container_name(container)
        if self.down:
            raise StoreUnavailable("the blob store did not answer")
