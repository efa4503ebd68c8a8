"""What the error replies of a server mean."""

from authz_server.errors import StateUnavailableError

_REFUSED = frozenset({
    "ask", "busy", "clusterdown", "loading", "masterdown", "misconf", "moved", "noauth", "noreplicas", "noscript", "oom",
    "readonly", "tryagain",
})  # fmt: skip
"""First words of error replies that come before anything is carried out, in front of a script too."""
_CODES = _REFUSED | {"noperm"}
"""First words that become the code of an error; any other is `error_reply`. What an access list refuses may be one
command of a script whose others were carried out."""
_REDIRECTS = frozenset({"ask", "moved"})


class RedirectError(StateUnavailableError):
    """MOVED or ASK: another node of the cluster has the key, and nothing was carried out.

    Attributes:
        target: `<slot> <host>:<port>` as the server wrote it; for nobody but the cluster's own reading.
    """

    def __init__(self, code: str, target: str) -> None:
        super().__init__(code, sent=False)
        self.target = target


def error_of(text: str) -> StateUnavailableError:
    """Classify an error reply by its first word; the text itself may carry names and goes nowhere."""
    first, _, rest = text.partition(" ")
    word = first.lower()
    if word in _REDIRECTS:
        return RedirectError(word, rest)
    return (
        StateUnavailableError(word, sent=word not in _REFUSED)
        if word in _CODES
        else StateUnavailableError("error_reply")
    )
