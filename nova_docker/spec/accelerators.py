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

"""Devices of the host that an instance has for itself. Pure.

By their PCI addresses, as Nova has claimed them for the flavor extra spec
``pci_passthrough:alias`` and Cyborg for ``accel:device_profile``, and by names
of the Container Device Interface, for ``resources:VGPU`` and ``PGPU``.
"""

import collections.abc
import re
import typing

from nova_docker.spec import names

#: The resource classes that stand for CDI devices.
CLASSES = ('VGPU', 'PGPU')
_OTHERS = ('docker:devices', 'pci_passthrough:alias', 'accel:device_profile')
_RESOURCE = re.compile(r'resources[\w-]*:(\w+)')
_ADDRESS = re.compile(r'[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]')
_PCI = 'PCI'


def wanted(extra_specs: collections.abc.Mapping[str, str]) -> dict[str, int]:
    """How many CDI devices of each class an instance has.

    :raises ValueError: one is no number
    """
    found: dict[str, int] = {}
    for key, value in extra_specs.items():
        match = _RESOURCE.fullmatch(key)
        if match and match[1] in CLASSES:
            try:
                found[match[1]] = found.get(match[1], 0) + int(value)
            except ValueError:
                raise ValueError(
                    f'{key}={value!r} is not an integer') from None
    return found


def of_flavor(extra_specs: collections.abc.Mapping[str, str]) -> bool:
    """Whether instances of a flavor have devices of their host.

    :raises ValueError: as of :func:`wanted`
    """
    return any(name in extra_specs for name in _OTHERS) or bool(
        wanted(extra_specs))


def choose(wanted: collections.abc.Mapping[str, int],
           there: collections.abc.Mapping[str, collections.abc.Sequence[str]],
           used: collections.abc.Container[str]) -> list[str]:
    """The CDI devices of an instance.

    :param there: by class, those of the host
    :param used: by other instances
    :raises ValueError: there are not enough
    """
    chosen: list[str] = []
    for kind, count in wanted.items():
        free = [name for name in there.get(kind, ()) if name not in used]
        if len(free) < count:
            raise ValueError(f'of {count} {kind}, {len(free)} are free')
        chosen += free[:count]
    return chosen


def addresses(accel_info: typing.Any) -> list[str]:
    """The PCI addresses of Cyborg's accelerator requests.

    :param accel_info: of nova.virt.driver.ComputeDriver.spawn
    :raises ValueError: one is of another kind, or malformed
    """
    found = []
    for request in accel_info or ():
        if request['attach_handle_type'] != _PCI:
            raise ValueError('accelerators of the type '
                             f'{request["attach_handle_type"]} are not '
                             'supported')
        info = request['attach_handle_info']
        address = '{}:{}:{}.{}'.format(*(
            info[name] for name in ('domain', 'bus', 'device', 'function')))
        if not _ADDRESS.fullmatch(address):
            raise ValueError(f'{address!r} is no address of a PCI device')
        found.append(address)
    return found


def mapping(entries: collections.abc.Iterable[str]) -> dict[str, str]:
    """CDI names by PCI addresses.

    :param entries: ``ADDRESS=NAME``
    """
    return {address: name for address, _equals, name in (
        entry.partition('=') for entry in entries)}


def device_requests(device: str, cdi: collections.abc.Sequence[str],
                    has_nodes: bool) -> list[dict[str, typing.Any]]:
    """DeviceRequests of HostConfig, beside those of any container.

    :param device: name of the container's first CDI device
    :param cdi: names of others'
    :param has_nodes: whether it has device nodes by its own specification
    """
    found = [*cdi, *([names.cdi_device(names.pci_device(device))]
                     if has_nodes else [])]
    return [{'Driver': 'cdi', 'DeviceIDs': [name]} for name in found]


def device_nodes(paths: collections.abc.Iterable[str]
                 ) -> list[dict[str, typing.Any]]:
    """The CDI device nodes of an instance.

    Without numbers: the engine looks for each at every start.
    """
    return [{'path': path, 'hostPath': path, 'permissions': 'rw'}
            for path in paths]
