"""Machines: which architecture an ELF file is made for, under Go's name for it.

Sources: System V gABI and its registry of e_machine; Go 1.26, cmd/internal/sys/arch.go.
"""

from wherry.elf.reader import Elf

_ARCHITECTURES = {
    (3, 32, "<"): "386",
    (62, 64, "<"): "amd64",
    (40, 32, "<"): "arm",
    (183, 64, "<"): "arm64",
    (258, 64, "<"): "loong64",
    (8, 32, ">"): "mips",
    (8, 32, "<"): "mipsle",
    (8, 64, ">"): "mips64",
    (8, 64, "<"): "mips64le",
    (21, 64, ">"): "ppc64",
    (21, 64, "<"): "ppc64le",
    (243, 64, "<"): "riscv64",
    (22, 64, ">"): "s390x",
}
_TRIPLES = {
    "386": "i386-linux-gnu",
    "amd64": "x86_64-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "arm64": "aarch64-linux-gnu",
    "loong64": "loongarch64-linux-gnu",
    "mips64le": "mips64el-linux-gnuabi64",
    "mipsle": "mipsel-linux-gnu",
    "ppc64le": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
}


def architecture(elf: Elf) -> str:
    """Name what the file is made for, as GOARCH does; `machine 94` where Go builds for no such one."""
    return _ARCHITECTURES.get((elf.machine, elf.bits, elf.order), f"machine {elf.machine}")


def library_folders(architecture: str) -> tuple[str, ...]:
    """List where a dynamic linker looks for libraries unless configured otherwise.

    These are the folders glibc and musl are built with on Debian, Fedora and Alpine, not those of an
    /etc/ld.so.conf.

    Source: ld.so(8); Debian policy 9.1.1 (multi-arch); musl 1.2.5, ldso/dynlink.c.
    """
    triple = _TRIPLES.get(architecture)
    folders = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"]
    return (*(f"{folder}/{triple}" for folder in ("/lib", "/usr/lib") if triple), *folders)
