"""What can serve a call: backends, deployments on them, and the models that pools of deployments stand behind.

Frozen data, resolved: a `Deployment` holds its `Backend`, a `Pool` its deployments. `domain/catalog_file.py` builds a
`Catalog` from the file. Prices are micro-USD per million tokens, so a cost is `tokens × price ÷ 1,000,000` micro-USD.
"""

import enum
import fnmatch
import functools
from collections.abc import Mapping

import msgspec

from gateway.domain.access import Product


class Protocol(enum.StrEnum):
    """The wire protocol a backend speaks; one provider each."""

    AZURE_OPENAI = "azure-openai"
    OPENAI = "openai"


class AuthType(enum.StrEnum):
    """How we prove ourselves to a backend."""

    API_KEY = "api-key"
    BEARER = "bearer"
    MANAGED_IDENTITY = "managed-identity"
    NONE = "none"


class Auth(msgspec.Struct, frozen=True):
    """A backend's credential.

    Attributes:
        type: The scheme.
        key: The secret of `api-key` and `bearer`; never logged, never shown.
        scope: The token scope of `managed-identity`.
        client_id: The user-assigned identity of `managed-identity`; the system-assigned one if absent.
    """

    type: AuthType
    key: str = ""
    scope: str = "https://cognitiveservices.azure.com/.default"
    client_id: str | None = None

    def __repr__(self) -> str:
        return f"Auth(type={self.type.value!r}, key={'***' if self.key else ''!r})"


class Backend(msgspec.Struct, frozen=True):
    """A resource that hosts deployments: its URL without a trailing slash, its protocol and our credential."""

    id: str
    protocol: Protocol
    endpoint: str
    auth: Auth
    region: str = ""
    data_zone: str = ""
    api_version: str = "2024-10-21"


class Price(msgspec.Struct, frozen=True):
    """Micro-USD per million tokens."""

    input: int
    output: int
    cached_input: int | None = None


class Deployment(msgspec.Struct, frozen=True):
    """A named model instance on a backend; `name` is what the resource calls it."""

    id: str
    backend: Backend
    name: str
    sku: str = "standard"
    quota_group: str = ""
    price: Price | None = None


class PoolMember(msgspec.Struct, frozen=True):
    """A deployment's place in a pool: lower priority numbers first, then by weight."""

    deployment: Deployment
    priority: int = 1
    weight: int = 1


class Model(msgspec.Struct, frozen=True):
    """A public name that clients ask for, and the pool behind it."""

    id: str
    pool: tuple[PoolMember, ...]
    aliases: tuple[str, ...] = ()
    max_attempts: int = 3
    capabilities: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    created: int = 0


class Catalog:
    """All of it, indexed. Immutable: a reload makes a new one.

    Args:
        models: In the order of the file.
        products: Those the file defines; the store may hold more.
    """

    def __init__(self, models: tuple[Model, ...], products: tuple[Product, ...]) -> None:
        self.models = models
        self.products: Mapping[str, Product] = {product.id: product for product in products}
        self._by_name: dict[str, Model] = {}
        for model in models:
            for name in (model.id, *model.aliases):
                self._by_name[name] = model

    def find(self, name: str) -> Model | None:
        """Return the model of that id or alias, in constant time."""
        return self._by_name.get(name)

    def visible(self, product: Product) -> list[Model]:
        """Return the models that the product allows, in the order of the file."""
        return [model for model in self.models if allows(product, model)]


def allows(product: Product, model: Model) -> bool:
    """Tell whether one of the product's globs matches the model's id."""
    return _matches(product.models, model.id)


@functools.lru_cache(maxsize=65536)
def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
