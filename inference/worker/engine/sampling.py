"""How the next token is chosen: the most likely one, or drawn with the request's own seed.

The draw inverts the cumulative distribution with one uniform number per token, so a request
consumes its generator the same way whatever else is in the batch.
"""

import secrets
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch

from inference.errors import RequestRefusedError
from inference.protocol import Decoding

GREEDY_BELOW = 1e-3  # a temperature under this is greedy, as in LLaVA's own worker
DEFAULT_MAX_TOKENS = 512
HEAD = 256  # most likely tokens looked at before the whole vocabulary is sorted

T = TypeVar("T")
_ALWAYS = frozenset({"max_tokens", "temperature", "top_p", "seed"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Decoding parameters with nothing left open."""

    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    stop: tuple[str, ...] = ()
    explain_tokens: int = 0
    json_schema_sha256: str = ""

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is always taken."""
        return self.temperature < GREEDY_BELOW

    def as_dict(self) -> dict[str, Any]:
        """The parameters as they are reported with an answer; the last ones only where used."""
        rule = asdict(self)
        return {name: rule[name] for name in rule if name in _ALWAYS or rule[name]}


def resolve(asked: Decoding, default: Decoding) -> Rule:
    """Fill what was not asked for from the family's defaults.

    Raises:
        RequestRefusedError: a value is outside its range.
    """
    max_tokens = _first(asked.max_tokens, default.max_tokens, DEFAULT_MAX_TOKENS)
    temperature = _first(asked.temperature, default.temperature, 0.0)
    top_p = _first(asked.top_p, default.top_p, 1.0)
    seed = _first(asked.seed, default.seed, secrets.randbits(31))
    if max_tokens < 1:
        raise RequestRefusedError("max_tokens must be at least 1.")
    if not 0.0 <= temperature <= 2.0:
        raise RequestRefusedError("temperature must be between 0 and 2.")
    if not 0.0 < top_p <= 1.0:
        raise RequestRefusedError("top_p must be above 0 and at most 1.")
    if not 0 <= seed < 2**63:
        raise RequestRefusedError("seed must be a number from 0 to 2^63 - 1.")
    return Rule(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)


def draw(logits: torch.Tensor, rule: Rule, generator: torch.Generator) -> int:
    """Draw one token id from float32 logits [vocabulary].

    `top_p` keeps the fewest most likely tokens whose probabilities reach it, at least one.
    """
    probabilities = torch.softmax(logits.double().cpu() / rule.temperature, dim=-1)
    if rule.top_p == 1.0:
        return _invert(probabilities, generator)
    kept, order = probabilities.topk(min(HEAD, len(probabilities)))
    if float(kept.sum()) < rule.top_p:  # a flat distribution: the head is not enough
        kept, order = probabilities.sort(descending=True, stable=True)
    enough = int((kept.cumsum(0) < rule.top_p).sum()) + 1
    return int(order[_invert(kept[:enough], generator)])


def draw_index(probabilities: list[float], rule: Rule, generator: torch.Generator) -> int:
    """Pick one of several answers by probability: the most likely one, or a seeded draw."""
    weights = torch.tensor(probabilities, dtype=torch.float64)
    if rule.greedy:
        return int(weights.argmax())
    return draw(weights.clamp_min(1e-300).log(), rule, generator)


def _invert(weights: torch.Tensor, generator: torch.Generator) -> int:
    """Draw an index with probability proportional to its float64 weight."""
    cumulative = weights.cumsum(0)
    point = torch.rand(1, generator=generator, dtype=torch.float64) * cumulative[-1]
    return min(int(torch.searchsorted(cumulative, point, right=True)), len(weights) - 1)


def _first(*values: T | None) -> T:
    return next(value for value in values if value is not None)
