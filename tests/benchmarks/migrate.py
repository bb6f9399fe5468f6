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


"""A cold migration against docker commit, save | load and run by hand.

Between two engines on this machine, of servers that have written nothing but
large files or nothing but small ones. The driver's verbs, the transfer with
its programs and TLS, and root's daemon are real; what hosts ask each other
does not leave the process. Before the driver's move a server with files that
go before its stop is quiet for as long as the driver wants. The image is the
smallest that there is, to the advantage of ``docker save``, which sends it,
too.
"""

import collections
import contextlib
import dataclasses
import os
import statistics
import subprocess
import time
import typing

import fixtures
from nova import objects

from nova_docker.engine import errors
from nova_docker.engine import session
from nova_docker.engine import transport
from nova_docker.privsep import changes
from nova_docker.privsep import layer
from nova_docker.spec import names
from nova_docker.transfer import outgoing
from tests.benchmarks import bed
from tests.benchmarks import programs
from tests.benchmarks import results
from tests.fixtures import dockerd
from tests.fixtures import transfers

_PAIRS = 3
_MEGABYTES = 1024
_HOST = f'{bed.HOST}-other'
#: Of the server's disk: more than it writes.
_ROOT_GB = 4
_PIECE = 1 << 20
#: The parts of the work, in their order; the server is stopped at 'finish'.
_PARTS = ('connect', 'ahead', 'finish', 'unpack', 'change', 'create', 'start')

_Times = dict[str, list[float]]


@dataclasses.dataclass(frozen=True)
class _Written:
    """What a server has written.

    :ivar size: bytes of each file
    """
    what: str
    files: int
    size: int

    @property
    def megabytes(self) -> float:
        return self.files * self.size / (1 << 20)

    def write(self, both: bed.Bed, name: str) -> None:
        """Write it in a container that runs."""
        pid = both.engine.inspect_container(name)['State']['Pid']
        directory = f'/proc/{pid}/root/written'
        os.mkdir(directory)
        for number in range(self.files):
            with open(f'{directory}/{number}', 'wb') as file:
                for at in range(0, self.size, _PIECE):
                    file.write(os.urandom(min(_PIECE, self.size - at)))
        os.sync()


_SHAPES = (_Written('1 MiB in a file', 1, 1 << 20),
           _Written('80 MiB in 20,480 files', 20480, 4 << 10),
           _Written('100 MiB in a file', 1, 100 << 20),
           _Written('1 GiB in a file', 1, 1 << 30))


