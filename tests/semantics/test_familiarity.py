"""Semantics 27 and 28 of the policy language: learning, walks, marks, what is known, and facts over signals."""

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.verdict import Decision, Reason
from tests.harness import Bench
from tests.semantics.world import ACTIONS, AGENT, ALLOWED, OTHER, World, faults, names

BASE = ACTIONS + ALLOWED


def world(signal, condition, *, then="deny", match="", more=""):
    rule = f"  - {{name: r, {match}when: '{condition}', then: {then}}}\n"
    return World(f"{BASE}{rule}{more}signals: {{s: {signal}}}\n")


NEW = "{first_seen: path.doc, per: [principal], window: 31d}"


def test_27_a_rule_on_what_is_new_stays_in_shadow_until_it_has_learned():
    """A day where nothing is said; it appears in `would_have`, and its age can be read."""
    it = world(NEW, "signals.s == 1")
    it.step()
    it.answered()
    it.later(86_399)
    verdict = it.step("/docs/8")
    assert (verdict.decision, names(verdict.would_have)) == (Decision.ALLOW, {"r"})
    assert it.reading("s.age") == 86_399
    it.later(1)
    assert it.step("/docs/8").rule == "r"
    assert it.step("/docs/7").decision is Decision.ALLOW


def test_27_each_instance_learns_for_itself():
    """A caller that has just come is not all novelty; of `each` one that has learned speaks."""
    it = world(NEW, "signals.s == 1")
    it.step()
    it.answered()
    it.later(86_400)
    assert it.step("/docs/8", who=OTHER).decision is Decision.ALLOW
    it = world(NEW.replace("per: [principal]", "each: [principal, source]"), "signals.s == 1")
    it.step()
    it.answered()
    it.later(86_400)
    assert it.step("/docs/8", address="10.9.9.9").rule == "r"


def test_27_learning_can_be_counted():
    """So many events, and so long."""
    it = world(NEW.replace("31d", "31d, learn: {time: 0s, count: 2}"), "signals.s == 1")
    for number in range(2):
        assert it.step(f"/docs/{number}").decision is Decision.ALLOW
        it.answered()
    assert it.step("/docs/9").rule == "r"


def test_27_a_rule_that_reads_something_else_too_waits_with_it():
    """Another rule on the same count does not."""
    calls = "{count: steps, per: [principal], window: 1h}"
    more = "  - {name: slow, when: signals.t > 2, then: throttle}\n"
    it = world(f"{NEW}, t: {calls}", "signals.s == 1 || signals.t > 2", more=more)
    it.steps(2)
    verdict = it.step()
    assert (verdict.rule, names(verdict.would_have)) == ("slow", {"r"})


def test_27_a_grant_on_what_is_known_does_not_open_while_it_learns():
    """In shadow it allows nothing."""
    text = ACTIONS + 'rules: [{name: g, match: {principal: "spiffe://**"}, when: signals.s == 0, then: allow}]\n'
    it = World(f"{text}signals: {{s: {NEW}}}\n")
    assert it.step().reason is Reason.NO_MATCH


class Broken:
    """A store that can be told to fail."""

    def __init__(self):
        self.down = True

    def apply(self, measurements):
        return [StateUnavailableError("timeout")] * len(measurements)


@pytest.mark.parametrize(
    ("path", "host", "reason"),
    [("/secrets/db", "vault.corp.example", Reason.STATE_UNAVAILABLE), ("/docs/7", "docs.corp.example", Reason.OK)],
)
def test_27_without_the_store_a_careful_step_is_denied_learned_or_not(path, host, reason):
    """What cannot be read has not been unlearned; low-risk reads go by what this replica saw itself."""
    rule = "  - {name: r, when: signals.s == 1, then: challenge}\n"
    it = Bench(f"{BASE}{rule}signals: {{s: {NEW}}}\n", store=Broken())
    assert it.step(path=path, host=host, principal=AGENT).reason is reason


WALK = "{walk: {refused: 2, absent: 1.5, failed: 0.5, success: -1.5, discovered: -0.5}, of: path.doc, each: [principal], half_life: 6h, cap: 24}"


@pytest.mark.parametrize(
    ("statuses", "reading"),
    [
        ((401, 403, 407), 6),
        ((404, 405, 410), 4),
        ((500, 503), 1),
        ((403, 403, 403, 200), 4),
        ((400, 429, 302), 0),
        ((200,) * 9 + (403,), 2),
        ((403,) * 20, 24),
    ],
)
def test_28_a_walk_adds_up_outcomes_by_their_class(statuses, reading):
    """Within 0 and its cap; what says nothing adds nothing."""
    it = world(WALK, "signals.s > 99", then="observe")
    for number, status in enumerate(statuses):
        it.step(f"/docs/{number}")
        it.answered(status)
    it.step("/docs/end")
    assert it.reading("s") == reading


