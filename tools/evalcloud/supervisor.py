#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""The supervisor (supervisord of PyPI) that runs the programs."""

import contextlib
import http.client
import os
import pathlib
import socket
import time
import typing
import urllib.error
import urllib.request
import xmlrpc.client

from evalcloud import processes
from evalcloud import progress
from evalcloud import services
from evalcloud import settings

#: Some services do not end on SIGTERM while they wait for a message.
_STOP_SECONDS = 4
#: What the services stand on must end in good order.
_BASE_STOP_SECONDS = 20


def configuration(cloud: settings.Settings) -> str:
    """Text of supervisord.conf."""
    run, log = cloud.run, cloud.log
    parts = [
        '[unix_http_server]', f'file = {run}/supervisor.sock',
        'chmod = 0700', '',
        '[supervisord]', f'logfile = {log}/supervisord.log',
        f'pidfile = {run}/supervisord.pid', f'childlogdir = {log}', '',
        '[rpcinterface:supervisor]',
        'supervisor.rpcinterface_factory = '
        'supervisor.rpcinterface:make_main_rpcinterface', '']
    for program in services.programs(cloud):
        parts += _section(cloud, program)
    return '\n'.join(parts)


def _section(cloud: settings.Settings,
             program: services.Program) -> list[str]:
    env = {**services.environment(cloud), **program.env}
    command = ' '.join(_quoted(part) for part in program.command)
    pairs = ','.join(f'{name}={_quoted(value)}'
                     for name, value in env.items())
    stop = _BASE_STOP_SECONDS if program.base else _STOP_SECONDS
    return [
        f'[program:{program.name}]', f'command = {command}',
        f'environment = {pairs}', 'directory = /', 'autostart = false',
        'autorestart = true', 'startsecs = 1', 'startretries = 3',
        'stopasgroup = true', 'killasgroup = true',
        f'stopwaitsecs = {stop}', 'redirect_stderr = true',
        f'stdout_logfile = {log_file(cloud, program.name)}',
        'stdout_logfile_maxbytes = 50MB', 'stdout_logfile_backups = 1', '']


def _quoted(value: object) -> str:
    """A word of supervisord.conf, in which % starts an expression."""
    return '"{}"'.format(str(value).replace('%', '%%'))


def log_file(cloud: settings.Settings, name: str) -> pathlib.Path:
    """Where a program's output goes."""
    return cloud.log / f'{name}.log'


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__('localhost')
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, _host: typing.Any) -> _Connection:
        return _Connection(self._path)


class Supervisor:
    """The supervisor of one cloud."""

    def __init__(self, cloud: settings.Settings) -> None:
        self.cloud = cloud
        self._pid_file = cloud.run / 'supervisord.pid'
        self._rpc: typing.Any = xmlrpc.client.ServerProxy(
            'http://localhost/RPC2',
            transport=_Transport(f'{cloud.run}/supervisor.sock')).supervisor

    def alive(self) -> bool:
        """Whether it answers."""
        with contextlib.suppress(OSError, xmlrpc.client.Error,
                                 http.client.HTTPException):
            return bool(self._rpc.getState()['statename'] == 'RUNNING')
        return False

    def boot(self) -> None:
        """Start the supervisor itself, with no program."""
        config = self.cloud.etc / 'supervisord.conf'
        config.write_text(configuration(self.cloud))
        env = services.environment(self.cloud)
        progress.run(f'{self.cloud.venv}/bin/supervisord', '-c', str(config),
                     env=env, cwd='/',
                     log=f'{self.cloud.log}/supervisord.out')
        self._wait('supervisord', self.alive, 20)

    def start(self, *names: str) -> None:
        """Start programs that do not run; returns before they serve."""
        for name in names:
            if self.state(name) not in ('RUNNING', 'STARTING'):
                self._rpc.startProcess(name, False)

    def stop(self, *names: str) -> None:
        """Stop programs, all at once, and wait for their end."""
        busy = [name for name in names if self.state(name) in
                ('RUNNING', 'STARTING', 'BACKOFF', 'STOPPING')]
        for name in busy:
            with contextlib.suppress(xmlrpc.client.Fault):
                self._rpc.stopProcess(name, False)
        deadline = time.monotonic() + _BASE_STOP_SECONDS + 10
        while time.monotonic() < deadline and any(
                self.state(name) == 'STOPPING' for name in busy):
            time.sleep(0.1)

    def states(self) -> dict[str, str]:
        """State of every program: RUNNING, STOPPED, FATAL, ..."""
        return {info['name']: info['statename']
                for info in self._rpc.getAllProcessInfo()}

    def state(self, name: str) -> str:
        return str(self._rpc.getProcessInfo(name)['statename'])

    def pid(self, name: str) -> int:
        """Process of a program, 0 when it does not run."""
        return int(self._rpc.getProcessInfo(name)['pid'])

    def shutdown(self) -> None:
        """End the supervisor and all that it runs."""
        try:
            pid = int(self._pid_file.read_text())
        except (OSError, ValueError):
            return
        if str(self.cloud.etc) in processes.command(pid):
            processes.end([pid], grace=20)

    def wait(self, name: str, ready: typing.Callable[[], bool],
             seconds: float = 120) -> None:
        """Wait until a program serves.

        :raises Failure: with the end of its log when it died or is late.
        """
        self._wait(name, ready, seconds, watch=True)

    def wait_http(self, program: services.Program) -> None:
        """Wait until an API answers."""
        self.wait(program.name, lambda: answers(program.url))

    def _wait(self, name: str, ready: typing.Callable[[], bool],
              seconds: float, watch: bool = False) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            dead = watch and self.state(name) in ('FATAL', 'EXITED')
            if dead or time.monotonic() > deadline:
                raise self.failure(
                    name, 'died' if dead else f'not ready in {seconds:.0f}s')
            time.sleep(0.1)

    def failure(self, name: str, what: str) -> progress.Failure:
        """The error of a program, with the end of its log."""
        log = log_file(self.cloud, name)
        text = log.read_text(errors='replace') if log.exists() else ''
        return progress.Failure(
            f'{name}: {what}, log {log}\n{progress.tail(text)}')


def answers(url: str) -> bool:
    """Whether an HTTP service answers, be it that we may not enter."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url + '/', timeout=10):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, http.client.HTTPException):
        return False


def exists(path: str | os.PathLike[str]) -> typing.Callable[[], bool]:
    """A check for ``wait``: the file is there."""
    return lambda: os.path.exists(path)
