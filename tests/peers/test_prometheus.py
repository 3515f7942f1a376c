"""Prometheus itself reads what is exported: samples into blocks of its database, expressions of the dashboard as rules.

Source: Prometheus, "promtool", `tsdb create-blocks-from openmetrics` (its samples have moments) and `check rules`.
"""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from cli_shell import Shell
from needs import need
from recorded import HOSTILE, built
from wherry.history.append import JOURNAL, append

pytestmark = [pytest.mark.peers, pytest.mark.slow]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell with a history, of hostile names too."""
    made = Shell(tmp_path / "here")
    folder = made.root / "store" / ".wherry" / "history"
    folder.mkdir(parents=True)
    for one in (built(1), built(2, name=HOSTILE + "\n\\"), built(3, unchanged=True)):
        append(str(folder / JOURNAL), one.encoded())
    return made


def ran(*words: str, folder: Path) -> str:
    """Run promtool; give what it prints."""
    done = subprocess.run([need("promtool"), *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_takes_every_sample(shell: Shell, tmp_path: Path) -> None:
    """As many series are in its database as samples in the text, with the same names."""
    lines = shell("history", "export", "--format", "openmetrics")
    samples = [line for line in lines if not line.startswith("#")]
    timed = [line if line.startswith("#") else f"{line} 1780000000" for line in lines]
    (tmp_path / "metrics").write_text("\n".join([*timed, ""]))
    ran("tsdb", "create-blocks-from", "openmetrics", "metrics", "data", folder=tmp_path)
    (tmp_path / "data" / "wal").mkdir()  # of a database that runs; without one, nothing is dumped
    dumped = ran("tsdb", "dump", "data", folder=tmp_path).splitlines()

    assert len(dumped) == len(samples) > 10
    assert {json.loads(line.split("__name__=", 1)[1].split(",")[0].split("}")[0]) for line in dumped} == {
        line.partition(" ")[0].partition("{")[0] for line in samples
    }


def test_it_understands_the_dashboard(shell: Shell, tmp_path: Path) -> None:
    """Each panel's expression is PromQL."""
    document = json.loads("".join(shell("history", "export", "--format", "grafana")))
    expressions = [panel["targets"][0]["expr"] for panel in document["panels"]]
    rules = [{"record": f"wherry:panel{number}", "expr": one} for number, one in enumerate(expressions)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "wherry", "rules": rules}]}))

    assert f"{len(expressions)} rules found" in ran("check", "rules", "rules.yml", folder=tmp_path)
