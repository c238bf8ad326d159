"""The process that an operator starts: it holds the ports and keeps the workers running.

Workers are forked from a process that never has threads or an event loop.  So a fork is safe and
fast, and a worker that replaces another runs the same code and configuration as its predecessor,
even if another version has been installed since.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import resource
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING

from ccert.server.files import Files
from ccert.server.port import Port
from ccert.server.worker import READY, Worker

if TYPE_CHECKING:
    from types import FrameType

    from ccert.server.config import Config

__all__ = ["Master"]

_log = logging.getLogger("ccert")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_FIRST_PAUSE = 0.1  # seconds before a worker is replaced; doubles each time
_LONGEST_PAUSE = 60.0
_OLD = 60.0  # seconds; if a worker ran longer, the pause is reset
_FILES_EACH = 3  # per session: the client, the message, the policy service
_FILES_OF_OWN = 64
_GRACE = 5.0  # seconds for workers to enforce shutdown_timeout themselves


@dataclasses.dataclass
class _Child:
    control: socket.socket
    born: float
    ready: bool = False


class Master:
    """Holds the ports and runs the workers.

    Args:
        config: the configuration.  It is checked completely before any worker starts.

    Raises:
        ConfigError: a file or an address is unusable.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._files = Files(config)
        self._files.maildir.clean()
        self._ports = [Port(endpoint) for endpoint in config.listen]
        self._tls_ports = [Port(endpoint) for endpoint in config.tls_listen]
        _make_room(config.default_process_limit)
        self._children: dict[int, _Child] = {}
        self._caught: set[int] = set()
        self._restart: list[float] = []  # when to start a worker, for each that is missing
        self._pause = 0.0
        self._announced = False
        self._kill_at: float | None = None  # None: not stopping

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then until the workers have finished."""
        self._selector = selectors.DefaultSelector()
        self._wakeup = caught, catching = socket.socketpair()
        for end in self._wakeup:
            end.setblocking(False)  # noqa: FBT003 - socket's
        self._selector.register(caught, selectors.EVENT_READ)
        signal.set_wakeup_fd(catching.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._catch)
        self._restart = [0.0] * self._config.workers
        while self._kill_at is None or self._children:
            self._start_workers()
            for key, _ in self._selector.select(self._timeout()):
                if key.fileobj is caught:
                    caught.recv(4096)
                else:
                    self._hear(key.data)
            self._heed_signals()

    def _catch(self, number: int, _frame: FrameType | None) -> None:
        self._caught.add(number)

    def _timeout(self) -> float | None:
        moments = [*self._restart, *([self._kill_at] if self._kill_at else [])]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    # -- workers --

    def _start_workers(self) -> None:
        now = time.monotonic()
        due = [moment for moment in self._restart if moment <= now]
        self._restart = [moment for moment in self._restart if moment > now]
        for _ in due:
            try:
                self._fork()
            except OSError as error:
                _log.error("cannot start a worker: %s", error.strerror)
                self._restart_later()

    def _restart_later(self) -> None:
        self._pause = min(max(_FIRST_PAUSE, 2 * self._pause), _LONGEST_PAUSE)
        self._restart.append(time.monotonic() + self._pause)

    def _fork(self) -> None:
        ours, theirs = socket.socketpair()
        # the child must not run its parent's signal handlers
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._be_worker(theirs)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            theirs.close()
        self._children[pid] = child = _Child(ours, time.monotonic())
        self._selector.register(ours, selectors.EVENT_READ, child)

    def _be_worker(self, control: socket.socket) -> None:
        """Run a worker, which unblocks signals when it can handle them; never return."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal; the master sends TERM
            self._selector.close()
            for end in (*self._wakeup, *(child.control for child in self._children.values())):
                end.close()  # else siblings would not notice the master's end
            listeners = [port.share() for port in self._ports]
            tls_listeners = [port.share() for port in self._tls_ports]
            Worker(self._config, self._files, listeners, tls_listeners, control).run()
            status = 0
        except BaseException:  # noqa: BLE001 - everything is logged
            _log.exception("worker failed")
        finally:
            logging.shutdown()
            os._exit(status)

    def _hear(self, child: _Child) -> None:
        """Note that a worker listens; at the end of the connection, SIGCHLD reports its exit."""
        if child.control.recv(len(READY)) != READY:
            self._selector.unregister(child.control)
            return
        child.ready = True
        ready = sum(child.ready for child in self._children.values())
        if self._announced:
            _log.info("ready again: listening workers: %d", ready)
        elif ready == self._config.workers:
            self._announced = True
            ports = [f"{port} (STARTTLS)" for port in self._ports]
            ports += [f"{port} (TLS)" for port in self._tls_ports]
            _log.info("ready: listening on %s; workers: %d", ", ".join(ports), ready)

    def _bury(self) -> None:
        """Reap workers that have ended, and schedule their replacement."""
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid)
            if child.control in self._selector.get_map():
                self._selector.unregister(child.control)
            child.control.close()
            if self._kill_at is not None:
                continue
            if time.monotonic() - child.born > _OLD:
                self._pause = 0.0
            self._restart_later()
            _log.error("worker %d %s: another one in %.1f s", pid, _cause(status), self._pause)

    # -- signals --

    def _heed_signals(self) -> None:
        caught, self._caught = self._caught, set()
        if caught & {signal.SIGTERM, signal.SIGINT} and self._kill_at is None:
            _log.info("stopping: open transactions may take %d s", self._config.shutdown_timeout)
            self._kill_at = time.monotonic() + self._config.shutdown_timeout + _GRACE
            self._restart = []
            self._tell(signal.SIGTERM)
        if signal.SIGHUP in caught and self._kill_at is None:
            self._reload()
            self._tell(signal.SIGHUP)
        self._bury()
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._tell(signal.SIGKILL)
            self._kill_at += _GRACE

    def _reload(self) -> None:
        """Read files again for workers to come; those that are there will tell of errors."""
        try:
            self._files.reload(warn=False)
        except Exception:  # noqa: BLE001 - whatever it is, the workers go on
            _log.exception("cannot read the files again: later workers use the old state")

    def _tell(self, number: int) -> None:
        for pid in self._children:
            os.kill(pid, number)


def _make_room(sessions: int) -> None:
    """Raise the limit of open files to what a worker's sessions may need, if permitted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_EACH * sessions + _FILES_OF_OWN
    if soft in range(wanted):  # and not RLIM_INFINITY
        allowed = min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            _log.warning("%d sessions may need %d files, %d are allowed", sessions, wanted, allowed)


def _cause(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
