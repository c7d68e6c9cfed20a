"""An HTTP proxy that does nothing but CONNECT. Prints its port, then a line for each way."""

from __future__ import annotations

import asyncio
import contextlib


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    method, target, _ = head.decode().split(" ", 2)
    host, _, port = target.rpartition(":")
    try:
        far = await asyncio.open_connection(host, int(port))
    except OSError:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        writer.close()
        return
    print(method, target, flush=True)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await asyncio.gather(pour(reader, far[1]), pour(far[0], writer))


async def main() -> None:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