def test_28_a_retry_storm_adds_nothing_and_a_walk_fades():
    """The same target is remembered; half of it is gone after a half-life."""
    it = world(WALK, "signals.s > 99", then="observe")
    for _ in range(9):
        it.step("/docs/1")
        it.answered(403)
    for number in range(2, 5):
        it.step(f"/docs/{number}")
        it.answered(403)
    it.step("/docs/end")
    assert it.reading("s") == 8
    it.later(6 * 3600)
    it.step("/docs/end")
    assert it.reading("s") == 4


def test_28_a_success_of_a_discovery_weighs_less():
    """Looking around is no proof of belonging here."""
    it = world(WALK.replace("path.doc", "request.path"), "signals.s > 99", then="observe")
    for number in range(2):
        it.step(f"/docs/{number}")
        it.answered(403)
    it.step("/docs")
    it.answered(200)
    it.step("/docs/end")
    assert it.reading("s") == 3


MARK = "{mark: \"action.kind == 'credential'\", each: [principal, source], keep: 1h, fed_by: allowed}".replace(
    "'", '\\"'
)
KEY = (("authorization", "Bearer abc"),)


def test_28_a_mark_is_remembered_for_a_time():
    """Set by what its condition says."""
    it = world(MARK, "signals.s > 0", match="match: {action: doc.export}, ")
    assert it.export().decision is Decision.ALLOW
    it.step()
    assert it.export().decision is Decision.ALLOW
    it.secret()
    assert it.export().rule == "r"
    it.later(3600)
    assert it.export().decision is Decision.ALLOW


@pytest.mark.parametrize(
    ("setter", "reader", "by_other"),
    [
        ({}, {}, 0),
        ({}, {"who": OTHER}, 1),
        ({"headers": KEY}, {"headers": KEY}, 0),
        ({}, {"headers": KEY}, 1),
        ({"headers": KEY}, {"headers": (*KEY, ("x-api-key", "stolen"))}, 1),
        ({"headers": (*KEY, ("x-api-key", "b"))}, {"headers": (("x-api-key", "b"), *KEY)}, 0),
        ({}, {"who": OTHER, "address": "10.9.9.9"}, 0),
    ],
)
def test_28_a_mark_knows_whether_another_has_set_it(setter, reader, by_other):
    """Another caller, or the same with other credentials, at the same place."""
    it = world(MARK, "signals.s.by_other", match="match: {action: doc.export}, ", then="observe")
    it.secret(**setter)
    it.export(**reader)
    assert it.reading("s.by_other") == by_other


KNOWN = "{distinct: path.doc, per: [principal], window: 7d, fed_by: outcomes}"


def test_28_a_distinct_can_be_what_has_succeeded_and_tell_whether_this_is_among_it():
    """The reading is of what was known before; a freeze lets work in hand go on."""
    it = world(f"{KNOWN}, w: {WALK}", "signals.w >= 4 && !signals.s.has", then="challenge")
    it.step("/docs/mine")
    it.answered(200)
    for number in range(2):
        assert it.step(f"/docs/{number}").decision is Decision.ALLOW
        it.answered(403)
    assert it.step("/docs/new").decision is Decision.CHALLENGE
    assert it.step("/docs/mine").decision is Decision.ALLOW
    assert (it.reading("s"), it.reading("s.has")) == (1, 1)


def test_28_one_known_credential_makes_no_other_known():
    """Whatever stands in front: each has to be known to the caller."""
    signal = "{distinct: principal, per: [credential], window: 7d, fed_by: allowed}"
    it = world(signal, "!signals.s.has", match="match: {action: doc.read}, ")
    it.step("/docs", headers=KEY)
    assert it.step(headers=KEY).decision is Decision.ALLOW
    assert it.step(headers=(*KEY, ("x-api-key", "stolen"))).rule == "r"
    assert it.step(headers=(("x-api-key", "stolen"), *KEY)).rule == "r"


def test_28_facts_read_signals_so_that_weak_signs_can_be_counted_together():
    """None of them does anything alone."""
    signals = "{count: steps, per: [principal], window: 1h}, t: {distinct: path.doc, per: [principal], window: 1h}"
    text = (
        f"{BASE}  - {{name: r, when: '[facts.often, facts.far].filter(each, each).size() >= 2', then: challenge}}\n"
        f"signals: {{s: {signals}}}\nfacts: {{often: signals.s > 2, far: signals.t > 1}}\n"
    )
    it = World(text)
    assert it.steps(3) == ["allow"] * 3
    assert it.step("/docs/8").decision is Decision.CHALLENGE


def test_28_parts_belong_to_the_signals_that_have_them():
    """`has`, `by_other` and `age` of what knows them."""
    counts = "signals: {s: {count: steps, per: [principal], window: 1h}}\n"
    for part in ("has", "by_other", "age"):
        assert faults(f"{BASE}  - {{name: r, when: signals.s.{part} == 1, then: deny}}\n{counts}")
