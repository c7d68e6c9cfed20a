"""Applications of others in which a server is mounted; run by uvicorn as its users do."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from crdtsync.server import SqliteBackend, web_app

backend = SqliteBackend(os.environ["SERVER_DATA"])
sync = web_app(backend)


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    async with backend, sync:
        yield


fastapi = FastAPI(lifespan=lifespan)
fastapi.mount("/a/sync", sync)


@fastapi.get("/hello")
def hello() -> dict[str, str]:
    return {"hello": "there"}


starlette = Starlette(routes=[Mount("/a/sync", app=sync)], lifespan=lifespan)
