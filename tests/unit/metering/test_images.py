"""Images: their size out of their first bytes, and their tokens by what providers publish and bill."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metering.images import image_tokens, rule_of, size_of_data, size_of_url
from tests.unit.metering.files_of_images import FORMATS, jpeg, png, url_of

SIZES = st.integers(1, 16_383)


@given(st.sampled_from(sorted(FORMATS)), SIZES, SIZES)
def test_every_formats_size_is_read(kind: str, width: int, height: int) -> None:
    assert size_of_url(url_of(FORMATS[kind](width, height), kind)) == (width, height)


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_the_largest_sizes_are_read(kind: str) -> None:
    assert size_of_url(url_of(FORMATS[kind](9, 16_383), kind)) == (9, 16_383)
    assert size_of_url(url_of(FORMATS[kind](16_383, 9), kind)) == (16_383, 9)


@given(st.integers(0, 300_000), SIZES, SIZES)
def test_a_jpegs_size_is_found_behind_what_stands_before_it(before: int, width: int, height: int) -> None:
    assert size_of_data(base64.b64encode(jpeg(width, height, before=before)).decode()) == (width, height)


@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_a_file_that_breaks_off_has_its_size_or_none(kind: str, data: st.DataObject) -> None:
    raw = FORMATS[kind](640, 480)
    cut = raw[: data.draw(st.integers(0, len(raw)))]
    assert size_of_url(url_of(cut)) in {None, (640, 480)}


@given(st.text(max_size=80) | st.text(st.sampled_from("AQ/9j+=\n /data:image;base64,"), max_size=80))
def test_nothing_is_too_broken_to_be_read(text: str) -> None:
    for url in (text, "data:image/png;base64," + text, "data:;base64,/9j/" + text):
        assert size_of_url(url) is None or min(size_of_url(url) or ()) > 0
    size_of_data(text)


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "https://example.com/a.png",
        "data:image/png,abc",
        "data:image/png;base64",
        url_of(png(0, 5)),
        url_of(b"BM" + bytes(60), "bmp"),
        url_of(b"\xff\xd8" + b"\xff" * 500, "jpeg"),
    ],
    ids=["null", "number", "empty", "remote", "not base64", "no data", "no width", "another format", "endless"],
)
def test_what_has_no_size_to_be_read_has_none(url: object) -> None:
    assert size_of_url(url) is None


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        # OpenAI's guide.
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4o-mini-2024-07-18", (1024, 1024), "high", 2833 + 4 * 5667),
        ("gpt-4o-mini", (9, 9), "low", 2833),
        # Bills that users report: of 128 x 64, less the text's tokens in the same answer.
        ("gpt-4.1-2025-04-14", (128, 64), "high", 255),
        ("o3-2025-04-16", (128, 64), "high", 225),
        ("o3-2025-04-16", (128, 64), "low", 75),
        ("gpt-4.1-mini", (128, 64), "high", 13),
        ("gpt-4.1-nano", (128, 64), "low", 20),
        ("o4-mini", (128, 64), "high", 14),
        ("gpt-4-turbo", (128, 64), "high", 255),
    ],
)
def test_images_cost_what_is_published_and_billed(model: str, size: tuple[int, int], detail: str, tokens: int) -> None:
    assert image_tokens(model, size, detail) == (tokens, True)


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("gpt-4.1-mini", (1800, 2400), 2353),  # the guide's example: 1452 patches
        ("gpt-4.1-mini", (2511, 3807), 2361),  # 31 x 47, one of which is whole but for the arithmetic of floats
        ("gpt-4.1-mini", (3807, 2511), 2361),
        ("gpt-4.1-mini", None, 2489),  # 1536
        ("gpt-5-mini", (1024, 1024), 1659),
        ("gpt-5", (1024, 1024), 70 + 4 * 140),
        ("o1", (1024, 1024), 75 + 4 * 150),
        ("gpt-4o", None, 85 + 8 * 170),
        ("some-model", (1024, 1024), 765),
        ("claude-opus-4", (300, 250), 100),
        ("anthropic.claude-x", (4000, 4000), 1600),
        ("claude-x", None, 1600),
    ],
)
def test_what_is_not_proved_is_an_estimate(model: str, size: tuple[int, int] | None, tokens: int) -> None:
    assert image_tokens(model, size) == (tokens, False)


def test_a_detail_that_the_model_chooses_is_taken_for_high_and_an_estimate() -> None:
    assert image_tokens("gpt-4o", (1024, 1024), "auto") == image_tokens("gpt-4o", (1024, 1024)) == (765, False)


MODELS = ["gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5-nano", "o4-mini", "claude-x"]


@given(st.sampled_from(MODELS), st.integers(1, 50_000), st.integers(1, 50_000))
def test_a_known_size_costs_no_more_than_an_unknown_one_and_turned_the_same(model: str, width: int, height: int) -> None:
    tokens = image_tokens(model, (width, height), "high")[0]
    assert 0 < tokens <= image_tokens(model, None, "high")[0]
    assert tokens == image_tokens(model, (height, width), "high")[0]


@pytest.mark.parametrize(
    ("model", "kind"), [("a/gpt-41-mini", "patches"), ("ft:gpt-4.1-mini:x", "patches"), ("o3-mini", "tiles"), ("gpt-5-pro", "tiles")]
)
def test_names_are_read_as_others_write_them(model: str, kind: str) -> None:
    assert rule_of(model).kind == kind
