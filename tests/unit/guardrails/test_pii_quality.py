"""How much personal data is found, and how much else: on the data for development, and on texts of our own."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.guardrails.pii import checksums
from gateway.guardrails.pii.detector import CATEGORIES, SECRET_CATEGORIES, PiiDetector, placeholder_name

DATASETS = Path(__file__).parents[4] / "shared" / "datasets"
TYPES = {"CREDIT_CARD": "payment_card", "PHONE": "phone", "EMAIL": "email", "IP": "ip_address", "IBAN": "iban", "SSN": "us_ssn"}
RECALL, PRECISION, BENIGN = 0.97, 0.97, 0.02
PERSONAL, SECRETS = PiiDetector(), PiiDetector(secrets=True)


def rows(name: str) -> list[dict]:
    path = DATASETS / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the repository")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def found(text: str, detector: PiiDetector = PERSONAL) -> list[tuple[str, str]]:
    return [(each.category, text[each.start : each.end]) for each in detector.read(text).findings]


def test_finds_what_the_development_data_names_and_little_else() -> None:
    right: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    wrong = 0
    for row in rows("pii_cases_dev.jsonl"):
        spans = [(each["start"], each["end"], each["type"]) for each in row["spans"]]
        findings = PERSONAL.read(row["text"]).findings
        for start, end, kind in spans:
            if kind in TYPES:
                wanted[kind] += 1
                right[kind] += any((each.start, each.end, each.category) == (start, end, TYPES[kind]) for each in findings)
        named = {(start, end) for start, end, kind in spans if kind in TYPES or kind == "DATE_TIME"}
        wrong += sum((each.start, each.end) not in named for each in findings)
    assert {kind: right[kind] / wanted[kind] for kind in wanted if right[kind] < RECALL * wanted[kind]} == {}
    assert right.total() / (right.total() + wrong) >= PRECISION


@pytest.mark.parametrize("detector", [PERSONAL, SECRETS], ids=["personal", "secrets"])
def test_leaves_look_alikes_of_the_development_data_alone(detector: PiiDetector) -> None:
    texts = rows("pii_benign_dev.jsonl")
    assert sum(bool(detector.read(each["text"]).findings) for each in texts) <= BENIGN * len(texts)


def digits(draw: random.Random, count: int) -> str:
    return "".join(draw.choices("0123456789", k=count))


def card(draw: random.Random) -> str:
    prefix, length = draw.choice([("4", 16), ("51", 16), ("2221", 16), ("34", 15), ("37", 15), ("36", 14), ("6011", 16), ("3530", 16)])
    body = prefix + digits(draw, length - len(prefix) - 1)
    value = next(body + last for last in "0123456789" if checksums.luhn(body + last))
    cuts = {16: (4, 8, 12), 15: (4, 10), 14: (4, 10)}[length]
    separator = draw.choice(["", "", " ", "-", ".", "\u00a0", "\u2011", "\u2013"])
    parts = [value[start:end] for start, end in zip((0, *cuts), (*cuts, length), strict=True)]
    return separator.join(parts).translate(draw.choice([{}, {}, {0x30 + each: 0xFF10 + each for each in range(10)}]))


def iban(draw: random.Random) -> str:
    country = draw.choice(["DE", "GB", "FR", "NL", "ES", "CH", "NO", "BE", "PL", "SA", "MT"])
    letters = {"GB": "WEST", "NL": "ABNA", "MT": "MALT"}.get(country, "")
    body = letters + digits(draw, checksums.IBAN_LENGTHS[country] - 4 - len(letters))
    check = next(f"{each:02}" for each in range(2, 99) if checksums.iban(f"{country}{each:02}{body}"))
    value = country + check + body
    return draw.choice([value, value.lower(), " ".join(value[at : at + 4] for at in range(0, len(value), 4))])


def phone(draw: random.Random) -> str:
    area, line = draw.choice(["212", "415", "646"]), digits(draw, 4)
    return draw.choice(
        [f"+1 {area} 555 {line}", f"({area}) 555-{line}", f"{area}-555-{line}", f"+44 20 7946 {line}", f"+49 (0)30 23125 {line[:3]}",
         f"+91 98{digits(draw, 3)} {digits(draw, 5)}", f"+33 1 99 00 {line[:2]} {line[2:]}",
         f"{area}.555.{line} ext. 12", f"1-800-555-{line}"]
    )  # fmt: skip


def email(draw: random.Random) -> str:
    name = draw.choice(["ana.lee", "o'neil", "a-b_c+tag", "müller", "UPPER.Case", "user%dept", "x1"])
    return f"{name}{draw.randrange(99)}@{draw.choice(['example.org', 'mail.example.co.uk', 'bücher.example', 'xn--bcher-kva.example'])}"


def ssn(draw: random.Random) -> str:
    return f"{draw.randrange(1, 666):03}-{draw.randrange(1, 100):02}-{draw.randrange(1, 10000):04}"


def address(draw: random.Random) -> str:
    parts = [f"{draw.randrange(1, 65536):x}" for _ in range(8)]
    return draw.choice([f"{draw.randrange(30, 127)}.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}",
                        ":".join(parts), f"fe80::1{parts[0][:2]}:{parts[1]}", f"2001:db8::{parts[0]}"])  # fmt: skip


MAKERS = {"payment_card": card, "iban": iban, "phone": phone, "email": email, "us_ssn": ssn, "ip_address": address}
FRAMES = (
    "{}", "It is {}.", "please note {} and go on", "({}), [x]", '{{"value": "{}", "n": 1}}', "<v>{}</v>", "name\t{}\tend", "a,{},b\n",
    "2024-03-11T08:15:02Z INFO value={} attempts=3", "x = '{}'  # comment", "| a | {} | b |",
    "値は{}です。", "на месте {} вот", "line\n{}\nline",
)  # fmt: skip


@pytest.mark.parametrize("category", MAKERS)
def test_finds_made_values_in_any_surroundings(category: str) -> None:
    draw = random.Random(category)
    missed = []
    for number in range(700):
        value = MAKERS[category](draw)
        text = FRAMES[number % len(FRAMES)].format(value)
        if found(text) != [(category, value)]:
            missed.append((text, [each for each, _ in found(text)]))
    assert len(missed) <= 7, missed[:10]


NAMED = (
    ("national_id.gb", "NINO AB 12 34 56 C"), ("national_id.gb", "AB123456C"), ("national_id.gb", "NHS number 943 476 5919"),
    ("national_id.de", "Steuer-ID 86 095 742 719"), ("national_id.fr", "2 55 08 14 168 025 38"), ("national_id.fr", "255081416802538"),
    ("national_id.es", "DNI 12345678Z"), ("national_id.es", "NIE X-1234567-L"), ("national_id.it", "RSSMRA85T10A562S"),
    ("national_id.nl", "BSN 111222333"), ("national_id.be", "85.07.30-033.28"), ("national_id.pl", "44051401359"),
    ("national_id.se", "811228-9874"), ("national_id.dk", "CPR 070761-4285"), ("national_id.fi", "131052-308T"),
    ("national_id.no", "15108695088"), ("national_id.pt", "NIF 501442600"), ("national_id.ch", "756.9217.0769.85"),
    ("national_id.at", "SVNR 1237 010180"), ("national_id.ro", "CNP 1630615123457"), ("national_id.cz", "710319/2745"),
    ("national_id.br", "390.533.447-05"), ("national_id.in", "2341 2341 2346"), ("national_id.in", "PAN ABCPE1234F"),
    ("national_id.au", "TFN 123 456 782"), ("national_id.au", "medicare 2123 45670 1"), ("national_id.ca", "SIN 046 454 286"),
    ("national_id.mx", "BOXW310820HNERXN09"), ("national_id.za", "ID number 7503305044089"), ("national_id.sg", "S1234567D"),
    ("national_id.kr", "971013-9019902"), ("national_id.cn", "11010519491231002X"), ("national_id.jp", "My Number 1234 5678 9018"),
    ("national_id.cl", "RUT 12.531.909-2"), ("national_id.tw", "ID A123456789"), ("national_id.ie", "PPS 1234567T"),
    ("national_id.tr", "TC kimlik 10000000146"), ("passport", "passport no. C01X00T47"), ("passport", "Passport number: 123456789"),
    ("date_of_birth", "DOB: 1980-01-02"), ("date_of_birth", "born on 3 March 1980"), ("date_of_birth", "geboren am 03.04.1980"),
    ("crypto_wallet", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"), ("crypto_wallet", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
    ("crypto_wallet", "0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe"), ("us_ssn", "social security number: 219099999"),
    ("payment_card", "4111\u200b1111\u200b1111\u200b1111"), ("phone", "call 020 7946 0958 after six"), ("phone", "Tel: 030/901820"),
    ("national_id.cl", "RUT 12531909-2"), ("national_id.cz", "rodné číslo 401228/787"), ("national_id.kr", "주민등록번호 210101-3123456"),
    ("date_of_birth", "née le 3 février 1980"), ("date_of_birth", "nacido el 3 de septiembre de 1980"),
    ("date_of_birth", "geboren am 3. März 1980"), ("date_of_birth", "né le 1er août 1980"), ("date_of_birth", "nato il 9 ottobre 1980"),
    ("national_id.de", "Steueridentifikationsnummer: 86095742719"), ("iban", "AE67 0480 3454 0471 3074 464"),
    ("date_of_birth", "D.O.B: 17-Oct-1956"), ("date_of_birth", "Birthday: 1980-01-02"), ("phone", "080-8676-9931"),
    ("payment_card", "6759297048790"), ("crypto_wallet", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"),
    ("crypto_wallet", "LKDyYKsy8fHXjUyVZsVEF5XAVWbYQFQLkH"),
    ("ip_address", "::ffff:192.0.2.128"), ("ip_address", "host 8.8.8.8:53"),
)  # fmt: skip


@pytest.mark.parametrize(("category", "text"), NAMED, ids=[f"{number}-{category}" for number, (category, _) in enumerate(NAMED)])
def test_finds_numbers_by_their_checksums_and_the_words_beside(category: str, text: str) -> None:
    assert [each for each, _ in found(text)] == [category]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [(text, text.replace(last, other)) for text, last, other in (
        ("390.533.447-05", "-05", "-06"), ("756.9217.0769.85", ".85", ".86"), ("RSSMRA85T10A562S", "2S", "2T"), ("12345678Z", "Z", "A"),
        ("131052-308T", "T", "U"), ("11010519491231002X", "X", "1"), ("2341 2341 2346", "6", "7"), ("S1234567D", "D", "E"),
        ("DE89370400440532013000", "3000", "3001"), ("4111111111111111", "4111", "4112"), ("255081416802538", "38", "39"),
        ("44051401359", "359", "358"), ("710319/2745", "2745", "2746"), ("15108695088", "088", "089"), ("971013-9019902", "902", "903"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "fNa", "fNb"), ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "mdq", "mdp"),
    )],
)  # fmt: skip
def test_a_wrong_checksum_makes_it_no_finding(text: str, wrong: str) -> None:
    assert found(text)
    assert not found(wrong)


LOOK_ALIKES = (
    "ISBN 978-3-16-148410-0 and 0-306-40615-2", "tracking 1Z999AA10123456784", "version 10.4.22.1 of it", "Upgrade from 1.2.3.4 to 1.2.3.5",
    "127.0.0.1:8080 and 0.0.0.0", "10.0.0.0/8", "123e4567-e89b-12d3-a456-426614174000", "12345678-1234-1234-1234-123456789012",
    "2024-03-11T08:15:02.123456Z", "20240311081502", "1234567890", "1709999999999", "order 112-3456789-1234567",
    "Order number 415-555-2671",
    "lat 40.712776, lon -74.005974", "3.14159265358979323846", "0.1234567890123456", "$1,234,567.89", "2147483647 and 6700417",
    "00:1B:44:11:3A:B7", "std::vector<int> a::b ff::cc", "08:30-17:45", "@property\ndef f(): ...", "react@18.2.0 lodash@4.17.21",
    "git@github.com:org/repo.git", "image@2x.png", "scores 3-2, 21-15, 110-98", "call the function 1000000 times", "call me in 2024",
    "error 0x80070057 (2147942487)", "file_20240311_081502.log", "EAN 4006381333931", "FedEx 7712 3456 7890", "SKU 12345678A",
    "1 2 3 4 5 6 7 8 9 10 11 12", "Rows 1234 5678 9012 3456", "OID 1.3.6.1.4.1.311", "arxiv 2103.12345", "CVE-2021-44228",
    "SKU 607.474.3541X, bin 49-59-90", "std::array<int, 4> v{192, 168, 0, 1};", "100.000.000 and 1.234.567,89", "meeting id 812 3456 7890",
    "Compute 04446 * 1320 - (377.84 / 27)", "5f5077f28cc5b83ffb39473b4ea9f1765be122ea", "holiday 25.12.2024 and 26.12.2024",
    "le 3 février 1980, 3 de marzo de 2020",
    "Your order number is 2754797330.", "SKU XJ849374C", "P/N 640-685-0115R", "fingerprint d1:dd:e7:b1:aa:1f:f6:69",
    "<EMAIL_1> and <PHONE_12> and [EMAIL] and [NATIONAL_ID_DE]", "batch 4111-1111-1111-1112", "the year 1990-2020, call it a day",
)  # fmt: skip


@pytest.mark.parametrize("text", LOOK_ALIKES, ids=range(len(LOOK_ALIKES)))
def test_leaves_look_alikes_alone(text: str) -> None:
    assert found(text) == []


def made_keys() -> Iterator[tuple[str, str]]:
    draw = random.Random(7)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

    def lot(count: int) -> str:
        return "aB3dE6gH9jK2" + "".join(draw.choices(letters, k=count - 12))

    yield "api_key.openai", "sk-proj-" + lot(48)
    yield "api_key.anthropic", "sk-ant-api03-" + lot(60)
    yield "api_key.aws", "AKIA" + "Q7ZLX2MNB4VCKJ5D"
    yield "api_key.github", "ghp_" + lot(36)
    yield "api_key.google", "AIza" + lot(35)
    yield "api_key.slack", "xoxb-123456789012-" + lot(24)
    yield "api_key.stripe", "sk_" + "live_" + lot(24)
    yield "api_key.gateway", "gwk_abcdefgh12345678_" + lot(43)
    yield "api_key.azure", lot(52) + "JQQJ99" + lot(26)
    yield "api_key.huggingface", "hf_" + "aBcdeFghiJKlmNopqRstUvwXyzabCDefGh"
    yield "api_key.gitlab", "glpat-" + lot(27) + ".01.a1b2c3d4e"
    yield "api_key.twilio", "SK" + "0123456789abcdef" * 2
    yield "api_key.hashicorp", "hvs." + lot(95)
    yield "api_key.atlassian", "ATATT3xFfGF0" + lot(120) + "=0A1B2C3D"
    yield "api_key.docker", "dckr_pat_" + lot(27)
    yield "api_key.airtable", "pat" + lot(14) + "." + "0123456789abcdef" * 4
    yield "api_key.discord", "M" + lot(25) + "." + lot(12)[:6] + "." + lot(38)
    yield "api_key.nvidia", "nvapi-" + lot(64)
    yield "token.jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + lot(43)


KEYS = tuple(made_keys())


@pytest.mark.parametrize(("category", "key"), KEYS, ids=[category for category, _ in KEYS])
def test_finds_keys_whose_form_is_known(category: str, key: str) -> None:
    for frame in ("{}", "use {} for it", '{{"k": "{}"}}', "k={};x=1", "キーは{}です"):
        assert found(frame.format(key), SECRETS) == [(category, key)]


@pytest.mark.parametrize(
    ("category", "text", "value"),
    [
        ("password", "password=letmein", "letmein"),
        ("password", "my password is hunter2!", "hunter2!"),
        ("password", '"password": "correct horse 7!"', "correct horse 7!"),
        ("connection_string", "AccountName=x;AccountKey=AbCdEf0123456789AbCdEf==;Suffix=y", "AbCdEf0123456789AbCdEf=="),
        ("connection_string", "Server=x;User ID=sa;Password=Pa$$w0rd1;Encrypt=True", "Pa$$w0rd1"),
        ("url_credentials", "postgres://bob:s3cr3t@db.example.com:5432/x", "s3cr3t"),
        ("token.bearer", "Authorization: Bearer abcdef0123456789abcdef", "abcdef0123456789abcdef"),
        ("token.basic", "Authorization: Basic dXNlcjpwYXNzd29yZDEyMw==", "dXNlcjpwYXNzd29yZDEyMw=="),
        ("token.basic", "Authorization: Basic dXNlcjpVNlBKTWVoRktrUVA=", "dXNlcjpVNlBKTWVoRktrUVA="),
        ("secret", "api-key: 9f8e7d6c5b4a39281706f5e4d3c2b1a0", "9f8e7d6c5b4a39281706f5e4d3c2b1a0"),
    ],
)
def test_finds_what_is_called_a_secret_and_leaves_its_name(category: str, text: str, value: str) -> None:
    assert found(text, SECRETS) == [(category, value)]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "password: required",
            "password = getpass.getpass()",
            'password=os.environ["PW"]',
            "password: ${DB_PASSWORD}",
            "password: your-password",
        ),
        *(
            "the password is incorrect",
            "forgot password? reset it",
            "token: 5000",
            "max_tokens=4096",
            "secret santa party",
            "api_key=<your-key>",
        ),
        *(
            "Password must be at least 12 characters",
            "signature: def foo(a, b)",
            "bearer token authentication",
            "sk-learn-is-a-python-library",
            "hf_hub_download_with_many_options_of_it",
            "glsa_is_a_prefix_of_grafana_and_no_more_than_that",
        ),
        *("def f(password: str, token: str) -> None", "git revert 5f5077f28cc5b83ffb39473b4ea9f1765be122ea", "password=[PASSWORD]"),
    ],
)
def test_leaves_what_only_speaks_of_secrets(text: str) -> None:
    assert found(text, SECRETS) == []


@pytest.mark.parametrize("newline", ["\n", "\\n", "\r\n"])
def test_a_private_key_is_one_finding(newline: str) -> None:
    key = newline.join(
        ["-----BEGIN EC PRIVATE KEY-----", "MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5C", "K5KB+aGh1SSo9zA=", "-----END EC PRIVATE KEY-----"]
    )
    assert found(f"key: {key} and on", SECRETS) == [("private_key", key)]


def test_only_the_categories_asked_for_are_found() -> None:
    text = "ana@example.org, 4111 1111 1111 1111, 390.533.447-05"
    assert found(text, PiiDetector(("email",))) == [("email", "ana@example.org")]
    assert [category for category, _ in found(text, PiiDetector(("national_id.*", "payment_*")))] == ["payment_card", "national_id.br"]


def test_categories_are_published_and_name_replacements() -> None:
    assert len({each for each in CATEGORIES if each.startswith("national_id.")}) >= 12
    assert not CATEGORIES & SECRET_CATEGORIES
    assert placeholder_name("national_id.de") == "NATIONAL_ID_DE"
    [finding] = PERSONAL.read("ana@example.org").findings
    assert PERSONAL.replacement(finding, "ana@example.org") == "[EMAIL]"
    for name in sorted(CATEGORIES | SECRET_CATEGORIES):
        for written in (f"[{placeholder_name(name)}]", f"<{placeholder_name(name)}_12>", f"password={f'[{placeholder_name(name)}]'}"):
            assert found(written) == found(written, SECRETS) == []


def test_words_count_only_where_they_stand_before_a_number_and_near_it() -> None:
    far = "and so on, and on, for longer than any words of it reach, "
    assert found("Passport No: 54393843") == [("passport", "54393843")]
    assert found(f"Passport: none, {far}54393843 and passport") == []
    assert found(f"SSN{far}SSN 219 09 9999") == [("us_ssn", "219 09 9999")]
    assert found("SSN219099999 ") == found("SSNs 219099999 or so, in a word") == []


def test_eight_digits_after_a_phone_are_no_date() -> None:
    assert found("Tel. 15572189") == [("phone", "15572189")]
    assert found("born 19800102") == [("date_of_birth", "19800102")]
