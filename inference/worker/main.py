"""The command `overread-worker`: the model side alone.

Nothing here imports a model library. A command's own module is imported when it is asked for,
with those libraries told beforehand that there is no network.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from inference.catalog import catalog
from inference.errors import InferenceError
from inference.worker.replicas import ReplicaOptions
from inference.worker.serve import ServeOptions, serve
from inference.worker.starting import ModelOptions

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0 only when all of it worked."""
    os.environ.update(OFFLINE)
    options = build_parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except InferenceError as error:
        print(f"overread-worker: {error}", file=sys.stderr)  # noqa: T201  # the one line a person reads
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def build_parser() -> argparse.ArgumentParser:
    """Describe the commands and their arguments."""
    parser = argparse.ArgumentParser(
        prog="overread-worker", description="Run a medical vision-language model. For research."
    )
    release = f"overread-worker {version('overread')}"
    parser.add_argument("--version", action="version", version=release)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="answer over HTTP, as OpenAI's chat completions")
    _model(command)
    command.add_argument("--adapter", type=Path, metavar="DIR", help="a LoRA, or a folder of them")
    command.add_argument("--quantize", choices=("nf4", "int8"), help="the decoder's weights")
    command.add_argument("--host", default="127.0.0.1")
    command.add_argument("--port", type=int, default=8000, help="0 picks a free one")
    command.add_argument(
        "--replicas",
        type=ReplicaOptions.parse,
        metavar="N[-M]",
        help="that many engines under Ray Serve, one a GPU; N-M follows the load",
    )
    command.set_defaults(run=_serve)

    command = commands.add_parser("generate", help="answer one question")
    _model(command)
    picture = command.add_mutually_exclusive_group()
    picture.add_argument("--image", type=Path, metavar="FILE", help="PNG or JPEG")
    picture.add_argument("--volume", type=Path, metavar="FILE", help=".nii.gz, or .npy in HU")
    command.add_argument("--prompt", required=True, metavar="TEXT")
    command.add_argument("--history", type=Path, metavar="FILE.json", help="turns before it")
    command.add_argument("--max-tokens", type=int, metavar="N")
    command.add_argument("--greedy", action="store_true", help="always the most likely token")
    command.add_argument("--choices", default="", metavar="A,B,C", help="answer with one of these")
    command.add_argument(
        "--json-schema", type=Path, metavar="FILE", help="answer with JSON that it describes"
    )
    command.add_argument("--seed", type=int)
    command.add_argument("--json", action="store_true", help="print ids and prompt as well")
    command.add_argument("--dump", type=Path, metavar="FILE.safetensors", help="write tensors")
    command.set_defaults(run=_generate)

    command = commands.add_parser("import-checkpoint", help="published files to our layout")
    published = ", ".join(name for name, entry in catalog().items() if entry.repository)
    command.add_argument("--family", required=True, metavar="ID", help=f"one of {published}")
    command.add_argument("src", type=Path, metavar="SRC", help="the release, as it was fetched")
    command.add_argument("dst", type=Path, metavar="DST", help="a new folder, for --model")
    command.add_argument(
        "--hub",
        type=Path,
        metavar="DIR",
        help="where ORG/NAME folders lie that the release names, such as its vision tower",
    )
    command.add_argument(
        "--tower-dims",
        type=Path,
        metavar="FILE",
        help="JSON with num_heads of a LLaVA-Rad tower of another size than the published",
    )
    command.set_defaults(run=_import_checkpoint)

    command = commands.add_parser("verify", help="golden cases against their expected values")
    command.add_argument(
        "folder", type=Path, metavar="DIR", help="a folder a family: checkpoint, hub, cases"
    )
    command.set_defaults(run=_verify)

    command = commands.add_parser("export-vllm", help="our layout to the names that vLLM wants")
    command.add_argument("folder", type=Path, metavar="DIR", help="a folder in our layout")
    command.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    command.set_defaults(run=_export_vllm)
    return parser


def _model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model", required=True, metavar="ID_OR_DIR", help="overread-demo, or an imported folder"
    )
    command.add_argument("--family", metavar="ID", help="refuse a folder of another family")


def _serve(options: argparse.Namespace) -> int:
    return serve(
        ServeOptions(
            model=ModelOptions(
                model=options.model,
                family=options.family,
                adapter=options.adapter,
                quantize=options.quantize,
            ),
            host=options.host,
            port=options.port,
            replicas=options.replicas,
            key=os.environ.get("OVERREAD_WORKER_KEY") or None,
        )
    )


def _generate(options: argparse.Namespace) -> int:
    module: Any = import_module("inference.worker.generate")
    code: int = module.generate(
        module.GenerateOptions(
            model=options.model,
            prompt=options.prompt,
            family=options.family,
            image=options.image,
            volume=options.volume,
            history=options.history,
            max_tokens=options.max_tokens,
            greedy=options.greedy,
            choices=tuple(text.strip() for text in options.choices.split(",") if text.strip()),
            json_schema=options.json_schema,
            seed=options.seed,
            as_json=options.json,
            dump=options.dump,
        )
    )
    return code


def _import_checkpoint(options: argparse.Namespace) -> int:
    module: Any = import_module("inference.worker.checkpoints")
    manifest = module.import_checkpoint(
        options.family, options.src, options.dst, options.hub, options.tower_dims
    )
    print(f"{options.dst}: {manifest.family}, weights {manifest.weights_sha256}")  # noqa: T201  # the command's output
    print(f"Licence: {manifest.licence}")  # noqa: T201  # the command's output
    return 0


def _verify(options: argparse.Namespace) -> int:
    module: Any = import_module("inference.worker.verify")
    rows = module.verify(options.folder)
    module.print_table(rows)
    return 0 if rows and all(row.passed for row in rows) else 1


def _export_vllm(options: argparse.Namespace) -> int:
    module: Any = import_module("inference.worker.export")
    manifest = module.export_vllm(options.folder, options.out)
    print(f"{options.out}: {manifest.family}, weights {manifest.weights_sha256}")  # noqa: T201  # the command's output
    print(f"Licence: {manifest.licence}")  # noqa: T201  # the command's output
    return 0