class _Moves:
    """From the host of the bed to another one, by the driver and by hand."""

    def __init__(self, both: bed.Bed) -> None:
        self._both = both
        both.flavor.root_gb = _ROOT_GB
        self._url = both.useFixture(dockerd.Dockerd()).url
        self._engine = session.Session(transport.Address(self._url))
        both.addCleanup(self._engine.close)
        self._driver = both.start_driver(
            _HOST, self._url, self._engine.info()['CDISpecDirs'][0])
        self._migration = objects.Migration(
            source_compute=bed.HOST, dest_compute=_HOST,
            cross_cell_move=False)
        self._instance: objects.Instance | None = None
        both.useFixture(transfers.Migration(lambda: self._migration))
        both.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'get_by_uuid', lambda *_, **__: self._instance))
        for target, name, part in (
                (outgoing, '_begin', 'connect'),
                (outgoing.Transfer, 'send_ahead', 'ahead'),
                (outgoing.Transfer, 'finish', 'finish'),
                (layer, 'unpack', 'unpack'), (layer, 'change', 'change')):
            both.time(target, name, part)
        both.useFixture(fixtures.MockPatchObject(
            session.Session, 'stop_container',
            self._noted(session.Session.stop_container)))
        self._stopped = 0.

    def _noted(self, stop: typing.Any) -> typing.Any:
        """What stops a container, and notes when it began to."""
        def stopping(*args: typing.Any) -> typing.Any:
            self._stopped = self._stopped or time.perf_counter()
            return stop(*args)
        return stopping

    def by_driver(self, written: _Written, times: _Times) -> None:
        """Until it runs at the other host; with the times of the parts."""
        both, instance = self._both, self._both.instance()
        self._instance = instance
        instance.migration_context = transfers.migration_context()
        network_info = instance.info_cache.network_info

        def migrate() -> None:
            disk_info = both.driver.migrate_disk_and_power_off(
                both.context, instance, '192.0.2.1', both.flavor,
                network_info)
            self._driver.finish_migration(
                both.context, self._migration, instance, disk_info,
                network_info, both.image, False, {})

        both.spawn(instance)
        try:
            written.write(both, names.container_name(instance.uuid))
            if written.megabytes * _PIECE >= outgoing._LARGE:
                time.sleep(changes._WRITING + 1)
            both.spent.clear()
            self._stopped = 0.
            times['driver'].append(bed.seconds(migrate))
            times['down'].append(time.perf_counter() - self._stopped)
            for part in _PARTS:
                times[part].append(both.spent[part])
        finally:
            self._driver.destroy(both.context, instance, network_info)
            both.destroy(instance)

    def by_hand(self, written: _Written, times: _Times) -> None:
        """Until it runs at the other engine."""
        both, name = self._both, bed.name()
        image = f'benchmark.invalid/{name}:moved'

        def migrate() -> None:
            both.engine.stop_container(name, 0)
            both.engine.commit_container(name, image)
            self._save_and_load(image)
            self._engine.start_container(self._engine.create_container(
                name, {'Image': image,
                       'HostConfig': {'NetworkMode': 'none'}}), 60)

        both.run(name, 'none')
        try:
            written.write(both, name)
            times['hand'].append(bed.seconds(migrate))
        finally:
            for engine in both.engine, self._engine:
                for remove, what in ((engine.remove_container, name),
                                     (engine.remove_image, image)):
                    with contextlib.suppress(errors.NotFound):
                        remove(what)

    def _save_and_load(self, image: str) -> None:
        docker = programs.engine.path() / 'docker'
        with subprocess.Popen(
                [docker, '--host', self._both.url, 'save', image],
                stdout=subprocess.PIPE) as save:
            subprocess.run([docker, '--host', self._url, 'load'],
                           stdin=save.stdout, stdout=subprocess.DEVNULL,
                           check=True)
        if save.returncode:
            raise subprocess.CalledProcessError(save.returncode, 'save')


def _report(what: str, times: _Times) -> str:
    """Where the time goes, and the ratio."""
    spent = {part: statistics.median(times[part]) for part in _PARTS}
    rest = statistics.median(times['driver']) - sum(spent.values())
    down = statistics.median(times['down'])
    results.parts(what, spent | {'rest': rest, 'down': down})
    parts = ', '.join(f'{1e3 * seconds:.0f} ms to {part}'
                      for part, seconds in spent.items())
    ratio = bed.ratio(f'{what}: migrate / docker commit, save and load',
                      times['driver'], times['hand'])
    return (f'{what}: {parts}; {1e3 * rest:.0f} ms for all else; it is down '
            f'for {1e3 * down:.0f} ms\n{ratio}')


def main() -> None:
    """Print where the time goes, and the ratios."""
    options = bed.arguments(__doc__, _PAIRS, megabytes=_MEGABYTES)
    with bed.Bed(options) as both:
        moves = _Moves(both)
        # The first of all is slow: the other host has no image yet.
        moves.by_driver(_SHAPES[0], collections.defaultdict(list))
        for written in _SHAPES:
            if written.megabytes <= options.megabytes:
                times: _Times = collections.defaultdict(list)
                for _ in range(options.pairs):
                    moves.by_driver(written, times)
                    moves.by_hand(written, times)
                print(_report(written.what, times), flush=True)
