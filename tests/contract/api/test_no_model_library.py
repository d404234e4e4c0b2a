"""The web process is small: it never loads a model library."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
import webapp.app, webapp.cli, webapp.cli.web
heavy = {"torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.timeout(120)  # a fresh process imports Gradio
def test_building_the_application_loads_no_torch() -> None:
    done = subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
