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

"""What a request may ask for that this driver can't honour.

A request is done or refused, never done in part: each function returns why
the request can't be honoured, in words for the user, or nothing.
"""

import collections.abc
import re
import typing

from nova_docker.spec import paths
from nova_docker.spec import ports
from nova_docker.spec import volumes

_EXTRA_SPECS = re.compile(
    r'quota:(cpu|memory)_(limit|reservation|shares_)|'
    r'quota:disk_(?!(read|write|total)_(bytes|iops)_sec$)|'
    r'quota:vif_(?!(in|out)bound_(average|peak|burst)$)|'
    r'hw:(pmem|cpu_realtime|mem_encryption|tpm_|ephemeral_encryption)|'
    r'resources[\w-]*:CUSTOM_PMEM_NAMESPACE')
#: All others of Nova's need a virtual machine, or more than a VF.
_VNIC_TYPES = ('normal', 'direct')
_SERIAL_PORTS = 'a container has one serial port, or none'
_FALSE = frozenset(('', '0', 'false', 'no', 'off', 'optional', 'disabled'))
_IMAGE_PROPERTIES = (
    'hw_mem_encryption', 'hw_tpm_model', 'hw_tpm_version',
    'hw_locked_memory', 'hw_cpu_realtime_mask', 'hw_ephemeral_encryption')


def of_flavor(extra_specs: collections.abc.Mapping[str, str]
              ) -> collections.abc.Iterator[str]:
    """Why the flavor can't be honoured."""
    for key, value in sorted(extra_specs.items()):
        if _EXTRA_SPECS.match(key) and value.lower() not in _FALSE:
            yield f'the flavor extra spec {key}={value} is not supported'
    if extra_specs.get('hw:emulator_threads_policy') == 'isolate':
        yield 'a container has no emulator threads that could be isolated'
    if extra_specs.get('hw:serial_port_count', '1') not in ('0', '1'):
        yield _SERIAL_PORTS
    if extra_specs.get('os:secure_boot') == 'required':
        yield 'a container has no firmware that could boot securely'


def of_image(properties: typing.Any) -> collections.abc.Iterator[str]:
    """Why the image's properties can't be honoured.

    :param properties: nova.objects.ImageMetaProps
    """
    for name in _IMAGE_PROPERTIES:
        value = properties.get(name)
        if value is not None and str(value).lower() not in _FALSE:
            yield f'the image property {name}={value} is not supported'
    if (properties.get('hw_serial_port_count') or 0) > 1:
        yield _SERIAL_PORTS
    if properties.get('os_secure_boot') == 'required':
        yield 'a container has no firmware that could boot securely'


def of_files(injected_files: collections.abc.Sequence[tuple[str, bytes]],
             mounts: collections.abc.Iterable[str]
             ) -> collections.abc.Iterator[str]:
    """Why files can't be injected.

    :param injected_files: (path, data)
    :param mounts: paths of the container at which nobody sees its image
    """
    hidden = (*paths.KERNEL, *paths.ENGINE, *mounts)
    names = [paths.from_root(path) for path, _data in injected_files]
    for path in names:
        if not paths.is_plain(path):
            yield f'can not inject {path!r}: not a straight path of a file'
        elif paths.within(path, hidden):
            yield f'can not inject {path!r}: something is mounted over it'
        elif names.count(path) > 1 or any(
                other.startswith(f'{path}/') for other in names):
            yield (f'can not inject {path!r}: it comes twice, or has others '
                   'below it')


def of_read_only(key: str | None,
                 injected_files: collections.abc.Sequence[typing.Any]
                 ) -> collections.abc.Iterator[str]:
    """Why an instance whose files are read-only can't be made.

    :param key: its SSH key
    """
    if key or injected_files:
        yield ('its flavor has docker:read_only_rootfs, so neither a key nor '
               'files can be put into it')


