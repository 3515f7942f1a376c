"""A seccomp profile, as Docker, containerd and runc read it: the calls that were seen, and what starts any container.

Sources: OCI runtime-spec v1.2, config-linux.md "Seccomp"; runc v1.3, libcontainer/standard_init_linux.go (what it does
between loading the filter and the exec, in a Go runtime); Go 1.26, runtime/os_linux.go; signal(7), restart_syscall(2).
"""

import json

from wherry.analysis.confine.evidence import PolicyEvidence

_ARCHITECTURES = {
    "amd64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "386": ("SCMP_ARCH_X86",),
    "arm64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "arm": ("SCMP_ARCH_ARM",),
}
OF_RUNTIMES = frozenset({
    "arch_prctl", "brk", "capget", "capset", "chdir", "clone", "clone3", "close", "close_range", "dup3",
    "epoll_create1", "epoll_ctl", "epoll_pwait", "eventfd2", "execve", "execveat", "exit", "exit_group",
    "faccessat", "faccessat2", "fchdir", "fcntl", "fstat", "fstatfs", "futex", "getcwd", "getdents64", "getegid",
    "geteuid", "getgid", "getpid", "getppid", "getrandom", "getuid", "gettid", "ioctl", "lseek", "madvise",
    "membarrier", "mmap", "mprotect", "munmap", "nanosleep", "clock_nanosleep", "newfstatat", "openat", "openat2",
    "pipe2", "prctl", "pread64", "prlimit64", "read", "readlinkat", "rseq", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sched_getaffinity", "sched_yield", "seccomp", "set_robust_list", "set_tid_address", "setgid",
    "setgroups", "setresgid", "setresuid", "setsid", "setuid", "sigaltstack", "statfs", "statx", "tgkill", "tkill",
    "umask", "uname", "write",
})  # fmt: skip
"""What a container's runtime calls itself, behind the filter, before it executes the program."""
ALWAYS = frozenset({
    "restart_syscall", "rt_sigreturn", "sigreturn", "exit", "exit_group", "futex", "madvise", "munmap", "mremap",
    "tgkill", "sched_yield", "clone", "clone3", "gettid", "getpid", "sigaltstack", "getrandom", "rt_sigtimedwait",
    "timer_create", "timer_settime", "timer_delete", "setitimer", "clock_gettime", "gettimeofday", "time",
    "getrusage",
})  # fmt: skip
"""What a short run may never show: ends, interrupted calls, memory given back, timers, calls that the vDSO serves."""


def seccomp_profile(evidence: PolicyEvidence) -> str:
    """Write the profile; a call that is not in it fails with EPERM."""
    seen = frozenset(evidence.trace.calls)
    document = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": list(_ARCHITECTURES.get(evidence.architecture, ())),
        "syscalls": [
            {"names": sorted(seen), "action": "SCMP_ACT_ALLOW", "comment": "; ".join(evidence.described())},
            {
                "names": sorted((OF_RUNTIMES | ALWAYS) - seen),
                "action": "SCMP_ACT_ALLOW",
                "comment": "not seen: what runc calls before it starts the program, and what short runs never show",
            },
        ],
    }
    return json.dumps(document, indent=2) + "\n"
