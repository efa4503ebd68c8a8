"""From the configuration to the watch of workloads, whose end ends their tasks."""

import os
import random
import time
from typing import NamedTuple

from authz_server import assembly
from authz_server.config import Config
from authz_server.taskbook.pod_api import HttpsPodApi, in_cluster
from authz_server.taskbook.pods import PodWatch
from authz_server.taskbook.workloads import Workloads


class WorkloadRoad(NamedTuple):
    """The watch, and what it has seen."""

    known: Workloads
    watch: PodWatch


def build_workloads(config: Config, domain: str) -> WorkloadRoad | None:
    """Build the watch; None where none is wanted. It starts with `watch.start()`.

    Args:
        config: says whether it is wanted.
        domain: our trust domain.

    Raises:
        ConfigError: it is wanted outside of a pod.
    """
    if config.tasks is None or not config.tasks.kubernetes or config.role == "data":
        return None
    # The pods are those of our own domain: an account of the same name in a federated one runs elsewhere.
    known = Workloads([domain], clock=assembly.clock, monotonic=time.monotonic)
    api = HttpsPodApi(in_cluster(os.environ), time.monotonic)
    watch = PodWatch(api, known, clock=assembly.clock, monotonic=time.monotonic, jitter=random.random)
    return WorkloadRoad(known, watch)
