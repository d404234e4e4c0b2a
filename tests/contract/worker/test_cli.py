"""The command `overread-worker`, with the model that comes with the package."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from inference.catalog import catalog
from inference.families.base import LoadedModel, Quantize
from inference.families.registry import load_model
from inference.protocol import Ask, Turn
from inference.worker.loading import LoadOptions, serve_model
from inference.worker.main import OFFLINE, main
from tests.unit.worker.plain import plain_answer, plain_logits
from tests.unit.worker.samples import nifti, png

MODEL = "overread-demo"
Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model(MODEL)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what `main` sets be forgotten after each test."""
    for name in OFFLINE:
        monkeypatch.setenv(name, "")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "film.png"
    path.write_bytes(png(1, 64))
    return path


def _generate(output: Output, *arguments: str | Path) -> dict[str, Any]:
    code = main(["generate", "--model", MODEL, "--json", *map(str, arguments)])
    captured = output.readouterr()
    assert code == 0, captured.err
    found: dict[str, Any] = json.loads(captured.out)
    return found


def test_generate_prints_what_the_plain_way_gives(
    capsys: Output, model: LoadedModel, image: Path, tmp_path: Path
) -> None:
    dump = tmp_path / "dump.safetensors"
    found = _generate(
        capsys, "--image", image, "--prompt", "What is this?", "--greedy", "--max-tokens", "8",
        "--dump", dump,
    )  # fmt: skip
    ask = Ask((Turn("user", "What is this?", (image.read_bytes(),)),))
    assert found["token_ids"] == list(plain_answer(model, ask, 8))
    assert found["text"] == model.decode(found["token_ids"])
    assert found["prompt"] == model.render(ask.turns)
    assert found["input_ids"] == model.encode(found["prompt"])
    assert found["input_ids"].count(-200) == 1
    assert (found["family"], found["model_revision"]) == (MODEL, model.revision)
    assert found["finish_reason"] in ("stop", "length")
    assert found["seconds"] > 0
    tensors = load_file(dump)
    pixels = model.pixel_values(Image.open(io.BytesIO(image.read_bytes())))
    assert torch.equal(tensors["pixel_values"], pixels)
    assert torch.allclose(tensors["image_features"], model.image_features(pixels), atol=1e-4)
    assert torch.allclose(tensors["last_logits"], plain_logits(model, ask), atol=1e-3)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_the_image_belongs_to_the_first_of_the_users_turns(
    capsys: Output, model: LoadedModel, image: Path, tmp_path: Path
) -> None:
    history = tmp_path / "history.json"
    turns = [{"role": "user", "content": "First?"}, {"role": "assistant", "content": "Yes."}]
    history.write_text(json.dumps(turns))
    found = _generate(
        capsys, "--image", image, "--history", history, "--prompt", "Second?", "--max-tokens", "1"
    )
    expected = (Turn("user", "First?", (b"",)), Turn("assistant", "Yes."), Turn("user", "Second?"))
    assert found["prompt"] == model.render(expected)


def test_choices_are_printed_with_probabilities(capsys: Output, image: Path) -> None:
    found = _generate(capsys, "--image", image, "--prompt", "Is it?", "--choices", "yes, no")
    assert set(found["choices"]) == {"yes", "no"}
    assert sum(found["choices"].values()) == pytest.approx(1.0)
    assert found["text"] in found["choices"]


def test_an_answer_is_held_to_a_schema(capsys: Output, image: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"side": {"enum": ["left", "right"]}}}')
    found = _generate(capsys, "--image", image, "--prompt", "Which?", "--json-schema", schema)
    assert json.loads(found["text"]) in ({}, {"side": "left"}, {"side": "right"})
    assert found["finish_reason"] == "stop"


