"""Types are learnt one at a time, whatever the threads do."""

import subprocess
import sys

import pytest

from wherry.typed import from_json, from_msgpack, from_plain, json_decoder

FIRST = """
import json, sys, threading
from wherry.oci.config import ImageConfig
from wherry.oci.document import decode
from wherry.oci.manifest import Manifest

sys.setswitchinterval(1e-6)
zeros = "sha256:" + "0" * 64
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["A=b"], "Healthcheck": {"Test": ["a"]}},
                     "rootfs": {"type": "layers", "diff_ids": [zeros]}, "history": [{"created_by": "x"}]}).encode()
manifest = json.dumps({"schemaVersion": 2, "layers": [],
                       "config": {"mediaType": "a/b", "digest": zeros, "size": 2}}).encode()
start = threading.Barrier(6)

def first(number):
    start.wait()
    decode(*((config, ImageConfig), (manifest, Manifest))[number % 2], "x")

threads = [threading.Thread(target=first, args=(number,)) for number in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.slow
def test_threads_meet_a_type_at_once():
    """Msgspec itself crashes the interpreter here, in one run of three."""
    codes = [subprocess.run([sys.executable, "-c", FIRST], check=False).returncode for _ in range(12)]

    assert codes == [0] * 12


def test_forms():
    """Each form gives the typed value; a decoder is made once."""
    assert from_json(b'{"a": [1]}', dict[str, list[int]]) == {"a": [1]}
    assert from_msgpack(b"\x93\x01\x02\x03", tuple[int, ...]) == (1, 2, 3)
    assert from_plain(["a"], tuple[str, ...]) == ("a",)
    assert json_decoder(int) is json_decoder(int)
