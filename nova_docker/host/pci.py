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

"""The PCI devices of this host that containers can have, from sysfs.

What Nova's PCI tracker gets of them; ``[pci]device_spec`` says which of them
servers may have. They are the virtual functions (VFs) of network cards, by
their interfaces, and what has device nodes, or is another vendor's by the
Container Device Interface. Other devices are not told.
"""

import collections.abc
import contextlib
import os
import re
import typing

from nova.objects import fields

#: phys_port_name of what stands for a VF at its card's switch.
_REPRESENTOR = re.compile(r'pf\d+[vs]f\d+$')
_ADDRESS = re.compile(r'[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]')


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


def accelerators(known: collections.abc.Container[str], sys: str = '/sys'
                 ) -> list[dict[str, typing.Any]]:
    """The devices that containers can have otherwise.

    :param known: addresses of those that CDI has
    """
    root = os.path.join(sys, 'bus/pci/devices')
    found = []
    for address in sorted(os.listdir(root) if os.path.isdir(root) else ()):
        path = os.path.join(root, address)
        # It may be gone meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if not os.path.exists(os.path.join(path, 'net')) and (
                    address in known or nodes(address, sys)):
                found.append(_device(path, address)
                             if os.path.exists(os.path.join(path, 'physfn'))
                             else _common(path, address, _kind(path)))
    return found


def nodes(address: str, sys: str = '/sys') -> list[str]:
    """Paths of the device nodes that a PCI device has, as udev makes them."""
    top = os.path.realpath(os.path.join(sys, 'bus/pci/devices', address))
    found = []
    for directory, names, files in os.walk(top):
        # Below a bridge are other devices.
        names[:] = [name for name in names if not _ADDRESS.fullmatch(name)]
        if 'dev' in files:
            found += [f'/dev/{line.removeprefix("DEVNAME=")}' for line in
                      _read(directory, 'uevent').splitlines()
                      if line.startswith('DEVNAME=')]
    return sorted(found)


def _kind(path: str) -> str:
    """The type of a device that is no virtual function."""
    return str(fields.PciDeviceType.SRIOV_PF if int(
        _read(path, 'sriov_totalvfs') or 0)
        else fields.PciDeviceType.STANDARD)


def _device(path: str, address: str) -> dict[str, typing.Any]:
    """A virtual function."""
    uplink = _uplink(path)
    device = _common(path, address, fields.PciDeviceType.SRIOV_VF) | {
        'parent_addr': os.path.basename(
            os.readlink(os.path.join(path, 'physfn')))}
    if uplink:
        device['parent_ifname'] = os.path.basename(uplink)
        # Neutron binds a port to Open vSwitch only if its card is a switch.
        if _read(uplink, 'phys_switch_id'):
            device['capabilities'] = {'network': ['switchdev']}
    return device


def _common(path: str, address: str, kind: str) -> dict[str, typing.Any]:
    vendor, product = (_read(path, name).removeprefix('0x')
                       for name in ('vendor', 'device'))
    node = int(_read(path, 'numa_node') or -1)
    return {
        'dev_id': f'pci_{re.sub("[:.]", "_", address)}',
        'address': address,
        'vendor_id': vendor,
        'product_id': product,
        'label': f'label_{vendor}_{product}',
        # The kernel says -1 when it does not know.
        'numa_node': None if node < 0 else node,
        'dev_type': kind,
    }


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
