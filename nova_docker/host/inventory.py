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


"""What this host offers to Placement and to Nova's scheduler. Pure."""

import collections.abc
import dataclasses
import typing

from nova import exception
from nova.objects import fields
import os_resource_classes as orc
from oslo_serialization import jsonutils

from nova_docker.host import info as host_info

Inventory = dict[str, dict[str, typing.Any]]


@dataclasses.dataclass(frozen=True)
class Reserved:
    """What is kept for the host, from Nova's reserved_host_* options."""

    cpus: int = 0
    memory_mb: int = 0
    disk_gb: int = 0


def cpus(online: collections.abc.Set[int],
         shared: collections.abc.Set[int] | None,
         dedicated: collections.abc.Set[int] | None
         ) -> tuple[set[int], set[int]]:
    """The CPUs for VCPUs and for PCPUs.

    As Nova's libvirt driver has it: without both options all CPUs are for
    VCPUs, with cpu_dedicated_set alone none is.

    :param shared: [compute] cpu_shared_set, None when unset
    :param dedicated: [compute] cpu_dedicated_set, None when unset
    :raises nova.exception.Invalid: a CPU is not online or is in both sets
    """
    for option, numbers in (('cpu_shared_set', shared or set()),
                            ('cpu_dedicated_set', dedicated or set())):
        if not numbers <= online:
            raise exception.Invalid(
                f'[compute] {option} names CPUs {sorted(numbers - online)}, '
                f'which are not online. Online are {sorted(online)}.')
    if shared and dedicated and shared & dedicated:
        raise exception.Invalid(
            '[compute] cpu_shared_set and cpu_dedicated_set both name CPUs '
            f'{sorted(shared & dedicated)}.')
    if shared is None:
        shared = set() if dedicated else online
    return set(shared), set(dedicated or ())


def of(host: host_info.HostInfo, vcpus: int, pcpus: int, reserved: Reserved,
       ratios: collections.abc.Mapping[str, float],
       devices: collections.abc.Mapping[str, int]) -> Inventory:
    """The inventory of the compute node's resource provider.

    :param ratios: allocation ratios by resource class, from
        ComputeDriver._get_allocation_ratios
    :param devices: numbers of those that instances have for themselves
    """
    totals = {orc.VCPU: (vcpus, reserved.cpus),
              orc.PCPU: (pcpus, 0),
              orc.MEMORY_MB: (host.memory_mb, reserved.memory_mb),
              orc.DISK_GB: (host.disk_gb, reserved.disk_gb),
              **{kind: (count, 0) for kind, count in devices.items()}}
    return {
        resource_class: {
            'total': total,
            'min_unit': 1,
            'max_unit': total,
            'step_size': 1,
            'allocation_ratio': ratios.get(resource_class, 1.0),
            'reserved': min(kept, total),
        }
        # Placement takes no inventory with a total of 0.
        for resource_class, (total, kept) in totals.items() if total > 0}


def available_resource(host: host_info.HostInfo, nodename: str, vcpus: int,
                       pcpus: int, reserved: Reserved,
                       pci_devices: collections.abc.Sequence[
                           dict[str, typing.Any]],
                       numa_topology: typing.Any) -> dict[str, typing.Any]:
    """What ComputeDriver.get_available_resource returns.

    The resource tracker counts the instances' VCPUs, memory and disk itself
    and replaces the used values; only the reserved part is said here.

    :param pci_devices: of nova_docker.host.pci
    :param numa_topology: of nova_docker.host.numa.topology
    """
    return {
        'vcpus': vcpus + pcpus,
        'memory_mb': host.memory_mb,
        'local_gb': host.disk_gb,
        'vcpus_used': 0,
        'memory_mb_used': reserved.memory_mb,
        'local_gb_used': host.disk_gb - host.disk_free_gb,
        'hypervisor_type': fields.HVType.DOCKER,
        'hypervisor_version': host.hypervisor_version,
        'hypervisor_hostname': nodename,
        'cpu_info': jsonutils.dumps(cpu_info(host)),
        'disk_available_least': host.disk_free_gb,
        'supported_instances': [
            (host.arch, fields.HVType.DOCKER, fields.VMMode.EXE)],
        'numa_topology': numa_topology._to_json(),
        'pci_passthrough_devices': jsonutils.dumps(pci_devices),
    }


def cpu_info(host: host_info.HostInfo) -> dict[str, typing.Any]:
    """What the hypervisors API shows of the processors."""
    return {
        'arch': host.arch,
        'vendor': host.cpu.vendor,
        'model': host.cpu.model,
        'features': sorted(host.cpu.features),
        'topology': {'sockets': host.cpu.sockets,
                     'cores': host.cpu.cores,
                     'threads': host.cpu.threads},
    }
