"""HTTP connections with limits, so that nobody can hold them open without sending requests."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEADER_SECONDS = 20
_HEADER_BYTES = 64 * 1024
_CHUNKS = 20_000


def protocol(most_connections: int) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, with additional limits.

    A connection is closed if it does not send a complete header within 20 s of its start, or of a request's first byte.
    A header of more than 64 KiB, or a body in more than 20,000 chunks, is an error. uvicorn itself closes connections
    that are idle after a request.

    Args:
        most_connections: maximum number of simultaneous connections; further ones are closed at once.
    """

    class BoundedProtocol(HttpToolsProtocol):
        # An exception in a callback ends the parser: uvicorn answers 400 and closes.
        _due: asyncio.TimerHandle | None = None
        _header_bytes = 0
        _chunks = 0

        def connection_made(self, transport):
            super().connection_made(transport)
            if len(self.connections) > most_connections:
                transport.abort()
            else:
                self._expect_header()

        def connection_lost(self, exc):
            self._expect_no_header()
            super().connection_lost(exc)

        def on_message_begin(self):
            super().on_message_begin()
            self._header_bytes = self._chunks = 0
            self._expect_header()

        def on_chunk_header(self):
            self._chunks += 1
            if self._chunks > _CHUNKS:
                raise ValueError("too many chunks")

        def on_url(self, url):
            super().on_url(url)
            self._count(len(url))

        def on_header(self, name, value):
            super().on_header(name, value)
            self._count(len(name) + len(value))

        def on_headers_complete(self):
            self._expect_no_header()
            super().on_headers_complete()

        def _count(self, more):
            self._header_bytes += more
            if self._header_bytes > _HEADER_BYTES:
                raise ValueError("too large")

        def _expect_header(self):
            self._expect_no_header()
            self._due = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

        def _expect_no_header(self):
            if self._due is not None:
                self._due.cancel()
                self._due = None

    return BoundedProtocol
