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

"""The flavor's resources as limits of the container.

Source: HostConfig of POST /containers/create, Nova's ``quota:*`` flavor extra
specs and those of nova_docker.spec.extra_specs.
"""

import collections.abc
import dataclasses
import typing

from oslo_utils import strutils

_MIB = 1024 ** 2
_PERIOD = 100_000
#: What the kernel takes: cpu.cfs_period_us, cpu.cfs_quota_us, cpu.shares.
_PERIODS = (1_000, 1_000_000)
_MIN_QUOTA = 1_000
_SHARES = (2, 262_144)
_SHARES_PER_VCPU = 1024
#: The engine refuses less (POST /containers/create, Memory).
_MIN_MEMORY_MIB = 6


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a host sets for all its instances.

    :ivar pids_limit: processes and threads of an instance
    :ivar cpu_hard_cap: whether VCPUs cap CPU time as well as weigh it
    """
    pids_limit: int
    cpu_hard_cap: bool


@dataclasses.dataclass(frozen=True)
class Cpus:
    """Where an instance runs.

    :ivar cpus: of the host; None for all
    :ivar nodes: NUMA nodes with its memory; None for any
    :ivar dedicated: whether no other instance has one of these CPUs
    """
    cpus: frozenset[int] | None = None
    nodes: frozenset[int] | None = None
    dedicated: bool = False


ANY = Cpus()


def host_config(
        vcpus: int, memory_mb: int, swap_mb: int,
        extra_specs: collections.abc.Mapping[str, str],
        docker: collections.abc.Mapping[str, typing.Any],
        host: Limits, cpus: Cpus = ANY) -> dict[str, typing.Any]:
    """HostConfig of the flavor's CPU, memory, swap and process limits.

    :param memory_mb: MiB, without those in huge pages
    :param docker: of :func:`nova_docker.spec.extra_specs.parse`
    :raises ValueError: an extra spec has a value that cannot be applied
    """
    return (_cpu(vcpus, extra_specs, host, cpus.dedicated) | cpuset(cpus) |
            _memory(memory_mb, swap_mb, docker) |
            _kernel(extra_specs, docker) |
            {'PidsLimit': docker.get('pids_limit', host.pids_limit)})


def _cpu(vcpus: int, extra_specs: collections.abc.Mapping[str, str],
         host: Limits, dedicated: bool) -> dict[str, typing.Any]:
    """Weight and cap. Nova's quota is per VCPU, the engine's per container.

    CpuPeriod and CpuQuota, never NanoCpus: an engine does not let one of the
    two be replaced by the other later. Dedicated CPUs need no cap, which costs
    time of its own.
    """
    shares = _integer(extra_specs, 'quota:cpu_shares',
                      vcpus * _SHARES_PER_VCPU, *_SHARES)
    config = {'CpuShares': min(shares, _SHARES[1])}
    period = _integer(extra_specs, 'quota:cpu_period', _PERIOD, *_PERIODS)
    quota = _integer(extra_specs, 'quota:cpu_quota',
                     period if host.cpu_hard_cap and not dedicated else -1)
    if quota > 0:
        if quota * vcpus < _MIN_QUOTA:
            raise ValueError(
                f'quota:cpu_quota={quota} is below {_MIN_QUOTA} microseconds')
        config |= {'CpuPeriod': period, 'CpuQuota': quota * vcpus}
    return config


def cpuset(cpus: Cpus) -> dict[str, typing.Any]:
    """HostConfig of where an instance runs."""
    return {key: ','.join(map(str, sorted(numbers))) for key, numbers in (
        ('CpusetCpus', cpus.cpus), ('CpusetMems', cpus.nodes))
        if numbers is not None}


def _memory(memory_mb: int, swap_mb: int,
            docker: collections.abc.Mapping[str, typing.Any]
            ) -> dict[str, typing.Any]:
    """MemorySwap is memory and swap together; unset, swap is unlimited."""
    if memory_mb < _MIN_MEMORY_MIB:
        raise ValueError(
            f'{memory_mb} MiB of memory are below the smallest that a '
            f'container can have, {_MIN_MEMORY_MIB} MiB')
    config = {'Memory': memory_mb * _MIB,
              'MemorySwap': (memory_mb + swap_mb) * _MIB}
    for name, key in (('memory_reservation_mb', 'MemoryReservation'),
                      ('shm_size_mb', 'ShmSize')):
        if name in docker:
            config[key] = docker[name] * _MIB
    if config.get('MemoryReservation', 0) > config['Memory']:
        raise ValueError(
            f'docker:memory_reservation_mb={docker["memory_reservation_mb"]} '
            f'is above the memory of the server, {memory_mb} MiB')
    return config


def _kernel(extra_specs: collections.abc.Mapping[str, str],
            docker: collections.abc.Mapping[str, typing.Any]
            ) -> dict[str, typing.Any]:
    config: dict[str, typing.Any] = {}
    ulimits = _named(docker, 'ulimit_')
    if strutils.bool_from_string(extra_specs.get('hw:locked_memory')):
        # Its memory limit counts all the same.
        ulimits['memlock'] = (-1, -1)
    if ulimits:
        config['Ulimits'] = [
            {'Name': name, 'Soft': soft, 'Hard': hard}
            for name, (soft, hard) in ulimits.items()]
    if sysctls := _named(docker, 'sysctl_'):
        config['Sysctls'] = sysctls
    if 'oom_score_adj' in docker:
        config['OomScoreAdj'] = docker['oom_score_adj']
    return config


def _named(docker: collections.abc.Mapping[str, typing.Any], prefix: str
           ) -> dict[str, typing.Any]:
    return {key.removeprefix(prefix): value
            for key, value in docker.items() if key.startswith(prefix)}


def _integer(extra_specs: collections.abc.Mapping[str, str], key: str,
             default: int, low: int | None = None,
             high: int | None = None) -> int:
    if key not in extra_specs:
        return default
    try:
        value = int(extra_specs[key])
    except ValueError:
        raise ValueError(
            f'{key}={extra_specs[key]!r} is not an integer') from None
    if (low is not None and value < low) or (
            high is not None and value > high):
        raise ValueError(f'{key}={value} is not within {low} and {high}')
    return value
