"""One stage's instructions, one after the other, to steps and to a config.

Source: Dockerfile reference; BuildKit 0.34's behaviour for what it leaves open: what counts as a variable where, what
history says, what a mount of a stage is.
"""

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from wherry.dockerfile import instructions as of
from wherry.dockerfile.arguments import NOT_IN_ENVIRONMENT
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.ignore import BadPattern, Patterns
from wherry.dockerfile.mounts import RunMount, evaluate
from wherry.dockerfile.words import Style, expand
from wherry.oci.config import HealthcheckConfig
from wherry.plan.graph import Action
from wherry.plan.image_config import below, clean, health_words, plain_list, ports_of, quoted_list
from wherry.plan.ops import CopyFrom, CopyOp, CopySource, MkdirOp, RunOp, StepMount
from wherry.plan.stage_sources import (
    cache_name,
    check_mode,
    is_git,
    is_url,
    parents_source,
    plain_source,
    script_of,
    secret_mount,
)
from wherry.plan.stage_state import AddStep, StageOptions, StageOrContext, StageState
from wherry.source.git_address import without_credentials

_SHORTEST = 3
_SIGNALS = frozenset(
    {
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
        "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
        "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
        *(f"RTMIN+{number}" for number in range(1, 16)), *(f"RTMAX-{number}" for number in range(1, 15)),
    }
)  # fmt: skip


