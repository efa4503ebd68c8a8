"""The index over rules and signals finds exactly what asking every one of them finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.model import Action
from authz_server.policy import ruleindex
from authz_server.policy.entries import RuleEntry
from authz_server.policy.rule import Rule
from authz_server.policy.ruleindex import RuleIndex
from authz_server.policy.selector import Key, Selectors
from authz_server.policy.tree import Where
from authz_server.verdict import Effect

KNOWN = ("crm.read", "crm.list", "crm.export", "files.read", "files.other", "vault.secret")
SELECTORS = Selectors(KNOWN)

SEGMENTS = ("crm", "agents", "api")
DOMAINS = st.sampled_from(("spiffe://a.example", "spiffe://b.example"))
IDS = st.builds(lambda domain, *path: "/".join((domain, *path)), DOMAINS, *[st.sampled_from(SEGMENTS)] * 2) | DOMAINS
LEGACY = st.sampled_from(("legacy:batch", "legacy:other"))


@st.composite
def principal_patterns(draw):
    """Exact IDs, wildcards in any segment, the rest, and the words beside IDs."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(("anonymous", "legacy:batch", "legacy:*", "spiffe://**")))
    segments = draw(st.lists(st.sampled_from((*SEGMENTS, "*", "*", "*")), min_size=1, max_size=3))
    if draw(st.booleans()):
        segments[-1] = "**"
    return "/".join((draw(DOMAINS), *segments))


ACTIONS = st.sampled_from((*KNOWN, "crm.*", "*", "*.read", "files.read_*", "files.read_x", "unclassified", "c*t"))
SERVICES = st.sampled_from(("crm/api", "crm/*", "*", "vault/x", "*/api"))
TEMPLATES = st.sampled_from(("weekly", "week*", "break-glass", "*"))
KINDS = st.sampled_from(("read", "write", "discovery"))


def some(patterns):
    return st.lists(patterns, min_size=1, max_size=3).map(tuple)


MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "action": some(ACTIONS),
        "principal": some(principal_patterns()),
        "destination": some(SERVICES),
        "task": some(TEMPLATES),
        "action.kind": some(KINDS),
        "source": st.just(("10.0.0.0/8",)),
    },
)
RULES = st.lists(
    st.tuples(
        MATCHES,
        st.just({}) | MATCHES,
        st.sampled_from(((), (), ("crm.*",), ("files.*", "vault.secret"))),
        st.sampled_from((Effect.ALLOW, Effect.DENY)),
    ),
    max_size=40,
)
KEYS = st.builds(
    Key,
    st.builds(
        Action,
        st.sampled_from((*KNOWN, "files.read_x", "files.read_*", "crm.made", "unclassified")),
        KINDS,
        st.just(""),
        st.just("low"),
    ),
    st.just("") | LEGACY | IDS,
    st.sampled_from(("", "crm/api", "vault/x", "other")),
    st.sampled_from(("", "weekly", "weekend", "break-glass")),
)


