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


"""Attach and detach of a volume against bare os-brick with mknod or mount.

The volume is a loop device, which os-brick has nothing to connect for: so what
is compared is what the driver adds. By hand, a block device gets its node in
the container, and a file system is mounted on the host, unchecked.
"""

import collections
import collections.abc
import os
import stat
import statistics
import subprocess
import typing

import fixtures
from os_brick.initiator import connector as brick

from nova_docker.spec import names
from nova_docker.volume import connector
from nova_docker.volume import device
from nova_docker.volume import filesystem
from tests.benchmarks import bed

_PAIRS = 20
_SIZE = 64 << 20
_DEVICE = '/dev/vdb'
#: What is timed, by the part of the work that it is.
_PARTS = {
    'os-brick': ((connector, 'connect'), (connector, 'disconnect')),
    'host': ((device, 'identify'), (device, 'claim'),
             (filesystem, 'mount'), (filesystem, 'unmount')),
    'container': ((device, 'give'), (device, 'take'),
                  (filesystem, 'give'), (filesystem, 'take'))}

_Times = dict[str, list[float]]


class _Bare:
    """The same by hand.

    :param mount_path: where the driver mounts the file system, if it does
    """

    def __init__(self, both: bed.Bed, name: str, volume: typing.Any,
                 mount_path: str) -> None:
        self._connector = brick.InitiatorConnector.factory('local', '')
        self._data = volume['data']
        pid = both.engine.inspect_container(name)['State']['Pid']
        self._node = f'/proc/{pid}/root{_DEVICE}'
        self._directory = ''
        if mount_path:
            self._directory = both.useFixture(fixtures.TempDir()).path
            # Should it end in the middle.
            both.addCleanup(subprocess.run,
                            ['umount', '--quiet', self._directory])

    def attach(self) -> None:
        path = self._connector.connect_volume(self._data)['path']
        if self._directory:
            subprocess.run(['mount', path, self._directory], check=True)
        else:
            os.mknod(self._node, stat.S_IFBLK | 0o660,
                     os.stat(path).st_rdev)

    def detach(self) -> None:
        if self._directory:
            subprocess.run(['umount', self._directory], check=True)
        else:
            os.unlink(self._node)
        self._connector.disconnect_volume(self._data, None)


def _measure(both: bed.Bed, pairs: int,
             mount_path: str = '') -> tuple[_Times, _Times]:
    """Times of the driver, whole and by parts, and by hand."""
    volume = both.volume(_SIZE, mount_path)
    instance = both.instance()
    both.spawn(instance)
    bare = _Bare(both, names.container_name(instance.uuid), volume,
                 mount_path)
    ours: _Times = collections.defaultdict(list)
    other: _Times = collections.defaultdict(list)

    def driver(what: str, verb: collections.abc.Callable[..., None]) -> None:
        both.spent.clear()
        ours[what].append(bed.seconds(verb, instance, volume, _DEVICE))
        for part in _PARTS:
            ours[f'{what} {part}'].append(both.spent[part])

    # One more than asked for: the first of all is slow, and makes the file
    # system.
    for _ in range(pairs + 1):
        driver('attach', both.attach_volume)
        driver('detach', both.detach_volume)
        other['attach'].append(bed.seconds(bare.attach))
        other['detach'].append(bed.seconds(bare.detach))
    both.destroy(instance)
    return tuple({what: each[1:] for what, each in times.items()}
                 for times in (ours, other))


def _print(kind: str, by_hand: str, ours: _Times, bare: _Times) -> None:
    medians = {what: 1e3 * statistics.median(each)
               for what, each in ours.items()}
    for verb in bare:
        parts = {part: medians[f'{verb} {part}'] for part in _PARTS}
        rest = medians[verb] - sum(parts.values())
        print('{verb} {kind}: {os-brick:.1f} ms os-brick, {host:.1f} ms on '
              'the host, {container:.1f} ms in the container, {rest:.1f} ms '
              'for all else'.format(verb=verb, kind=kind, rest=rest, **parts))
        print(bed.ratio(f'{verb} {kind} / os-brick and {by_hand[verb]}',
                        ours[verb], bare[verb], 'us', 1e6))


def main() -> None:
    """Print where the time goes, and the ratios."""
    options = bed.arguments(__doc__, _PAIRS)
    with bed.Bed(options) as both:
        for part, functions in _PARTS.items():
            for function in functions:
                both.time(*function, part)
        for kind, mount_path, by_hand in (
                ('a block device', '', ('mknod', 'unlink')),
                ('a file system', '/volume', ('mount', 'umount'))):
            _print(kind, dict(zip(('attach', 'detach'), by_hand)),
                   *_measure(both, options.pairs, mount_path))
