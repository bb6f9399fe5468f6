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

"""The NUMA nodes of this host, for Nova's choice of CPUs and memory."""

import collections.abc
import dataclasses
import glob
import os
import typing

from nova import exception
from nova import objects
from nova.virt import hardware
from oslo_utils import units

from nova_docker.privsep import cgroup

_NODES = 'devices/system/node/node[0-9]*'
_CPUS = 'devices/system/cpu'
#: KiB of a page that is not huge.
PAGE_KB = os.sysconf('SC_PAGE_SIZE') // units.Ki


@dataclasses.dataclass(frozen=True)
class Cpu:
    """A logical CPU.

    :ivar siblings: those of the same core, and itself
    :ivar socket: number of its package
    """

    siblings: frozenset[int]
    socket: int


@dataclasses.dataclass(frozen=True)
class Node:
    """A NUMA node, with its CPUs that are online.

    :ivar pages: by their size in KiB, the number of huge pages
    """

    id: int
    cpus: dict[int, Cpu]
    memory_kb: int
    pages: dict[int, int]


@dataclasses.dataclass(frozen=True)
class Networks:
    """Which NUMA nodes networks are near to, as the operator says.

    :ivar physical: by physical networks of Neutron, their nodes
    :ivar tunnels: nodes of the networks that are tunneled
    """

    physical: collections.abc.Mapping[str, frozenset[int]]
    tunnels: frozenset[int]


def check(networks: Networks, nodes: collections.abc.Iterable[Node]) -> None:
    """See that the nodes of networks are there.

    :raises nova.exception.InvalidNetworkNUMAAffinity: one is not
    """
    there = {node.id for node in nodes}
    for name, wanted in ((None, networks.tunnels),
                         *networks.physical.items()):
        where = (f'[neutron_physnet_{name}]' if name else '[neutron_tunnel]')
        if missing := wanted - there:
            raise exception.InvalidNetworkNUMAAffinity(
                reason=f'{where} numa_nodes names {sorted(missing)}, and the '
                f'nodes of this host are {sorted(there)}')
        if name and not wanted:
            raise exception.InvalidNetworkNUMAAffinity(
                reason=f'[neutron]physnets names {name}, and {where} has no '
                'numa_nodes')


def read(sys: str = '/sys', proc: str = '/proc') -> list[Node]:
    """The nodes; one where the kernel knows of none."""
    directories = sorted(glob.glob(os.path.join(sys, _NODES)),
                         key=lambda path: int(path.rpartition('node')[2]))
    if directories:
        return [_node(sys, path) for path in directories]
    return [Node(0, _cpus(sys, _text(sys, _CPUS, 'online')),
                 _memory(os.path.join(proc, 'meminfo')),
                 pages(sys))]


def pages(sys: str = '/sys') -> dict[int, int]:
    """By their size in KiB, the number of huge pages of the host."""
    return _pages(os.path.join(sys, 'kernel/mm/hugepages'))


def limits_pages(proc: str = '/proc') -> bool:
    """Whether control groups can limit the huge pages of containers."""
    mounts = cgroup.mounts(proc)
    return 'hugetlb' in mounts or (
        '' in mounts
        and 'hugetlb' in _text(mounts[''], 'cgroup.controllers').split())


def topology(nodes: collections.abc.Iterable[Node],
             shared: collections.abc.Set[int],
             dedicated: collections.abc.Set[int],
             reserved: collections.abc.Mapping[
                 int, collections.abc.Mapping[int, int]],
             networks: Networks) -> typing.Any:
    """What Nova's scheduler and claims know of them. Nothing is in use.

    :param shared: the CPUs for VCPUs, and dedicated those for PCPUs
    :param reserved: numbers of pages for others, by node and size in KiB
    :returns: nova.objects.NUMATopology
    """
    return objects.NUMATopology(cells=[
        _cell(node, shared, dedicated, reserved.get(node.id, {}), networks)
        for node in nodes])


def _cell(node: Node, shared: collections.abc.Set[int],
          dedicated: collections.abc.Set[int],
          reserved: collections.abc.Mapping[int, int],
          networks: Networks) -> typing.Any:
    usable = node.cpus.keys() & (shared | dedicated)
    sockets = {cpu.socket for cpu in node.cpus.values()}
    small = node.memory_kb - sum(
        size * count for size, count in node.pages.items())
    return objects.NUMACell(
        id=node.id,
        socket=min(sockets) if len(sockets) == 1 else None,
        cpuset=node.cpus.keys() & shared,
        pcpuset=node.cpus.keys() & dedicated,
        memory=node.memory_kb // units.Ki,
        cpu_usage=0, memory_usage=0, pinned_cpus=set(),
        siblings=[set(core) for core in sorted(
            {node.cpus[cpu].siblings & usable for cpu in usable}, key=min)],
        mempages=[
            objects.NUMAPagesTopology(
                size_kb=size, total=count, used=0,
                reserved=reserved.get(size, 0))
            for size, count in sorted(
                {PAGE_KB: small // PAGE_KB, **node.pages}.items())],
        network_metadata=objects.NetworkMetadata(
            physnets={name for name, nodes in networks.physical.items()
                      if node.id in nodes},
            tunneled=node.id in networks.tunnels))


def _node(sys: str, path: str) -> Node:
    return Node(int(path.rpartition('node')[2]),
                _cpus(sys, _text(path, 'cpulist')),
                _memory(os.path.join(path, 'meminfo')),
                _pages(os.path.join(path, 'hugepages')))


def _cpus(sys: str, listed: str) -> dict[int, Cpu]:
    """The CPUs of a list; a node of memory alone has none."""
    found = {}
    for cpu in hardware.parse_cpu_spec(listed) if listed else ():
        where = os.path.join(sys, _CPUS, f'cpu{cpu}', 'topology')
        found[cpu] = Cpu(
            frozenset(hardware.parse_cpu_spec(
                _text(where, 'thread_siblings_list'))),
            int(_text(where, 'physical_package_id')))
    return found


def _memory(path: str) -> int:
    with open(path, encoding='ascii') as meminfo:
        for line in meminfo:
            before, colon, after = line.partition('MemTotal:')
            if colon:
                return int(after.split()[0])
    raise ValueError(f'{path} has no MemTotal')


def _pages(directory: str) -> dict[int, int]:
    return {int(path.rpartition('-')[2].removesuffix('kB')):
            int(_text(path, 'nr_hugepages'))
            for path in glob.glob(os.path.join(directory, 'hugepages-*kB'))}


def _text(*path: str) -> str:
    with open(os.path.join(*path), encoding='ascii') as file:
        return file.read().strip()
