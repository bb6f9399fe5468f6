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


"""What this host is: the engine's own account, /proc, /sys and the disk."""

import dataclasses
import os
import re
import typing

from nova import exception
from nova.objects import fields
from nova.virt import hardware
from oslo_utils import units
from oslo_utils import versionutils

from nova_docker.engine import client


@dataclasses.dataclass(frozen=True)
class Cpu:
    """The processors, from /proc/cpuinfo and /sys.

    :ivar online: numbers of the logical CPUs that are online
    :ivar features: flags as the kernel spells them
    :ivar cores: cores of one socket
    :ivar threads: threads of one core
    """

    online: frozenset[int]
    vendor: str
    model: str
    features: frozenset[str]
    sockets: int
    cores: int
    threads: int


@dataclasses.dataclass(frozen=True)
class HostInfo:
    """A compute host.

    :ivar arch: a nova.objects.fields.Architecture
    :ivar disk_gb: size in GiB of the filesystem with the disks of instances
    :ivar disk_free_gb: GiB that are free on it for unprivileged users
    :ivar engine_version: as the engine spells it
    :ivar hypervisor_version: the same as Nova's integer, 28.5.2 = 28005002
    :ivar cgroup_version: '1' or '2'
    :ivar security_options: names, such as seccomp, apparmor, userns
    """

    arch: str
    cpu: Cpu
    memory_mb: int
    disk_gb: int
    disk_free_gb: int
    engine_version: str
    hypervisor_version: int
    cgroup_version: str
    storage_driver: str
    data_root: str
    runtimes: frozenset[str]
    cdi_dirs: tuple[str, ...]
    live_restore: bool
    security_options: frozenset[str]

    @property
    def userns_remap(self) -> bool:
        """Whether root in a container is an unprivileged user outside."""
        return 'userns' in self.security_options

    @property
    def first_ids(self) -> tuple[int, int]:
        """The user and the group of the host that root in a container is."""
        # The engine has a data root for them, as in 100000.100000.
        found = re.fullmatch(r'(\d+)\.(\d+)', os.path.basename(self.data_root))
        if found is None or not self.userns_remap:
            return 0, 0
        return int(found[1]), int(found[2])


def read(engine_info: client.Json, proc: str = '/proc',
         sys: str = '/sys', disks_dir: str | None = None) -> HostInfo:
    """Put together what this host is.

    :param engine_info: the engine's answer to GET /info
    :param disks_dir: where the disks of instances are; None for the engine's
        data root
    :raises OSError: that cannot be seen from here
    :raises nova.exception.InvalidArchitectureName: unknown to Nova
    """
    total, free = disk(disks_dir or engine_info['DockerRootDir'])
    version = engine_info['ServerVersion']
    return HostInfo(
        arch=architecture(engine_info['Architecture']),
        cpu=cpu(proc, sys),
        memory_mb=engine_info['MemTotal'] // units.Mi,
        disk_gb=total, disk_free_gb=free,
        engine_version=version,
        hypervisor_version=version_number(version),
        cgroup_version=str(engine_info.get('CgroupVersion') or ''),
        storage_driver=engine_info.get('Driver') or '',
        data_root=engine_info['DockerRootDir'],
        runtimes=frozenset(engine_info.get('Runtimes') or ()),
        cdi_dirs=tuple(engine_info.get('CDISpecDirs') or ()),
        live_restore=bool(engine_info.get('LiveRestoreEnabled')),
        security_options=security_options(
            engine_info.get('SecurityOptions') or ()))


def has_init(engine_info: client.Json) -> bool:
    """Whether the engine found the program that ``init`` runs first.

    :param engine_info: the engine's answer to GET /info
    """
    return bool(engine_info['InitCommit']['ID'] != 'N/A')


def architecture(name: str) -> str:
    """Nova's name of an architecture that the engine names.

    The engine says uname's machine on some platforms and Go's name on others.
    """
    try:
        return str(fields.Architecture.canonicalize(name))
    except exception.InvalidArchitectureName:
        go_names = {'arm64': fields.Architecture.AARCH64,
                    'arm': fields.Architecture.ARMV7,
                    '386': fields.Architecture.I686}
        if name not in go_names:
            raise
        return str(go_names[name])


def version_number(version: str) -> int:
    """The integer that Nova makes of a version; 26.1.5+dfsg1 is 26001005."""
    numbers = re.match(r'\d+(\.\d+){0,2}', version)
    if numbers is None:
        return 0
    parts = [int(part) for part in numbers.group().split('.')]
    return versionutils.convert_version_to_int(
        tuple(parts + [0] * (3 - len(parts)))) or 0


def disk(path: str) -> tuple[int, int]:
    """Size and free space in GiB of the filesystem that holds a path.

    :raises OSError: the path cannot be seen from here
    """
    stat = os.statvfs(path)
    return (stat.f_blocks * stat.f_frsize // units.Gi,
            stat.f_bavail * stat.f_frsize // units.Gi)


def security_options(options: typing.Iterable[str]) -> frozenset[str]:
    """Names of the options; the engine says name=seccomp,profile=builtin."""
    return frozenset(option.split(',')[0].removeprefix('name=')
                     for option in options)


def cpu(proc: str = '/proc', sys: str = '/sys') -> Cpu:
    """Read what the processors are."""
    with open(os.path.join(sys, 'devices/system/cpu/online')) as online:
        numbers = frozenset(hardware.parse_cpu_spec(online.read().strip()))
    with open(os.path.join(proc, 'cpuinfo'), errors='replace') as cpuinfo:
        processors = [_fields(block)
                      for block in cpuinfo.read().split('\n\n') if block]
    first: dict[str, str] = processors[0] if processors else {}
    sockets = len({one['physical id'] for one in processors
                   if 'physical id' in one}) or 1
    cores = int(first.get('cpu cores') or len(numbers))
    threads = int(first.get('siblings') or cores) // cores or 1
    return Cpu(
        online=numbers,
        # The second name of each is what the kernel says on Arm.
        vendor=first.get('vendor_id') or first.get('CPU implementer', ''),
        model=first.get('model name') or first.get('CPU part', ''),
        features=frozenset(
            (first.get('flags') or first.get('Features', '')).split()),
        sockets=sockets, cores=cores, threads=threads)


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(':') for line in block.splitlines())
    return {key.strip(): value.strip() for key, _colon, value in pairs}
