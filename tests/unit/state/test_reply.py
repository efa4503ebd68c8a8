"""What error replies mean."""

import pytest

from authz_server.state.reply import RedirectError, error_of


@pytest.mark.parametrize(
    ("text", "code", "sent"),
    [
        ("NOSCRIPT No matching script.", "noscript", False),
        ("READONLY You can't write against a read only replica.", "readonly", False),
        ("OOM command not allowed", "oom", False),
        ("LOADING Redis is loading the dataset in memory", "loading", False),
        ("BUSY Redis is busy", "busy", False),
        ("CLUSTERDOWN Hash slot not served", "clusterdown", False),
        ("MASTERDOWN Link with MASTER is down", "masterdown", False),
        ("TRYAGAIN Multiple keys request during rehashing", "tryagain", False),
        ("NOAUTH Authentication required.", "noauth", False),
        ("MISCONF Errors writing to the AOF", "misconf", False),
        ("NOREPLICAS Not enough good replicas to write.", "noreplicas", False),
        ("NOPERM this user has no permissions", "noperm", True),
        ("ERR something with a secret", "error_reply", True),
        ("WRONGTYPE Operation against a key", "error_reply", True),
        ("", "error_reply", True),
    ],
)
def test_error_codes(text: str, code: str, sent: bool) -> None:  # noqa: FBT001
    """An error reply is known by its first word alone, which also tells whether anything may have been carried out."""
    error = error_of(text)
    assert (error.code, error.sent) == (code, sent)
    assert "secret" not in f"{error!r} {error.__dict__}"


@pytest.mark.parametrize("word", ["MOVED", "ASK"])
def test_redirects(word: str) -> None:
    """A redirect keeps its target for the cluster, and shows it nobody."""
    error = error_of(f"{word} 1 10.0.0.1:7000")
    assert isinstance(error, RedirectError)
    assert (error.code, error.sent, error.target) == (word.lower(), False, "1 10.0.0.1:7000")
    assert "10.0" not in f"{error} {error!r}"
