"""One real Kafka broker as a local JVM: start, stop, kill, freeze and restart on the same data and ports."""

import shlex
import signal
from collections.abc import Callable, Mapping, Sequence

from edgeweir.dev.children import GRACE_S, Child
from edgeweir.dev.errors import NoAnswer
from edgeweir.dev.kit import SERVER, Kit, Size, clean_environ
from edgeweir.dev.ports import LOOPBACK, any_pair, named_pair
from edgeweir.dev.ready import DEADLINE_S, until_ready
from edgeweir.dev.runs import Rank, Run
from edgeweir.dev.server_properties import Uplink, render
from edgeweir.dev.template import lay_out

_PORT_TRIES = 5
_PORT_TAKEN = "Socket server failed to bind"
_FOLDER_TAKEN = "Failed to acquire lock on file .lock"


class Broker:
    """A broker within a run: data in `RUN/NAME/data`, log in `RUN/logs/NAME.log`.

    `choose_ports` gives (Kafka, controller) and is asked again when a port was taken meanwhile: `any_pair`,
    `friendly_pair` or `partial(named_pair, PORT)`. `settings` override server.properties. `uplink` is a second door
    for clients that come through a relay.
    """

    def __init__(
        self,
        run: Run,
        kit: Kit,
        *,
        name: str = "kafka",
        settings: Mapping[str, str] | None = None,
        choose_ports: Callable[[], tuple[int, int]] = any_pair,
        size: Size = Size.SMALL,
        flags: Sequence[str] | None = None,
        uplink: Uplink | None = None,
    ) -> None:
        self.name = name
        self.folder = run.folder / name
        self._run = run
        self._kit = kit
        self._settings = dict(settings or {})
        self._choose_ports = choose_ports
        self._size = size
        self._uplink = uplink
        self._flags = kit.archive_use(size) if flags is None else list(flags)
        self._ports: tuple[int, int] | None = None
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        """HOST:PORT for clients; the broker must have been started."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def port(self) -> int:
        """The port for clients; it stays the same over restarts."""
        assert self._ports is not None, "the broker was never started"
        return self._ports[0]

    @property
    def child(self) -> Child:
        """The process of the last start."""
        assert self._child is not None, "the broker was never started"
        return self._child

    @property
    def is_running(self) -> bool:
        """Whether its process lives, frozen or not."""
        return self._child is not None and self._child.returncode is None

    async def start(self, deadline_s: float = DEADLINE_S) -> None:
        """Start and wait until topics can be made; data and ports of an earlier start are used again.

        Raises Missing when a port is taken that must not change, NoAnswer when it ends or is late.
        """
        assert not self.is_running, "the broker is running already"
        data = self.folder / "data"
        if not data.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            await lay_out(self._run, self._kit, data)
        if self._ports is None:
            await self._start_anywhere(deadline_s)
        else:
            await self._start_at(self._ports, deadline_s)
        self._run.note_port(self.name, self.port)

    async def stop(self, grace_s: float = GRACE_S) -> int:
        """A clean stop (0.3-0.5 s); SIGKILL after the grace. Returns the exit code."""
        return await self.child.stop(grace_s)

    async def kill(self) -> int:
        """The power cut: SIGKILL, nothing is flushed by the broker."""
        return await self.child.kill()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        self.child.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: go on where it was."""
        self.child.send(signal.SIGCONT)

    async def restart(self, deadline_s: float = DEADLINE_S) -> None:
        """Stop cleanly if it runs, then start on the same data and ports."""
        if self.is_running:
            await self.stop()
        await self.start(deadline_s)

    async def _start_anywhere(self, deadline_s: float) -> None:
        """A port may be taken between our look and the broker's bind: take others, a few times."""
        for attempt in range(_PORT_TRIES):
            ports = self._choose_ports()
            try:
                await self._start_at(ports, deadline_s)
            except NoAnswer:
                if attempt == _PORT_TRIES - 1 or _PORT_TAKEN not in self.child.output():
                    raise
            else:
                self._ports = ports
                return

    async def _start_at(self, ports: tuple[int, int], deadline_s: float) -> None:
        settings = self.folder / "server.properties"
        settings.write_text(render(ports, self.folder / "data", self._settings, self._uplink))
        command = self._kit.command(SERVER, [str(settings)], size=self._size, flags=self._flags)
        self._child = self._run.start(self.name, command, rank=Rank.BROKER, env=clean_environ())
        try:
            await until_ready(self._child, ports[0], deadline_s)
        except NoAnswer as failure:
            await self._child.kill()
            raise self._explained(failure) from failure

    def _explained(self, failure: NoAnswer) -> NoAnswer:
        """The failure with all that a person needs to look into it."""
        output = self.child.output()
        if _PORT_TAKEN in output and self._ports is not None:
            named_pair(self.port)
        sentence = failure.sentence
        if _FOLDER_TAKEN in output:
            sentence = f"{sentence}: another broker is alive on {self.folder}"
        detail = f"{self.child.tail()}\ncommand: {shlex.join(self.child.argv)}\nfolder: {self.folder}"
        return NoAnswer(sentence, detail)
