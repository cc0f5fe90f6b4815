"""`make demo` does the main job. Its Kafka is librdkafka's mock cluster, which leaves some questions unanswered: nothing may wait for them."""

import os
import subprocess

import pytest
from stack import ROOT


@pytest.mark.timeout(240)
def test_the_demo_ends_well(servers):
    if servers.build != os.path.join(ROOT, "build"):
        pytest.skip("the demo runs the ordinary build")
    done = subprocess.run([os.path.join(ROOT, "scripts", "demo")], capture_output=True, text=True, timeout=220, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "completed" in done.stdout and "The demo failed" not in done.stdout
