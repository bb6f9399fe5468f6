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


"""What the network of a container looks like from inside: a pure plan.

Nova's network model in, plain values out. The plan is what the start gate
applies, and it is kept on disk as JSON, so it holds strings, ints and lists
of them only.
"""

import collections
import collections.abc
import dataclasses
import ipaddress
import itertools
import typing

from nova_docker.spec import bandwidth
from nova_docker.spec import names

#: Where the metadata service is reached.
METADATA_CIDR = '169.254.169.254/32'

#: Metric of the first IPv6 route to a destination, the kernel's own default.
_IPV6_METRIC = 1024

#: Between the metrics of one port and those of the next.
_PORT_METRIC = 100

#: Between those of the sub-ports of one port and of the next: more than the
#: VLANs of one need, and from where on no port has any.
_TRUNK_METRIC = 1000000

_NAME = 'eth'

#: Of Neutron's, for a virtual function as it is.
_VNIC_TYPE_DIRECT = 'direct'

_DEFAULT = {4: '0.0.0.0/0', 6: '::/0'}

#: A dict of Nova's network model (nova.network.model: VIF, Subnet...).
_Model = collections.abc.Mapping[str, typing.Any]


@dataclasses.dataclass(frozen=True)
class Address:
    """A fixed IP address.

    :param version: 4 or 6
    """

    address: str
    prefixlen: int
    version: int


@dataclasses.dataclass(frozen=True)
class Route:
    """A route through its port.

    :param destination: a CIDR; the default route is 0.0.0.0/0 or ::/0
    :param gateway: an address; None when the destination is on the link
    :param metric: tells apart routes to one destination, the least wins
    :param version: 4 or 6
    """

    destination: str
    gateway: str | None
    metric: int
    version: int


@dataclasses.dataclass(frozen=True)
class SubPort:
    """A sub-port of a trunk as a VLAN interface on its parent's.

    :param id: the Neutron port
    :param name: the interface's name in the container
    :param vlan: 1 to 4094
    :param mtu: in bytes, 0 to leave it to the kernel
    :param ipv6: as of :class:`Port`
    """

    id: str
    name: str
    vlan: int
    mac: str
    mtu: int
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    ipv6: bool = False

    def to_dict(self) -> dict[str, typing.Any]:
        """As :meth:`Port.to_dict`."""
        return _to_dict(self)

    @classmethod
    def from_dict(cls, plain: _Model) -> typing.Self:
        """As :meth:`Port.from_dict`."""
        return cls(**_from_dict(plain))


@dataclasses.dataclass(frozen=True)
class Port:
    """A Neutron port as a network interface of a container.

    :param id: the Neutron port
    :param name: the interface's name in the container
    :param mtu: in bytes, 0 to leave it to the kernel
    :param host_device: host end of the veth pair; of a virtual function, none
    :param parked_device: name of the inner end, or of the virtual function,
        while it is on the host
    :param limits: of what it receives and sends
    :param pci_address: of a virtual function; None for a veth pair
    :param ipv6: whether there may be IPv6 without an address here
    :param subports: of the trunk that it is the parent of
    """

    id: str
    name: str
    mac: str
    mtu: int
    host_device: str
    parked_device: str
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    limits: bandwidth.Limits = bandwidth.Limits()
    pci_address: str | None = None
    ipv6: bool = False
    subports: tuple[SubPort, ...] = ()

    @property
    def number(self) -> int:
        """Of the interface: 1 for eth1."""
        return _number(self.name)

    def to_dict(self) -> dict[str, typing.Any]:
        """This port as what JSON and privsep can carry."""
        return _to_dict(self) | {
            'subports': [each.to_dict() for each in self.subports]}

    @classmethod
    def from_dict(cls, plain: _Model) -> typing.Self:
        """The inverse of :meth:`to_dict`.

        :raises KeyError, TypeError, ValueError: it is none
        """
        fields = _from_dict(plain)
        # A plan of before there were limits, or sub-ports, has none.
        fields['limits'] = bandwidth.Limits.from_dict(plain.get('limits', {}))
        fields['subports'] = tuple(
            SubPort.from_dict(each) for each in plain.get('subports', ()))
        return cls(**fields)


_Interface = typing.TypeVar('_Interface', Port, SubPort)

#: By the id of a port, the sub-ports of its trunk as Nova would model them,
#: by their VLAN; none when it is no trunk's parent.
SubPorts = collections.abc.Mapping[str, collections.abc.Mapping[int, _Model]]


