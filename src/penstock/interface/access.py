"""Who may do what: the key that came with a request, and the right that its path asks for."""

import hmac
from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import sha256

from penstock.errors import AdminOff, Forbidden, Unauthorized
from penstock.model.key import Key, Right

BROWSER = (b"www-authenticate", b'Basic realm="penstock"')
"""What has a browser ask for a key: a person looks at the pages that are to be read."""
OPEN = ("/health", "/ready")
"""Who asks these, a load balancer or an orchestrator, has no key."""


Keys = Mapping[bytes, tuple[bytes, Key]]
"""By their digests."""


def right_of(path: str) -> Right | None:
    """What has to be allowed for a path that is not a prediction's, whether anything is there or not; None for those
    that are open to everybody."""
    if path in OPEN:
        return None
    return "admin" if path == "/admin" or path.startswith("/admin/") else "read"


class Shown:
    """The key that was last shown on a connection. Whoever shows the same again is known without another digest."""

    __slots__ = ("key", "keys", "said")

    def __init__(self) -> None:
        self.said = b""
        self.key: Key | None = None
        self.keys: Keys | None = None  # among which it was found


class Access:
    """The keys that count now. Without any file of keys everybody may predict and read, and nobody administer."""

    def __init__(self) -> None:
        self._keys: Keys | None = None
        self._anonymous: Key | None = None

    def update(self, keys: Sequence[Key] | None) -> None:
        """Other keys count from now on; None where there is no file of them."""
        digests = [(bytes.fromhex(key.sha256), key) for key in keys or () if key.sha256]
        self._keys = None if keys is None else {digest: (digest, key) for digest, key in digests}
        self._anonymous = next((key for key in keys or () if not key.sha256), None)

    def demand(self, headers: Mapping[bytes, bytes], right: Right | None, shown: Shown | None = None) -> Key | None:
        """The key that came with a request, if one was needed; `shown` is what its connection has shown before. Raises
        Unauthorized, Forbidden and AdminOff."""
        if right is None:
            return None
        if self._keys is None:
            if right == "admin":
                raise AdminOff
            return None
        said = headers.get(b"x-api-key")
        if said is None:
            said = _authorized(headers, in_a_browser=right != "admin")
        key = self._known(said, shown or Shown()) if said is not None else self._anonymous
        if key is None or (key is self._anonymous and right not in key.rights):
            raise Unauthorized
        if right not in key.rights:
            raise Forbidden(f"This key may not {right}; it may {' and '.join(key.rights)}.")
        return key

    def _known(self, said: bytes, shown: Shown) -> Key:
        """Whose key this is. Raises Unauthorized.

        What is looked up is its SHA-256: how long that takes tells nothing of the keys there are, since nobody can
        choose a digest.
        """
        if shown.key is not None and shown.keys is self._keys and hmac.compare_digest(said, shown.said):
            return shown.key
        digest = sha256(said).digest()
        known = (self._keys or {}).get(digest)
        if known is None or not hmac.compare_digest(digest, known[0]):
            raise Unauthorized
        shown.said, shown.key, shown.keys = said, known[1], self._keys
        return known[1]


def _authorized(headers: Mapping[bytes, bytes], *, in_a_browser: bool) -> bytes | None:
    """The key in the header Authorization, whatever it is; None where there is none.

    A browser asks for a name and a password, of which the latter is the key, and sends them again by itself, whichever
    page it was that had it send something: so that counts for nothing that would change anything.
    """
    said = headers.get(b"authorization")
    if said is None:
        return None
    scheme, _, value = said.partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    return _password(value) if scheme.lower() == b"basic" and in_a_browser else b""


def _password(value: bytes) -> bytes:
    try:
        return b64decode(value.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""
