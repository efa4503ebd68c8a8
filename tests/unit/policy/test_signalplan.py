"""How one signal is fed by a step: whose instance, which member, which stage, and when."""

import pytest

from authz_server.model import Entity, Task
from authz_server.policy.selector import key_of
from authz_server.policy.signalplan import signal_id, stand_in
from authz_server.policy.step import Step
from tests.steps import AGENT, NOW, credential, policy, principal, request

HEAD = """
    version: 1
    actions:
      - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
      - {name: list, match: {method: GET, path: /v1}, kind: discovery, stage: discovery}
      - {name: take, match: {method: GET, path: /v2}, kind: bulk-read, stage: collection}
    facts: {tenant: 'request.headers[?"x-t"].orValue("")', broken: 'request.headers["x-none"]'}
"""
TASK = Task("t", "t1", "spiffe://corp.example/ns/p/sa/o", AGENT, "alice", 0, int(NOW) + 60)


def plan(signal):
    return policy(
        f"{HEAD}    signals: {{s: {signal}}}\n    rules: [{{name: r, when: signals.s > 3, then: throttle}}]\n"
    ).plans["s"]


def step(path="/v1/7", who=AGENT, task=None, **changes):
    snapshot = policy(HEAD + "    rules: []\n")
    req = request(path=path, **changes)
    classified = snapshot.catalogue.classify(req)
    it = Step(req, principal(who) or None, classified.action, classified.captures, NOW)
    it.task = task
    return it


def fed(signal, it, amount=1):
    hits = []
    plan(signal).feed(it, hits, amount)
    return hits


def keys(signal, it):
    return [(hit.entity.type, *hit.entity.parts, *hit.rest) for hit in fed(signal, it)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("per: [principal]", [("principal", AGENT)]),
        ("per: [principal, action, path.thing]", [("principal", AGENT, "read", "7")]),
        ("per: [facts.tenant, principal]", []),
        ("per: [principal, facts.broken]", []),
        ("per: [task]", []),
        ("each: [principal, source]", [("principal", AGENT), ("source", "10.1.2.3")]),
        ("each: [principal, task, credential]", [("principal", AGENT)]),
        ("each: [principal, lineage]", [("principal", AGENT)]),
        ("each: [lineage, source]", [("lineage", AGENT), ("source", "10.1.2.3")]),
    ],
)
def test_instances_are_named_by_what_the_step_has(words, expected):
    """One composite key with all its words, or one key for each; nothing for what is absent."""
    assert keys(f"{{count: steps, {words}, window: 1h}}", step()) == expected


def test_a_task_has_a_lineage_beside_its_agent():
    """Issuer and originator."""
    signal = "{count: steps, each: [principal, lineage], window: 1h}"
    assert keys(signal, step(task=TASK))[1] == ("lineage", f"{TASK.issuer} alice")


def test_credentials_are_taken_one_after_the_other():
    """All that a step presents, and the step is left as it was."""
    it = step(credentials=(credential("a"), credential("b")))
    assert keys("{count: steps, per: [credential], window: 1h}", it) == [
        ("credential", credential("a").id),
        ("credential", credential("b").id),
    ]
    members = [hit.member for hit in fed("{distinct: credential, per: [principal], window: 1h}", it)]
    assert members == [credential("a").id, credential("b").id]
    assert it.chosen == 0


SEQUENCE = "{sequence: [discovery, collection], per: [principal], window: 1h}"
DISTINCT = "{distinct: path.thing, per: [principal], window: 1h}"
SPREAD = "{count: outcomes, per: [principal], window: 1h}"


@pytest.mark.parametrize(
    ("signal", "path", "amount", "member", "stage"),
    [
        (SEQUENCE, "/v1", 1, "", 0),
        (SEQUENCE, "/v2", 1, "", 1),
        (SEQUENCE, "/v1/7", 1, "", -1),
        (SEQUENCE, "/v2", 0, "", -1),
        (DISTINCT, "/v1/7", 1, "7", -1),
        (DISTINCT, "/v1", 1, "", -1),
        (DISTINCT, "/v1/7", 0, "", -1),
        (SPREAD, "/v1/7", 1, "crm/api", -1),
        (SPREAD, "/v1/7", 0, "", -1),
        ("{first_seen: path.thing, per: [principal], window: 1h}", "/v1/7", 0, "7", -1),
        ("{distinct: path.thing, per: [principal], window: 1h, fed_by: allowed}", "/v1/7", 0, "7", -1),
    ],
)
def test_a_step_that_only_reads_adds_nothing(signal, path, amount, member, stage):
    """Neither its member nor its stage; what is familiar asks for its own member all the same."""
    (hit,) = fed(signal, step(path), amount)
    assert (hit.member, hit.stage, hit.amount) == (member, stage, amount)


