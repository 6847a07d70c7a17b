"""An HTTP CONNECT relay: Microsoft's SDK dials fixed ports (8883); through this it reaches a random one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def relaying(target_port: int) -> Iterator[int]:
    """A relay on a free loopback port that connects every CONNECT to 127.0.0.1:target_port; its own port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(lambda reader, writer: _relay(reader, writer, target_port), "127.0.0.1", 0)

    async def stop() -> None:
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target_port: int) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"CONNECT ")
        there, back = await asyncio.open_connection("127.0.0.1", target_port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
