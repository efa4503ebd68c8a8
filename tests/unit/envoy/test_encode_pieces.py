"""Answers are joined from remembered pieces: always the bytes that the plain way would build."""

import os
import subprocess
import sys

from envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from hypothesis import given
from hypothesis import strategies as st

from authz_server.envoy import encode as module
from authz_server.envoy.answers import Version, allow_message, deny_message
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.envoy.encode import Encoder, EncodeSettings, allows
from authz_server.keyhash import KeyedHash
from authz_server.verdict import Decision, Reason, Verdict
from tests.check_request import check_request

DECODER = Decoder(DecodeSettings(KeyedHash(b"0123456789abcdef")))
ID = "01hzy3v9w2k4m6n8p0q2r4s6t8"
DIGEST = "sha256:0123abcd"
PRINCIPAL = "spiffe://corp.example/ns/agents/sa/a13"
ALLOW = Verdict(Decision.ALLOW, Reason.OK, "read-tools", action="files.read", principal=PRINCIPAL, risk=7)
DENY = Verdict(
    Decision.DENY,
    Reason.DENIED,
    "secret-rule",
    detail="internal_detail",
    action="files.delete",
    principal=PRINCIPAL,
    public_reason="Agents change things only under a task.",
    remedy="Ask for a task token.",
    risk=300,
)
PLAIN = DECODER.decode(check_request())


def asking(**headers):
    return DECODER.decode(
        check_request("POST", "/pkg.Svc/Get", {name.replace("__", "-"): headers[name] for name in headers})
    )


def test_ids_of_any_length_and_every_part_of_a_verdict_make_another_answer():
    """Nothing of one answer leaks into the next."""
    encoder = Encoder()
    verdicts = [
        DENY,
        DENY._replace(rule="other"),
        DENY._replace(detail="other"),
        DENY._replace(action="other"),
        DENY._replace(public_reason="other"),
        DENY._replace(remedy="other"),
        DENY._replace(decision=Decision.QUARANTINE),
        DENY._replace(reason=Reason.NO_MATCH),
        DENY._replace(degraded=True),
        DENY._replace(shadow=True),
        DENY._replace(shadow=True, principal="spiffe://corp.example/other"),
        DENY._replace(risk=5),
        DENY._replace(reason=Reason.THROTTLED, retry_after=5),
        DENY._replace(reason=Reason.THROTTLED, retry_after=6),
        ALLOW,
        ALLOW._replace(principal=""),
    ]
    requests = [PLAIN, None, asking(content__type="application/grpc"), asking(x_authz_a="1")]
    for _ in range(2):
        for verdict in verdicts:
            for request in requests:
                for decision_id in ("a" * 8, "b" * 8, "c" * 64, ID):
                    assert encoder.encode(verdict, decision_id, DIGEST, request) == Encoder().encode(
                        verdict, decision_id, DIGEST, request
                    )
    assert encoder.faults == 0
    other = CheckResponse.FromString(encoder.encode(ALLOW, ID, "other", PLAIN))
    assert other.dynamic_metadata["policy_digest"] == "other"


def straightforward(verdict, decision_id, request):
    """The same message without pieces and joins."""
    grpc = request.headers.get("content-type", "").startswith("application/grpc")
    if allows(verdict):
        message = allow_message(verdict, decision_id, Version(DIGEST), request.spoofed)
    else:
        message = deny_message(verdict, decision_id, Version(DIGEST), EncodeSettings(), grpc=grpc)
    message.dynamic_metadata.fields["risk"].number_value = verdict.risk
    return message


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_categories=["Cc", "Cs"]), max_size=40)


@st.composite
def verdicts(draw):
    """Verdicts of all kinds that do not contradict themselves."""
    decision, reason = draw(st.sampled_from(Decision)), draw(st.sampled_from(Reason))
    if (decision is Decision.ALLOW) != (reason is Reason.OK):
        decision, reason = Decision.DENY, Reason.DENIED
    return Verdict(
        decision,
        reason,
        rule=draw(TEXT),
        detail=draw(TEXT),
        action=draw(TEXT),
        principal=draw(TEXT),
        public_reason=draw(st.text(max_size=40)),
        remedy=draw(st.text(max_size=40)),
        retry_after=draw(st.integers(-10, 10**6)),
        risk=draw(st.integers(-(2**53), 2**53)),
        shadow=draw(st.booleans()),
        degraded=draw(st.booleans()),
    )


@given(verdicts(), st.from_regex(r"[A-Za-z0-9_-]{8,64}", fullmatch=True), st.booleans(), st.booleans())
def test_joined_pieces_are_the_straightforward_message(verdict, decision_id, grpc, spoof):
    """Joining the id into the pieces and adding the risk parses to exactly what building it plainly gives."""
    headers = {"content__type": "application/grpc"} if grpc else {}
    request = asking(**headers, **({"x_authz_forged": "1"} if spoof else {}))
    encoder = Encoder()
    first = encoder.encode(verdict, decision_id, DIGEST, request)
    assert CheckResponse.FromString(first) == straightforward(verdict, decision_id, request)
    assert encoder.encode(verdict, decision_id, DIGEST, request) == first
    assert encoder.faults == 0


def test_lengths_that_look_like_the_placeholder():
    """Parts of 127 bytes have a length byte that is the placeholder's; they are not cut."""
    for length in range(100, 160):
        for decision_id in ("a" * 8, "b" * 64):
            for verdict in (ALLOW._replace(principal="p" * length), DENY._replace(detail="d" * length)):
                joined = CheckResponse.FromString(Encoder().encode(verdict, decision_id, DIGEST, PLAIN))
                assert joined == straightforward(verdict, decision_id, PLAIN)


def test_other_runtimes_merge_alike():
    """The second `dynamic_metadata` merges for the pure-Python runtime too; Envoy's C++ and Rust follow the same rule."""
    samples = [
        (Encoder().encode(verdict, ID, DIGEST, PLAIN), straightforward(verdict, ID, PLAIN).SerializeToString())
        for verdict in (ALLOW, DENY, ALLOW._replace(risk=10**6))
    ]
    script = (
        "import sys\n"
        "from google.protobuf.internal import api_implementation\n"
        "from envoy.service.auth.v3.external_auth_pb2 import CheckResponse\n"
        "assert api_implementation.Type() == 'python'\n"
        "for line in sys.stdin:\n"
        "    joined, plain = (CheckResponse.FromString(bytes.fromhex(half)) for half in line.split())\n"
        "    assert joined == plain and joined.dynamic_metadata['decision_id'], joined\n"
        "    print('same')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        input="".join(f"{joined.hex()} {plain.hex()}\n" for joined, plain in samples),
        env={**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("same\n" * len(samples), "")


def test_memory_is_bounded():
    """Neither principals nor names that a client makes up fill memory."""
    encoder = Encoder()
    for number in range(module._MEMO_SIZE + 10):
        encoder.encode(ALLOW._replace(principal=f"spiffe://corp.example/{number}"), ID, DIGEST, PLAIN)
    assert len(encoder._memo) <= module._MEMO_SIZE
    encoder = Encoder()
    for number in range(10):
        encoder.encode(ALLOW, ID, DIGEST, PLAIN._replace(spoofed=(f"x-authz-{number}",)))
    assert encoder._memo == {}
