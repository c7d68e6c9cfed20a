"""Who is it? What a server asks of a client's Hello, before it lets the client in.

An `Authenticator` turns a token into an `Identity`, or refuses. Bundled are:

- `DevelopmentAuthenticator`, which believes what the client says;
- `crdtsync.server.authentication.jwt.JwtAuthenticator`, for JSON Web Tokens. It needs the extra
  ``crdtsync[jwt]``, so it is imported from there; its keys are in `keyset`.

What a user may do is another question: `crdtsync.server.access` answers it.
"""

from crdtsync.server.authentication.authenticator import Authenticator, Identity
from crdtsync.server.authentication.development import DevelopmentAuthenticator

__all__ = ["Authenticator", "DevelopmentAuthenticator", "Identity"]
