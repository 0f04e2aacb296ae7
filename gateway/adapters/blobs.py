"""The Blobs port on Azure Blob Storage, through `azure-storage-blob`.

Rules:

- A container is made when the service says ContainerNotFound to a `put`, which is then sent once more.
- What may be repeated is tried again once. A `put` that must not overwrite is not: if its answer was lost it may have
  happened, and the retry would report its own blob as somebody else's.
- `list` reads names from the first with the prefix and skips those up to `after`, since the service can only go on from
  its own tokens: give it a narrow prefix. The order is the service's, which is code point order up to U+FFFF.

Importing this module loads the SDK: only the container does, and only where it is configured.
"""

import re
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobServiceClient, LinearRetry

from gateway.domain.tables import EntityExists, check_blob_name, check_container_name
from gateway.errors import NotFound, StoreUnavailable


def connect(location: str, credential: AsyncTokenCredential | None = None) -> "AzureBlobs":
    """Make the adapter for a connection string (also `UseDevelopmentStorage=true`) or for an endpoint's URL."""
    return AzureBlobs(location, credential)


class AzureBlobs:
    """Blobs in a storage account.

    Args:
        location: A connection string, or the URL of the account's blob endpoint.
        credential: Needed with a URL that holds no shared access signature; HTTPS only.
        timeout_s: How long an answer may take to begin or to go on.
        retry_after_s: How long to wait before the one retry.
    """

    def __init__(
        self, location: str, credential: AsyncTokenCredential | None = None, *, timeout_s: float = 20.0, retry_after_s: int = 1
    ) -> None:
        options: dict[str, Any] = {
            "retry_policy": LinearRetry(backoff=retry_after_s, retry_total=1, random_jitter_range=0),
            "connection_timeout": min(timeout_s, 3.0),
            "read_timeout": timeout_s,
        }
        if re.match("https?://", location, re.IGNORECASE):
            self._service = BlobServiceClient(location, credential=credential, **options)
        else:
            self._service = BlobServiceClient.from_connection_string(location, **options)

    async def put(
        self, container: str, name: str, data: bytes, *, content_type: str = "application/octet-stream", overwrite: bool = True
    ) -> str:
        """Write the whole blob, atomically, and return its ETag; EntityExists if it is there and `overwrite` is false."""
        check_container_name(container)
        check_blob_name(name)
        blob = self._service.get_blob_client(container, name)
        options: dict[str, Any] = {"overwrite": overwrite, "content_settings": ContentSettings(content_type=content_type)}
        if not overwrite:
            options["retry_total"] = 0
        try:
            try:
                answer = await blob.upload_blob(data, **options)
            except ResourceNotFoundError as exc:
                if _code(exc) != "ContainerNotFound":
                    raise
                await self._make(container)
                answer = await blob.upload_blob(data, **options)
        except ResourceExistsError as exc:
            if _code(exc) not in ("BlobAlreadyExists", "UnauthorizedBlobOverwrite"):  # such as a container that is being deleted
                raise _unavailable() from exc
            raise EntityExists(f"the blob {name!r} exists already") from exc
        except (AzureError, OSError, ValueError) as exc:
            raise _unavailable() from exc
        return str(answer["etag"])

    async def get(self, container: str, name: str) -> bytes:
        """Read the whole blob; NotFound where there is none."""
        check_container_name(container)
        check_blob_name(name)
        try:
            download = await self._service.get_blob_client(container, name).download_blob()
            return bytes(await download.readall())
        except ResourceNotFoundError as exc:
            raise NotFound(f"there is no blob {name!r}") from exc
        except (AzureError, OSError, ValueError) as exc:
            raise _unavailable() from exc

    async def delete(self, container: str, name: str) -> bool:
        """Delete the blob; False where there was none."""
        check_container_name(container)
        check_blob_name(name)
        try:
            await self._service.get_blob_client(container, name).delete_blob()
        except ResourceNotFoundError:
            return False
        except (AzureError, OSError, ValueError) as exc:
            raise _unavailable() from exc
        return True

    async def list(self, container: str, prefix: str = "", *, limit: int = 1000, after: str | None = None) -> list[str]:
        """Return up to `limit` names with the prefix, ordered by code point, after the name `after`."""
        check_container_name(container)
        names: list[str] = []
        try:
            async for name in self._service.get_container_client(container).list_blob_names(name_starts_with=prefix or None):
                if after is None or name > after:
                    names.append(name)
                if len(names) >= limit:
                    break
        except ResourceNotFoundError:  # no container: no blobs
            return []
        except (AzureError, OSError, ValueError) as exc:
            raise _unavailable() from exc
        return names

    async def close(self) -> None:
        """Let the connections go. Safe to call twice."""
        await self._service.close()

    async def _make(self, container: str) -> None:
        try:
            await self._service.create_container(container)
        except ResourceExistsError as exc:
            if _code(exc) != "ContainerAlreadyExists":  # it is being deleted
                raise


def _code(exc: HttpResponseError) -> str:
    code = getattr(exc, "error_code", None)
    return str(getattr(code, "value", code or ""))


def _unavailable() -> StoreUnavailable:
    return StoreUnavailable("the blob store did not answer; try again")
