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

"""What the resolver of a container asks: a pure function."""

import collections.abc
import typing

from nova_docker.spec import ports

#: A dict of Nova's network model (nova.network.model: VIF, Subnet...).
_Model = collections.abc.Mapping[str, typing.Any]


def dns(network_info: collections.abc.Iterable[_Model],
        ) -> tuple[list[str], list[str], list[str]]:
    """Name servers, search domains and resolver options of an instance.

    Where a list is empty the engine copies the host's. So a dot says that
    there is no search domain (Neutron has none), and without a name server
    it is what the resolver takes then: the instance itself. A subnet without
    name servers has its DHCP server for one, as DHCP would tell.
    """
    servers = (server for vif in network_info
               for subnet in ports.subnets_of(vif)
               for server in _servers(subnet))
    return list(dict.fromkeys(servers)) or ['127.0.0.1'], ['.'], []


def _servers(subnet: _Model) -> list[str]:
    dhcp_server = subnet.get('meta', {}).get('dhcp_server')
    return ([server['address'] for server in subnet['dns']] or
            ([dhcp_server] if dhcp_server else []))
