"""Libraries and versions as the loaders themselves find them: real programs, in a root of their own."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from built_images import put_layers
from needs import need
from wherry.analysis.deps.facts import ElfFacts
from wherry.analysis.deps.image_root import ImageRoot, read_root
from wherry.analysis.deps.loader import Closure, closure_of
from wherry.analysis.image.read import read_index
from wherry.layer.entry import Entry, EntryKind, FileContent
from wherry.oci.config import RuntimeConfig
from wherry.store.images import images_of
from wherry.store.memory import MemoryStore

pytestmark = pytest.mark.slow
GLIBC = "/lib64/ld-linux-x86-64.so.2"
MUSL = "/lib/ld-musl-x86_64.so.1"
ENTER = """
import os, sys
_, root, settings, *words = sys.argv
os.chroot(root)
os.chdir("/")
os.execve(words[0], words, dict(one.split("=", 1) for one in settings.split()))
"""


@dataclass
class Root:
    """A root with a dynamic linker, and a compiler for what else is in it."""

    folder: Path
    musl: bool = False

    def compile(self, path: str, text: str, *words: str) -> None:
        """Compile C to a path of the root; a name that ends in .so and digits is a library."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        source = self.folder.parent / f"{file.name}.c"
        source.write_text(text)
        library = [] if ".so" not in file.name else ["-shared", "-fPIC", f"-Wl,-soname,{file.name}"]
        compiler = need("musl-gcc" if self.musl else "gcc")
        subprocess.run(
            [compiler, "-Wl,--no-as-needed", *library, "-o", file, source, *words],
            check=True, cwd=self.folder.parent, env={"PATH": os.environ["PATH"]}, capture_output=True,
        )  # fmt: skip

    def library(self, path: str, *words: str) -> str:
        """Compile a library without a function of interest."""
        self.compile(path, f"int {re.sub('[^a-z]', '_', Path(path).name)}(void) {{ return 1; }}", *words)
        return str(self.folder / path)

    def loaded(self, path: str, **environment: str) -> dict[str, str]:
        """Ask the loader in the root itself which file it finds for each library; empty: none."""
        ldd = [MUSL, "--list", path] if self.musl else [GLIBC, path]
        if not self.musl:
            environment["LD_TRACE_LOADED_OBJECTS"] = "1"
        inside = [] if os.geteuid() == 0 else ["unshare", "-r"]
        settings = [f"{name}={value}" for name, value in environment.items()]
        words = [*inside, sys.executable, "-I", "-c", ENTER, str(self.folder), " ".join(settings), *ldd]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        text = ended.stdout + ended.stderr
        found = dict(re.findall(r"^\t(\S+) => (/\S+)", text, re.MULTILINE))
        found |= dict.fromkeys(re.findall(r"^\t(\S+) => not found", text, re.MULTILINE), "")
        found |= dict.fromkeys(re.findall(r"Error loading shared library ([^:\s]+):", text), "")
        return found

    def image(self, **environment: str) -> ImageRoot:
        """Pack the root as an image and read that."""
        store = MemoryStore()
        runtime = RuntimeConfig(env=tuple(f"{name}={value}" for name, value in environment.items()))
        (image,) = images_of(store, put_layers(store, [sorted(self.entries(), key=lambda one: one.path)], runtime))
        layers = [
            read_index(store, blob, diff_id)
            for blob, diff_id in zip(image.manifest.stack, image.config.diff_ids, strict=True)
        ]
        return read_root(store, image, layers, self.folder.parent)

    def entries(self):
        """Give all that is in it."""
        for path in self.folder.rglob("*"):
            name, mode = str(path.relative_to(self.folder)), path.lstat().st_mode & 0o7777
            if path.is_symlink():
                yield Entry(path=name, kind=EntryKind.SYMLINK, target=str(path.readlink()))
            elif path.is_dir():
                yield Entry(path=name, kind=EntryKind.FOLDER, mode=mode)
            else:
                size = path.stat().st_size
                yield Entry(path=name, kind=EntryKind.FILE, mode=mode, size=size, content=FileContent(path))

    def closure(self, path: str, **environment: str) -> Closure:
        """Resolve a program in the image."""
        root = self.image(**environment)
        real = root.find(path)
        assert real is not None
        facts = root.facts(real)
        assert isinstance(facts, ElfFacts)
        return closure_of(root, real, facts)

    def compare(self, path: str, **environment: str) -> dict[str, str]:
        """Check that the loader and we agree; give what both found, without the C library."""
        expected = self.loaded(path, **environment)
        expected.pop("linux-vdso.so.1", None)
        found = {one.name: one.path for one in self.closure(path, **environment).libraries if one.by != "loaded"}
        if self.musl:
            expected = {name: found_at for name, found_at in expected.items() if name in found}

        assert found == expected
        return {name: at for name, at in found.items() if not name.startswith("libc.")}