def plan(network_info: collections.abc.Iterable[_Model],
         metadata_addresses: collections.abc.Mapping[str, str | None],
         limits: bandwidth.Limits = bandwidth.Limits(),
         earlier: collections.abc.Iterable[Port] = (),
         functions: collections.abc.Mapping[str, str] | None = None,
         dhcp: bool = False, subports: SubPorts = {}) -> list[Port]:
    """The ports of an instance, in the order of its network model.

    A port keeps the name that it has, and what is planned for it depends on
    no other port: those that come and go leave it as it is.

    :param network_info: nova.network.model.NetworkInfo
    :param metadata_addresses: by port id, the address in its network that
        serves metadata where the gateway does not, None when none does; ports
        that are not in it keep theirs
    :param limits: of each port
    :param earlier: the plan until now
    :param functions: by PCI address, names of the virtual functions that are
        on the host
    :param dhcp: whether the instance finds its addresses and routes itself
    :param subports: ports that are not in it keep theirs
    """
    vifs = list(network_info)
    known = {port.id: port for port in earlier}
    named = _names([vif['id'] for vif in vifs], known)
    planned = [_port(named[vif['id']], vif, metadata_addresses.get(
        vif['id'], _metadata_address(known.get(vif['id']))),
        limits, _parked(vif, known.get(vif['id']), functions or {}))
        for vif in vifs]
    planned = [dataclasses.replace(port, subports=_subports(
        port, known.get(port.id), subports.get(port.id)))
        for port in planned]
    return [_bare(port) for port in planned] if dhcp else planned


def is_function(vif: _Model) -> bool:
    """Whether a VIF is a virtual function of a network card."""
    return bool(vif.get('vnic_type') == _VNIC_TYPE_DIRECT)


def pci_address(vif: _Model) -> str | None:
    """That of the virtual function; None: Nova has chosen none, or need not.
    """
    if not is_function(vif):
        return None
    address: str | None = (vif.get('profile') or {}).get('pci_slot')
    return address


def address(network_info: collections.abc.Iterable[_Model]) -> str | None:
    """The first fixed IPv4 address, or else the first one of IPv6."""
    found = [address for vif in network_info for subnet in subnets_of(vif)
             for address in _addresses(subnet)]
    found.sort(key=lambda address: address.version)
    return found[0].address if found else None


def mtu(vif: _Model) -> int:
    """The MTU of a VIF's network in bytes, 0 when it is unknown."""
    return int(vif['network'].get('meta', {}).get('mtu') or 0)


def _names(port_ids: collections.abc.Sequence[str],
           known: collections.abc.Mapping[str, Port]) -> dict[str, str]:
    """Names of the ports: those that they have, or else the lowest free.

    That of a known port which is not asked for may still be in use.
    """
    kept = {port_id: port.name for port_id, port in known.items()}
    free = (name for name in map(f'{_NAME}{{}}'.format, itertools.count())
            if name not in kept.values())
    return {port_id: kept.get(port_id) or next(free) for port_id in port_ids}


def _number(name: str) -> int:
    return int(name.removeprefix(_NAME))


def _metadata_address(port: Port | None) -> str | None:
    """What a port has as the gateway to the metadata service."""
    return next((route.gateway for route in port.routes
                 if route.destination == METADATA_CIDR), None
                ) if port else None


def _parked(vif: _Model, earlier: Port | None,
            functions: collections.abc.Mapping[str, str]) -> str:
    """What a port's interface is called while it is on the host.

    A virtual function may come back under another name than its own, so the
    name of before it was a port's counts.
    """
    address = pci_address(vif)
    if earlier and earlier.pci_address == address:
        return earlier.parked_device
    return functions.get(address or '', names.parked_device(vif['id']))


def _port(name: str, vif: _Model, metadata_address: str | None,
          limits: bandwidth.Limits, parked_device: str) -> Port:
    address = pci_address(vif)
    subnets = subnets_of(vif)
    metric = _PORT_METRIC * _number(name)
    return Port(
        id=vif['id'],
        name=name,
        mac=vif['address'],
        mtu=mtu(vif),
        host_device='' if address else names.host_device(
            vif['id'], vif.get('devname')),
        parked_device=parked_device,
        addresses=tuple(each for subnet in subnets
                        for each in _addresses(subnet)),
        routes=tuple(_routes(subnets, metadata_address, metric)),
        limits=limits,
        pci_address=address)


def _bare(port: Port) -> Port:
    """A port whose addresses and routes are the instance's to set."""
    return dataclasses.replace(
        _without_addresses(port),
        subports=tuple(map(_without_addresses, port.subports)))


