"""One server process: the application under uvicorn, on a socket that its parent listens on.

It needs no database: what it takes in goes to the spool. So a process that crashed is started again while the
database is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
from collections.abc import Sequence

import uvicorn
from starlette.routing import BaseRoute

from coldsend.config.settings import Settings
from coldsend.web import spool
from coldsend.web.app import Application
from coldsend.web.intake import Intake
from coldsend.web.protocol import LimitedProtocol

LOOK_SECONDS = 0.1
KEEP_ALIVE_SECONDS = 30
GRACE_SECONDS = 4  # for requests under way, at the end
MEGABYTE = 1 << 20


class Server(uvicorn.Server):
    """Looks after the intake while it serves, and ends with its parent."""

    def __init__(self, config: uvicorn.Config, intake: Intake, parent: int) -> None:
        super().__init__(config)
        self._intake = intake
        self._parent = parent

    async def main_loop(self) -> None:
        looking = asyncio.create_task(self._look())
        try:
            await super().main_loop()
        finally:
            looking.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._intake.close()

    async def _look(self) -> None:
        while True:
            self._intake.look()
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.let_go_if_slow(now)
            if os.getppid() != self._parent:
                self.should_exit = True  # a parent that was killed cannot drain its processes
            await asyncio.sleep(LOOK_SECONDS)


def configured(application: Application, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application."""
    # What strangers send to a public port, TLS or worse, is no event.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return uvicorn.Config(
        application,
        http=LimitedProtocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=settings.web.max_connections,
    )


def keep_for_good() -> None:
    """Tell the garbage collector that what a process has when it begins to work is not to be looked at again.

    That took it a sixth of the time in which hits are brought to the ledger.
    """
    gc.collect()
    gc.freeze()


def serve(
    settings: Settings,
    link_secret: bytes,
    listener: socket.socket,
    parent: int,
    routes: Sequence[BaseRoute] = (),
) -> None:
    """Serve until SIGTERM or SIGINT. OSError where the spool cannot be made. parent: pid to live with."""
    intake = Intake(spool.folder_of(settings.state_dir), settings.web.spool_megabytes * MEGABYTE)
    config = configured(Application(settings, link_secret, intake, routes), settings)
    keep_for_good()
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again that it ended for
        Server(config, intake, parent).run(sockets=[listener])
