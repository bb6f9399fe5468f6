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


"""fio in a container against fio on the host, on the same file system.

On the root disk, on a volume that is mounted and on one that is a block
device; by direct input and output, so that no cache of a file is measured but
that which the host has of loop devices, and that on both sides. Both are in
the container's control group for CPU time: what else a busy machine does
leaves them alike.
"""

import collections
import functools
import json
import os
import statistics
import subprocess
import typing

from nova_docker.privsep import cgroup
from nova_docker.privsep import mounts
from nova_docker.spec import names
from nova_docker.volume import rootfs
from tests.benchmarks import bed
from tests.benchmarks import programs

_PAIRS = 10
_MEGABYTES = 256
#: Room for two files and the journal.
_SIZE = 1 << 30
#: So much that none of its limits is in the way.
_MEMORY_MB = 2048
_MOUNT_PATH = '/volume'
_DEVICE = '/dev/vdb'
_JOBS = {'sequential read': ('read', '1M'),
         'sequential write': ('write', '1M'),
         'random read': ('randread', '4k'),
         'random write': ('randwrite', '4k')}

_Rates = dict[str, dict[str, list[float]]]


def _fio(path: str, kind: str, block: str) -> str:
    """A command; where the file is not there yet, it is written first."""
    return (f'fio --name=benchmark --filename={path} --size={_MEGABYTES}M '
            f'--rw={kind} --bs={block} --direct=1 --ioengine=libaio '
            '--iodepth=16 --overwrite=1 --runtime=1 --time_based '
            '--invalidate=0 --output-format=json')


def _rate(report: str, kind: str) -> float:
    """Bytes in a second."""
    job, = json.loads(report)['jobs']
    side = 'read' if kind.endswith('read') else 'write'
    return float(job[side]['bw_bytes'])


def _places(both: bed.Bed, instance: typing.Any
            ) -> dict[str, tuple[str, str]]:
    """By kind of disk, the file in the container and that on the host."""
    container = both.engine.inspect_container(
        names.container_name(instance.uuid))['Id']
    root, _layer = rootfs.directory(both.engine, container)
    mounted, device = both.volume(_SIZE, _MOUNT_PATH), both.volume(_SIZE)
    both.attach_volume(instance, mounted, '/dev/vdc')
    both.attach_volume(instance, device, _DEVICE)
    volume, = mounts.of([mounted['data']['device_path']])
    return {'root disk': ('/inside', f'{root}/outside'),
            'mounted volume': (f'{_MOUNT_PATH}/inside', f'{volume}/outside'),
            'block device': (_DEVICE, device['data']['device_path'])}


def _on_host(group: str, command: str) -> str:
    """Output of a command in a control group."""
    return subprocess.check_output(
        ['sh', '-c', f'echo $$ > {group}/cgroup.procs && exec {command}'],
        text=True)


def _group(both: bed.Bed, instance: typing.Any) -> str:
    """The control group of a server for CPU time."""
    container = both.engine.inspect_container(
        names.container_name(instance.uuid))
    directory, _is_first = cgroup.find(
        container['State']['Pid'], container['Id'], controller='cpu')
    return directory


def _measure(container: programs.Container, group: str,
             places: dict[str, tuple[str, str]], rates: _Rates,
             order: int) -> None:
    """Everything once on both sides, the second first if order is -1."""
    for place, (inside, outside) in places.items():
        for job, (kind, block) in _JOBS.items():
            what = rates[f'{job}, {place}']
            for side, run, path in (
                    ('inside', container.run, inside),
                    ('outside', functools.partial(_on_host, group),
                     outside))[::order]:
                what[side].append(_rate(run(_fio(path, kind, block)), kind))


def main() -> None:
    """Print the ratios, of rates: they shall be large; the smallest last."""
    options = bed.arguments(__doc__, _PAIRS)
    programs.install(('fio',))
    rates: _Rates = collections.defaultdict(
        lambda: collections.defaultdict(list))
    with bed.Bed(options, programs.archive('fio', 'sleep')) as both:
        both.flavor.vcpus = os.cpu_count()
        both.flavor.memory_mb = _MEMORY_MB
        instance = both.instance()
        both.spawn(instance)
        container = programs.Container(
            both, names.container_name(instance.uuid))
        places, group = _places(both, instance), _group(both, instance)
        # One more than asked for: the first of all makes the files.
        for number in range(options.pairs + 1):
            _measure(container, group, places, rates,
                     1 if number % 2 else -1)
    figures = []
    for what, sides in rates.items():
        inside, outside = sides['inside'][1:], sides['outside'][1:]
        figures.append(statistics.median(inside) / statistics.median(outside))
        print(bed.ratio(f'{what} / on the host', inside, outside, 'MB/s',
                        1e-6))
    print(f'disk: at least {min(figures):.2f} of the rates on the host')