@pytest.fixture
def root(tmp_path) -> Root:
    """The loader and the C library of this machine, where Debian has them."""
    need("gcc")
    made = Root(tmp_path / "root")
    for name in (GLIBC, "/lib/x86_64-linux-gnu/libc.so.6"):
        place = tmp_path / "root" / name[1:]
        place.parent.mkdir(parents=True)
        shutil.copy(Path(name).resolve(), place)
    return made


@pytest.fixture
def musl(tmp_path) -> Root:
    """Musl's loader, which is its C library too."""
    need("musl-gcc")
    place = tmp_path / "root" / MUSL[1:]
    place.parent.mkdir(parents=True)
    shutil.copy(Path("/usr/lib/x86_64-linux-musl/libc.so"), place)
    return Root(tmp_path / "root", musl=True)


def test_a_runpath_is_for_the_file_alone(root):
    """What a library needs is not looked for in the program's runpath."""
    two = root.library("app/lib/libtwo.so.1")
    one = root.library("app/lib/libone.so.1", two)
    root.compile("app/run", "int main(void) { return 0; }", one, "-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib",
                 "-Wl,-rpath-link,root/app/lib")  # fmt: skip

    assert root.compare("/app/run") == {"libone.so.1": "/app/lib/libone.so.1", "libtwo.so.1": ""}


def test_an_rpath_is_for_what_it_loads_too(root):
    """DT_RPATH goes down, as long as a file has no runpath."""
    two = root.library("app/lib/libtwo.so.1")
    one = root.library("app/lib/libone.so.1", two)
    three = root.library("app/lib/libthree.so.1", two, "-Wl,--enable-new-dtags,-rpath,/nowhere")
    rpath = ("-Wl,--disable-new-dtags,-rpath,$ORIGIN/lib", "-Wl,-rpath-link,root/app/lib")
    root.compile("app/run", "int main(void) { return 0; }", one, *rpath)
    root.compile("app/other", "int main(void) { return 0; }", three, *rpath)

    assert root.compare("/app/run") == {
        "libone.so.1": "/app/lib/libone.so.1",
        "libtwo.so.1": "/app/lib/libtwo.so.1",
    }
    assert root.compare("/app/other") == {"libthree.so.1": "/app/lib/libthree.so.1", "libtwo.so.1": ""}


def test_origin_goes_by_the_real_program(root):
    """A link to the program does not move its libraries."""
    one = root.library("opt/app/lib/libone.so.1")
    root.compile("opt/app/run", "int main(void) { return 0; }", one, "-Wl,-rpath,${ORIGIN}/lib")
    (root.folder / "usr/bin").mkdir(parents=True)
    (root.folder / "usr/bin/run").symlink_to("../../opt/app/run")

    found = {one.name: one.path for one in root.closure("/usr/bin/run").libraries}

    assert found["libone.so.1"] == "/opt/app/lib/libone.so.1"


def test_the_cache(root):
    """A folder of /etc/ld.so.conf is known by the cache alone."""
    one = root.library("opt/lib/libone.so.1")
    root.compile("run", "int main(void) { return 0; }", one)
    assert root.compare("/run") == {"libone.so.1": ""}

    (root.folder / "etc").mkdir()
    (root.folder / "etc/ld.so.conf").write_text("/opt/lib\n")
    subprocess.run([need("/sbin/ldconfig"), "-r", root.folder], check=True, capture_output=True)

    assert root.compare("/run") == {"libone.so.1": "/opt/lib/libone.so.1"}


def test_the_system_folders_are_the_loader_s_own(root):
    """Debian's loader does not search /usr/local/lib or /lib64, and it does search /usr/lib."""
    libraries = [
        root.library("usr/local/lib/libone.so.1"),
        root.library("usr/lib/libtwo.so.1"),
        root.library("lib64/libthree.so.1"),
        root.library("usr/lib/x86_64-linux-gnu/libfour.so.1"),
    ]
    root.compile("run", "int main(void) { return 0; }", *libraries)

    assert root.compare("/run") == {
        "libone.so.1": "",
        "libtwo.so.1": "/usr/lib/libtwo.so.1",
        "libthree.so.1": "",
        "libfour.so.1": "/usr/lib/x86_64-linux-gnu/libfour.so.1",
    }


