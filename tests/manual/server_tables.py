"""What the code says about the tables of answers, records, metrics and layers."""

import re
import tomllib

from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server import record, verdict
from authz_server.control.outcomes import CODES
from authz_server.engine.standing import Standing
from authz_server.engine.tally import Sort
from authz_server.envoy.encode import Encoder
from authz_server.model import Caller, CallerKind, Containment, Credential, Entity
from authz_server.state_metrics import StateSeen
from authz_server.telemetry import Observed, PolicyState, Telemetry
from authz_server.verdict import Decision, Demand, Effect, Excepted, Match, Reading, Reason, Verdict
from tests.manual.markdown import ROOT
from tests.manual.render import Table
from tests.steps import request

_MATCH = Match("r", Effect.DENY, "evaluation_error")
FULL = Verdict(
    Decision.QUARANTINE,
    Reason.CONTAINED,
    "r",
    "d",
    "a",
    "spiffe://a.b/c",
    risk=1,
    matched=(_MATCH,),
    would_have=(_MATCH,),
    readings=(Reading("s", 1, 2),),
    contain=(Containment(Entity("pair", ("a", "b")), 1.0, "r"),),
    alert="high",
    tags=("t",),
    shadow=True,
    degraded=True,
    demands=(Demand("r", ("group:soc",)),),
    excepted=(Excepted("r", "e"),),
    task="t",
    approval="0" * 32,
)
"""A verdict in which everything is there."""
_AS_MATCHED = {f"would_have[].{name}" for name in ("rule", "effect", "error")}


def fields_of(value, prefix=""):
    """The paths of a record's fields; `*` stands for the names of signals."""
    for name, inner in value.items():
        yield f"{prefix}{name}"
        if name == "readings":
            yield from fields_of(next(iter(inner.values())), f"{prefix}{name}.*.")
        elif isinstance(inner, dict):
            yield from fields_of(inner, f"{prefix}{name}.")
        elif isinstance(inner, list) and isinstance(inner[0], dict):
            yield from fields_of(inner[0], f"{prefix}{name}[].")


def _record():
    caller = Caller(CallerKind.SOCKET, "unix:", valid=False, reason="why")
    asked = request(credentials=(Credential("bearer", "00"),))
    built = record.build(record.DecisionEvent("0", 1.0, "d", caller, asked, FULL, 1, answer="0"))
    names = [name for name in fields_of(built) if name not in _AS_MATCHED]
    return Table(("Field", "Type", "There", "Meaning"), tuple({"Field": f"`{name}`"} for name in names))


def _metadata():
    allowed = Verdict(Decision.ALLOW, Reason.OK)
    answers = (Encoder().encode(verdict, "0" * 32, "digest", None, 1, join=b"sealed") for verdict in (FULL, allowed))
    fields = {}
    for answer in answers:
        fields |= CheckResponse.FromString(answer).dynamic_metadata.fields
    kinds = {"string_value": "string", "number_value": "number", "bool_value": "bool"}
    found = [(name, kinds[fields[name].WhichOneof("kind")]) for name in sorted(fields)]
    return Table(("Key", "Type", "Meaning"), tuple({"Key": f"`{name}`", "Type": kind} for name, kind in found))


def _reasons():
    rows = [
        {
            "Code": f"`{reason.value}`",
            "HTTP": str(spec.http),
            "gRPC": str(spec.grpc),
            "Caller sees": f"`{spec.public}`",
            "Sentence": spec.text,
        }
        for reason, spec in verdict.REASONS.items()
    ]
    return Table(("Code", "HTTP", "gRPC", "Caller sees", "Sentence", "Meaning", "What to do"), tuple(rows))


def _metrics():
    policy = PolicyState("d", "enforce", 1.0, 1.0, failing=False, stale=False, held_back=("team",))
    standing = Standing(synced=True, outage=False, owed=0, dropped=0, unstored=0, skew_ms=0, skewed=False)
    state = StateSeen(standing, 0, errors={"oom": 1}, refused={"forged": 1})
    sort = Sort("allow", "ok", shadow=False)
    seen = Observed(((sort, 1),), policy, 0, 0, 0, draining=False, outcomes={"learned": 1}, state=state)
    rows = []
    for metric in Telemetry(lambda: seen).collect():
        counter = metric.type == "counter"
        labels = sorted({label for sample in metric.samples for label in sample.labels})
        rows.append(
            {
                "Metric": f"`{metric.name}_total`" if counter else f"`{metric.name}`",
                "Type": metric.type,
                "Labels": " ".join(f"`{label}`" for label in labels) or "-",
                "Meaning": metric.documentation.rstrip("."),
            }
        )
    return Table(("Metric", "Type", "Labels", "Meaning"), tuple(rows))


def _layers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (layers,) = (each["layers"] for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    rows = [" ".join(f"`{name}`" for name in re.findall(r"\w+", layer)) for layer in layers]
    return Table(("Layer", "Is"), tuple({"Layer": row} for row in rows))


SERVER_TABLES = {
    "layers": _layers(),
    "outcome codes": Table(("Code", "Meaning"), tuple({"Code": f"`{code}`"} for code in CODES)),
    "reasons": _reasons(),
    "record fields": _record(),
    "metadata": _metadata(),
    "metrics": _metrics(),
}
"""By the name in the mark."""
