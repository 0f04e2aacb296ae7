"""What stands before the gateway: Front Door, Application Gateway or API Management, and how it proves itself.

Front Door puts its own id into `x-azure-fdid` of every request that it sends on; whoever else can reach the gateway does not
know it, as long as it is kept secret. API Management sets the same header in its policy, from a named value. Only with that
proof counts what the front says of a request:

| header | says |
| --- | --- |
| `ocp-apim-subscription-key` | a virtual key, where the client brought none in another header |
| `x-azure-socketip` | the address from which the client reached the front |
| the configured one | the client's country, which a rule of Front Door fills with `{geo_country}` |

`x-azure-clientip` is not believed: Front Door copies it from the client's own `x-forwarded-for`.

Source: Azure Front Door, "Protocol support for HTTP headers", "Rule set server variables" and "Secure traffic to origins"
(read 2026-11-22).
"""

import hmac
from collections.abc import Mapping

import msgspec

from gateway.access.network import check_address, normal
from gateway.domain.access import ANYWHERE, Network
from gateway.domain.call import Inbound
from gateway.errors import PermissionDenied

PROOF, ADDRESS = "x-azure-fdid", "x-azure-socketip"


class Front(msgspec.Struct, frozen=True):
    """What stands before us, and who passes at all.

    Attributes:
        door_id: What the front proves itself with; empty where nothing stands before us that is trusted.
        required: Whoever does not come through it is refused.
        network: Whose addresses may call, whatever they call.
        country_header: In small letters; empty where no country is looked at.
        countries_denied: Codes of two letters, capital ones.
    """

    door_id: str = ""
    required: bool = False
    network: Network = ANYWHERE
    country_header: str = ""
    countries_denied: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Front(required={self.required!r}, …)"  # whoever knows the id can pass for it

    def proves(self, headers: Mapping[str, str]) -> bool:
        """Tell whether the request came through the front; constant time."""
        if not self.door_id:
            return False
        return hmac.compare_digest(headers.get(PROOF, "").encode(), self.door_id.encode())

    def address(self, headers: Mapping[str, str], otherwise: str) -> str:
        """Return the caller's address: the front's word where it proves itself and says it, `otherwise` what the hops say."""
        if not self.proves(headers) or ADDRESS not in headers:
            return otherwise
        return normal(headers[ADDRESS].strip())

    def admit(self, inbound: Inbound) -> bool:
        """Let a request pass, before anybody knows whose it is.

        Returns:
            Whether it proved to come through the front.

        Raises:
            PermissionDenied: It does not come through the front, or from where nobody may call.
        """
        proved = self.proves(inbound.headers)
        if self.required and not proved:
            message = "this gateway is reached through its front door only; call the address that its operator has published"
            raise PermissionDenied(message, code="not_through_front_door")
        check_address(self.network, inbound.client_ip, "this gateway")
        if proved and self.country_header:
            country = inbound.headers.get(self.country_header, "").strip().upper()
            if country in self.countries_denied:
                message = f"calls from the country {country} are not taken; ask the gateway's operator"
                raise PermissionDenied(message, code="country_not_allowed")
        return proved


OPEN = Front()
