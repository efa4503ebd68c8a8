"""F9: malformed checks among good ones, as one batch and through both listeners: each is denied for itself, and nobody else is."""

import itertools
import random
from collections import Counter

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from authz_server.demo.site import EDGE
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.errors import DecodeError
from authz_server.listeners.base import CHECK_METHOD
from authz_server.verdict import Reason
from tests.check_request import check_request
from tests.envoy_site import DOORS, HOST
from tests.faults import figures
from tests.faults.harness import field, ground, policy, seconds, step
from tests.fuzz.fuzz_decode import corpus, mutate
from tests.harness import KEYED, Bench
from tests.site_pki import agent

MIB = 1 << 20
BATCH = 64
LIMIT = 1_000_000
SLOW_US = 5_000
"""The pass mark: 99 of 100 decisions take less, malformed ones included."""
DECODER = Decoder(DecodeSettings(KEYED))


def check(**more):
    """The check of an agent's step that would be allowed, but for what is changed."""
    values = {"path": "/v1/things/7", "host": HOST, "principal": agent("a"), "destination_principal": EDGE}
    return check_request(**{**values, **more})


def changed(change):
    """Such a check with a change that the builder does not make."""
    message = CheckRequest.FromString(check())
    change(message.attributes)
    return message.SerializeToString()


def with_header(name, raw, *, times=1):
    def change(attributes):
        for _ in range(times):
            attributes.request.http.header_map.headers.add(key=name, raw_value=raw)

    return changed(change)


def attribute(**values):
    def change(attributes):
        for name, value in values.items():
            setattr(attributes.request.http, name, value)

    return changed(change)


def replaced(old, new):
    """Such a check whose bytes are changed in place: what no serialiser would write."""
    payload = check()
    assert len(old) == len(new)
    assert old in payload
    return payload.replace(old, new)


