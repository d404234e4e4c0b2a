"""Which waiting prompts are computed next, together where that pays."""

from collections.abc import Iterable

from inference.worker.engine.batch import Batch
from inference.worker.engine.config import EngineConfig
from inference.worker.engine.prefix import common
from inference.worker.engine.request import Request


def choose(waiting: Iterable[Request], batch: Batch, config: EngineConfig) -> list[Request]:
    """Pick requests for one pass; they will hold neighbouring slots and all finish in it.

    The one waiting longest goes first, and only it may be longer than a pass. Others join while
    the padded pass stays small and at most half of it is padding. A prompt that shares most of
    its positions with a member waits until that one is computed, and then takes them over.
    """
    limit = config.join_tokens
    if batch.decoding:
        limit = min(limit, config.chunk_tokens)
    run: list[Request] = []
    sizes: list[int] = []
    for request in waiting:
        if not batch.has_room([*run, request], most=config.max_running):
            break
        if run and (run[0].alone or request.alone):
            break
        known = batch.known(request)
        size = request.length - known + request.branches
        if any(_shared(other, request) - known > size // 2 for other in run):
            continue
        widest, narrowest = max([size, *sizes]), min([size, *sizes])
        if run and ((len(run) + 1) * widest > limit or widest > 2 * narrowest):
            continue
        run.append(request)
        sizes.append(size)
    return run


def _shared(first: Request, second: Request) -> int:
    if first.adapter != second.adapter:
        return 0
    return common(first.prompt.keys, second.prompt.keys)
