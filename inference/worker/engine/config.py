"""How much an engine may hold and how it shares its steps."""

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Bounds of one engine. Whatever is beyond them waits or is refused, never half done."""

    max_running: int = 16  # requests in one batch
    max_queued: int = 64  # requests waiting for a place; one more is refused
    # Prompt positions computed between two tokens of running answers: a picture and its question in
    # one piece. In three, sixteen films took 48 steps with few answers in each, and a tenth longer.
    chunk_tokens: int = 640
    join_tokens: int = 512  # prompt positions, padding included, of requests prefilled together
    kv_bytes: int = 2048 * MIB  # keys and values of running requests
    prefix_bytes: int = 1024 * MIB  # keys and values kept for the next question
    feature_bytes: int = 256 * MIB  # image features kept for the next question
