"""Times of task tokens, and the memo, which must never change an answer."""

import pytest

from authz_server.keyhash import KeyedHash
from authz_server.model import Invalid
from authz_server.task.token import TokenVerifier, issue
from tests.jose import CLAIMS, DOMAIN, FULL, ISSUER, KEYED, NOW, body, header, sign, signing_key, verifier

GOOD = issue(CLAIMS, signing_key())
KEYS = {signing_key().public.kid: signing_key().public}


def test_a_token_ends_when_it_says():
    """To the second, fresh and remembered: there is no leeway behind its end."""
    one = verifier()
    assert one.verify(GOOD, NOW + 299.999) == CLAIMS
    for each in (one, verifier()):
        assert each.verify(GOOD, NOW + 300) == Invalid("token_expired")
        assert each.verify(GOOD, NOW + 10**9) == Invalid("token_expired")


def test_a_token_from_the_future_is_refused():
    """Beyond the leeway; a clock that was set back does not bring remembered tokens back either."""
    one = verifier(leeway_s=5)
    assert one.verify(GOOD, NOW - 5) == CLAIMS
    for each in (one, verifier(leeway_s=5)):
        assert each.verify(GOOD, NOW - 5.5) == Invalid("token_from_the_future")
        assert each.verify(GOOD, NOW) == CLAIMS


@pytest.mark.parametrize(
    ("begin", "end", "reason"),
    [
        (NOW, NOW + 900, ""),
        (NOW, NOW + 901, "token_life"),
        (NOW - 1000, NOW + 1, "token_life"),
        (NOW, NOW, "token_life"),
        (NOW + 1, NOW, "token_life"),
        (1, 253_402_300_799, "token_life"),
    ],
)
def test_a_token_lives_for_minutes(begin, end, reason):
    """However long its issuer meant it to."""
    token = sign(header(), body(CLAIMS._replace(issued=begin, expires=end, deadline=253_402_300_799)))
    found = verifier().verify(token, NOW)
    assert found == Invalid(reason) if reason else found.expires == end


BAD_TIMES = [None, 0, -1, "1800000000", 1.8e9, 1800000000.0, True, [NOW], {}, 253_402_300_800, 2**62]


@pytest.mark.parametrize("name", ["iat", "exp"])
@pytest.mark.parametrize("value", BAD_TIMES)
def test_times_are_whole_seconds(name, value):
    """Neither texts nor fractions, nor what overflows a calendar; and none is optional."""
    assert verifier().verify(sign(header(), body(**{name: value})), NOW) == Invalid(f"token_{name}")


@pytest.mark.parametrize("digits", [b"1e9", b"99999999999999999999", b"1" * 4000, b"NaN", b"Infinity", b"-0", b"01"])
def test_odd_numbers_are_refused(digits):
    """As JSON, or as a time."""
    raw = b'{"exp":' + digits + b"}"
    assert isinstance(verifier().verify(sign(header(), raw), NOW), Invalid)


def test_issuer_and_audience_are_ours():
    """Exactly, not by prefix or case."""
    for issuer in ("https://authz.corp.example/", "https://AUTHZ.corp.example", "https://evil.example"):
        token = issue(CLAIMS._replace(issuer=issuer), signing_key())
        assert verifier().verify(token, NOW) == Invalid("token_iss")
    for audience in ("a.corp.example", "corp.exampl", "other.example"):
        token = issue(CLAIMS._replace(audience=audience), signing_key())
        assert verifier().verify(token, NOW) == Invalid("token_aud")


def test_a_token_is_verified_once():
    """The same claims answer the second time."""
    one = verifier()
    assert one.verify(GOOD, NOW) is one.verify(GOOD, NOW + 1)


def test_nothing_of_a_token_is_remembered_by_its_text():
    """Keys of the memo are keyed hashes, and the values hold no signature."""
    one = verifier()
    one.verify(GOOD, NOW)
    (digest,) = one._memo._young
    assert digest == KEYED.hex((GOOD,))
    assert GOOD.rpartition(".")[2] not in repr(one._memo._young)
    other = TokenVerifier(KEYS, ISSUER, DOMAIN, KeyedHash(b"another secret of 16"))
    other.verify(GOOD, NOW)
    assert digest not in other._memo._young


def test_the_memo_is_bounded_and_keeps_what_is_used():
    """A flood of tokens that are seen once forgets no token that is in use."""
    one = verifier(entries=8)
    used = one.verify(GOOD, NOW)
    for number in range(40):
        one.verify(issue(CLAIMS._replace(jti=f"k-{number}"), signing_key()), NOW)
        assert one.verify(GOOD, NOW) is used
    assert len(one._memo) <= 8


def test_refused_tokens_are_not_remembered():
    """They would push out good ones."""
    one = verifier()
    for token in (GOOD + "A", sign(header(), body(aud="other.example")), sign(header(), body(), signing_key(1))):
        one.verify(token, NOW)
    assert len(one._memo) == 0


def test_a_token_is_small():
    """It goes along with every request of a task."""
    assert len(GOOD) < 1000
    assert len(issue(FULL, signing_key())) < 1300


def test_without_a_key_nothing_holds():
    """A key that was taken away takes its tokens with it: other keys are a new verifier."""
    assert verifier(keys={}).verify(GOOD, NOW) == Invalid("token_unknown_key")


def test_settings_are_checked():
    """Durations are the operator's mistake."""
    for settings in ({"max_life_s": 0}, {"leeway_s": -1}):
        with pytest.raises(ValueError, match="life"):
            verifier(**settings)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expires": NOW}, "token_life"),
        ({"jti": ""}, "token_jti"),
        ({"agents": ()}, "token_act"),
        ({"deadline": NOW + 299}, "token_tctx"),
        ({"purpose": "\ud800"}, "token_json_not_utf8"),
        ({"budgets": (("a", 1), ("a", 2))}, "token_ambiguous"),
        ({"budgets": (("a", 1), ("A", 2))}, "token_json_colliding_keys"),
        ({"context": tuple((f"c{n}", "x" * 250) for n in range(16)), "actions": tuple(f"a{n}" + "x" * 100 for n in range(40))},
         "token_too_large"),
    ],
)  # fmt: skip
def test_what_nobody_would_accept_is_not_issued(change, code):
    """The mistake is found where it is made."""
    with pytest.raises(ValueError, match=f"^{code}$"):
        issue(FULL._replace(**change), signing_key())
