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


"""What servers that do nothing cost their host: memory, disk, and upkeep.

Memory is what processes have for themselves, and their shares of the rest
(PSS). Servers run a program that sleeps, so that all of it is the engine's,
the container runtime's and the driver's.
"""

import collections.abc
import pathlib
import statistics

import psutil

from nova_docker.spec import names
from tests.benchmarks import bed
from tests.benchmarks import results

_STEPS = (10, 20, 40)
_ROUNDS = 5
_BARE = 'docker create+start (bridge)'
_DAEMONS = ('dockerd', 'containerd')
_TASKS = ('resources', 'power states')


def _memory(processes: collections.abc.Iterable[psutil.Process]) -> int:
    """Bytes."""
    return sum(process.memory_full_info().pss for process in processes)


def _shims(both: bed.Bed, containers: collections.abc.Collection[str]
           ) -> list[psutil.Process]:
    """The processes of containers and those that look after these.

    :param containers: their names
    """
    wanted = {both.engine.inspect_container(name)['Id']
              for name in containers}
    shims = [process for process in psutil.process_iter(['cmdline'])
             if wanted.intersection(process.info['cmdline'] or ())
             and 'containerd-shim' in process.info['cmdline'][0]]
    return [each for shim in shims
            for each in (shim, *shim.children(recursive=True))]


def _daemons(both: bed.Bed) -> list[psutil.Process]:
    """Of the engine, known by its folder; none of one that is shared."""
    folder = str(pathlib.Path(both.url.removeprefix('unix://')).parent)
    return [process
            for process in psutil.process_iter(['name', 'cmdline'])
            if process.info['name'] in _DAEMONS and any(
                folder in word for word in process.info['cmdline'] or ())]


def _disk(both: bed.Bed) -> int:
    """Bytes that the files of root disks take."""
    return sum(512 * path.stat().st_blocks
               for path in both.disks_dir.rglob('*') if path.is_file())


def _upkeep(both: bed.Bed, instances: collections.abc.Collection[object]
            ) -> dict[str, float]:
    """Seconds that nova-compute's periodic tasks take of the driver."""
    def sweep() -> None:
        both.driver.get_num_instances()
        for instance in instances:
            both.driver.get_info(instance, use_cache=True)

    def resources() -> None:
        both.driver.get_available_resource('')

    return {what: statistics.median(bed.seconds(function)
                                    for _ in range(_ROUNDS))
            for what, function in zip(_TASKS, (resources, sweep))}


def _report(step: int, found: dict[str, float]) -> None:
    results.parts(f'{step} servers', found, '')
    print(f'{step} servers: ' + '; '.join(
        f'{1e3 * value:.1f} ms for {what}'
        if what in _TASKS
        else f'{value / 2**20:.1f} MiB {what}'
        if value > 1e4 else f'{value:.0f} {what}'
        for what, value in found.items()), flush=True)


def main() -> None:
    """Print what some servers take, and what each does of memory."""
    options = bed.arguments(__doc__, 1)
    ours, bare = [], []
    with bed.Bed(options) as both:
        this, instances = psutil.Process(), []
        for step in (0, *_STEPS):
            while len(instances) < step:
                instances.append(both.instance())
                both.spawn(instances[-1])
            containers = [names.container_name(instance.uuid)
                          for instance in instances]
            shims = _memory(_shims(both, containers))
            if step:
                ours.append(shims / step)
            _report(step, {
                'memory of containers': shims,
                'memory of the engine': _memory(_daemons(both)),
                'memory of the driver': this.memory_info().rss,
                'root disks': _disk(both), 'descriptors': this.num_fds(),
                'threads': this.num_threads(),
                **_upkeep(both, instances)})
        for instance in instances:
            both.destroy(instance)
        containers = []
        for step in _STEPS:
            while len(containers) < step:
                containers.append(bed.name())
                both.run(containers[-1])
            bare.append(_memory(_shims(both, containers)) / step)
    results.pairs('memory of a server', _BARE, ours, bare, 'bytes')
    print(f'memory: {ours[-1] / 2**20:.1f} MiB for each of {step} servers, '
          f'{bare[-1] / 2**20:.1f} MiB for each of as many containers')