def finest(rules):
    """An index that leaves nothing to be asked one by one where it can tell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ruleindex, "LEAF", 0)
        return RuleIndex(rules)


def rule(match, exclude=None, scope=(), effect=Effect.DENY, name="r"):
    entry = RuleEntry(
        name=name,
        match=match,
        exclude=exclude or {},
        when="",
        then=effect,
        reason="",
        remedy="",
        alert="",
        tags=(),
        contain=(),
        enforce=10_000,
        on_state_error="by-kind",
        where=Where(1, "p.yaml"),
    )
    surely = effect is Effect.ALLOW
    excluded = SELECTORS.compile(exclude, surely=not surely) if exclude else None
    return Rule(entry, SELECTORS.compile(match, scope, surely=surely), excluded)


@given(RULES, st.lists(KEYS, max_size=8))
def test_it_finds_exactly_the_rules_that_apply(parts, keys):
    """In their order, whatever their matches, exclusions, scopes and effects, and whoever makes the step."""
    rules = [rule(*each) for each in parts]
    index = finest(rules)
    for key in keys:
        assert index.find(key) == [each for each in rules if each.applies(key)]


@pytest.mark.parametrize(
    ("match", "found", "missed"),
    [
        ({"principal": ("spiffe://a.example/ns/*/sa/api",)}, {"principal": "spiffe://a.example/ns/x/sa/api"}, {}),
        ({"principal": ("spiffe://a.example/ns/n1/**",)}, {}, {"principal": "spiffe://a.example/ns/n2/sa/w1"}),
        ({"principal": ("spiffe://a.example/*",)}, {"principal": "spiffe://a.example/x"}, {}),
        ({"principal": ("spiffe://**",)}, {"principal": "spiffe://b.example"}, {"principal": ""}),
        ({"principal": ("legacy:*",)}, {"principal": "legacy:batch"}, {}),
        ({"principal": ("anonymous",)}, {"principal": ""}, {}),
        ({"action": ("files.read_x",)}, {"action": "files.read_*"}, {}),
        ({"action": ("files.read_x",)}, {"action": "files.read_x"}, {}),
        ({"action": ("files.*",)}, {"action": "files.read_x"}, {"action": "unclassified"}),
        ({"action": ("*",)}, {"action": "crm.list"}, {"action": "unclassified"}),
        ({"destination": ("crm/*",)}, {}, {"service": "vault/x"}),
        ({"destination": ("crm/api",)}, {}, {"service": "crm/x"}),
        ({"task": ("weekly",)}, {"template": "weekly"}, {"template": "daily"}),
        ({"task": ("week*",)}, {"template": "weekly"}, {}),
    ],
)
def test_each_way_to_a_rule(match, found, missed):
    """One rule among others that are about something else on the same dimension."""
    wanted = rule(match)
    others = [
        rule({"principal": ("spiffe://other.example/ns/*/sa/x",)}),
        rule({"action": ("vault.secret",)}),
        rule({"destination": ("other",)}),
        rule({"task": ("other",)}),
    ]
    index = finest([*others, wanted])
    assert index.find(key(**found)) == [wanted]
    assert index.find(key(**missed)) == []


@given(RULES, KEYS)
def test_a_key_is_found_the_same_twice(parts, key):
    """Made names are remembered."""
    index = RuleIndex(rule(*each) for each in parts)
    assert index.find(key) == index.find(key)


class Asked:
    """A rule that counts how often it is asked."""

    def __init__(self, inner):
        self.inner = inner
        self.selector = inner.selector
        self.times = 0

    def applies(self, key):
        self.times += 1
        return self.inner.applies(key)


def key(action="crm.read", principal="spiffe://a.example/ns/n1/sa/w1", service="crm/api", template=""):
    return Key(Action(action, "read", "", "low"), principal, service, template)


ACCOUNTS = [f"spiffe://a.example/ns/n{number % 7}/sa/w{number}" for number in range(300)]


@pytest.mark.parametrize(
    "matches",
    [
        [{"principal": (account,)} for account in ACCOUNTS],
        [{"principal": (f"spiffe://a.example/ns/n{number}/**",)} for number in range(300)],
        [{"principal": (f"spiffe://a.example/ns/*/sa/w{number}",)} for number in range(300)],
        [{"principal": (account,), "action": (name,)} for account in ACCOUNTS[:50] for name in KNOWN],
        [{"principal": (account,), "destination": (f"crm/{at}",)} for at, account in enumerate(ACCOUNTS)],
        [{"destination": (f"crm/{number}",)} for number in range(300)],
        [{"task": (f"weekly-{number}",), "action": ("*",)} for number in range(300)],
    ],
    ids=["principal", "namespace", "account", "pair", "principal-destination", "destination", "task"],
)
def test_a_look_up_asks_few_rules(matches):
    """However many rules there are, those about other callers, actions, destinations and tasks are not asked."""
    asked = [Asked(rule(match)) for match in matches]
    RuleIndex(asked).find(key())
    assert sum(each.times for each in asked) <= 2 * ruleindex.LEAF


def test_rules_about_everything_are_always_found():
    """Beside those that are about something."""
    rules = [rule({"principal": (account,)}) for account in ACCOUNTS] + [rule({}), rule({"action": ("*",)})]
    assert RuleIndex(rules).find(key("files.read", "")) == rules[-2:]
    assert RuleIndex(rules).find(key(principal=ACCOUNTS[9])) == [rules[9], *rules[-2:]]


def test_an_empty_index_finds_nothing():
    """A policy may have no signals."""
    assert RuleIndex([]).find(key()) == []


def test_the_memory_of_made_names_is_bounded(monkeypatch):
    """A flood of tools costs time, not memory."""
    monkeypatch.setattr(ruleindex, "MAX_MADE", 4)
    index = RuleIndex([rule({"action": (f"files.{number}*",)}) for number in range(10)])
    for number in range(50):
        index.find(key(f"files.{number}"))
    assert len(index._dimensions[0]._made) <= 4
