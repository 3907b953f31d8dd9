"""Commands in forks of one process that has imported TensorFlow: that import is most of what a short command costs.

`python tests/forks.py DESCRIPTOR` is that process. It takes requests from the socket DESCRIPTOR, each of them JSON with
descriptors for stdin, stdout, stderr and the reply. The reply is the number of the command's process, later its status.
"""

import atexit
import contextlib
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NoReturn

_ROOT = Path(__file__).parents[1]
_PRELOADED = ("ml_lstm.command_line.command", "ml_lstm.runs.settings", "ml_lstm.training", "ml_lstm.evaluation")


class Fork:
    """A command under way, with what `subprocess.Popen` has.

    Args:
        reply: what the process with TensorFlow writes about it.
        stdout, stderr: pipes that it writes to, or None.
    """

    def __init__(self, reply: IO[bytes], stdout: IO[bytes] | None, stderr: IO[bytes] | None):
        self._reply = reply
        self.stdout, self.stderr = stdout, stderr
        number = reply.readline()
        if not number:
            raise RuntimeError(f"The process that forks has ended:\n{_last_words()}")
        self.pid = int(number)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its status, None as long as it runs."""
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its status in the end.

        Raises:
            subprocess.TimeoutExpired: if it has not ended after `timeout` seconds.
        """
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return status

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """All that it writes to stdout and stderr, when it has ended; raises as `wait`."""
        with ThreadPoolExecutor(2) as readers:
            texts = [readers.submit(pipe.read if pipe else bytes) for pipe in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except BaseException:
                self.kill()  # else its pipes would be read for ever
                raise
        out, err = (text.result() for text in texts)
        return out, err

    def send_signal(self, number: int) -> None:
        """Sends a signal to it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)

    def _status(self, timeout):
        if self.returncode is None and select.select([self._reply], [], [], timeout)[0]:
            self.returncode = int(self._reply.readline())
            self._reply.close()
        return self.returncode


@functools.cache
def _process() -> tuple[socket.socket, IO[bytes]]:
    """The socket of the process with TensorFlow, which ends when this process does, and the file of its stderr."""
    ours, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stderr = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this process
    with others:
        subprocess.Popen(
            [sys.executable, __file__, str(others.fileno())],
            env=os.environ | {"PYTHONPATH": str(_ROOT)},
            pass_fds=[others.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    return ours, stderr


def _last_words() -> str:
    """What the process with TensorFlow wrote; another one is started for the next command."""
    ours, stderr = _process()
    _process.cache_clear()
    ours.close()
    stderr.seek(0)
    return stderr.read().decode(errors="replace")


def start(
    module: str,
    *arguments: str | Path,
    cwd: Path | str | None = None,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    **more: Any,
) -> Fork:
    """Starts what `python -m MODULE ARGUMENTS` starts.

    Args:
        module: of a command.
        *arguments: of it.
        cwd: its working directory, by default this process's.
        stdout, stderr: descriptors; `subprocess.PIPE` makes a pipe.
        **more: see `_run`.
    """
    request = {"module": module, "arguments": [str(argument) for argument in arguments]}
    request |= {"cwd": str(cwd or os.getcwd()), "environment": dict(os.environ), **more}
    given, pipes = [os.open(os.devnull, os.O_RDONLY)], []
    for descriptor in (stdout, stderr):
        reading, writing = os.pipe() if descriptor == subprocess.PIPE else (None, os.dup(descriptor))
        pipes.append(reading and os.fdopen(reading, "rb"))
        given.append(writing)
    reading, writing = os.pipe()
    with contextlib.suppress(BrokenPipeError):  # then nothing is replied
        socket.send_fds(_process()[0], [json.dumps(request).encode()], [*given, writing])
    for descriptor in (*given, writing):
        os.close(descriptor)
    return Fork(os.fdopen(reading, "rb", buffering=0), *pipes)


def run(module: str, *arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; see `start`."""
    fork = start(module, *arguments, **more)
    out, err = (text.decode() for text in fork.communicate())
    return subprocess.CompletedProcess([module, *arguments], fork.returncode, out, err)


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Forks for each request. Returns in the fork, with the request; ends with the socket's other side."""
    for module in _PRELOADED:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whose end is waited for by a process between
    while True:
        text, descriptors, *_ = socket.recv_fds(requests, 1 << 20, 4)
        if not text:
            os._exit(0)
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            *streams, reply = descriptors
            command = os.fork()
            if not command:
                os.close(reply)
                for number, descriptor in enumerate(streams):
                    os.dup2(descriptor, number)
                    os.close(descriptor)
                return json.loads(text)
            for descriptor in streams:
                os.close(descriptor)
            os.write(reply, f"{command}\n".encode())
            os.write(reply, f"{os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])}\n".encode())
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _run(
    module: str,
    arguments: Sequence[str],
    cwd: str,
    environment: Mapping[str, str],
    function: str | None = None,
    path: str | None = None,
    absent: Sequence[str] = (),
) -> None:
    """Is the command.

    Args:
        module, arguments, cwd, environment: as `python -m` would be given them.
        function: of the module, called instead, as an entry point's script does.
        path: first on Python's path, by default the working directory.
        absent: packages that cannot be imported.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that `nohup` started have it ignored
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = path or cwd
    sys.argv = ["program", *arguments]
    sys.modules.update(dict.fromkeys(absent))
    if function:
        getattr(importlib.import_module(module), function)()
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end(run: Callable[[], None]) -> NoReturn:
    """Runs and ends as Python does, without clearing away all modules: that would touch all memory shared by forks."""
    status = 0
    try:
        run()
    except SystemExit as end:
        status = end.code
        if not isinstance(status, int | None):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status or 0)


if __name__ == "__main__":
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    _end(lambda: _run(**request))
