"""All cases of golang.org/x/mod's own tests for hashes, notes, the log and module zips."""

import base64
import io
import json
import re
import zipfile
from pathlib import Path

import pytest

import needs
from checksum_log import hashes_of
from wherry.errors import WherryError
from wherry.golang.gosum import parse_go_sum
from wherry.golang.modpath import module_problem
from wherry.trust.module_files import CheckedFiles, ModuleFile, check_files, go_minor_of
from wherry.trust.module_zip import ModuleZip, check_folder, digests_of, folder_h1, h1_of
from wherry.trust.note import NoteKey, check_text, open_note
from wherry.trust.tlog import (
    TreeHead,
    check_record,
    check_tree,
    parse_head,
    parse_record,
    prove_record,
    prove_tree,
    record_hash,
    tree_hash,
)

KINDS = {
    "dirhash": 8, "module_zip": 2, "modzip": 32, "note_open": 12, "note_sign": 1, "note_verifier_key": 20,
    "tlog_parse_record": 5, "tlog_parse_tree": 5, "tlog_record_proof": 17, "tlog_tree_hash": 9, "tlog_tree_proof": 11,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_cases(kind, tmp_path):
    """Each case ends as x/mod's own test wants it."""
    cases = [json.loads(line) for line in needs.corpus("gosum.jsonl").read_text().splitlines()]
    mine = [case for case in cases if case["kind"] == kind]
    assert len(mine) >= KINDS[kind]
    for case in mine:
        place = tmp_path / case["id"]
        place.mkdir()
        globals()[f"_{kind}"](case, place)


def _fails(case, call) -> None:
    """Expect the error of a case, its words among ours."""
    with pytest.raises(WherryError) as caught:
        call()
    wanted = case["expected"].get("error")
    if isinstance(wanted, str):
        assert re.sub(r"\W+", " ", wanted) in re.sub(r"\W+", " ", caught.value.message), case["id"]


def _dirhash(case, _) -> None:
    files = {name: content.encode() for name, content in case["files"].items()}
    if "error" in case["expected"]:
        _fails({**case, "expected": {}}, lambda: h1_of(digests_of(files)))
        return
    assert h1_of(digests_of(files)) == case["expected"]["h1"]


def _module_zip(case, _) -> None:
    with ModuleZip.open(needs.corpus(case["zip"])) as opened:
        assert opened.h1() == case["expected"]["h1"]
        line = parse_go_sum(case["go_sum_line"], "go.sum")[0]
        assert (opened.h1() == line.hash) is (case["expected"]["verify"] == "ok")
        assert not opened.checked(f"{case['module']}@{case['version']}/").problem


def _note_verifier_key(case, _) -> None:
    if case["expected"]["ok"]:
        NoteKey.parse(case["key"])
    else:
        _fails(case, lambda: NoteKey.parse(case["key"]))


def _note_open(case, _) -> None:
    keys = [NoteKey.parse(key) for key in case["verifier_keys"]]
    message = base64.b64decode(case["msg_b64"])
    if "error" in case["expected"]:
        _fails(case, lambda: open_note(message, keys))
        return
    note = open_note(message, keys)
    wanted = case["expected"]
    assert note.text == wanted.get("text", note.text), case["id"]
    for name, found in (("sigs", note.signers), ("unverified_sigs", note.others)):
        assert len(found) == len(wanted.get(name, found)), case["id"]


def _note_sign(case, _) -> None:
    _fails(case, lambda: check_text(case["text"]))


def _tlog_tree_hash(case, _) -> None:
    hash_at = hashes_of([(case["leaf_data_format"] % number).encode() for number in range(case["leaf_count"])])
    wanted = case["expected"]
    assert base64.b64encode(tree_hash(case["leaf_count"], hash_at)).decode() == wanted["tree_hash"]
    last = record_hash((case["leaf_data_format"] % (case["leaf_count"] - 1)).encode())
    assert base64.b64encode(last).decode() == wanted.get("last_record_hash", base64.b64encode(last).decode())


def _tlog_record_proof(case, _) -> None:
    proof = [base64.b64decode(one) for one in case["proof"]]
    head = TreeHead(case["tree_size"], base64.b64decode(case["tree_hash"]))
    leaf = base64.b64decode(case["leaf_hash"])
    if not case["expected"]["ok"]:
        _fails({**case, "expected": {}}, lambda: check_record(proof, head, case["index"], leaf))
        return
    check_record(proof, head, case["index"], leaf)
    hash_at = hashes_of([b"leaf %d" % number for number in range(case["tree_size"])])
    assert prove_record(case["tree_size"], case["index"], hash_at) == proof


def _tlog_tree_proof(case, _) -> None:
    proof = [base64.b64decode(one) for one in case["proof"]]
    head = TreeHead(case["new_size"], base64.b64decode(case["new_hash"]))
    older = TreeHead(case["old_size"], base64.b64decode(case["old_hash"]))
    if not case["expected"]["ok"]:
        _fails({**case, "expected": {}}, lambda: check_tree(proof, head, older))
        return
    check_tree(proof, head, older)
    hash_at = hashes_of([b"leaf %d" % number for number in range(case["new_size"])])
    assert prove_tree(case["new_size"], case["old_size"], hash_at) == proof


def _tlog_parse_tree(case, _) -> None:
    if "error" in case["expected"]:
        _fails(case, lambda: parse_head(case["text"]))
        return
    head = parse_head(case["text"])
    assert (head.size, base64.b64encode(head.hash).decode()) == (case["expected"]["size"], case["expected"]["hash"])


def _tlog_parse_record(case, _) -> None:
    message = base64.b64decode(case["msg_b64"])
    if "error" in case["expected"]:
        _fails(case, lambda: parse_record(message))
        return
    number, text, rest = parse_record(message)
    assert number == case["expected"]["record_id"]
    assert text.decode() == case["expected"]["text"]
    assert base64.b64encode(rest).decode() == case["expected"]["rest_b64"]


def _modzip(case, place: Path) -> None:
    found, h1 = globals()[f"_op_{case['op']}"](case, place)
    wanted = case["expected"]
    if "report" in wanted:
        assert _report(found, place) == wanted["report"].replace("$work", str(place)), case["id"]
    elif "error_contains" in wanted:
        assert wanted["error_contains"] in found, case["id"]
    else:
        assert (found, h1) == ("", wanted["h1"]), case["id"]


def _op_check_dir(case, place: Path):
    _laid_out(case, place)
    checked = check_folder(place)
    return CheckedFiles(
        [f"{place}/{path}" for path in checked.valid],
        {f"{place}/{path}": why for path, why in checked.omitted.items()},
        {f"{place}/{path}": why for path, why in checked.invalid.items()},
    ), ""


def _op_check_files(case, _):
    return check_files(_files(case), _minor(case)), ""


def _op_check_zip(case, place: Path):
    with ModuleZip.open(_zipped(case, place)) as opened:
        return opened.checked(f"{case['path']}@{case['version']}/"), ""


def _op_unzip(case, place: Path):
    prefix = f"{case['path']}@{case['version']}/"
    with ModuleZip.open(_zipped(case, place)) as opened:
        checked = opened.checked(prefix)
        return module_problem(case["path"], case["version"]) or checked.problem, opened.h1()


def _op_create(case, _):
    checked = check_files(_files(case), _minor(case))
    contents = {file["name"]: file["content"].encode() for file in case["files"]}
    prefix = f"{case['path']}@{case['version']}/"
    problem = module_problem(case["path"], case["version"]) or checked.problem
    return problem, h1_of(digests_of({prefix + name: contents[name] for name in checked.valid}))


def _op_create_from_dir(case, place: Path):
    _laid_out(case, place)
    problem = module_problem(case["path"], case["version"]) or check_folder(place).problem
    return problem, "" if problem else folder_h1(place, f"{case['path']}@{case['version']}/")


def _files(case):
    return [ModuleFile(file["name"], len(file["content"])) for file in case["files"]]


def _minor(case) -> int:
    return go_minor_of(next((file["content"] for file in case["files"] if file["name"] == "go.mod"), ""))


def _laid_out(case, place: Path) -> None:
    for file in case["files"]:
        path = place / file["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["content"])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def _zipped(case, place: Path) -> Path:
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(place / "m.zip", "w") as archive:
        warnings.simplefilter("ignore")
        for file in case["files"]:
            archive.writestr(file["name"], file["content"])
    return place / "m.zip"


def _report(checked: CheckedFiles, _: Path) -> str:
    out = io.StringIO()
    out.write("valid:\n" + "".join(f"{path}\n" for path in checked.valid))
    for name, rows in (("omitted", checked.omitted), ("invalid", checked.invalid)):
        out.write(f"\n{name}:\n" + "".join(f"{path}: {why}\n" for path, why in rows.items()))
    return out.getvalue()