def _without_addresses(interface: _Interface) -> _Interface:
    return dataclasses.replace(
        interface, addresses=(), routes=(), ipv6=interface.ipv6 or any(
            address.version == 6 for address in interface.addresses))


def _subports(parent: Port, known: Port | None,
              vifs: collections.abc.Mapping[int, _Model] | None
              ) -> tuple[SubPort, ...]:
    """The sub-ports of a port, which keeps those it has without new ones."""
    found = (known.subports if known else ()) if vifs is None else [
        _subport(parent, vlan, vif) for vlan, vif in sorted(vifs.items())]
    # The kernel refuses an MTU that is larger than that of the parent.
    return tuple(dataclasses.replace(each, mtu=min(
        (size for size in (each.mtu, parent.mtu) if size), default=0))
        for each in found)


def _subport(parent: Port, vlan: int, vif: _Model) -> SubPort:
    subnets = subnets_of(vif)
    metric = _TRUNK_METRIC * (parent.number + 1) + _PORT_METRIC * vlan
    return SubPort(
        id=vif['id'], name=f'{parent.name}.{vlan}', vlan=vlan,
        mac=vif['address'], mtu=mtu(vif),
        addresses=tuple(address for subnet in subnets
                        for address in _addresses(subnet)),
        routes=tuple(_routes(subnets, None, metric)))


def subnets_of(vif: _Model) -> list[_Model]:
    """The subnets that the port has an address of."""
    return [subnet for subnet in vif['network']['subnets'] if subnet['ips']]


def _addresses(subnet: _Model) -> collections.abc.Iterator[Address]:
    network = ipaddress.ip_network(subnet['cidr'], strict=False)
    for ip in subnet['ips']:
        yield Address(ip['address'], network.prefixlen, network.version)


def _routes(subnets: collections.abc.Sequence[_Model],
            metadata_address: str | None,
            metric: int) -> collections.abc.Iterator[Route]:
    """Routes of one port in the order in which a kernel accepts them.

    Two routes of one instance to one destination need different metrics.

    :param metric: of the first route to a destination
    """
    metrics: dict[str, int] = collections.defaultdict(lambda: metric)
    wanted = [hop for subnet in subnets for hop in _hops(subnet)]
    covered = any(destination == METADATA_CIDR for destination, _ in wanted)
    if metadata_address and not covered:
        wanted.append((METADATA_CIDR, metadata_address))
    connected = [ipaddress.ip_network(subnet['cidr'], strict=False)
                 for subnet in subnets]
    for gateway in dict.fromkeys(hop for _, hop in wanted):
        if gateway and not _on_link(gateway, connected):
            address = ipaddress.ip_address(gateway)
            yield _route(f'{address}/{address.max_prefixlen}', None, metrics)
    for destination, gateway in dict.fromkeys(wanted):
        yield _route(destination, gateway, metrics)


def _hops(subnet: _Model) -> collections.abc.Iterator[
        tuple[str, str | None]]:
    """Destination and gateway of every route that a subnet asks for."""
    for route in subnet['routes']:
        destination = ipaddress.ip_network(route['cidr'], strict=False)
        gateway = ipaddress.ip_address(route['gateway']['address'])
        # Neutron's way to say that the destination is on the link.
        yield (str(destination),
               None if gateway.is_unspecified else str(gateway))
    if subnet['gateway'] and subnet['gateway']['address']:
        version = ipaddress.ip_network(subnet['cidr'], strict=False).version
        yield _DEFAULT[version], subnet['gateway']['address']


def _on_link(gateway: str, connected: collections.abc.Iterable[
        ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    address = ipaddress.ip_address(gateway)
    return address.is_link_local and address.version == 6 or any(
        address in network for network in connected)


def _route(destination: str, gateway: str | None,
           metrics: dict[str, int]) -> Route:
    version = ipaddress.ip_network(destination).version
    metric = metrics[destination] + (_IPV6_METRIC if version == 6 else 0)
    metrics[destination] += 1
    return Route(destination, gateway, metric, version)


def _to_dict(interface: Port | SubPort) -> dict[str, typing.Any]:
    plain = dataclasses.asdict(interface)
    return plain | {key: list(plain[key]) for key in ('addresses', 'routes')}


def _from_dict(plain: _Model) -> dict[str, typing.Any]:
    return dict(plain) | {
        'addresses': tuple(Address(**address)
                           for address in plain['addresses']),
        'routes': tuple(Route(**route) for route in plain['routes'])}
