"""How Gradio is mounted: each default that would be a hole here is seen to be off."""

from collections.abc import Iterator

import gradio as gr
import httpx
import pytest
from gradio.data_classes import FileData

from tests.flow.place import Place
from webapp.auth.headers import ALWAYS
from webapp.auth.inline_scripts import INLINE_SCRIPTS
from webapp.auth.routes import API
from webapp.ui import ADMIN_PAGES, OWN_PAGES, PAGES

TAKES_FILES = tuple(
    component
    for component in (
        *(gr.Audio, gr.Dataset, gr.DownloadButton, gr.File, gr.FileExplorer, gr.Gallery),
        *(gr.HTML, gr.Image, gr.ImageEditor, gr.Model3D, gr.MultimodalTextbox, gr.UploadButton),
        *(gr.Video, gr.AnnotatedImage, gr.ImageSlider, gr.Code),
    )
)


def _components(blocks: gr.Blocks) -> Iterator[object]:
    return iter(blocks.blocks.values())


def test_the_path_check_is_on(blocks: gr.Blocks) -> None:
    assert blocks.has_launched is True


def test_no_component_takes_files(blocks: gr.Blocks) -> None:
    assert [c for c in _components(blocks) if isinstance(c, TAKES_FILES)] == []


def test_only_the_conversation_could_carry_a_file_and_no_event_reads_it(blocks: gr.Blocks) -> None:
    carriers = {
        block._id
        for block in blocks.blocks.values()
        if FileData.__name__ in str(getattr(block, "data_model", "") or "")
        or isinstance(block, gr.Chatbot)
    }
    read = {component._id for fn in blocks.fns.values() for component in fn.inputs}
    assert carriers
    assert carriers & read == set()


def test_unsafe_defaults_are_off(blocks: gr.Blocks) -> None:
    assert blocks.show_error is False
    assert blocks.analytics_enabled is False
    assert blocks.footer_links == []
    assert blocks.allowed_paths == []
    assert blocks.ssr_mode in (False, None)
    assert not blocks.mcp_server
    assert blocks.enable_monitoring is False


def test_no_event_has_a_public_name(blocks: gr.Blocks) -> None:
    assert {fn.api_visibility for fn in blocks.fns.values()} == {"private"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "path", ["/", *(path for _, path, _ in (*PAGES, *OWN_PAGES, *ADMIN_PAGES))]
)
async def test_every_page_runs_under_a_strict_policy(place: Place, path: str) -> None:
    async with place.person("admin") as browser:
        answer: httpx.Response = await browser.get(path, headers={"accept": "text/html"})
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert "'unsafe-eval'" not in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "'sha256-" in policy
    assert INLINE_SCRIPTS not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/login", "/account/password", "/theme.css", "/config", "/nothing-here"),
        *("/overread/pages.js", "/overread/sign-in.css", f"{API}/cases", f"{API}/health/live"),
        *(path for _, path, _ in (*PAGES, *OWN_PAGES, *ADMIN_PAGES)),
    ],
)
async def test_every_kind_of_answer_carries_the_headers(place: Place, path: str) -> None:
    async with place.person("admin") as browser:
        answer = await browser.get(path)

    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    policy = answer.headers["content-security-policy"]
    for part in ("frame-ancestors 'none'", "form-action", "base-uri", "default-src"):
        assert part in policy
    assert not [part for part in ("unsafe-eval", "http:", "https:", "*") if part in policy]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", [path for _, path, _ in ADMIN_PAGES])
async def test_pages_of_administrators_are_shut_for_others_and_not_in_the_common_list(
    place: Place, blocks: gr.Blocks, path: str
) -> None:
    async with place.person("adjudicator") as browser:
        answer = await browser.get(path, headers={"accept": "text/html"})

    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert "Your account may not do this." in answer.text
    assert '<a href="/">' in answer.text
    assert "gradio" not in answer.text
    assert {listed for address, _, listed in blocks.pages if f"/{address}" == path} == {False}


MEANT_FOR_NOBODY = "what-somebody-typed"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("reset", {"other": MEANT_FOR_NOBODY}, 422),
        ("cancel", {"other": MEANT_FOR_NOBODY}, 422),
        ("queue/join", {"fn_index": 0, "session_hash": "s1", "data": MEANT_FOR_NOBODY}, 422),
        ("queue/join", {"fn_index": 0, "data": [MEANT_FOR_NOBODY]}, 400),
        ("run/predict", {"fn_index": 0, "data": MEANT_FOR_NOBODY}, 422),
        ("run/predict", {"fn_index": 10**9, "data": [MEANT_FOR_NOBODY]}, 500),
    ],
)
async def test_a_call_that_is_none_is_refused_in_our_one_shape(
    place: Place, path: str, body: dict[str, object], status: int
) -> None:
    async with place.person("reader") as browser:
        answer = await browser.post(f"/gradio_api/{path}", json=body)

    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message"}
    assert MEANT_FOR_NOBODY not in answer.text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.filterwarnings("ignore::UserWarning")  # how Gradio tells what no open page can show
@pytest.mark.parametrize("given", [MEANT_FOR_NOBODY, []], ids=["text", "list"])
async def test_no_call_of_a_handler_prints_or_repeats_what_it_was_given(
    place: Place,
    blocks: gr.Blocks,
    given: object,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with place.person("admin") as browser:
        for number, fn in blocks.fns.items():
            body = {"fn_index": number, "data": [given] * len(fn.inputs)}
            answer = await browser.post("/gradio_api/run/predict", json=body)
            if answer.status_code != 200:
                assert (answer.status_code, set(answer.json()["error"])) == (
                    422,
                    {"code", "message"},
                )
                assert MEANT_FOR_NOBODY not in answer.text
    assert capfd.readouterr().err == ""
    assert [record.message for record in caplog.records if "failed" in record.message] == []
