"""`wherry timeouts`: exit codes, what is printed and written, and the trial on this kernel."""

import json
import subprocess
import sys

import pytest

from cli_shell import Shell
from needs import need
from wherry.app.session import Session
from wherry.app.timeouts import try_pool_timeouts

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 5 # ours
  containers: [{name: a}]
"""


@pytest.fixture
def wherry(tmp_path) -> Shell:
    """A folder with a manifest and values."""
    shell = Shell(tmp_path)
    shell.write("pod.yaml", POD)
    shell.write("values.yaml", "drain: {notice: 3s, finish: 8s}\n")
    return shell


def test_a_finding_is_exit_code_1(wherry):
    """The document has it; --fail-on decides what counts."""
    wherry("timeouts", "pod.yaml", "--values", "values.yaml", "--json", code=1)
    document = json.loads(wherry.out)
    wherry("timeouts", "pod.yaml", "--values", "values.yaml", "--fail-on", "never")

    assert [(one["rule"], one["place"]) for one in document["findings"]] == [("grace-covers-shutdown", "pod.yaml:5")]
    assert "must be below grace = 5 s" in wherry.out


def test_dry_run_and_write(wherry):
    """The first shows the change, the second makes it, and then the timeouts agree."""
    wherry("timeouts", "pod.yaml", "--values", "values.yaml", "--write", "--dry-run", code=1)
    assert "+  terminationGracePeriodSeconds: 12 # ours" in wherry.err
    assert (wherry.root / "pod.yaml").read_text() == POD

    said = wherry("timeouts", "--values", "-", "--write", "pod.yaml", stdin="drain: {notice: 3s, finish: 8s}\n")
    assert said[-1] == "the timeouts agree"
    assert "1 finding before, 0 left" in wherry.err
    assert (wherry.root / "pod.yaml").read_text() == POD.replace(": 5 #", ": 12 #")
    assert (
        wherry("timeouts", "-", "--values", "values.yaml", stdin=POD.replace(": 5 #", ": 12 #"))[-1]
        == "the timeouts agree"
    )


def test_what_is_refused(wherry):
    """A file that is not there, a log without a table, --dry-run alone."""
    wherry("timeouts", "none.yaml", code=66)
    wherry("timeouts", "--service", "pod.yaml", code=64)
    wherry("timeouts", "pod.yaml", "--dry-run", code=64)
    wherry("timeouts", code=64)
    wherry("timeouts", "", code=64)
    wherry("timeouts", "--write", "-", code=64, stdin=POD)
    wherry.write("empty.yaml", "")
    assert wherry("timeouts", "empty.yaml")[-1] == "no timeout is stated there: nothing was judged"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces need Linux")
def test_the_trial(tmp_path):
    """tcp_fin_timeout sets how long closed connections last; whether requests fail depends on the idle timeouts."""
    if subprocess.run([need("unshare"), "-Urn", "true"], check=False).returncode:
        pytest.skip("this kernel refuses user namespaces")
    kernels, shorter, broken, broken_shorter = try_pool_timeouts(Session.of({"HOME": str(tmp_path)}, cwd=tmp_path))

    assert [one.failed for one in (kernels, shorter)] == [0, 0]
    assert [one.failed for one in (broken, broken_shorter)] == [1, 1]
    assert kernels.fin_wait > shorter.fin_wait > 0
