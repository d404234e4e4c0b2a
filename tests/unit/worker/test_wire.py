"""Bodies of chat completions."""

import base64
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.client import as_body
from inference.client.bodies import as_messages, as_question, split
from inference.errors import RequestRefusedError
from inference.protocol import Ask, Decoding, Turn
from inference.worker.wire import parse_battery, parse_chat
from tests.unit.worker.samples import nifti, png

SECRET = "what only the patient knows"


def _body(**fields: Any) -> bytes:  # noqa: ANN401  # JSON
    return json.dumps({"messages": [{"role": "user", "content": "hello"}], **fields}).encode()


def _with_part(part: Any, role: str = "user") -> bytes:  # noqa: ANN401  # JSON
    return json.dumps({"messages": [{"role": role, "content": [part]}]}).encode()


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_what_our_client_sends_is_understood() -> None:
    ask = Ask(
        turns=(
            Turn("system", "be brief"),
            Turn("user", "what is this?", (png(1),), (nifti(np.zeros((2, 2, 2), np.int16)),)),
            Turn("assistant", "a film"),
            Turn("user", "sure?"),
        ),
        model="m",
        decoding=Decoding(max_tokens=5, temperature=0.2, top_p=0.7, seed=3),
        choices=("yes", "no"),
        stop=("\n", "USER:"),
        explain_tokens=9,
    )
    parsed = parse_chat(json.dumps(as_body(ask, "m")).encode())
    assert parsed.ask == ask
    assert parsed.stream


def test_text_parts_are_joined_and_other_fields_ignored() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    body = json.dumps({"messages": [{"role": "user", "content": parts}], "user": "x"}).encode()
    parsed = parse_chat(body)
    assert parsed.ask.turns == (Turn("user", "one\ntwo"),)
    assert not parsed.stream


def test_a_single_stop_string_need_not_be_a_list() -> None:
    assert parse_chat(_body(stop="END")).ask.stop == ("END",)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"structured_outputs": {"json": {"type": "null"}}}, id="as vLLM has it"),
        pytest.param(
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "strict": True, "schema": {"type": "null"}},
                }
            },
            id="as OpenAI has it",
        ),
    ],
)
def test_a_schema_is_read_in_both_spellings(fields: dict[str, Any]) -> None:
    assert json.loads(parse_chat(_body(**fields)).ask.json_schema) == {"type": "null"}


def test_what_our_client_sends_as_a_schema_is_understood() -> None:
    ask = Ask((Turn("user", "x"),), json_schema='{"type": "null"}')
    assert parse_chat(json.dumps(as_body(ask, None)).encode()).ask == ask
    broken = Ask((Turn("user", "x"),), json_schema="{")
    with pytest.raises(RequestRefusedError, match="response_format"):
        parse_chat(json.dumps(as_body(broken, None)).encode())


def test_the_newer_name_of_the_token_limit_is_read() -> None:
    assert parse_chat(_body(max_completion_tokens=9)).ask.decoding.max_tokens == 9


@pytest.mark.parametrize(
    "url",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1:1/secret.png",
        "https://example.org/a.png",
        "data:text/html;base64,AAAA",
        "data:image/svg+xml;base64,AAAA",
        "data:image/png,plain",
        "data:image/png;base64,***",
    ],
)
def test_an_image_that_is_no_data_uri_is_refused(url: str) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        parse_chat(_with_part(_image(url)))
    assert url not in str(caught.value)


def test_a_volume_that_is_no_gzip_is_refused() -> None:
    data = base64.b64encode(b"plain").decode()
    with pytest.raises(RequestRefusedError, match="NIfTI"):
        parse_chat(_with_part({"type": "volume", "volume": {"data": data}}))


def test_only_a_user_shows_pictures() -> None:
    url = "data:image/png;base64," + base64.b64encode(png(1)).decode()
    with pytest.raises(RequestRefusedError, match="user"):
        parse_chat(_with_part(_image(url), role="assistant"))


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"stop": [1]},
        {"overread": {"explain_tokens": -1}},
        {"overread": {"think_tokens": 9}},
        {"tools": [{}]},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"structured_outputs": {"json": "{}"}},
        {"structured_outputs": {"regex": "a"}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": "no object"}}},
        {
            "structured_outputs": {"json": {}},
            "response_format": {"type": "json_schema", "json_schema": {"schema": {}}},
        },
        {"structured_outputs": {"choice": []}},
        {"frequency_penalty": 0.5},
        {"guided_choice": ["yes", "no"]},
        {"logit_bias": {"5": 100}},
        {"top_k": 5},
        {"ignore_eos": True},
        {"a_parameter_of_tomorrow": 1},
        {"max_tokens": "5"},
        {"max_tokens": True},
        {"temperature": "warm"},
        {"messages": []},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "audio"}]}]},
        {"messages": None},
    ],
)
def test_what_would_change_the_answer_and_is_not_supported_is_refused(
    fields: dict[str, Any],
) -> None:
    with pytest.raises(RequestRefusedError):
        parse_chat(_body(**fields))


