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

"""What the host offers, for the resource tracker and for Placement."""

import collections.abc
import typing

from nova.virt import hardware

from nova_docker.host import info
from nova_docker.host import inventory
from nova_docker.host import lxcfs
from nova_docker.host import numa
from nova_docker.host import pci
from nova_docker.host import traits
from nova_docker.lifecycle import base
from nova_docker.spec import disk


def get_available_resource(services: base.Services,
                           nodename: str) -> dict[str, typing.Any]:
    """What there is, and what of it is in use.

    Nova asks for it when it has gone on with all that was cut off, right
    before its RPC server starts, and not earlier.

    Source: nova.virt.driver.ComputeDriver.get_available_resource and
    nova.service.Service.start.
    """
    services.started.set()
    options = services.options
    return inventory.available_resource(
        _read(services), nodename, len(options.shared),
        len(options.dedicated), options.reserved,
        [*pci.virtual_functions(), *pci.accelerators(options.pci_cdi)],
        numa.topology(numa.read(), options.shared, options.dedicated,
                      hardware.numa_get_reserved_huge_pages(),
                      options.networks))


def update_provider_tree(
        services: base.Services, provider_tree: typing.Any, nodename: str,
        ratios: collections.abc.Callable[[typing.Any], typing.Any]) -> None:
    """Set the inventory, and of the traits those that are the driver's.

    Source: nova.virt.driver.ComputeDriver.update_provider_tree.

    :param ratios: ComputeDriver._get_allocation_ratios
    """
    options = services.options
    host = _read(services)
    present = provider_tree.data(nodename)
    provider_tree.update_inventory(nodename, inventory.of(
        host, len(options.shared), len(options.dedicated), options.reserved,
        ratios(present.inventory),
        {kind: len(devices) for kind, devices in options.gpus.items()}))
    wanted = traits.of(host, options.disks.root,
                       options.suspend.checkpoint and
                       not options.suspend.refusal,
                       options.allowed.privileged,
                       bool(lxcfs.mounts(options.lxcfs_dir)))
    provider_tree.add_traits(nodename, *wanted)
    provider_tree.remove_traits(
        nodename, *traits.stale(present.traits, wanted))


def _read(services: base.Services) -> info.HostInfo:
    disks = services.options.disks
    return info.read(
        services.engine.info(), disks_dir=disks.directory
        if disks.root == disk.FILESYSTEM else None)
