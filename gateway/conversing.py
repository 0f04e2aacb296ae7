"""Conversations that are longer than a model's window: what fits goes on as it is, and a product says what becomes of the rest."""

import msgspec

from gateway.domain.access import Product
from gateway.domain.output_limit import within
from gateway.domain.request import Request
from gateway.metering.draft import Draft
from gateway.settlement import Flight


class Conversing:
    """Makes calls fit their model's window."""

    async def fit(self, draft: Draft, request: Request, product: Product) -> Request:
        """Return the call as it fits."""
        model = request.model
        call, change = within(request.call, model)
        if not change:
            return request
        draft.changes.append(change)
        ceilings = {"max_output_tokens": model.max_output_tokens, "default_output_tokens": model.default_output_tokens}
        draft.changed("limits", call, ceilings)
        return msgspec.structs.replace(request, call=call)

    async def summarise(self, flight: Flight, request: Request, product: Product) -> Request:
        """Return the call with its old turns summarised, where they have to be."""
        return request
