"""The only way out of the web process to an identity provider: few origins, small answers."""

from dataclasses import dataclass
from typing import Final, cast

import httpx2

from webapp.auth.oidc.errors import ProviderUnsafeError
from webapp.auth.oidc.settings import origin_of

LARGEST_ANSWER: Final = 256 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class PinnedTransport(httpx2.AsyncBaseTransport):
    """Calls nothing but the given origins, and reads no answer beyond the limit.

    Answers come as they are: a compressed one could be a thousand times as large as it looks.
    """

    origins: frozenset[str]
    inner: httpx2.AsyncBaseTransport

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request.

        Raises:
            ProviderUnsafeError: it leads elsewhere, or the answer is too large or compressed.
        """
        if origin_of(str(request.url)) not in self.origins:
            raise ProviderUnsafeError("an address outside of the configured origins")
        request.headers["accept-encoding"] = "identity"
        response = await self.inner.handle_async_request(request)
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ProviderUnsafeError("a compressed answer")
            content = b""
            async for part in cast(httpx2.AsyncByteStream, response.stream):
                content += part
                if len(content) > LARGEST_ANSWER:
                    raise ProviderUnsafeError(f"an answer beyond {LARGEST_ANSWER // 1024} KiB")
        finally:
            await response.aclose()
        return httpx2.Response(
            response.status_code, headers=response.headers, content=content, request=request
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self.inner.aclose()