@pytest.mark.parametrize(
    "body",
    [
        SECRET.encode(),
        _body(temperature=SECRET),
        _body(messages=[{"role": SECRET, "content": "x"}]),
        _body(messages=[{"role": "user", "content": {SECRET: 1}}]),
        _body(structured_outputs={SECRET: 1}),
        _body(**{SECRET: 1}),
        _body(response_format={SECRET: SECRET}),
        b"\xff\xfe",
        b"[]",
        b"",
    ],
)
def test_a_refusal_repeats_nothing_of_the_request(body: bytes) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        parse_chat(body)
    assert not any(word in str(caught.value) for word in SECRET.split() if len(word) > 4)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["messages", "role", "content", "type", "text", "image_url"])
    return st.lists(inner, max_size=3) | st.dictionaries(names, inner)


@settings(max_examples=50)
@given(st.recursive(st.none() | st.text() | st.integers() | st.booleans(), _nested))
def test_any_json_is_read_or_refused(value: Any) -> None:  # noqa: ANN401  # JSON
    with suppress(RequestRefusedError):
        parse_chat(json.dumps(value).encode())


def _battery(*questions: Any, messages: Any = ()) -> bytes:  # noqa: ANN401  # JSON
    return json.dumps({"messages": list(messages), "questions": list(questions)}).encode()


def test_a_battery_of_our_client_is_understood() -> None:
    ct = nifti(np.zeros((2, 2, 2), np.int16))
    earlier = (Turn("user", "what is this?", (png(1),), (ct,)), Turn("assistant", "a film"))
    system = Turn("system", "be brief")
    for opening in ((), (system,), (system, *earlier)):
        pictures = () if earlier[0] in opening else (png(2),)
        asks = [
            Ask(
                (*opening, Turn("user", text, pictures)),
                model="m",
                decoding=Decoding(max_tokens=number),
                choices=("yes", "no"),
                stop=("\n",),
            )
            for number, text in enumerate(("sure?", "left?", "right?"), 1)
        ]
        shared, rests = split(asks)
        body = {
            "messages": as_messages(shared),
            "questions": [as_question(ask, ask.model) for ask in rests],
        }
        assert json.dumps(body).count('image_url"') == 2  # the part's type and its key: one image
        assert list(parse_battery(json.dumps(body).encode()).questions) == asks


def test_a_question_that_cannot_be_used_leaves_the_others() -> None:
    good = {"messages": [{"role": "user", "content": "left?"}]}
    parsed = parse_battery(
        _battery(
            good,
            {**good, "temperature": SECRET},
            {"messages": []},
            SECRET,
            {"messages": [{"role": "user", "content": [_image("/etc/passwd")]}]},
            messages=[{"role": "user", "content": "About a film."}],
        )
    )
    first, *others = parsed.questions
    assert first == Ask((Turn("user", "About a film.\nleft?"),))
    assert all(isinstance(other, RequestRefusedError) for other in others)
    assert not any(SECRET in str(other) for other in others)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(_battery(), id="no questions"),
        pytest.param(_battery(*[{}] * 65), id="too many questions"),
        pytest.param(_battery({}, messages=[{"role": "wizard", "content": "x"}]), id="bad start"),
        pytest.param(
            _battery({}, messages=[{"role": "user", "content": [_image("x")]}]), id="image"
        ),
        pytest.param(b"[]", id="no object"),
    ],
)
def test_a_battery_that_nothing_can_be_made_of_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefusedError):
        parse_battery(body)


def test_parameters_that_change_nothing_are_taken() -> None:
    neutral = {
        "user": "x",
        "stream_options": {"include_usage": True},
        "logit_bias": {},
        "top_k": -1,
    }
    assert parse_chat(_body(**neutral)).ask == parse_chat(_body()).ask
