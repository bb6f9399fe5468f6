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

"""The interface of a port, wherever it is.

It is the inner end of a veth pair, or a virtual function (VF) of a network
card, which is known by its PCI address. A port is a mapping with the keys
``host_device``, ``parked_device`` and ``pci_address`` of
nova_docker.spec.ports.Port.
"""

import collections.abc
import contextlib
import errno
import os
import typing

import pyroute2

from nova_docker.privsep import namespace
from nova_docker.privsep import routing
from nova_docker.privsep import vlan

#: Of a VF on its way, which clashes with no other; the kernel counts.
_ANY_NAME = 'vf%d'

_Port = collections.abc.Mapping[str, typing.Any]


def parked(host: pyroute2.IPRoute, port: _Port) -> int | None:
    """Index of the interface while it is on the host, None: it is not."""
    name = (_name(port['pci_address']) if port['pci_address'] else
            port['parked_device'])
    return namespace.find(host, name) if name else None


def inside(host: pyroute2.IPRoute, ip: pyroute2.IPRoute,
           port: _Port) -> typing.Any:
    """The interface as a link of another namespace; None: it is not there.

    Neither a name nor a MAC address that somebody changed inside matters: the
    kernel itself knows the other end of a pair, and the device of a VF.

    :param ip: of the namespace
    """
    if port['pci_address']:
        return _first(ip, lambda link: _is_function(link, port))
    outer = namespace.find(host, port['host_device'])
    return None if outer is None else _first(ip, lambda link: (
        link.get_attr('IFLA_LINK') == outer and
        link.get_attr('IFLA_LINK_NETNSID') is not None))


def give_back(host: pyroute2.IPRoute, ip: pyroute2.IPRoute | None, home: int,
              ports: collections.abc.Iterable[_Port]) -> list[str]:
    """Have VFs on the host, down and under their own names (idempotent).

    The kernel gives back those of a namespace that ends, under whatever name.
    One whose name was taken meanwhile gets another.

    :param ip: of the namespace that they may be in, None: there is none
    :param home: a descriptor of the host's namespace
    :returns: PCI addresses of those that are elsewhere, or on their way
    """
    functions = [port for port in ports if port['pci_address']]
    for port in functions:
        link = inside(host, ip, port) if ip else None
        if ip and link is not None:
            # Another thread may be faster.
            with routing.gone(errno.ENODEV):
                vlan.remove(ip, link['index'])
                ip.link('set', index=link['index'], state='down')
                ip.link('set', index=link['index'], net_ns_fd=home,
                        ifname=_ANY_NAME)
        if _name(port['pci_address']) not in (None, port['parked_device']):
            index = parked(host, port)
            host.link('set', index=index, state='down')
            with routing.gone(errno.EEXIST):
                host.link('set', index=index, ifname=port['parked_device'])
    return [port['pci_address'] for port in functions
            if parked(host, port) is None]


def _first(ip: pyroute2.IPRoute,
           wanted: collections.abc.Callable[[typing.Any], bool]
           ) -> typing.Any:
    return next((link for link in ip.get_links() if wanted(link)), None)


def _is_function(link: typing.Any, port: _Port) -> bool:
    # Linux 5.14 and later say it.
    return bool(link.get_attr('IFLA_PARENT_DEV_NAME') == port['pci_address'])


def _name(pci_address: str) -> str | None:
    """What a VF is called on the host; None: it is not there.

    sysfs shows the interfaces of the reader's namespace only. Asked for
    alone, as nova_docker.privsep.link has it.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(f'/sys/bus/pci/devices/{pci_address}/net'):
            return name
    return None
