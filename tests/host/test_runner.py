"""Programs are started for real, and their words arrive while they run."""

from pathlib import Path

from wherry.host.process import Command, SystemRunner


def test_lines_arrive_while_it_runs(tmp_path: Path) -> None:
    """Each line of stderr is handed over before the program ends: it waits for an answer to the first."""
    answer = tmp_path / "answer"
    seen: list[str] = []

    def heard(line: str) -> None:
        seen.append(line)
        answer.touch()

    script = f"echo out; echo first >&2; until [ -e '{answer}' ]; do :; done; echo second >&2; exit 3"
    done = SystemRunner().run(Command(("sh", "-c", script), tmp_path, {"PATH": "/usr/bin:/bin"}, on_line=heard))

    assert seen == ["first", "second"]
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"first\nsecond\n")
