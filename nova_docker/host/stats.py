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


"""What the host and its instances use.

From /proc, /sys and cgroup files: the engine's stats API takes up to a
second per container and is never asked.
"""

import collections.abc
import dataclasses
import datetime
import os

import psutil

from nova_docker.privsep import cgroup

#: Files in /sys/class/net/<device>/statistics of a NIC's host end, and what
#: each one counts for the instance at the other end.
_NIC_COUNTERS = {
    'rx_octets': 'tx_bytes', 'rx_packets': 'tx_packets',
    'rx_errors': 'tx_errors', 'rx_drop': 'tx_dropped',
    'tx_octets': 'rx_bytes', 'tx_packets': 'rx_packets',
    'tx_errors': 'rx_errors', 'tx_drop': 'rx_dropped',
}

#: Bytes of what the kernel counts for block devices.
_SECTOR = 512


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a container uses; None where the kernel does not tell.

    :ivar uptime: seconds since its main process was started
    :ivar cpu_time: nanoseconds of CPU time
    :ivar memory_used: bytes, without page cache that could be dropped
    :ivar memory_limit: bytes
    :ivar processes: processes and threads
    """

    uptime: int | None = None
    cpu_time: int | None = None
    memory_used: int | None = None
    memory_limit: int | None = None
    processes: int | None = None
    read_bytes: int | None = None
    read_requests: int | None = None
    write_bytes: int | None = None
    write_requests: int | None = None


def uptime(proc: str = '/proc', now: datetime.datetime | None = None) -> str:
    """The line that uptime(1) prints, which is what Nova's API shows.

    The number of users is left out: the host's log-ins cannot be seen from a
    containerized nova-compute.
    """
    seconds = int(float(_read(proc, 'uptime').split()[0]))
    load = ', '.join(_read(proc, 'loadavg').split()[:3])
    days, rest = divmod(seconds, 24 * 3600)
    hours, minutes = rest // 3600, rest % 3600 // 60
    up = f'{hours:2d}:{minutes:02d}' if hours else f'{minutes} min'
    if days:
        up = f'{days} day{"s" if days > 1 else ""}, {up}'
    time = (now or datetime.datetime.now()).strftime('%H:%M:%S')
    return f' {time} up {up},  load average: {load}'


def host_cpu() -> dict[str, int]:
    """What ComputeDriver.get_host_cpu_stats returns: ns, and MHz."""
    times = psutil.cpu_times()
    frequency = psutil.cpu_freq()
    nanoseconds = {'kernel': times.system, 'idle': times.idle,
                   'user': times.user, 'iowait': times.iowait}
    stats = {name: int(seconds * 10**9)
             for name, seconds in nanoseconds.items()}
    stats['frequency'] = int(frequency.current) if frequency else 0
    return stats


def nic(device: str, sys: str = '/sys') -> dict[str, int]:
    """Counters of a NIC as the instance sees them, by its host end.

    :returns: named as the fields of nova.objects.diagnostics.NicDiagnostics;
        empty when there is no such device
    """
    path = os.path.join(sys, 'class/net', device, 'statistics')
    if not os.path.isdir(path):
        return {}
    return {name: int(_read(path, counter) or 0)
            for name, counter in _NIC_COUNTERS.items()}


def block_device(major: int, minor: int,
                 sys: str = '/sys') -> list[int] | None:
    """What ComputeDriver.block_stats returns, of a device of the host.

    Source: Documentation/block/stat.rst of Linux.

    :returns: None when there is no such device
    """
    fields = _read(sys, f'dev/block/{major}:{minor}/stat').split()
    if not fields:
        return None
    reads, _merged, read_sectors, _time, writes, _merged, written, *_rest = (
        int(field) for field in fields)
    return [reads, read_sectors * _SECTOR, writes, written * _SECTOR, 0]


def container(pid: int, proc: str = '/proc') -> Usage:
    """What the container of a main process uses.

    :param pid: the engine's State.Pid, 0 when it does not run
    :returns: all None when there is no such process
    """
    try:
        started = psutil.Process(pid).create_time() if pid else None
    except psutil.NoSuchProcess:
        started = None
    if started is None:
        return Usage()
    groups = _cgroups(pid, proc)
    usage = _v2(groups['']) if 'memory' not in groups else _v1(groups)
    now = datetime.datetime.now().timestamp()
    return dataclasses.replace(usage, uptime=max(0, int(now - started)))


def _cgroups(pid: int, proc: str) -> dict[str, str]:
    """Directory of a process's cgroup by controller, '' for version 2."""
    mounts = cgroup.mounts(proc)
    groups = {'': ''}
    for line in _read(proc, str(pid), 'cgroup').splitlines():
        _number, controllers, path = line.split(':', 2)
        for controller in controllers.split(','):
            if controller in mounts:
                groups[controller] = mounts[controller] + path
    return groups