@dataclass
class StageCompiler:
    """Carries instructions out on a state."""

    state: StageState
    options: StageOptions
    escape: str
    globals: Mapping[str, str]
    """ARG before the first FROM, and what is predefined."""
    add: AddStep
    find: Callable[[str, of.Instruction], StageOrContext]
    """Finds what `from` names."""

    def dispatch(self, instruction: of.Instruction) -> None:
        """Carry one out.

        Raises:
            DockerfileError: it asks for what can't be.
        """
        try:
            self._one(instruction)
            if not isinstance(instruction, of.Arg | of.Run | of.Copy | of.Add):
                self._check_text(instruction)
        except DockerfileError as error:
            raise error.placed(instruction.lines) from None
        except BadPattern as error:
            raise DockerfileError(error.message, instruction.lines, hint=error.hint) from None

    def _check_text(self, instruction: of.Instruction) -> None:
        """Refuse what a config can't hold: it is JSON, and its strings are Unicode (RFC 8259, section 8.1)."""
        draft = self.state.draft
        try:
            msgspec.json.encode((draft.config(), draft.author))
        except UnicodeEncodeError as error:
            bad = error.object[error.start : error.end].encode(errors="surrogateescape").hex(" ")
            raise DockerfileError(
                f"{type(instruction).__name__.upper()}: the bytes {bad} are not UTF-8, and an image config "
                "must be UTF-8",
                hint="save the Dockerfile as UTF-8, or copy the bytes into the image as a file (COPY)",
            ) from None

    def _one(self, instruction: of.Instruction) -> None:
        match instruction:
            case of.Arg():
                self._arg(instruction)
            case of.Env() | of.Label():
                self._pairs(instruction)
            case of.Copy():
                self._copy(instruction)
            case of.Add():
                self._add(instruction)
            case of.Run():
                self._run(instruction)
            case of.Workdir():
                self._workdir(instruction)
            case of.Cmd() | of.Entrypoint():
                self._start(instruction)
            case _:
                self._configure(instruction)

    def _configure(self, instruction: of.Instruction) -> None:
        """Carry out one that only the config knows of."""
        draft = self.state.draft
        match instruction:
            case of.Healthcheck():
                self._healthcheck(instruction)
            case of.Expose():
                self._expose(instruction)
            case of.User():
                draft.user = self._expand(instruction.user)
                draft.note(f"USER {draft.user}")
            case of.Volume():
                self._volume(instruction)
            case of.Stopsignal():
                self._stopsignal(instruction)
            case of.Shell():
                draft.shell = instruction.shell
                draft.note(f"SHELL {plain_list(instruction.shell)}")
            case of.Maintainer():
                draft.author = instruction.name
                draft.note(f"MAINTAINER {instruction.name}")
            case of.Onbuild():
                draft.triggers = (*draft.triggers, instruction.trigger)
            case _:
                raise TypeError(type(instruction).__name__)

    def _expand(self, word: str) -> str:
        return expand(word, self.state.env, Style(escape=self.escape)).text

    def _arg(self, instruction: of.Arg) -> None:
        shown = []
        for argument in instruction.arguments:
            value = argument.value
            if argument.name in self.options.arguments:
                value = self.options.arguments[argument.name]
            elif value is not None:
                value = self._expand(value)
            else:
                value = self.globals.get(argument.name)
            if value is not None and argument.name not in NOT_IN_ENVIRONMENT:
                self.state.env[argument.name] = value
            self.state.arguments.append(of.Argument(argument.name, value))
            given = argument.name in self.options.arguments
            self.state.published.append(("--build-arg" if given else "ARG", argument.name, value or ""))
            shown.append(argument.name if value is None else f"{argument.name}={value}")
        self.state.draft.note(f"ARG {' '.join(shown)}")

    def _pairs(self, instruction: of.Env | of.Label) -> None:
        draft = self.state.draft
        pairs = [(self._expand(pair.name), self._expand(pair.value)) for pair in instruction.pairs]
        if isinstance(instruction, of.Env):
            draft.env.update(pairs)
            self.state.env.update(pairs)
        else:
            draft.labels = {**(draft.labels or {}), **dict(pairs)}
        word = type(instruction).__name__.upper()
        self.state.published += [(word, name, value) for name, value in pairs]
        draft.note(" ".join([word, *(f"{name}={value}" for name, value in pairs)]))

    def _copy(self, instruction: of.Copy) -> None:
        place = StageOrContext(context="")
        if instruction.from_:
            if expand(instruction.from_, {}).text != instruction.from_:
                raise DockerfileError(
                    "variable expansion is not supported for --from, define a new stage with FROM using ARG from "
                    "global scope as a workaround"
                )
            place = self.find(instruction.from_, instruction)
        sources = [self._expand(source) for source in instruction.sources]
        for source in sources:
            if is_git(source) or is_url(source):
                kind = "a git ref" if is_git(source) else "a URL"
                raise DockerfileError(f"source can't be {kind} for COPY: {without_credentials(source)}", hint="use ADD")
        takings = [
            parents_source(source, place) if instruction.parents else plain_source(source, place) for source in sources
        ]
        flags = "--parents" if instruction.parents else ""
        self._gather(instruction, takings, place, flags)

    def _add(self, instruction: of.Add) -> None:
        sources = [self._expand(source) for source in instruction.sources]
        checksum = self._expand(instruction.checksum)
        if checksum and len(sources) != 1:
            raise DockerfileError("checksum can't be specified for multiple sources")
        if checksum and not (is_url(sources[0]) or is_git(sources[0])):
            raise DockerfileError("checksum requires HTTP(S) or Git sources")
        takings = []
        for source in sources:
            if is_git(source):
                origin = CopyFrom("git", source, checksum=checksum, keep_git_dir=bool(instruction.keep_git_dir))
                takings.append(CopySource(origin, "/", contents=True))
            elif is_url(source):
                origin = CopyFrom("http", source, checksum=checksum)
                takings.append(CopySource(origin, "", unpack=bool(instruction.unpack)))
            else:
                unpack = instruction.unpack if instruction.unpack is not None else True
                takings.append(replace(plain_source(source, StageOrContext(context="")), unpack=unpack))
        self._gather(instruction, takings, StageOrContext(context=""), "")

    def _gather(
        self, instruction: of.Copy | of.Add, takings: list[CopySource], place: StageOrContext, flags: str
    ) -> None:
        draft = self.state.draft
        destination = self._expand(instruction.destination)
        chown, chmod = self._expand(instruction.chown), self._expand(instruction.chmod)
        check_mode(chmod)
        if instruction.link and chown and not all(part.isdecimal() for part in chown.split(":")):
            raise DockerfileError(
                f"--chown={chown}: user and group names can't be resolved when used with --link, "
                "use numeric uid[:gid] instead"
            )
        contents = [replace(one, content=self._content(one)) for one in instruction.contents]
        takings += [CopySource(CopyFrom("content", one.name, one.content), one.name) for one in contents]
        Patterns(instruction.exclude)
        action = CopyOp(
            takings=tuple(takings),
            destination=below(draft.folder, destination if destination not in ("", ".") else "./", keep_slash=True),
            but=instruction.exclude,
            owner=chown,
            mode=chmod,
            alone=instruction.link and not chmod,  # BuildKit too makes no layer of its own where a mode is given
        )
        self._layer(action, instruction, place.stack)
        words = [instruction.word.upper(), flags]
        words += [f"--chown={chown}" if chown else "", f"--chmod={chmod}" if chmod else ""]
        words += [without_credentials(self._expand(source)) for source in instruction.sources]
        words += [f"<<{one.name}" for one in contents]
        draft.note(f"{' '.join(filter(None, words))} {destination} # buildkit", layer=True)

    def _content(self, content: of.InlineFile) -> str:
        if not content.expand:
            return content.content
        return expand(content.content, self.state.env, Style(skip_quotes=True)).text

    def _layer(self, action: Action, instruction: of.Instruction, more: tuple[str, ...] = ()) -> None:
        name = self.add(action, (*self.state.stack, *more), instruction)
        self.state.stack = (*self.state.stack, name)
        self.state.own = (*self.state.own, name)

    def _workdir(self, instruction: of.Workdir) -> None:
        draft = self.state.draft
        draft.folder = below(draft.folder, self._expand(instruction.path))
        if draft.folder == "/":
            draft.note("WORKDIR /")
            return
        self._layer(MkdirOp(draft.folder, draft.user, self.options.mtime), instruction)
        draft.note(f"WORKDIR {draft.folder}", layer=True)

    def _start(self, instruction: of.Cmd | of.Entrypoint) -> None:
        draft = self.state.draft
        words = instruction.command.words
        if instruction.command.shell:
            words = draft.shelled(words)
        if isinstance(instruction, of.Cmd):
            draft.cmd, draft.args_escaped = words, True
            self.state.cmd_set = True
            draft.note(f"CMD {quoted_list(words)}")
            return
        draft.entrypoint = words
        if not self.state.cmd_set:
            draft.cmd = None
        draft.note(f"ENTRYPOINT {quoted_list(words)}")

    def _healthcheck(self, instruction: of.Healthcheck) -> None:
        draft = self.state.draft
        draft.healthcheck = HealthcheckConfig(
            test=instruction.test,
            interval=instruction.interval,
            timeout=instruction.timeout,
            start_period=instruction.start_period,
            start_interval=instruction.start_interval,
            retries=instruction.retries,
        )
        draft.note(f"HEALTHCHECK {health_words(draft.healthcheck)}")

    def _expose(self, instruction: of.Expose) -> None:
        draft = self.state.draft
        style = Style(escape=self.escape)
        words = [word for port in instruction.ports for word in expand(port, self.state.env, style).words]
        ports = ports_of(words)
        if ports:  # of a variable that has no value there are none
            draft.ports = {**(draft.ports or {}), **{port: {} for port in ports}}
        draft.note(f"EXPOSE {plain_list(ports)}")

    def _volume(self, instruction: of.Volume) -> None:
        draft = self.state.draft
        paths = [self._expand(path) for path in instruction.paths]
        if not all(paths):
            raise DockerfileError("VOLUME specified can not be an empty string")
        draft.volumes = {**(draft.volumes or {}), **{path: {} for path in paths}}
        draft.note(f"VOLUME {plain_list(paths)}")

    def _stopsignal(self, instruction: of.Stopsignal) -> None:
        signal = self._expand(instruction.signal)
        known = signal.strip("0") != "" if signal.isdecimal() else signal.upper().removeprefix("SIG") in _SIGNALS
        if not known:
            raise DockerfileError(f"invalid signal: {signal}")
        self.state.draft.stop_signal = signal
        self.state.draft.note(f"STOPSIGNAL {signal}")

    def _run(self, instruction: of.Run) -> None:
        draft, state = self.state.draft, self.state
        if instruction.security == "insecure" and not self.options.insecure:
            raise DockerfileError(
                "RUN --security=insecure: the step needs all privileges, which are not allowed",
                hint="allow it with --allow security.insecure",
            )
        words, script = script_of(instruction.command)
        argv = draft.shelled(words) if instruction.command.shell else words
        mounts: list[StepMount] = [script] if script else []
        needs: list[str] = []
        for text in instruction.mounts:
            mount, stack = self._mount(evaluate(text, self._expand), instruction)
            mounts.append(mount)
            needs += stack
        network = instruction.network if instruction.network != "default" else self.options.network
        if network == "host" and not self.options.host_network:
            asked = "RUN --network=host" if instruction.network == "host" else "--network host"
            raise DockerfileError(
                f"{asked}: the step needs the host network, which is not allowed",
                hint="allow it with --allow network.host",
            )
        action = RunOp(
            argv=argv,
            environment=tuple(state.env.items()),
            folder=draft.folder or "/",
            user=draft.user,
            platform=state.platform,
            mounts=tuple(mounts),
            network=network,
            privileged=instruction.security == "insecure",
            hosts=self.options.hosts,
            limits=self.options.limits,
            shm=self.options.shm,
        )
        self._layer(action, instruction, tuple(needs))
        draft.note(f"RUN {self._run_words(argv)} # buildkit", layer=True)

    def _run_words(self, argv: Sequence[str]) -> str:
        shown = {one.name: self.state.env.get(one.name, one.value or "") for one in self.state.arguments}
        before = [f"|{len(shown)}", *(f"{name}={value}" for name, value in shown.items())] if shown else []
        return " ".join((*before, *argv))

    def _mount(self, mount: RunMount, instruction: of.Run) -> tuple[StepMount, tuple[str, ...]]:
        match mount.type:
            case "secret":
                return secret_mount(mount), ()
            case "ssh":
                if mount.source:
                    raise DockerfileError("ssh does not support source")
                named = StepMount(
                    "ssh", mount.target, mount.id or "default", required=mount.required,
                    mode=mount.mode, uid=mount.uid, gid=mount.gid,
                )  # fmt: skip
                return named, ()
        target = clean(posixpath.join(self.state.draft.folder or "/", mount.target))
        if target == "/":
            raise DockerfileError(f'invalid mount target "{target}"')
        if mount.type == "tmpfs":
            return StepMount("tmpfs", target, size=mount.size, read_only=mount.read_only), ()
        place = self.find(mount.from_, instruction) if mount.from_ else StageOrContext(context="")
        source = clean(mount.source)
        if place.context is not None and (mount.type == "bind" or mount.from_):
            taking = CopySource(CopyFrom("context", place.context), source, contents=True, follow=True)
            place = StageOrContext((self.add(CopyOp((taking,), source, alone=True), (), instruction),))
        count = len(place.stack)
        if mount.type == "bind":
            return StepMount("stack", target, source=source, read_only=mount.read_only, stack=count), place.stack
        cache = StepMount(
            "cache", target, cache_name(mount), source, mount.read_only, mount.sharing or "shared",
            mode=mount.mode, uid=mount.uid, gid=mount.gid, stack=count,
        )  # fmt: skip
        return cache, place.stack
