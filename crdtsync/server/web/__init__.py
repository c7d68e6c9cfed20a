"""The server on the web: WebSocket and HTTP, as one ASGI application.

`web_app` makes the application, to be mounted in another or to stand alone; `crdtsync serve` runs
it itself. On its way a connection passes:

- `app`, which finds the door that its path leads to;
- `guard`, which keeps other web sites away from a server in development mode;
- `asgi`, which makes a stream of messages of it;
- its door: the native protocol's, or one that was added.

Pages for people (`inspect`, `demo`) answer HTTP requests: see `exchange` and `files`. What they are
made of is in `static`; how `yjs.js` there was made, in `bundle`.

`runner` is what runs the application where `crdtsync serve` listens on web addresses.
"""

from crdtsync.server.web.app import WebApp, WebDoor, WebRequest, web_app

__all__ = ["WebApp", "WebDoor", "WebRequest", "web_app"]
