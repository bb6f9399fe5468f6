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

"""A Docker Engine beside the system, on a socket and in folders of its own.

The engine is the machine's own when it is new enough (Engine 25, the first
with the Container Device Interface), else ``docker.io`` and ``containerd``
of the distribution, else those of its next stable suite, unpacked into the
cache. runc is always the machine's: later ones need a later C library.
"""

import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import typing

from evalcloud import criu
from evalcloud import packages
from evalcloud import paths
from evalcloud import processes
from evalcloud import progress

#: First engine with CDI.
FLOOR = 25

_PROGRAMS = ('dockerd', 'docker', 'docker-proxy', 'containerd',
             'containerd-shim-runc-v2', 'ctr')


def path() -> pathlib.Path:
    """Folder with dockerd, docker, containerd; got ready when it is not."""
    folder = paths.cache_dir() / 'engine'
    with paths.locked('engine'):
        packages.install(['runc', 'iptables', 'iproute2', 'tini'])
        if not (folder / 'bin' / 'dockerd').exists():
            with tempfile.TemporaryDirectory(dir=paths.cache_dir()) as name:
                fresh = pathlib.Path(name, 'engine')
                (fresh / 'bin').mkdir(parents=True)
                _collect(fresh)
                fresh.rename(folder)
        # The machine's own, for the same reason.
        with contextlib.suppress(FileExistsError):
            (folder / 'bin' / 'docker-init').symlink_to(
                '/usr/bin/tini-static')
    return folder / 'bin'


def _collect(folder: pathlib.Path) -> None:
    """Fill ``folder``/bin with links to the programs of one engine."""
    if _system_major() >= FLOOR:
        for name in _PROGRAMS:
            program = shutil.which(name)
            if program:
                (folder / 'bin' / name).symlink_to(program)
        return
    suite, names = _choose()
    with progress.Step(f'Docker Engine of {suite}'):
        packages.unpack(names, suite, folder / 'root')
    for name in _PROGRAMS:
        for file in folder.glob(f'root/usr/*bin/{name}'):
            (folder / 'bin' / name).symlink_to(
                os.path.relpath(file, folder / 'bin'))


def _system_major() -> int:
    program = shutil.which('dockerd')
    if not program or not shutil.which('docker'):
        return 0
    text = progress.run(program, '--version')
    found = re.search(r'version (\d+)', text)
    return int(found.group(1)) if found else 0


def _choose() -> tuple[str, list[str]]:
    """The suite to take the engine from, and its packages."""
    own = packages.codename()
    offered = packages.candidate('docker.io', refresh=True)
    if offered and packages.major(offered) >= FLOOR:
        names = ['docker.io', 'containerd']
        if packages.candidate('docker-cli'):
            names.append('docker-cli')
        return own, names
    if own not in packages.NEXT_SUITE:
        raise progress.Failure(
            f'{own} offers docker.io {offered}, and no later suite is known: '
            f'install Docker Engine {FLOOR} or newer')
    # Both next suites have the client in a package of its own.
    return packages.NEXT_SUITE[own], ['docker.io', 'containerd', 'docker-cli']


