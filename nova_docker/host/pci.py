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

"""The virtual functions (VFs) of this host's network cards, from sysfs.

What Nova's PCI tracker gets of it; ``[pci]device_spec`` says which of them
servers may have. Other PCI devices are not told: no container can have them.
"""

import collections.abc
import contextlib
import os
import re
import typing

from nova.objects import fields

#: phys_port_name of what stands for a VF at its card's switch.
_REPRESENTOR = re.compile(r'pf\d+[vs]f\d+$')


def virtual_functions(sys: str = '/sys') -> list[dict[str, typing.Any]]:
    """The VFs that the kernel has a network interface of.

    It may be in a container: then its folder is empty, but there.

    Source: nova.pci.manager.PciDevTracker, and nova.objects.PciDevice.
    """
    root = os.path.join(sys, 'bus/pci/devices')
    found = []
    for address in sorted(os.listdir(root) if os.path.isdir(root) else ()):
        path = os.path.join(root, address)
        # No VF at all, one without an interface, or gone meanwhile.
        with contextlib.suppress(FileNotFoundError):
            os.stat(os.path.join(path, 'net'))
            found.append(_device(path, address))
    return found


def _device(path: str, address: str) -> dict[str, typing.Any]:
    vendor, product = (_read(path, name).removeprefix('0x')
                       for name in ('vendor', 'device'))
    node = int(_read(path, 'numa_node') or -1)
    uplink = _uplink(path)
    device: dict[str, typing.Any] = {
        'dev_id': f'pci_{re.sub("[:.]", "_", address)}',
        'address': address,
        'vendor_id': vendor,
        'product_id': product,
        'label': f'label_{vendor}_{product}',
        # The kernel says -1 when it does not know.
        'numa_node': None if node < 0 else node,
        'dev_type': fields.PciDeviceType.SRIOV_VF,
        'parent_addr': os.path.basename(
            os.readlink(os.path.join(path, 'physfn'))),
    }
    if uplink:
        device['parent_ifname'] = os.path.basename(uplink)
        # Neutron binds a port to Open vSwitch only if its card is a switch.
        if _read(uplink, 'phys_switch_id'):
            device['capabilities'] = {'network': ['switchdev']}
    return device


def _uplink(path: str) -> str | None:
    """Where sysfs has the physical function's own interface, if any."""
    return next((each for each in _interfaces(os.path.join(
        path, 'physfn/net')) if not _REPRESENTOR.match(
            _read(each, 'phys_port_name'))), None)


def _interfaces(path: str) -> collections.abc.Iterator[str]:
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(path)):
            yield os.path.join(path, name)


def _read(*path: str) -> str:
    """A file's text; empty when it is absent or the kernel does not tell."""
    with contextlib.suppress(OSError):
        with open(os.path.join(*path), encoding='ascii') as file:
            return file.read().strip()
    return ''