def of_ephemerals(sizes: collections.abc.Collection[int],
                  userns_remap: bool) -> collections.abc.Iterator[str]:
    """Why the ephemeral disks can't be honoured.

    :param sizes: of each
    :param userns_remap: whether root of the instance has another uid
    """
    if sizes and userns_remap:
        yield ('ephemeral disks are not supported on this host, whose engine '
               'remaps users')


def of_instance(unreadable_drive: bool) -> collections.abc.Iterator[str]:
    """Why what was asked for beside flavor and image can't be honoured.

    :param unreadable_drive: whether it needs a config drive, which belongs
        to the host's root, and has another root
    """
    if unreadable_drive:
        yield ('config drives are not supported on this host, whose engine '
               'remaps users; use the metadata service')


def of_ports(network_info: typing.Any, instance: typing.Any
             ) -> collections.abc.Iterator[str]:
    """Why ports can't be honoured.

    :param network_info: nova.network.model.NetworkInfo
    :param instance: nova.objects.Instance, with the PCI devices that Nova has
        claimed for it
    """
    for vif in network_info or ():
        kind = vif.get('vnic_type') or _VNIC_TYPES[0]
        if kind not in _VNIC_TYPES:
            yield (f'port {vif["id"]} has the VNIC type {kind}, of which '
                   f'only {" and ".join(_VNIC_TYPES)} are supported')
        elif ports.is_function(vif) and not _claimed(vif, instance):
            yield (f'port {vif["id"]} has the VNIC type {kind}, and no '
                   'virtual function of this host is claimed for it')
        elif ports.is_function(vif) and vif['profile'].get('allocation'):
            # Neutron's agent would see to it: see doc/source/admin/sriov.rst.
            yield (f'port {vif["id"]} has the VNIC type {kind}, and a '
                   'guaranteed bandwidth is not supported with it')


def _claimed(vif: typing.Any, instance: typing.Any) -> bool:
    """Whether a port's virtual function is one that Nova has given it."""
    address = ports.pci_address(vif)
    return address is not None and any(
        device.address == address for device in instance.get_pci_devices())


def of_block_devices(block_device_info: typing.Any, userns_remap: bool
                     ) -> collections.abc.Iterator[str]:
    """Why the block devices can't be honoured. Swap is: as memory limit.

    :param block_device_info: of nova.virt.driver.get_block_device_info
    :param userns_remap: whether root of the instance has another uid
    """
    info = block_device_info or {}
    mappings = info.get('block_device_mapping') or ()
    devices = [mapping['mount_device'] for mapping in mappings]
    for mapping in mappings:
        if volumes.is_root(mapping):
            yield from _of_root(mapping['connection_info'])
    yield from of_volumes(devices, userns_remap)
    if len(set(devices)) < len(devices):
        yield 'two volumes have the same device name'
    for disk in info.get('ephemerals') or ():
        if disk.get('guest_format') not in (None, '', 'ext4'):
            yield (f'ephemeral disks have ext4, not {disk["guest_format"]}')


def _of_root(connection: collections.abc.Mapping[str, typing.Any]
             ) -> collections.abc.Iterator[str]:
    """Why an instance can't boot from a volume.

    :param connection: Cinder's connection_info
    """
    if connection.get('multiattach'):
        yield ('a container can not boot from a volume that several servers '
               'may have')
    if connection.get('data', {}).get('access_mode') == 'ro':
        yield 'a container can not boot from a volume that is read only'


def of_volumes(devices: collections.abc.Collection[typing.Any],
               userns_remap: bool) -> collections.abc.Iterator[str]:
    """Why volumes can't be attached.

    :param devices: the name of each
    :param userns_remap: whether root of the instance has another uid
    """
    if devices and userns_remap:
        yield ('volumes are not supported on this host, whose engine remaps '
               'users')
    for device in devices:
        if not volumes.is_device(device):
            yield f'a container can not have a volume as {device}'
