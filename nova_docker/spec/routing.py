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

"""Which port of several sends what a container sends: a pure plan.

Every port answers what comes to it. So what is sent from an address of a port
is routed by a table of the port, which has the routes of no other. A machine
without such tables sends it all by the first port that has a route, and
Neutron's port security drops what has the address of another one.
"""

import collections.abc
import dataclasses
import ipaddress
import typing

from nova_docker.spec import ports as ports_spec

#: Number of the table of ``eth0``; that of ``eth1`` is the next, and so on.
_FIRST = 20000

#: Tables of sub-ports are numbered as decimals: 200010042 is VLAN 42 of the
#: port whose table is 20001.
_VLANS = 10000

#: Metrics of connected subnets, the kernel's own defaults.
_METRIC = {4: 0, 6: 256}

_LINK_LOCAL = 'fe80::/64'


@dataclasses.dataclass(frozen=True)
class Table:
    """The routing table of a port, or of a sub-port.

    :param number: of the table
    :param priority: of the rules that choose it, before those of the kernel
    :param host_device: of the port, by which its interface is found
    :param vlan: of the sub-port, 0 for the port itself
    :param pci_address: of the port, the same where it has one
    :param addresses: what is sent from these is routed by the table
    """

    number: int
    priority: int
    host_device: str
    vlan: int
    addresses: tuple[ports_spec.Address, ...]
    routes: tuple[ports_spec.Route, ...]
    pci_address: str | None = None

    def to_dict(self) -> dict[str, typing.Any]:
        """This table as what privsep can carry."""
        plain = dataclasses.asdict(self)
        plain['addresses'] = list(plain['addresses'])
        plain['routes'] = list(plain['routes'])
        return plain


def tables(ports: collections.abc.Iterable[ports_spec.Port]) -> list[Table]:
    """The tables of the ports of an instance; a single one needs none.

    A port or sub-port without an address neither has nor needs one.
    """
    found = [table for port in ports for table in _tables(port)
             if table.addresses]
    return found if found[1:] else []


def _tables(port: ports_spec.Port) -> collections.abc.Iterator[Table]:
    number = _FIRST + port.number
    yield Table(number, number, port.host_device, 0, port.addresses,
                _routes(port), port.pci_address)
    for each in port.subports:
        yield Table(number * _VLANS + each.vlan, number, port.host_device,
                    each.vlan, each.addresses, _routes(each),
                    port.pci_address)


def _routes(interface: ports_spec.Port | ports_spec.SubPort
            ) -> tuple[ports_spec.Route, ...]:
    return tuple(dict.fromkeys((*_connected(interface), *interface.routes)))


def _connected(interface: ports_spec.Port | ports_spec.SubPort
               ) -> collections.abc.Iterator[ports_spec.Route]:
    """What the kernel has in the main table for the addresses of a port."""
    cidrs = [f'{each.address}/{each.prefixlen}'
             for each in interface.addresses]
    networks = [ipaddress.ip_interface(cidr).network for cidr in cidrs]
    if any(network.version == 6 for network in networks):
        networks.append(ipaddress.ip_network(_LINK_LOCAL))
    for network in networks:
        if network.prefixlen < network.max_prefixlen:
            yield ports_spec.Route(str(network), None,
                                   _METRIC[network.version], network.version)
