"""Whatever the gateway remembers is named here, with what keeps tenants apart in it: a new cache needs a line."""

import ast
from pathlib import Path

from tests.house.sources import ROOT, modules, read

MAKERS = ("OrderedDict", "defaultdict", "dict", "Cached", "lru_cache", "cache")
# Of one request, answer, report or connection, and gone with it.
SHORT_LIVED = (
    *("guardrails/chain.py", "guardrails/masking/placeholders.py", "guardrails/texts/reader.py"),
    *("guardrails/streams/chat.py", "guardrails/streams/dialect.py", "guardrails/streams/messages.py", "guardrails/streams/responses.py"),
    *("guardrails/streams/texts.py", "guardrails/streams/watch.py"),
    *("providers/anthropic_stream.py", "providers/bedrock_stream.py", "providers/bedrock_turns.py", "providers/chat_places.py"),
    *("providers/cohere_stream.py", "providers/gemini_stream.py", "providers/responses_dialect_stream.py", "domain/multipart.py"),
    *("metering/hours.py", "metering/sums.py", "metering/guard_report.py", "limits/reconcile.py", "adapters/http1.py"),
    "adapters/upstream_aiohttp.py:headers",
)
KEYS = "the key is a caller's credential, hashed or by its public id"
SCOPE = "the key is a scope, which names its tenant"
ALIKE = "a function of its arguments alone, the same for everybody"
BACKENDS = "shared: backends are"
OWN = "no tenant's: the gateway's own"
APART = {
    "access/authenticate.py:self._proved": KEYS,
    "cached.py:self._entries": "of the caches in `access/memory.py`",
    "cached.py:self._misses": "of the caches in `access/memory.py`",
    "cached.py:self._loading": "of the caches in `access/memory.py`",
    "cached.py:self._began_s": "of the caches in `access/memory.py`",
    "access/entra_tokens.py:self._verified": KEYS,
    "access/jwks.py:self._keys": "an issuer's, whose tenants are named in the settings",
    "access/memory.py:self.records": KEYS,
    "access/memory.py:self.identities": KEYS,
    "access/memory.py:self.products": "shared: what everybody may subscribe to",
    "access/network.py:_normal": ALIKE,
    "access/network.py:_passes": ALIKE,
    "access/network.py:_compiled": ALIKE,
    "adapters/entra.py:self._sources": OWN,
    "adapters/entra.py:self._credentials": OWN,
    "adapters/entra.py:self._asking": OWN,
    "adapters/keyvault.py:self._entries": BACKENDS,
    "adapters/queue.py:self._senders": OWN,
    "adapters/queue.py:self._turns": OWN,
    "adapters/sigv4.py:_key": ALIKE,
    "adapters/spool.py:self._held": OWN,
    "adapters/tables.py:self._clients": OWN,
    "adapters/upstream.py:_remembered": ALIKE,
    "adapters/upstream.py:self._pools": BACKENDS,
    "adapters/upstream_aiohttp.py:_url": ALIKE,
    "captures/capture.py:self._over": "the key names the tenant",
    "captures/sheet.py:self._facts": "of one call",
    "container.py:overrides": "shared: the operator's",
    "conversations/collecting.py:self._calls": "of one answer",
    "conversations/summary.py:self._kept": "the key names the tenant",
    "dispatch.py:self._targets": BACKENDS,
    "dispatch.py:self._budgets": BACKENDS,
    "domain/catalog.py:matches": ALIKE,
    "domain/catalog.py:self._discounts": "the key names the tenant",
    "domain/catalog.py:self._by_name": OWN,
    "domain/limits.py:_ceilings": ALIKE,
    "domain/patterns.py:compiled": ALIKE,
    "domain/tables.py:_names_property": ALIKE,
    "domain/verdict_text.py:_beginning": ALIKE,
    "conversations/turns.py:self._under_way": "the key names tenant and subscription",
    "experiments/feedback.py:self._rates": "the key names tenant and subscription",
    "experiments/memory.py:self._serving": "one entry for all tenants, by tenant within it",
    "experiments/observations_tally.py:self._sessions": "the key names tenant and subscription",
    "experiments/observations_tally.py:self._units": "the key names tenant and subscription",
    "experiments/observations_tally.py:self._votes": "one experiment's; the key is a digest of subscription, call, metric and voter",
    "experiments/observations.py:self._known": "the key names the experiment's tenant; units' keys theirs and the subscription",
    "guarding.py:self._built": "the key names the tenant, or nobody: the gateway's own",
    "guarding.py:self._chains": "the key names the tenant",
    "guardrails/injection/decoders.py:_signs": ALIKE,
    "guardrails/injection/model.py:bundled_model": ALIKE,
    "guardrails/injection/patterns.py:_signs": ALIKE,
    "guardrails/injection/patterns.py:bundled_rules": ALIKE,
    "guardrails/seen.py:self._older": "the key names the tenant",
    "guardrails/seen.py:self._younger": "the key names the tenant",
    "guardrails/services/remembered.py:self._verdicts": "the key names the tenant",
    "guardrails/masking/vault.py:self._kept": "the key names the tenant",
    "guardrails/rules/languages.py:_signs": ALIKE,
    "guardrails/pii/text.py:_fold": ALIKE,
    "guardrails/pii/text.py:scanner": ALIKE,
    "guardrails/pii/words.py:shaped": ALIKE,
    "guardrails/rules/terms_folding.py:fold_unit": ALIKE,
    "limits/book.py:self.purses": "of one scope",
    "limits/book.py:self._pending": "of one scope",
    "limits/limiter.py:self._books": SCOPE,
    "limits/limiter.py:self._plans": SCOPE,
    "limits/purse_kinds.py:self.fresh": "of one scope",
    "limits/purse_kinds.py:self.sent": "of one scope",
    "limits/purse_kinds.py:self.refunds": "of one scope",
    "limits/scopes.py:_known": "the key names the tenant",
    "lookups/lookups.py:self._entries": "the key names the tenant",
    "lookups/lookups.py:self._flights": "the key names the tenant",
    "metering/images.py:rule_of": ALIKE,
    "metering/price_table.py:bundled_prices": OWN,
    "metering/query.py:read_tags": ALIKE,
    "metering/tokens.py:encoding_of": ALIKE,
    "metering/tokens.py:self._encodings": OWN,
    "metering/tokens.py:self._remembered": ALIKE,
    "metering/tools.py:_remembered": ALIKE,
    "prompts/openapi_schema.py:self._exact": "of one document, and gone with it",
    "prompts/openapi_schema.py:self._names": "of one document, and gone with it",
    "prompts/openapi_schema.py:self.components": "of one document, and gone with it",
    "captures/recorded.py:self.callers": "of one replay, by request; gone with it",
    "captures/recorded.py:self.records": "of one replay, by request; gone with it",
    "replaying.py:self.prompted": "of one replay, by request; gone with it",
    "prompts/memory.py:self._heads": "the key names the tenant",
    "prompts/memory.py:self._visible": "the key is the tenant",
    "prompts/memory.py:self._versions": "the key names the tenant",
    "prompts/memory.py:self._reading": "the key names the tenant",
    "prompts/render.py:_kept": "the key names the tenant",
    "prompts/sandboxed.py:_environment": ALIKE,
    "prompts/strict.py:compiled": ALIKE,
    "providers/azure_openai.py:_dated_url": ALIKE,
    "providers/registry.py:_provider_for": ALIKE,
    "replaying.py:self._products": "of one replay, which is of one tenant",
    "routes/rights.py:_pattern": ALIKE,
    "routing/caps.py:self._own": BACKENDS,
    "routing/caps.py:self._others": BACKENDS,
    "routing/gate.py:self._gates": BACKENDS,
    "routing/health.py:self._standings": BACKENDS,
    "routing/health.py:self._groups": BACKENDS,
    "routing/health.py:self._news": BACKENDS,
    "routing/plan.py:self._eligible": BACKENDS,
    "routing/rules.py:_zone": ALIKE,
    "routing/sharing.py:self._unwritten": BACKENDS,
    "routing/sharing.py:self._own": BACKENDS,
    "routing/sharing.py:self._heard": BACKENDS,
    "routing/standing.py:self.headers": BACKENDS,
    "routing/strategies.py:_name_hash": ALIKE,
    "settlement.py:self._fetched": "the key is a stored response's, which its id opens to its tenant alone",
    "alerts/housekeeping.py:self._at_start": OWN,
}


def caches(path: Path) -> set[str]:
    """Return the names of what a module fills while it runs: empty mappings that outlive a function, and remembered functions."""
    tree, module = ast.parse(read(path.relative_to(ROOT).as_posix())), path.relative_to(ROOT / "gateway").as_posix()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= {node.name for each in node.decorator_list if _maker(each) in ("lru_cache", "cache")}
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
            lasts = target.startswith("self.") or node in tree.body or _maker(node.value) in ("Cached", "lru_cache")
            empty = isinstance(node.value, ast.Dict) and not node.value.keys
            if lasts and not target.isupper() and (empty or _maker(node.value) in MAKERS):
                found.add(target)
    return {name for each in found if not (name := f"{module}:{each}").startswith(SHORT_LIVED)}


def _maker(value: ast.expr) -> str:
    while isinstance(value, ast.Call):
        value = value.func
    return ast.unparse(value).rpartition(".")[2].partition("[")[0]


def test_every_cache_is_named_with_what_keeps_tenants_apart() -> None:
    found = set().union(*(caches(path) for path in modules("gateway")))
    assert found - APART.keys() == set()
    assert APART.keys() - found == set()
