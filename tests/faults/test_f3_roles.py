"""F3 with the roles apart: the store forgets, and the control role is away; operators' containments last too."""

import time

import pytest

from tests.faults import figures
from tests.faults.forms import DECLARED, LIMIT, long_form, now, policy, seconds
from tests.faults.harness import ground
from tests.faults.oracle import EVERYTHING, Loss, check_containment, judge
from tests.faults.roles import Control, trap, write_keys
from tests.faults.traffic import traffic
from tests.servers import valkey

AWAY_S = 0.5
HEALED_S = 5.0
"""Data roles give back at once what a store that has forgotten everything lacks, and the control role signs for it here."""


@pytest.mark.skipif(not long_form(), reason="it takes ten seconds; the short form has the faults one by one")
def test_the_store_forgets_while_nobody_signs(tmp_path):
    """An operator's, a rule's and a rule's while the control role is down: all are kept, and reach everybody in the end."""
    private, public = write_keys(tmp_path)
    with (
        valkey() as store,
        ground(store.url, text=policy(LIMIT), role="data", secrets={"record_public_keys": [public]}) as site,
    ):
        control = Control(site, store.url, private)
        contained = {DECLARED: 0.0}
        with traffic(site, ["a", "b", DECLARED, "operated", "ruled", "late"], rate=150) as running:
            running.settle(50)
            by_operator = control.contain("operated")
            contained["operated"] = now()
            trap(site, "ruled")
            by_rule = control.await_refused("ruled")
            contained["ruled"] = now()
            control.server.kill()
            with store.client() as client:
                client.flushall()
            struck = now()
            trap(site, "late")
            time.sleep(seconds(AWAY_S, 20))
            control.start()
            back = now()
            late = control.await_refused("late")
            contained["late"] = now()
            healed = site.await_flags(store, ["operated", "ruled", "late"], HEALED_S) - back
            site.restart(1)
            again = control.await_refused("operated", "ruled", "late")
            running.settle(50)
        history = running.history(site)
        control.release("operated")
        site.assert_sound()
    judge(
        history,
        contained=contained,
        limit=LIMIT,
        losses=[Loss(EVERYTHING, struck)],
        errors=["UNAVAILABLE", "CANCELLED"],
    )
    figures.add(
        "F3",
        "FLUSHALL while the control role is down",
        history.figures(),
        f"0 of {check_containment(history, contained)} contained allowed",
        f"an operator's containment everywhere after {figures.ms(by_operator)}, a rule's {figures.ms(by_rule)}",
        f"stored again {figures.ms(healed)} after the control role is back",
        f"one made meanwhile {figures.ms(late)} after the control role is back ({figures.ms(back - struck)})",
        f"a fresh replica knows all, {figures.ms(again)} after its start",
    )
