"""The catalogue agrees with the families and pins what it can."""

import math
import re

import pytest

from inference.catalog import catalog
from inference.families.loading import expected_shapes, parse_config
from inference.families.original import CLIP_L_336_TOWER, llava_config
from inference.families.registry import FAMILIES, find_family


def test_every_family_has_an_entry_of_its_name() -> None:
    assert [e.family for e in catalog().values()] == list(catalog())
    assert set(FAMILIES) | {"openai"} == set(catalog())


@pytest.mark.parametrize("name", FAMILIES)
def test_entry_and_family_agree(name: str) -> None:
    entry, family = catalog()[name], find_family(name)
    assert entry.research_only == family.research_only
    assert entry.licence
    assert entry.title
    assert entry.reads


@pytest.mark.parametrize("name", ["llava-med-v1.5", "llava-rad"])
def test_revision_is_a_full_commit(name: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", catalog()[name].revision)


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"overread-demo"}))
def test_memory_is_stated_for_every_format(name: str) -> None:
    entry = catalog()[name]
    need = entry.memory_gb
    assert need["nf4"] < need["int8"] < need["bfloat16"] < need["float32"]
    assert (
        entry.kv_cache_bytes_per_token["bfloat16"] * 2 == entry.kv_cache_bytes_per_token["float32"]
    )


def test_llava_med_s_memory_is_its_published_size() -> None:
    assert catalog()["llava-med-v1.5"].memory_gb["bfloat16"] == round(15_132_438_528 / 1e9, 1)


def test_llava_med_s_layout_is_as_large_as_the_published_one() -> None:
    text = {
        "model_type": "mistral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
    }
    config = llava_config(
        text, CLIP_L_336_TOWER, feature_layer=-2, strategy="default", image_tokens=576
    )
    shapes = expected_shapes(parse_config(config))
    assert len(shapes) == 686
    assert 2 * sum(math.prod(shape) for shape in shapes.values()) == 15_132_438_528
