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

"""The sub-ports of trunks: what Neutron tells of them, as Nova's model. Pure.

Nova's network model has the parent port of a trunk and none of its sub-ports.
"""

import collections.abc
import typing

from nova_docker.spec import ports as ports_spec

_SUPPORTED = 'vlan'

#: A resource as Neutron's API has it.
_Resource = collections.abc.Mapping[str, typing.Any]
_Resources = collections.abc.Iterable[_Resource]


def members(port: _Resource) -> list[_Resource]:
    """The sub-ports of a port as its ``trunk_details`` list them."""
    return list((port.get('trunk_details') or {}).get('sub_ports', ()))


def unsupported(parents: _Resources) -> collections.abc.Iterator[str]:
    """Why sub-ports can't be honoured."""
    for parent in parents:
        for member in members(parent):
            kind = member['segmentation_type']
            if kind != _SUPPORTED:
                yield (f'sub-port {member["port_id"]} of port {parent["id"]} '
                       f'has the segmentation type {kind}, of which only '
                       f'{_SUPPORTED} is supported')


def models(parents: _Resources, subports: _Resources, networks: _Resources,
           subnets: _Resources) -> ports_spec.SubPorts:
    """The sub-ports of ports for nova_docker.spec.ports.plan.

    A sub-port that is not in ``subports`` was deleted meanwhile.

    :param parents: ports with their ``trunk_details``
    :param networks: those of the sub-ports
    :param subnets: those of the sub-ports
    """
    known = {port['id']: port for port in subports}
    sizes = {network['id']: network.get('mtu') for network in networks}
    subnet_of = {subnet['id']: subnet for subnet in subnets}
    return {parent['id']: {
        member['segmentation_id']: _model(
            known[member['port_id']], sizes, subnet_of)
        for member in members(parent) if member['port_id'] in known}
        for parent in parents}


def _model(port: _Resource, sizes: collections.abc.Mapping[str, int | None],
           subnet_of: collections.abc.Mapping[str, _Resource]
           ) -> dict[str, typing.Any]:
    """A port as what nova_docker.spec.ports reads of nova.network.model.VIF.
    """
    found: dict[str, list[str]] = {}
    for ip in port['fixed_ips']:
        found.setdefault(ip['subnet_id'], []).append(ip['ip_address'])
    return {
        'id': port['id'], 'address': port['mac_address'],
        'network': {
            'id': port['network_id'],
            'meta': {'mtu': sizes.get(port['network_id'])},
            'subnets': [_subnet(subnet_of[subnet], addresses)
                        for subnet, addresses in found.items()]}}


def _subnet(subnet: _Resource,
            addresses: collections.abc.Iterable[str]) -> dict[str, typing.Any]:
    return {
        'cidr': subnet['cidr'],
        'gateway': {'address': subnet['gateway_ip']},
        'routes': [{'cidr': route['destination'],
                    'gateway': {'address': route['nexthop']}}
                   for route in subnet['host_routes']],
        'ips': [{'address': address} for address in addresses]}
