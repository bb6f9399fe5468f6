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


"""Where the metadata service listens that a port reaches.

Behind a router of ML2/OVS that is 169.254.169.254 by the default route. Else
an address in the network itself is the next hop: that of OVN's distributed
port, or of ML2/OVS's DHCP server where no router has the gateway's address.
Neutron tells so by DHCP only. Containers have no DHCP client, so the driver
asks Neutron.
"""

import collections
import collections.abc
import ipaddress
import threading
import time
import typing

from nova.network import neutron
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

#: Neutron's constants.DEVICE_OWNER_DISTRIBUTED, DEVICE_OWNER_DHCP and
#: ROUTER_INTERFACE_OWNERS.
_DISTRIBUTED = 'network:distributed'
_DHCP = 'network:dhcp'
_ROUTERS = ('network:router_interface',
            'network:router_interface_distributed',
            'network:ha_router_replicated_interface')

#: Seconds for which an answer holds. The address that OVN has in a network
#: hardly ever changes; elsewhere a router may come and go. Instances that
#: start together share the answer.
_DISTRIBUTED_LIFETIME = 3600
_OTHER_LIFETIME = 10

#: IPv4 addresses of a network by the owner of their port.
_Owned = collections.abc.Mapping[str, collections.abc.Sequence[str]]


class Addresses:
    """The metadata addresses of networks, asked for once and kept."""

    def __init__(self, clock: collections.abc.Callable[[], float]
                 = time.monotonic) -> None:
        self._clock = clock
        # Several instances boot at once. It is not held while Neutron works.
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, _Owned]] = {}

    def get(self, context: typing.Any,
            network_info: collections.abc.Iterable[typing.Any],
            ) -> dict[str, str | None]:
        """Addresses by port id; None where the default route is right.

        One query for all networks that are not known. It never fails: ports
        are left out for which there is no answer. An instance boots without
        it, without metadata under OVN.

        :param context: nova.context.RequestContext
        """
        vifs = list(network_info)
        wanted = {vif['network']['id'] for vif in vifs}
        now = self._clock()
        with self._lock:
            self._known = {network: entry for network, entry
                           in self._known.items() if entry[0] > now}
            answers = {network: self._known[network][1]
                       for network in wanted & self._known.keys()}
        if unknown := sorted(wanted - answers.keys()):
            answers |= self._ask(context, unknown, now)
        return {vif['id']: _address(vif, answers[network]) for vif in vifs
                if (network := vif['network']['id']) in answers}

    def _ask(self, context: typing.Any, networks: list[str],
             now: float) -> dict[str, _Owned]:
        try:
            client = neutron.get_client(context, admin=True)
            ports = client.list_ports(
                network_id=networks,
                device_owner=[_DISTRIBUTED, _DHCP, *_ROUTERS],
                fields=['network_id', 'device_owner', 'fixed_ips'])['ports']
        except Exception:
            # Whatever it is (Neutron, Keystone, the wire), the ports of the
            # instance were bound by the same Neutron a moment ago.
            LOG.warning('Cannot ask Neutron for the metadata addresses of '
                        'networks %s.', networks, exc_info=True)
            return {}
        answers = {network: _owned(each for each in ports
                                   if each['network_id'] == network)
                   for network in networks}
        with self._lock:
            self._known.update(
                (network, (now + (_DISTRIBUTED_LIFETIME if _DISTRIBUTED in
                                  owned else _OTHER_LIFETIME), owned))
                for network, owned in answers.items())
        return answers


def _owned(ports: collections.abc.Iterable[typing.Any]) -> _Owned:
    """The IPv4 addresses of ports by their owners."""
    owned: dict[str, list[str]] = collections.defaultdict(list)
    for port in ports:
        for ip in port['fixed_ips']:
            if ':' not in ip['ip_address']:
                owned[port['device_owner']].append(ip['ip_address'])
    return dict(owned)


def _address(vif: typing.Any, owned: _Owned) -> str | None:
    """The metadata address that a port needs a route by, if any."""
    if _DISTRIBUTED in owned:
        return owned[_DISTRIBUTED][0]
    routers = [address for owner in _ROUTERS
               for address in owned.get(owner, ())]
    subnets = [subnet for subnet in vif['network']['subnets'] if subnet['ips']]
    if any(subnet['gateway'] and subnet['gateway']['address'] in routers
           for subnet in subnets):
        return None
    links = [ipaddress.ip_network(subnet['cidr'], strict=False)
             for subnet in subnets]
    return next((address for address in owned.get(_DHCP, ())
                 if any(ipaddress.ip_address(address) in link
                        for link in links)), None)


#: Of this process.
_ADDRESSES = Addresses()
addresses = _ADDRESSES.get
