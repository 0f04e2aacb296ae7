import pathlib

import pytest

from gateway.settings import NAMES, DoorSettings, EntraSettings, SafetySettings, SettingsError, load_settings

GOOD = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "GATEWAY_KEY_PEPPER": "0123456789abcdef"}


def faults_of(**over: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value for name, value in (GOOD | over).items() if value != "-"})
    return str(caught.value).splitlines()[1:]


def test_defaults() -> None:
    settings = load_settings(GOOD)
    assert (settings.catalog, settings.tables, settings.blobs) == (
        "catalog.yaml",
        "UseDevelopmentStorage=true",
        "UseDevelopmentStorage=true",
    )
    assert (settings.admin_key, settings.identity_client_id) == ("", None)
    assert (pathlib.Path(settings.spool).name, settings.spool_bytes) == ("gateway-spool", 256 * 1024 * 1024)
    assert (settings.max_body_bytes, settings.request_timeout_s, settings.stream_idle_timeout_s) == (20 * 1024 * 1024, 220, 120)


def test_what_is_set_holds() -> None:
    over = {
        "GATEWAY_CATALOG": "https://example.com/c.yaml",
        "GATEWAY_TABLES": "sqlite:///x.db",
        "GATEWAY_BLOBS": "file:///blobs",
        "GATEWAY_ADMIN_KEY": "a" * 16,
        "GATEWAY_MAX_BODY_MB": "0.5",
        "GATEWAY_REQUEST_TIMEOUT_S": "12.5",
        "GATEWAY_STREAM_IDLE_TIMEOUT_S": "225",
        "GATEWAY_SPOOL": "/var/spool/gateway",
        "GATEWAY_SPOOL_MB": "1.5",
        "AZURE_CLIENT_ID": "an-identity",
    }
    settings = load_settings(GOOD | over)
    assert (settings.tables, settings.blobs, settings.admin_key, settings.identity_client_id) == (
        "sqlite:///x.db", "file:///blobs", "a" * 16, "an-identity",
    )  # fmt: skip
    assert (settings.max_body_bytes, settings.request_timeout_s, settings.stream_idle_timeout_s) == (512 * 1024, 12.5, 225)
    assert (settings.spool, settings.spool_bytes) == ("/var/spool/gateway", 1536 * 1024)


def test_an_empty_setting_is_as_good_as_none() -> None:
    assert load_settings(GOOD | dict.fromkeys(set(NAMES) - {"GATEWAY_KEY_PEPPER"}, "")).catalog == "catalog.yaml"


def test_all_faults_are_told_at_once() -> None:
    faults = faults_of(
        AzureWebJobsStorage="-",
        GATEWAY_KEY_PEPPER="short",
        GATEWAY_ADMIN_KEY="brief",
        GATEWAY_MAX_BODY_MB="many",
        GATEWAY_REQUEST_TIMEOUT_S="0",
        GATEWAY_STREAM_IDLE_TIMEOUT_S="nan",
    )
    named = ["MAX_BODY_MB", "REQUEST_TIMEOUT_S", "STREAM_IDLE_TIMEOUT_S", "TABLES", "BLOBS", "KEY_PEPPER", "ADMIN_KEY"]
    assert len(faults) == len(named)
    assert all(any(f"GATEWAY_{name}" in fault for fault in faults) for name in named)


@pytest.mark.parametrize("value", ["-1", "inf", "1e9", "101", "1,5", "0x10", "100.1"])
def test_numbers_out_of_range_are_refused(value: str) -> None:
    (fault,) = faults_of(GATEWAY_MAX_BODY_MB=value)
    assert value in fault


def test_a_pepper_is_needed_and_an_administrator_is_not() -> None:
    (fault,) = faults_of(GATEWAY_KEY_PEPPER="-")
    assert "GATEWAY_KEY_PEPPER" in fault


