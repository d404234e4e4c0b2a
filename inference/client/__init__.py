"""Asking a worker over HTTP: ours, or any server that speaks OpenAI's chat completions.

What a server does not report stays None in the provenance. A server's own error text is passed
on only if the server is one of ours, since others repeat parts of the request in theirs.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx

from inference.client.bodies import as_body, as_messages, as_question, split
from inference.client.choosing import PARAMETER, Chosen
from inference.client.reading import (
    Reading,
    failure,
    parse,
    reason_of,
    refusal,
    served,
    whole,
)
from inference.errors import (
    AnswerFailedError,
    ChoicesNotKeptError,
    InferenceError,
    WorkerUnavailableError,
)
from inference.protocol import Ask, Finished, ServedModel, Token, WorkerHealth

__all__ = ["WorkerClient", "as_body"]

AT_ONCE, AT_ONCE_ELSEWHERE = 16, 4  # questions of a battery asked one by one

UNKNOWN = frozenset({httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY})

Result = tuple[int, Finished | InferenceError]


class WorkerClient:
    """One server. Safe to share between tasks; close it when done."""

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        connect_seconds: float = 5.0,
        read_seconds: float = 120.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare to talk to `base_url`, with or without `/v1` at its end.

        Args:
            base_url: For example `http://127.0.0.1:8000`.
            key: Sent as a bearer token.
            connect_seconds: Longest wait for a connection.
            read_seconds: Longest silence within an answer; a worker of ours is never silent for
                more than 10 s.
            transport: Replaces the network.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/").removesuffix("/v1"),
            headers=headers,
            timeout=httpx.Timeout(read_seconds, connect=connect_seconds),
            transport=transport,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def stream(self, ask: Ask) -> AsyncGenerator[Token | Finished, None]:
        """Ask, and yield the answer as it is made; the last item is `Finished`.

        Closing the iterator closes the connection, and a worker of ours then stops computing.

        Raises:
            WorkerUnavailableError: nothing answers, or the answer broke off.
            WorkerBusyError: the queue is full.
            RequestRefusedError: the server cannot serve this request as it is.
            ChoicesNotKeptError: it was offered answers and gave none of them.
        """
        body = as_body(ask, ask.model or await self._default_model())
        answer, chosen = Reading(), Chosen(ask)
        try:
            async with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.status_code != httpx.codes.OK:
                    said = await response.aread()
                    if ask.choices and response.status_code in UNKNOWN and PARAMETER in said:
                        raise ChoicesNotKeptError
                    raise refusal(response.status_code, said)
                async for data in _events(response):
                    if text := chosen.take(answer.read(data)):
                        yield Token(text)
        except httpx.HTTPError as error:
            raise WorkerUnavailableError(reason_of(error)) from error
        finished = answer.finished()
        if ask.choices and finished.finish_reason in ("stop", "length"):
            if text := chosen.end():
                yield Token(text)
            finished = replace(finished, text=finished.text.strip())
        yield finished

    async def battery(
        self, asks: Sequence[Ask], *, at_once: int | None = None
    ) -> AsyncGenerator[Result, None]:
        """Ask several questions, best about one study, and yield each result as it is there.

        A worker of ours gets one request that holds the study once. Any other server is asked one
        question after another. Every index comes exactly once, with an answer or with the error
        that this question met; nothing is raised. Closing the generator stops what is left.

        Args:
            asks: Whatever they begin with in common is sent once.
            at_once: How many are open at a time where they are asked one by one; by default 16
                of a worker of ours, 4 of any other server.
        """
        if not asks:
            return
        try:
            models = await self.models()
        except InferenceError as error:
            for index in range(len(asks)):
                yield index, error
            return
        default = models[0].id if models else None
        named = [replace(ask, model=ask.model or default) for ask in asks]
        ours = any(model.family for model in models)
        try:
            if not ours:
                raise _NoBatteriesError
            async with aclosing(self._together(named)) as results:
                async for result in results:
                    yield result
        except _NoBatteriesError:
            most = at_once or (AT_ONCE if ours else AT_ONCE_ELSEWHERE)
            async with aclosing(self._one_by_one(named, most)) as results:
                async for result in results:
                    yield result

    async def models(self) -> list[ServedModel]:
        """List what can be asked, adapters included.

        Raises:
            WorkerUnavailableError: nothing answers, or it is still loading.
        """
        data = (await self._get("/v1/models")).get("data")
        if not isinstance(data, list):
            raise WorkerUnavailableError("it lists no models")
        return [served(item) for item in data if isinstance(item, dict) and item.get("id")]

    async def health(self) -> WorkerHealth:
        """Say whether questions can be asked; never raises."""
        try:
            response = await self._http.get("/health")
            if response.status_code == httpx.codes.NOT_FOUND:  # not every server has it
                response = await self._http.get("/v1/models")
        except httpx.HTTPError as error:
            return WorkerHealth("unreachable", reason_of(error))
        body = parse(response.content)
        state = body.get("state")
        if state in ("loading", "ready", "failed", "stopping"):
            return WorkerHealth(state, str(body.get("reason", "")), body.get("queued"))
        if response.is_success:
            return WorkerHealth("ready")
        return WorkerHealth("unreachable", f"HTTP {response.status_code}")

    async def _default_model(self) -> str | None:
        """Name the first model served: other servers insist on a name."""
        models = await self.models()
        return models[0].id if models else None

    async def _get(self, path: str) -> dict[str, Any]:
        try:
            response = await self._http.get(path)
        except httpx.HTTPError as error:
            raise WorkerUnavailableError(reason_of(error)) from error
        if not response.is_success:
            raise refusal(response.status_code, response.content)
        return parse(response.content)

    async def _together(self, asks: Sequence[Ask]) -> AsyncGenerator[Result, None]:
        """Ask all in one request.

        Raises:
            _NoBatteriesError: the server has no such route; nothing was yielded.
        """
        shared, rests = split(asks)
        questions = [as_question(ask, ask.model) for ask in rests]
        body = {"messages": as_messages(shared), "questions": questions}
        left = set(range(len(asks)))
        lost: InferenceError = WorkerUnavailableError("the answer broke off")
        try:
            async with self._http.stream("POST", "/v1/chat/batteries", json=body) as response:
                if response.status_code == httpx.codes.NOT_FOUND:
                    raise _NoBatteriesError
                if response.status_code != httpx.codes.OK:
                    lost = refusal(response.status_code, await response.aread())
                else:
                    async for data in _events(response):
                        index, result = _result(data)
                        if index in left:
                            left.remove(index)
                            yield index, result
        except httpx.HTTPError as error:
            lost = WorkerUnavailableError(reason_of(error))
        for index in sorted(left):
            yield index, lost

    async def _one_by_one(self, asks: Sequence[Ask], at_once: int) -> AsyncGenerator[Result, None]:
        gate = asyncio.Semaphore(at_once)

        async def one(index: int, ask: Ask) -> Result:
            async with gate:
                return index, await self._whole(ask)

        waiting = {asyncio.create_task(one(index, ask)) for index, ask in enumerate(asks)}
        everyone = list(waiting)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in everyone:
                task.cancel()
            await asyncio.gather(*everyone, return_exceptions=True)

    async def _whole(self, ask: Ask) -> Finished | InferenceError:
        """Wait for one answer; whatever kept it from coming is the result then."""
        try:
            async with aclosing(self.stream(ask)) as answer:
                async for item in answer:
                    if isinstance(item, Finished) and item.finish_reason != "error":
                        return item
        except InferenceError as error:
            return error
        return AnswerFailedError()


class _NoBatteriesError(Exception):
    """The server answers single questions only."""


async def _events(response: httpx.Response) -> AsyncIterator[str]:
    """Yield the data of server-sent events up to the last one."""
    async for line in response.aiter_lines():
        if line.startswith("data:"):
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            yield data


def _result(data: str) -> Result:
    """Read one event of a battery; an index that no question has where it names none."""
    event = parse(data.encode())
    found, completion, error = (event.get(key) for key in ("index", "completion", "error"))
    index = found if isinstance(found, int) else -1
    if isinstance(completion, dict):
        return index, whole(completion)
    return index, failure(error if isinstance(error, dict) else {})
