"""Runs one server for the load comparison: ours with a policy and a store, or an empty grpc.aio handler.

h2load sends the same bytes again and again, which authz-server rightly takes for Envoy's repeats and counts once. So that every
check does its full work the id inside each is replaced by a running number; that replacement is paid by our side.
"""

import argparse
import asyncio
import itertools
import signal
import threading
import time
from collections import deque
from pathlib import Path

import grpc
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc

from authz_server import assembly
from authz_server.audit.queue import AuditQueue
from authz_server.audit.sinks import JsonLinesSink
from authz_server.config import load_config
from authz_server.envoy.encode import DENIED_503
from authz_server.holder import PolicyHolder
from authz_server.listeners.doors import Door
from authz_server.listeners.native import NativeListener
from bench import site


class Empty(external_auth_pb2_grpc.AuthorizationServicer):
    """The servicer that anybody would begin with: the message is parsed, and allowed."""

    async def Check(self, request, context):  # noqa: N802 - the name of the RPC
        answer = external_auth_pb2.CheckResponse()
        answer.status.code = 0
        return answer


async def empty(address):
    """An empty asynchronous handler."""
    server = grpc.aio.server()
    external_auth_pb2_grpc.add_AuthorizationServicer_to_server(Empty(), server)
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


def ours(address, policy, state, ca, audit):
    """Our server: everything of production but for the replaced id."""
    text = f"state: {state}\ntrust: {{domains: [{{name: corp.example, bundle: {ca}}}]}}\n".encode()
    config = load_config("bench.yaml", text, {})
    keyed = assembly.build_keyed_hash(config)
    holder = PolicyHolder(keyed, (), assembly.clock)
    holder.publish(holder.compile({"bench.yaml": policy.encode()}))
    submit = deque(maxlen=1).append
    if audit:
        queue = AuditQueue(JsonLinesSink(audit), block=False, sleep=time.sleep)
        threading.Thread(target=queue.run, daemon=True).start()
        submit = queue.submit
    engine = assembly.build_engine(
        config, keyed, holder, assembly.build_store(config, keyed), submit, verifier=assembly.build_verifier(config)
    )
    numbers = itertools.count(10**15)

    def decide(calls):
        return engine.decide(
            [call._replace(payload=call.payload.replace(site.STREAM_ID, b"%d" % next(numbers))) for call in calls]
        )

    listener = NativeListener(Door(address, insecure=True), decide, DENIED_503)
    listener.start()
    listener.set_serving(True)
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    while not done.wait(0.1):
        engine.tick()
    listener.stop(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["empty", "stateless", "stateful"])
    parser.add_argument("--address", required=True)
    parser.add_argument("--state", default="memory")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--audit", default="")
    options = parser.parse_args()
    if options.kind == "empty":
        asyncio.run(empty(options.address))
    else:
        policy = site.STATELESS if options.kind == "stateless" else site.STATEFUL
        ours(options.address, policy, options.state, options.ca, options.audit)


if __name__ == "__main__":
    main()