def test_members_of_several_parts_cannot_imitate_each_other():
    """Also where a part is absent."""
    walk = "{walk: {refused: 1}, of: [path.thing, request.query], each: [principal], half_life: 1h}"
    one, two = (fed(walk, step(path, query=query))[0].member for path, query in (("/v1/a", "1:b"), ("/v1/a1", "b")))
    assert one == "1:a3:1:b"
    assert one != two


@pytest.mark.parametrize(
    ("reporter", "share", "group"), [("", 0, ""), ("", 3, "crm/api"), ("spiffe://a/b", 3, "spiffe://a/b")]
)
def test_who_vouches_for_a_member_of_a_walk(reporter, share, group):
    """The proxy that reports it, else the destination; nobody where no share is kept."""
    it = step()
    it.reporter = reporter
    more = f", share: {share}" if share else ""
    assert fed(f"{{walk: {{refused: 1}}, each: [principal], half_life: 1h{more}}}", it)[0].group == group


@pytest.mark.parametrize(
    ("more", "changes", "counts"),
    [
        ("match: {source: 10.0.0.0/8}", {}, True),
        ("match: {source: 192.0.2.0/24}", {}, False),
        ("exclude: {source: 10.0.0.0/8}", {}, False),
        ("exclude: {source: 10.0.0.0/8, principal: 'spiffe://other/**'}", {}, True),
        ("when: 'facts.tenant == \"a\"'", {}, False),
        ("when: 'facts.tenant == \"a\"'", {"headers": {"x-t": "a"}}, True),
        ("when: 'facts.broken == \"a\"'", {}, True),
    ],
)
def test_a_filter_says_which_steps_count(more, changes, counts):
    """One that cannot be evaluated counts."""
    assert plan(f"{{count: steps, per: [principal], window: 1h, {more}}}").counts(step(**changes)) is counts


@pytest.mark.parametrize(
    ("more", "applies"),
    [
        ("match: {action: read}", True),
        ("match: {action: list}", False),
        ("exclude: {action: read}", False),
        ("exclude: {action: read, source: 192.0.2.0/24}", True),
    ],
)
def test_what_depends_on_the_kind_of_step_alone_is_known_before(more, applies):
    """Without asking the step itself."""
    assert plan(f"{{count: steps, per: [principal], window: 1h, {more}}}").applies(key_of(step())) is applies


@pytest.mark.parametrize(
    ("signal", "task", "fixed"),
    [
        ("{count: steps, per: [principal, action, destination], window: 1h}", None, True),
        ("{count: steps, each: [principal, lineage], window: 1h}", None, True),
        ("{count: steps, each: [principal, lineage], window: 1h}", TASK, False),
        ("{count: steps, per: [task, principal], window: 1h}", TASK, True),
        ("{count: steps, per: [task.id], window: 1h}", TASK, False),
        ("{count: steps, per: [source], window: 1h}", None, False),
        (DISTINCT, None, True),
        (SPREAD, None, False),
        ("{count: denied, per: [principal], window: 1h, match: {source: 10.0.0.0/8}}", None, True),
    ],
)
def test_keys_are_fixed_where_all_steps_of_a_kind_share_them(signal, task, fixed):
    """So that they are built once; what only reads must not bring its member along."""
    it = step(task=task)
    assert plan(signal).has_fixed_keys(key_of(it)) is fixed
    if fixed:
        expected, built = fed(signal, it), []
        plan(signal).feed_as(stand_in(key_of(it)), expected[0].member, built, 1)
        assert built == expected


def test_an_id_depends_on_every_part():
    """8 hexadecimal digits."""
    assert len({signal_id("a", 1), signal_id("a", 2), signal_id("b", 1), signal_id(("a", 1))}) == 4
    assert all(len(signal_id(number)) == 8 for number in range(9))


def test_nobody_has_no_instance():
    """An anonymous caller is measured where it calls from, if at all."""
    signal = "{count: steps, each: [principal, source, lineage], window: 1h}"
    assert [hit.entity for hit in fed(signal, step(who=""))] == [Entity("source", ("10.1.2.3",))]
