"""Every level's counters are proved by the records that the street itself wrote, while calls are under way and after."""

from gateway.domain.catalog import Catalog
from gateway.domain.limits import Budget, Limits, TokenQuota
from gateway.limits.proof import Prover
from tests.builders import make_product
from tests.flow.street import CHAT, PRODUCTS, STREAM, Street, completion, failure, models, read, streamed

COUNTED = Limits(tokens=(TokenQuota("month", 100_000),), budget_usd=(Budget("day", 1.0),))
USERS = ("anna", " ben ", "чарли/#?", "d" * 300)


async def test_the_ledger_proves_the_counters_of_all_levels_to_the_token() -> None:
    product = make_product(id="limited", limits=COUNTED, shared_limits=COUNTED, user_limits=COUNTED)
    street = Street(Catalog(models(), (*PRODUCTS.values(), product), limits=COUNTED))
    street.upstream.will(*[reply for _ in USERS for reply in (completion(), failure(400), streamed(), completion(usage=None))])
    for user in USERS:
        headers = {"x-gateway-user": user}
        await street.call(product="limited", headers=headers)
        await street.refused(product="limited", headers=headers)
        stream = await street.call(STREAM, product="limited", headers=headers)
        await read(stream)
        await street.call(CHAT | {"max_tokens": 9}, product="limited", headers=headers)
    await street.recorder.flush()
    prover = Prover(street.tables, street.clock)
    scopes, _ = await prover.scopes(None, 100, "")
    assert sorted(scope.split("|")[0] for scope in scopes) == ["gateway", "product", "subscription"] + ["user"] * len(USERS)
    for closed in (False, True):
        for scope in scopes:
            proofs = await prover.verify(scope)
            assert len(proofs) == 2
            assert all(proof.ledger > 0 and proof.drift == 0 for proof in proofs), (scope, proofs)
            assert not closed or all((proof.under_way, proof.out) == (0, 0) for proof in proofs)
        await street.limiter.close()