def _v1(groups: collections.abc.Mapping[str, str]) -> Usage:
    memory = groups['memory']
    limit = _number(memory, 'memory.limit_in_bytes')
    blkio = groups.get('blkio', '')
    sizes = _v1_blkio(blkio, 'blkio.throttle.io_service_bytes')
    requests = _v1_blkio(blkio, 'blkio.throttle.io_serviced')
    return Usage(
        cpu_time=_number(groups.get('cpuacct', ''), 'cpuacct.usage'),
        memory_used=_without(
            _number(memory, 'memory.usage_in_bytes'),
            _pairs(memory, 'memory.stat').get('total_inactive_file')),
        # Without a limit the kernel says a number near 2**63.
        memory_limit=limit if limit and limit < 2**62 else None,
        processes=_number(groups.get('pids', ''), 'pids.current'),
        read_bytes=sizes.get('Read'), read_requests=requests.get('Read'),
        write_bytes=sizes.get('Write'), write_requests=requests.get('Write'))


def _v2(group: str) -> Usage:
    microseconds = _pairs(group, 'cpu.stat').get('usage_usec')
    io = _v2_io(group)
    return Usage(
        cpu_time=None if microseconds is None else microseconds * 1000,
        memory_used=_without(
            _number(group, 'memory.current'),
            _pairs(group, 'memory.stat').get('inactive_file')),
        memory_limit=_number(group, 'memory.max'),
        processes=_number(group, 'pids.current'),
        read_bytes=io.get('rbytes'), read_requests=io.get('rios'),
        write_bytes=io.get('wbytes'), write_requests=io.get('wios'))


def _v1_blkio(group: str, name: str) -> dict[str, int]:
    """Sums over the devices of lines such as '8:0 Read 4096'."""
    sums: dict[str, int] = {}
    for line in _read(group, name).splitlines():
        words = line.split()
        if len(words) == 3:
            sums[words[1]] = sums.get(words[1], 0) + int(words[2])
    return sums


def _v2_io(group: str) -> dict[str, int]:
    """Sums over the devices of lines such as '8:0 rbytes=4096 wbytes=0'."""
    sums: dict[str, int] = {}
    for line in _read(group, 'io.stat').splitlines():
        for pair in line.split()[1:]:
            name, _equals, value = pair.partition('=')
            sums[name] = sums.get(name, 0) + int(value)
    return sums


def _pairs(group: str, name: str) -> dict[str, int]:
    """A file of lines such as 'usage_usec 1234'."""
    words = (line.split() for line in _read(group, name).splitlines())
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2}


def _number(group: str, name: str) -> int | None:
    text = _read(group, name).strip()
    return int(text) if text.isdigit() else None


def _without(used: int | None, droppable: int | None) -> int | None:
    return None if used is None else max(0, used - (droppable or 0))


def _read(*path: str) -> str:
    """The text of a file; '' when it is missing or its owner is gone."""
    try:
        with open(os.path.join(*path)) as text:
            return text.read()
    except OSError:
        return ''