def test_neither_repr_nor_faults_show_a_secret() -> None:
    secret = "5ecret-5ecret-5ecret"
    over = {"GATEWAY_KEY_PEPPER": secret, "GATEWAY_ADMIN_KEY": secret, "GATEWAY_TABLES": f"AccountKey={secret}", "OTHER": secret}
    shown = repr(load_settings(GOOD | over | {"GATEWAY_CATALOG": f"https://x.example/c.yaml?sig={secret}"}))
    assert secret not in shown
    assert "x.example" in shown
    assert all("5ecre" not in fault for fault in faults_of(GATEWAY_KEY_PEPPER="5ecret", GATEWAY_ADMIN_KEY="5ecret"))


def test_the_processs_own_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (GOOD | {"GATEWAY_CATALOG": "mine.yaml"}).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.catalog == "mine.yaml"
    assert settings.environment["GATEWAY_CATALOG"] == "mine.yaml"


@pytest.mark.parametrize(
    ("name", "location"), [("GATEWAY_TABLES", "sqlite:///"), ("GATEWAY_BLOBS", "file://x"), ("GATEWAY_BLOBS", "file:x")]
)
def test_a_store_without_a_place_is_a_fault_that_is_named(name: str, location: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings(GOOD | {name: location})


TID = "72f988bf-86f1-41af-91ab-2d7cd011db47"
FRONT = {"GATEWAY_TRUSTED_FRONT_DOOR_ID": "55ce4ed1-4b06-4bf1-b40e-4638452104da"}


def test_nobody_is_believed_and_nobody_kept_out_unless_it_is_set() -> None:
    settings = load_settings(GOOD)
    assert (settings.entra, settings.door) == (EntraSettings(), DoorSettings())


def test_lists_are_read_without_their_blanks() -> None:
    over = {
        "GATEWAY_ENTRA_TENANT_ID": f" {TID.upper()} ,11111111-2222-3333-4444-555555555555,",
        "GATEWAY_ENTRA_AUDIENCE": "api://gateway, gateway-client",
        "GATEWAY_ENTRA_JWKS_URL": "http://127.0.0.1:7072/{tid}/keys",
        "GATEWAY_REQUIRE_FRONT_DOOR": "True",
        "GATEWAY_TRUSTED_HOPS": "2",
        "GATEWAY_IP_ALLOW": "203.0.113.0/24 , 2001:db8::/32",
        "GATEWAY_IP_DENY": "203.0.113.7",
        "GATEWAY_COUNTRY_HEADER": "X-Country",
        "GATEWAY_COUNTRIES_DENIED": "kp,CU",
    } | FRONT
    settings = load_settings(GOOD | over)
    assert settings.entra.tenants == (TID, "11111111-2222-3333-4444-555555555555")
    assert settings.entra.audiences == ("api://gateway", "gateway-client")
    door = settings.door
    assert (door.front_required, door.trusted_hops, door.country_header, door.countries_denied) == (True, 2, "x-country", ("KP", "CU"))
    assert (door.allow, door.deny) == (("203.0.113.0/24", "2001:db8::/32"), ("203.0.113.7",))


@pytest.mark.parametrize(
    ("name", "value", "beside"),
    [
        ("GATEWAY_SERVICEBUS", "name.servicebus.windows.net", {}),
        ("GATEWAY_SERVICEBUS", "Endpoint=sb://a;SharedAccessKey=k", {"GATEWAY_SERVICEBUS__fullyQualifiedNamespace": "a.example"}),
        ("GATEWAY_SERVICEBUS__fullyQualifiedNamespace", "https://name.servicebus.windows.net/", {}),
        ("GATEWAY_ALERTS_QUEUE", "alerts", {}),
    ],
)
def test_queues_that_could_not_be_found_are_a_fault_that_is_named(name: str, value: str, beside: dict[str, str]) -> None:
    (fault,) = faults_of(**beside | {name: value})
    assert name in fault
    assert "SharedAccessKey" not in fault


def test_queues_are_where_a_connection_string_or_a_namespace_says() -> None:
    string = "Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=s"
    assert load_settings(GOOD).servicebus == ""
    assert load_settings(GOOD | {"GATEWAY_SERVICEBUS": string}).servicebus == string
    assert (
        load_settings(GOOD | {"GATEWAY_SERVICEBUS__fullyQualifiedNamespace": "a.servicebus.windows.net"}).servicebus
        == "a.servicebus.windows.net"
    )


@pytest.mark.parametrize(
    ("name", "value", "beside"),
    [
        ("GATEWAY_ENTRA_TENANT_ID", "common", {"GATEWAY_ENTRA_AUDIENCE": "x"}),
        ("GATEWAY_ENTRA_TENANT_ID", "contoso.onmicrosoft.com", {"GATEWAY_ENTRA_AUDIENCE": "x"}),
        ("GATEWAY_ENTRA_AUDIENCE", "", {"GATEWAY_ENTRA_TENANT_ID": TID}),
        ("GATEWAY_ENTRA_JWKS_URL", "http://keys.example/", {}),
        ("GATEWAY_ENTRA_JWKS_URL", "http://127.0.0.1.example/", {}),
        ("GATEWAY_ENTRA_JWKS_URL", "keys", {}),
        ("GATEWAY_TRUSTED_FRONT_DOOR_ID", "short", {}),
        ("GATEWAY_REQUIRE_FRONT_DOOR", "yes", {}),
        ("GATEWAY_REQUIRE_FRONT_DOOR", "true", {}),
        ("GATEWAY_TRUSTED_HOPS", "-1", {}),
        ("GATEWAY_TRUSTED_HOPS", "11", {}),
        ("GATEWAY_IP_ALLOW", "203.0.113.1/24", {}),
        ("GATEWAY_IP_DENY", "nobody", {}),
        ("GATEWAY_COUNTRY_HEADER", "x country", {}),
        ("GATEWAY_COUNTRIES_DENIED", "Cuba", FRONT | {"GATEWAY_COUNTRY_HEADER": "x-country"}),
        ("GATEWAY_COUNTRIES_DENIED", "CU", {"GATEWAY_COUNTRY_HEADER": "x-country"}),
        ("GATEWAY_COUNTRIES_DENIED", "CU", FRONT),
    ],
)
def test_what_would_let_in_whom_it_should_not_is_a_fault_that_is_named(name: str, value: str, beside: dict[str, str]) -> None:
    (fault,) = faults_of(**beside | {name: value})
    assert name in fault
    assert FRONT["GATEWAY_TRUSTED_FRONT_DOOR_ID"] not in fault


def test_who_is_told_of_alerts_is_read() -> None:
    given = {"GATEWAY_ALERTS_WEBHOOK": "https://hooks.contoso.com/x", "GATEWAY_ALERTS_WEBHOOK_SECRET": "s" * 16}
    told = load_settings({**GOOD, **given}).alerts
    assert (told.webhook, told.webhook_secret, told.queue) == ("https://hooks.contoso.com/x", "s" * 16, "")
    nobody = load_settings(GOOD).alerts
    assert (nobody.webhook, nobody.webhook_secret, nobody.queue) == ("", "", "")


@pytest.mark.parametrize(
    ("beside", "fault"),
    [
        ({"GATEWAY_ALERTS_WEBHOOK": "https://x.example/", "GATEWAY_ALERTS_WEBHOOK_SECRET": "tooshort"}, "at least 16 characters"),
        ({"GATEWAY_ALERTS_WEBHOOK_SECRET": "s" * 16}, "GATEWAY_ALERTS_WEBHOOK_SECRET needs GATEWAY_ALERTS_WEBHOOK"),
        ({"GATEWAY_ALERTS_QUEUE": "alerts"}, "GATEWAY_ALERTS_QUEUE needs GATEWAY_SERVICEBUS"),
    ],
)
def test_alerts_that_could_not_be_told_are_a_fault_that_is_named(beside: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        load_settings({**GOOD, **beside})


@pytest.mark.parametrize("suffix", ["vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net", "http://127.0.0.1:7072"])
def test_vaults_are_in_azures_cloud_unless_another_is_set(suffix: str) -> None:
    assert load_settings(GOOD).keyvault_suffix == "vault.azure.net"
    assert load_settings(GOOD | {"GATEWAY_KEYVAULT_SUFFIX": suffix}).keyvault_suffix == suffix


@pytest.mark.parametrize(
    "suffix",
    [
        "example.com", "vault", "vault.net", ".vault.azure.net", "https://vault.azure.net", "vault.azure.net/x", "vault.azure.net:1",
        "vault.azure.net\n", "http://example.com", "http://127.0.0.1.example.com", "http://127.0.0.1/x", "x@vault.azure.net",
    ],
)  # fmt: skip
def test_a_suffix_that_is_no_clouds_is_a_fault_that_is_named(suffix: str) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_KEYVAULT_SUFFIX"):
        load_settings(GOOD | {"GATEWAY_KEYVAULT_SUFFIX": suffix})


@pytest.mark.parametrize(
    ("endpoint", "read"),
    [
        ("https://name.cognitiveservices.azure.com/", "https://name.cognitiveservices.azure.com"),
        ("http://127.0.0.1:7072", "http://127.0.0.1:7072"),
        ("http://[::1]:7072", "http://[::1]:7072"),
        ("", ""),
    ],
)
def test_content_safety_is_where_its_resource_is(endpoint: str, read: str) -> None:
    assert load_settings(GOOD | {"GATEWAY_CONTENT_SAFETY_ENDPOINT": endpoint}).safety == SafetySettings(read, "")


@pytest.mark.parametrize(
    "endpoint",
    ["http://name.cognitiveservices.azure.com", "name.cognitiveservices.azure.com", "https://a.b/path", "https://u:p@a.b", "https://"],
)
def test_content_safety_is_asked_over_https_alone(endpoint: str) -> None:
    (fault,) = faults_of(GATEWAY_CONTENT_SAFETY_ENDPOINT=endpoint)
    assert fault.startswith("  - GATEWAY_CONTENT_SAFETY_ENDPOINT")
    assert "u:p" not in fault


def test_a_content_safety_key_is_for_somewhere_and_does_not_show() -> None:
    (fault,) = faults_of(GATEWAY_CONTENT_SAFETY_KEY="5ecret-5ecret")
    assert "GATEWAY_CONTENT_SAFETY_ENDPOINT" in fault
    both = {"GATEWAY_CONTENT_SAFETY_ENDPOINT": "https://a.b", "GATEWAY_CONTENT_SAFETY_KEY": "5ecret-5ecret"}
    assert load_settings(GOOD | both).safety.key == "5ecret-5ecret"
    assert "5ecret" not in repr(load_settings(GOOD | both).safety) + fault


def test_hosts_that_may_be_called_are_names_suffixes_and_addresses() -> None:
    hosts = "api.contoso.com, *.Blob.core.windows.net,10.0.0.4:8443,[::1]:80,,localhost:7072"
    assert load_settings(GOOD | {"GATEWAY_EGRESS_HOSTS": hosts}).egress == (
        "api.contoso.com", "*.blob.core.windows.net", "10.0.0.4:8443", "[::1]:80", "localhost:7072",
    )  # fmt: skip


@pytest.mark.parametrize(
    "host", ["*", "*.", "*.*.com", "https://a.b", "a.b/c", "a b", "a.b:", "a.b:123456", "u@a.b", "a..b", "10.0.0.0/8", "a*.b"]
)
def test_what_is_no_host_is_refused_by_name(host: str) -> None:
    (fault,) = faults_of(GATEWAY_EGRESS_HOSTS=host)
    assert fault.startswith(f"  - GATEWAY_EGRESS_HOSTS: {host!r}")