def broken_bytes():
    """What is no message, or none that a serialiser writes; by what is wrong with it."""
    good = check()
    for size in (1, 2, 7, len(good) // 2, len(good) - 1):
        yield f"truncated to {size}", good[:size]
    yield "empty", b""
    yield "empty attributes", b"\x0a\x00"
    yield "not protobuf", b"\xff" * 64
    yield "a length beyond the end", b"\x0a\xff\xff\xff\xff\x0f" + good
    yield "nested groups", b"\x0b" * 200
    yield "garbage behind", good + b"\xff\xff"


def far_too_large():
    """A mebibyte in each place."""
    yield "1 MiB in one header", with_header("x-long", b"x" * MIB)
    yield (
        "1 MiB of headers",
        changed(
            lambda attributes: [
                attributes.request.http.header_map.headers.add(key=f"x-{n}", raw_value=b"v" * 256)
                for n in range(MIB // 256)
            ]
        ),
    )
    yield (
        "1 MiB of headers as a map",
        check(headers={f"x-{n}": "v" * 256 for n in range(MIB // 256)}, raw_headers=False),
    )
    yield "1 MiB of certificate", check(certificate="x" * MIB)
    yield "1 MiB of path", check(path="/v1/things/" + "x" * MIB)
    yield "1 MiB of body", check(body=b"x" * MIB)


def bad_headers():
    """Doubled ones, and ones that two programs may read in two ways."""
    yield "two hosts", with_header("host", b"other.example")
    yield "two paths", with_header(":path", b"/v1/other")
    yield "two methods", with_header(":method", b"DELETE")
    yield "two lengths", with_header("content-length", b"7", times=2)
    yield "two content types", with_header("content-type", b"application/json", times=2)
    yield "two credentials", with_header("authorization", b"Bearer abc", times=2)
    yield (
        "both forms of headers",
        changed(lambda attributes: attributes.request.http.headers.update({":path": "/v1/x"})),
    )
    yield "a forged header of ours", with_header("x-authz-principal\x00", b"root")
    yield "a header name with a line break", with_header("x-a\r\nx-b", b"v")
    yield "a header value with a line break", with_header("x-a", b"v\r\nx-b: w")
    yield "a header value with a null", with_header("host", b"\x00")
    yield "a header name that is not UTF-8", replaced(b":authority", b":authori\xff\xfe")


def bad_attributes():
    """Everything that Envoy says beside the headers."""
    yield "a path that is not UTF-8", replaced(b"/v1/things/7", b"/v1/things/\xff")
    yield "a principal that is not UTF-8", replaced(b"spiffe://corp", b"spiffe://cor\xff")
    yield "a method that is not UTF-8", replaced(b"GET", b"G\xffT")
    yield "an overlong slash in the path", attribute(path="/v1/things/%c0%af..")
    yield "a path that climbs", attribute(path="/v1/things/../../admin")
    yield "a path with a null", attribute(path="/v1/things/%00")
    yield "a path of one dot", attribute(path=".")
    yield "no path", attribute(path="")
    yield "no method", attribute(method="")
    yield "a method of 10 000 letters", attribute(method="G" * 10_000)
    yield "a lower-case method", attribute(method="get")
    yield "a host with a blank", attribute(host="crm corp.example")
    yield "a host of 100 000 letters", attribute(host="h" * 100_000)


def bad_peers():
    """Who asks, from where, and what is told beside it."""
    yield "a principal that is none", check(principal="spiffe://corp.example/../root")
    yield "a principal of 100 000 letters", check(principal="spiffe://corp.example/" + "a" * 100_000)
    yield (
        "a certificate that is none",
        check(certificate="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
    )
    yield "a source address that is none", check(source="10.1.2.3.4")
    yield "a source address of 100 000 letters", check(source="1" * 100_000)
    deep = {"a": {}}
    for _ in range(60):
        deep = {"a": deep}
    yield "metadata sixty deep", check(metadata={"jwt": deep})
    yield "100 000 context extensions", check(context={f"k{n}": "v" for n in range(100_000)})


BAD = dict(itertools.chain(broken_bytes(), far_too_large(), bad_headers(), bad_attributes(), bad_peers()))


def mutants(count, seed):
    """Good and recorded checks with random damage, every other one with a single changed byte; some are still checks."""
    rng, seeds = random.Random(seed), [*corpus(), check(), check(method="PUT", headers={"x-a": "b"})]
    return [_flip(rng, check()) if number % 2 else mutate(rng, seeds) for number in range(count)]


def _flip(rng, payload):
    place = rng.randrange(len(payload))
    return payload[:place] + bytes((rng.randrange(256),)) + payload[place + 1 :]


def judge_bad(name, payload, answer):
    """Assert that an answer denies, for a stated reason."""
    assert answer.status.code != 0, f"allowed: {name}: {payload[:200].hex()}"
    assert answer.denied_response.status.code in {400, 401, 403}, f"{name}: {answer}"
    reason = field(answer, "reason")
    assert reason in set(Reason) - {Reason.OK, Reason.INTERNAL_ERROR}, f"{name}: {reason!r}"
    assert field(answer, "detail") != "decoder_fault", f"{name}: {payload[:200].hex()}"
    return reason


def judge_mutant(payload, answer):
    """Assert that an answer to a damaged check is an allow only where what arrived says so in one way."""
    try:
        request = DECODER.decode(payload)
    except DecodeError:
        return judge_bad("mutant", payload, answer)
    if answer.status.code == 0:
        assert request.path.startswith(("/v1/things/", "/v1/trap")), payload.hex()
        assert request.method in {"GET", "HEAD", "PUT"}, payload.hex()
        return "allowed"
    return judge_bad("mutant", payload, answer)


def judge_good(answer, serial):
    """Assert that a neighbour was decided as ever."""
    assert answer.status.code == 0, f"a good neighbour was denied: {serial}: {answer}"
    assert field(answer, "rule") == "agents-work"


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_check_is_denied_among_good_ones(name):
    """In one batch with neighbours on both sides; the reason is told, and nothing is raised."""
    bench = Bench(policy(LIMIT))
    answers = bench.decide(step("a", 1), BAD[name], step("a", 2), BAD[name], step("a", 3))
    reason = judge_bad(name, BAD[name], answers[1])
    assert field(answers[3], "reason") == reason
    for place in (0, 2, 4):
        judge_good(answers[place], place)


def test_a_batch_of_nothing_but_malformed_checks_is_denied():
    """Every sort at once, and the engine goes on."""
    bench = Bench(policy(LIMIT))
    for (name, payload), answer in zip(BAD.items(), bench.decide(*BAD.values()), strict=True):
        judge_bad(name, payload, answer)
    judge_good(bench.decide(step("a", 1))[0], 1)


def waves(length):
    """Batches of good checks with bad ones between them: every bad sort, then mutants until there are enough."""
    serials = itertools.count()
    bad = list(BAD.items())
    bad += [("mutant", payload) for payload in mutants(length, 7)]
    half = BATCH // 2
    for start in range(0, len(bad), half):
        wave = []
        for name, payload in bad[start : start + half]:
            serial = next(serials)
            wave += [("good", step("a", serial)), (name, payload)]
        yield wave


@pytest.mark.parametrize("door", DOORS)
def test_malformed_checks_through_a_listener(door, caplog):
    """No RPC fails, no exception is told, and the neighbours in flight at the same moment are decided as ever."""
    reasons = Counter()
    with ground(replicas=1, door=door, text=policy(LIMIT)) as site:
        (replica,) = site.replicas
        with replica.channel() as channel:
            call = channel.unary_unary(CHECK_METHOD)
            for wave in waves(int(seconds(600, 60_000))):
                futures = [call.future(payload, timeout=20) for _, payload in wave]
                for number, ((name, payload), future) in enumerate(zip(wave, futures, strict=True)):
                    answer = CheckResponse.FromString(future.result())  # an RPC error raises here
                    if name == "good":
                        judge_good(answer, number)
                    elif name == "mutant":
                        reasons[judge_mutant(payload, answer)] += 1
                    else:
                        reasons[judge_bad(name, payload, answer)] += 1
        log = replica.log()
        micros = [entry["duration_us"] for entry in replica.records()]
        site.assert_sound()
    assert "could not be" not in log, log[-2000:]
    assert "failed" not in log, log[-2000:]
    assert reasons["allowed"] < reasons["decode_error"]
    figures.add(
        "F9",
        f"malformed checks among as many good ones ({door})",
        f"{figures.number(reasons.total())} bad",
        ", ".join(f"{figures.number(count)} {reason}" for reason, count in sorted(reasons.items())),
        "0 gRPC errors",
        f"decided within p99 {figures.ms(figures.percentile(micros, 0.99) / 1e6)}",
    )