def test_without_json_only_the_text_is_printed(capsys: Output, image: Path) -> None:
    arguments = ["--image", str(image), "--prompt", "Is it?", "--choices", "yes"]
    assert main(["generate", "--model", MODEL, *arguments]) == 0
    assert capsys.readouterr().out == "yes\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--model", "nowhere"], "no such model folder", id="no model"),
        pytest.param(["--model", MODEL, "--family", "llava-rad"], "not llava-rad", id="family"),
        pytest.param(["--model", MODEL, "--image", "gone.png"], "gone.png", id="no file"),
        pytest.param(["--model", MODEL, "--history", "gone.json"], "gone.json", id="no history"),
        pytest.param(["--model", MODEL, "--max-tokens", "0"], "max_tokens", id="no tokens"),
        pytest.param(["--model", MODEL, "--json-schema", "gone"], "gone", id="no schema"),
    ],
)
def test_refusals_are_one_line_and_exit_code_1(
    capsys: Output, arguments: Sequence[str], message: str
) -> None:
    assert main(["generate", "--prompt", "x", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("overread-worker: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_model_without_3d_refuses_a_volume(capsys: Output, tmp_path: Path) -> None:
    path = tmp_path / "ct.nii.gz"
    path.write_bytes(nifti(torch.zeros(2, 2, 2).short().numpy()))
    assert main(["generate", "--model", MODEL, "--prompt", "x", "--volume", str(path)]) == 1
    assert "no volumes" in capsys.readouterr().err


def test_wrong_arguments_exit_with_2(capsys: Output) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["generate", "--model", MODEL])
    assert "--prompt" in capsys.readouterr().err


# A new process imports the model libraries first, which takes long on a machine that is busy.
PATIENCE = 150  # seconds
slow_start = pytest.mark.timeout(2 * PATIENCE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["verify", "."], "no golden cases", id="verify"),
        pytest.param(["export-vllm", ".", "out"], "overread.json", id="export-vllm"),
        pytest.param(
            ["import-checkpoint", "--family", "unheard-of", ".", "out"], "unheard-of", id="import"
        ),
    ],
)
def test_the_other_commands_refuse_an_empty_folder(
    capsys: Output,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: Sequence[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


class _Process:
    """A worker as its supervisor sees it."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        # A pipe that nobody reads would fill up.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by `kill`
        self._process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-m", "inference.worker", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        if self._process.stdout is None:
            raise OSError("no output")
        self.url = self._process.stdout.readline().split()[-1]
        self._http = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self._http.get("/health").json()
        return found

    def wait_until(self, *states: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while (found := self.health())["state"] not in states:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return found

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return exit code and standard error."""
        self._process.communicate(timeout=PATIENCE)
        self._errors.seek(0)
        return self._process.returncode, self._errors.read()

    def kill(self) -> None:
        self._http.close()
        self._process.kill()
        self._process.communicate()
        self._errors.close()


@pytest.fixture
def processes() -> Iterator[list[_Process]]:
    started: list[_Process] = []
    yield started
    for process in started:
        process.kill()


@slow_start
def test_the_port_answers_while_the_model_loads_and_sigterm_drains(
    processes: list[_Process],
) -> None:
    process = _Process("--model", MODEL)
    processes.append(process)
    assert process.health()["state"] == "loading"
    process.wait_until("ready", "failed")
    body = {"messages": [{"role": "user", "content": "Tell me."}], "max_tokens": 60}
    found: list[httpx.Response] = []

    def ask() -> None:
        url = f"{process.url}/v1/chat/completions"
        found.append(
            httpx.post(url, json={**body, "temperature": 1.5, "seed": 1}, timeout=PATIENCE)
        )

    asking = threading.Thread(target=ask)
    asking.start()
    while not process.health()["load"]["running"] and not found:
        time.sleep(0.01)
    process.terminate()
    asking.join()
    code, errors = process.ended()
    assert code == 0, errors
    assert found[0].json()["choices"][0]["finish_reason"] in ("stop", "length")
    assert "Tell me" not in errors
    with pytest.raises(httpx.ConnectError):
        process.health()


@slow_start
def test_a_worker_that_cannot_load_says_why_and_exits(
    processes: list[_Process], tmp_path: Path
) -> None:
    source = catalog()[MODEL].packaged_folder
    assert source is not None
    folder = tmp_path / "damaged"
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    save_file({"wrong": torch.zeros(1)}, folder / "model.safetensors")
    process = _Process("--model", str(folder))
    processes.append(process)
    assert "not the file that the manifest describes" in process.wait_until("failed")["reason"]
    code, errors = process.ended()
    assert code == 1
    assert errors.splitlines()[-1].startswith("overread-worker: model.safetensors is not")


def _no_manifest(folder: Path) -> None:
    (folder / "overread.json").unlink()


def _pickle(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"")


def _code_key(folder: Path) -> None:
    (folder / "config.json").write_text('{"auto_map": {"AutoModel": "evil.Model"}}')


def _unheard_of(folder: Path) -> None:
    manifest = json.loads((folder / "overread.json").read_text())
    (folder / "overread.json").write_text(json.dumps({**manifest, "family": "unheard-of"}))


@slow_start
@pytest.mark.parametrize(
    ("spoil", "arguments", "said"),
    [
        pytest.param(_no_manifest, [], "has no overread.json", id="no manifest"),
        pytest.param(_pickle, [], "pytorch_model.bin does not belong", id="a pickle"),
        pytest.param(_code_key, [], "asks for code by its key 'auto_map'", id="a key for code"),
        pytest.param(_unheard_of, [], "no model family 'unheard-of'", id="no such family"),
        pytest.param(
            None, ["--family", "llava-rad"], "not llava-rad as asked", id="another family"
        ),
    ],
)
def test_a_bad_model_folder_is_told_before_a_model_library_is_imported(
    processes: list[_Process],
    tmp_path: Path,
    spoil: Callable[[Path], None] | None,
    arguments: Sequence[str],
    said: str,
) -> None:
    source = catalog()[MODEL].packaged_folder
    assert source is not None
    folder = tmp_path / "model"
    folder.mkdir()
    for path in source.iterdir():
        shutil.copyfile(path, folder / path.name)
    if spoil is not None:
        spoil(folder)
    process = _Process("--model", str(folder), *arguments, PYTHONPROFILEIMPORTTIME="1")
    processes.append(process)
    assert said in process.wait_until("failed")["reason"]
    code, errors = process.ended()
    assert code == 1
    assert said in errors
    lines = [line for line in errors.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "uvicorn" in imported
    assert not {"torch", "transformers"} & imported


@pytest.mark.parametrize("quantize", ["int8", "nf4"])
def test_a_quantised_model_answers_nearly_alike(
    model: LoadedModel, image: Path, quantize: Quantize
) -> None:
    options = LoadOptions(MODEL, quantize=quantize)
    served = serve_model(options, on_end=lambda _: None, on_lost=lambda: None)
    ask = Ask((Turn("user", "What is this?", (image.read_bytes(),)),), choices=("yes", "no"))
    started, ended = served.engine.answer(ask)
    served.engine.stop(drain_seconds=0.0)
    assert ended.text in ("yes", "no")
    exact = torch.log_softmax(plain_logits(model, ask), -1)
    near = torch.log_softmax(started.logits, -1)
    difference = (exact.exp() * (exact - near)).sum()
    assert 0 < difference < 0.5  # relative entropy, in nats


def test_a_port_in_use_is_said_at_once(capsys: Output) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--model", MODEL, "--port", str(port)]) == 1
    assert f"port {port}" in capsys.readouterr().err
