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


"""Where a network's metadata service listens under OVN.

OVN serves 169.254.169.254 at a distributed port in the network itself and
tells so by DHCP only. Containers have no DHCP client, so the driver asks
Neutron for that port's address.
"""

import collections.abc
import threading
import time
import typing

from nova.network import neutron
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

#: Neutron's constants.DEVICE_OWNER_DISTRIBUTED
_DEVICE_OWNER = 'network:distributed'

#: Seconds for which an answer holds. The address of a network hardly ever
#: changes; a network without one may get it with its first subnet.
_FOUND_LIFETIME = 3600
_ABSENT_LIFETIME = 60


class Addresses:
    """The metadata addresses of networks, asked for once and kept."""

    def __init__(self, clock: collections.abc.Callable[[], float]
                 = time.monotonic) -> None:
        self._clock = clock
        # Several instances boot at once. It is not held while Neutron works.
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, str | None]] = {}

    def get(self, context: typing.Any,
            network_info: collections.abc.Iterable[typing.Any],
            ) -> dict[str, str | None]:
        """Addresses by network id; None for a network without one.

        One query for all that are not known. It never fails: networks are
        left out for which there is no answer. An instance boots without it,
        without metadata under OVN.

        :param context: nova.context.RequestContext
        """
        wanted = {vif['network']['id'] for vif in network_info}
        now = self._clock()
        with self._lock:
            self._known = {network: entry for network, entry
                           in self._known.items() if entry[0] > now}
            answers = {network: self._known[network][1]
                       for network in wanted & self._known.keys()}
        unknown = sorted(wanted - answers.keys())
        return answers | (self._ask(context, unknown, now) if unknown else {})

    def _ask(self, context: typing.Any, networks: list[str],
             now: float) -> dict[str, str | None]:
        try:
            client = neutron.get_client(context, admin=True)
            ports = client.list_ports(
                network_id=networks, device_owner=_DEVICE_OWNER,
                fields=['network_id', 'fixed_ips'])['ports']
        except Exception:
            # Whatever it is (Neutron, Keystone, the wire), the ports of the
            # instance were bound by the same Neutron a moment ago.
            LOG.warning('Cannot ask Neutron for the metadata addresses of '
                        'networks %s.', networks, exc_info=True)
            return {}
        found = {port['network_id']: ip['ip_address'] for port in ports
                 for ip in port['fixed_ips'] if ':' not in ip['ip_address']}
        answers = {network: found.get(network) for network in networks}
        with self._lock:
            self._known.update(
                (network, (now + (_FOUND_LIFETIME if address else
                                  _ABSENT_LIFETIME), address))
                for network, address in answers.items())
        return answers


#: Of this process.
_ADDRESSES = Addresses()
addresses = _ADDRESSES.get