class Engine:
    """One engine, all of it below one folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder.absolute()
        self.socket = self.folder / 'docker.sock'
        self.pid_file = self.folder / 'docker.pid'
        self.log = self.folder / 'dockerd.log'
        self.config = self.folder / 'daemon.json'
        self.cdi = self.folder / 'cdi'
        mark = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        self.cgroup = f'engine-{mark}'
        self.netns = pathlib.Path('/run/netns', f'engine-{mark}')

    @property
    def url(self) -> str:
        """What DOCKER_HOST must be."""
        return f'unix://{self.socket}'

    def prepare(self, bridge: bool = False, live_restore: bool = False,
                checkpoints: bool = False, keep: bool = False,
                userns_remap: bool = False
                ) -> tuple[list[str], dict[str, str]]:
        """Write the configuration.

        :param bridge: give the engine its usual bridge and iptables rules,
            in a network namespace of its own.
        :param checkpoints: let it make checkpoints of containers, with CRIU.
        :param keep: leave a configuration that is there as it is.
        :param userns_remap: let root of its containers be nobody on the
            host: a range of ids of the user dockremap, whom it makes.
        :returns: the daemon's command and environment.
        """
        binaries = path()
        if len(str(self.socket)) > 100:
            raise progress.Failure(f'{self.socket} is too long for a socket')
        self.cdi.mkdir(parents=True, exist_ok=True)
        settings = {
            'features': {'cdi': True},
            'cdi-spec-dirs': [str(self.cdi)],
            'data-root': str(self.folder / 'data'),
            'exec-root': str(self.folder / 'exec'),
            'pidfile': str(self.pid_file),
            'hosts': [self.url],
            'cgroup-parent': f'/{self.cgroup}',
            'exec-opts': ['native.cgroupdriver=cgroupfs'],
            'live-restore': live_restore,
            'experimental': checkpoints,
        }
        if not bridge:
            settings |= {'bridge': 'none', 'iptables': False,
                         'ip6tables': False, 'ip-forward': False}
        if userns_remap:
            settings['userns-remap'] = 'default'
        if not (keep and self.config.exists()):
            self.config.write_text(json.dumps(settings, indent=2))
        command = [str(binaries / 'dockerd'), '--config-file',
                   str(self.config)]
        if bridge:
            if not self.netns.exists():
                progress.run('ip', 'netns', 'add', self.netns.name)
            # Not "ip netns exec": that mounts a /sys without cgroup v1.
            command = ['nsenter', f'--net={self.netns}', *command]
        search = search_path(binaries)
        if json.loads(self.config.read_text()).get('experimental'):
            search = f'{criu.path()}:{search}'
        return command, {**os.environ, 'PATH': search}

    def start(self, bridge: bool = False, live_restore: bool = False,
              checkpoints: bool = False, userns_remap: bool = False
              ) -> None:
        """Start the daemon in the background; nothing when it runs."""
        if self.answers():
            return
        command, env = self.prepare(bridge, live_restore, checkpoints,
                                    userns_remap=userns_remap)
        with open(self.log, 'ab') as log:
            daemon = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, cwd='/')
        deadline = time.monotonic() + 60
        while not self.answers():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise progress.Failure(f'dockerd does not answer, log '
                                       f'{self.log}\n'
                                       + progress.tail(self.log.read_text()))
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether the daemon answers now."""
        connection = http.client.HTTPConnection('localhost', timeout=5)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(5)
            connection.sock.connect(str(self.socket))
            connection.request('GET', '/_ping')
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self, purge: bool = False) -> None:
        """Stop the daemon and its containers; leave nothing behind.

        :param purge: remove the folder too.
        """
        if self.answers():
            self.kill_containers()
        pid = self._daemon()
        if pid:
            processes.end([pid], grace=20)
        # Shims live on when the daemon was killed.
        processes.end(processes.of_folder(self.folder / 'exec'), grace=2)
        processes.unmount(self.folder)
        processes.remove_cgroup(self.cgroup)
        if self.netns.exists():
            progress.run('ip', 'netns', 'del', self.netns.name)
        for leftover in (self.socket, self.pid_file):
            leftover.unlink(missing_ok=True)
        if purge and self.folder.exists():
            progress.run('rm', '-rf', '--one-file-system', str(self.folder))

    def kill_containers(self) -> None:
        """End every container at once; the daemon would ask and wait."""
        docker = [str(path() / 'docker'), '-H', self.url]
        with contextlib.suppress(progress.Failure):
            names = progress.run(*docker, 'ps', '-q').split()
            if names:
                progress.run(*docker, 'kill', '-s', 'KILL', *names)

    def _daemon(self) -> int | None:
        """Pid of the daemon of this folder, if it runs."""
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        return pid if str(self.folder) in processes.command(pid) else None


def search_path(binaries: pathlib.Path) -> str:
    """PATH for a daemon whose programs are in ``binaries``."""
    return f'{binaries}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:' \
           '/sbin:/bin'


def run_foreground(engine: Engine) -> typing.NoReturn:
    """Become the daemon (for a supervisor), also with a changed config."""
    command, env = engine.prepare(keep=True, checkpoints=criu.works())
    # A pid file of a boot before may name a process that lives.
    if not engine.answers():
        engine.pid_file.unlink(missing_ok=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execvpe(command[0], command, env)