def test_the_image_s_library_path(root):
    """LD_LIBRARY_PATH of the image comes before the runpath, after the rpath."""
    root.library("one/libone.so.1")
    one = root.library("two/libone.so.1")
    root.compile("run", "int main(void) { return 0; }", one, "-Wl,--enable-new-dtags,-rpath,/two")
    root.compile("old", "int main(void) { return 0; }", one, "-Wl,--disable-new-dtags,-rpath,/two")

    assert root.compare("/run", LD_LIBRARY_PATH="/one") == {"libone.so.1": "/one/libone.so.1"}
    assert root.compare("/old", LD_LIBRARY_PATH="/one") == {"libone.so.1": "/two/libone.so.1"}


def test_another_machine_s_library_is_passed_over(root):
    """Of two files with the name, the one that fits is loaded."""
    one = root.library("two/libone.so.1")
    root.compile("run", "int main(void) { return 0; }", one, "-Wl,-rpath,/one:/two")
    foreign = bytearray(Path(one).read_bytes())
    foreign[18] = 183  # e_machine: AArch64
    (root.folder / "one").mkdir()
    (root.folder / "one/libone.so.1").write_bytes(foreign)

    assert root.compare("/run") == {"libone.so.1": "/two/libone.so.1"}


def test_links_inside_the_root(root):
    """Folders and libraries may be links, also absolute ones."""
    one = root.library("data/libone.so.1.2")
    (root.folder / "data/libone.so.1").symlink_to("/data/libone.so.1.2")
    (root.folder / "link").symlink_to("/data")
    text = "int main(void) { return 0; }"
    root.compile("run", text, one, "-Wl,-rpath,/link")

    assert root.compare("/run") == {"libone.so.1.2": "/link/libone.so.1.2"}


def test_a_version_that_is_not_defined(root):
    """A library older than the one that the program was linked with."""
    script = root.folder.parent / "map"
    script.write_text("VER_1 { global: first; local: *; };\nVER_2 { global: second; } VER_1;\n")
    text = "int first(void) { return 1; }\nint second(void) { return 2; }\n"
    root.compile("lib/libone.so.1", text, f"-Wl,--version-script={script}")
    main = "int first(void); int second(void);\nint main(void) { return first() + second(); }"
    root.compile("run", main, str(root.folder / "lib/libone.so.1"))
    assert all(one.found for one in root.closure("/run").versions)

    script.write_text("VER_1 { global: first; local: *; };\n")
    root.compile("lib/libone.so.1", text, f"-Wl,--version-script={script}")

    missing = [one for one in root.closure("/run").versions if not one.found]
    assert [(one.library, one.version, one.needed_by, one.weak) for one in missing] == [
        ("libone.so.1", "VER_2", "/run", False)
    ]


def test_musl_searches_the_program_s_runpath_for_all(musl):
    """Other than glibc: a runpath goes down."""
    two = musl.library("app/lib/libtwo.so.1")
    one = musl.library("app/lib/libone.so.1", two)
    musl.compile("app/run", "int main(void) { return 0; }", one, "-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib",
                 "-Wl,-rpath-link,root/app/lib")  # fmt: skip

    assert musl.compare("/app/run") == {
        "libone.so.1": "/app/lib/libone.so.1",
        "libtwo.so.1": "/app/lib/libtwo.so.1",
    }


def test_musl_s_own_folders_and_its_file(musl):
    """/usr/local/lib is searched; with /etc/ld-musl-x86_64.path, what that names is, and nothing else."""
    libraries = [musl.library("usr/local/lib/libone.so.1"), musl.library("opt/libtwo.so.1")]
    musl.compile("run", "int main(void) { return 0; }", *libraries)

    assert musl.compare("/run") == {"libone.so.1": "/usr/local/lib/libone.so.1", "libtwo.so.1": ""}
    (musl.folder / "etc").mkdir()
    (musl.folder / "etc/ld-musl-x86_64.path").write_text("/opt\n")
    assert musl.compare("/run") == {"libone.so.1": "", "libtwo.so.1": "/opt/libtwo.so.1"}
