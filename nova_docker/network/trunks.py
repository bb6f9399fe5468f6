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

"""Asking Neutron for the sub-ports of an instance's ports.

Nova knows the parent port of a trunk only.
"""

import collections.abc
import time
import typing

import nova.conf
from nova import exception
from nova.i18n import _
from nova.network import neutron
from oslo_log import log as logging

from nova_docker import exception as own_exception
from nova_docker.spec import ports as ports_spec
from nova_docker.spec import trunks

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

_EXTENSION = 'trunk-details'

#: Ids in one request, whose URL must not get too long.
_IDS = 100

_Resource = dict[str, typing.Any]


class Trunks:
    """The sub-ports of ports, where Neutron has trunks."""

    def __init__(self, clock: collections.abc.Callable[[], float]
                 = time.monotonic) -> None:
        self._clock = clock
        #: Whether Neutron has the extension, and until when that is believed.
        self._extension = False, 0.0

    def get(self, context: typing.Any,
            network_info: collections.abc.Iterable[typing.Any],
            known: collections.abc.Collection[str]) -> ports_spec.SubPorts:
        """The sub-ports of an instance, by their parents.

        One query where Neutron has trunks, and those for the sub-ports where
        there are any. Without Neutron, an instance keeps the sub-ports that
        it had: then ports are left out. But what was never asked can't be
        known to have none.

        :param context: nova.context.RequestContext
        :param known: ids of the ports of which an earlier start has asked
        :raises nova.exception.VirtualInterfacePlugException: a sub-port can't
            be had in a container; Neutron does not answer, and not all ports
            are known
        """
        ids = sorted({vif['id'] for vif in network_info})
        if not ids:
            return {}
        try:
            return self._ask(neutron.get_client(context, admin=True), ids)
        except exception.VirtualInterfacePlugException:
            raise
        except Exception as error:
            # Whatever it is: Neutron, Keystone, the wire.
            if set(ids) <= set(known):
                LOG.warning('Cannot ask Neutron for trunks of ports %s, which '
                            'keep the sub-ports that they had.', ids,
                            exc_info=True)
                return {}
            raise exception.VirtualInterfacePlugException(
                _('Cannot ask Neutron whether ports %(ports)s have sub-ports: '
                  '%(error)s') % {'ports': ', '.join(ids), 'error': error}
            ) from error

    def _ask(self, client: typing.Any,
             ids: list[str]) -> ports_spec.SubPorts:
        if not self._has_trunks(client):
            return dict.fromkeys(ids, {})
        parents = _of(client.list_ports, 'ports', ids, ['id', 'trunk_details'])
        reasons = list(trunks.unsupported(parents))
        if reasons:
            raise own_exception.TrunkUnsupported(reason='; '.join(reasons))
        subports = _of(
            client.list_ports, 'ports',
            {member['port_id'] for parent in parents
             for member in trunks.members(parent)},
            ['id', 'mac_address', 'network_id', 'fixed_ips'])
        networks = _of(client.list_networks, 'networks',
                       {port['network_id'] for port in subports},
                       ['id', 'mtu'])
        subnets = _of(client.list_subnets, 'subnets',
                      {ip['subnet_id'] for port in subports
                       for ip in port['fixed_ips']},
                      ['id', 'cidr', 'gateway_ip', 'host_routes'])
        return trunks.models(parents, subports, networks, subnets)

    def _has_trunks(self, client: typing.Any) -> bool:
        """Whether Neutron has trunks; asked as rarely as Nova asks."""
        has, until = self._extension
        if self._clock() >= until:
            has = any(each['alias'] == _EXTENSION
                      for each in client.list_extensions()['extensions'])
            self._extension = has, (self._clock() +
                                    CONF.neutron.extension_sync_interval)
        return has


def _of(query: collections.abc.Callable[..., _Resource], kind: str,
        ids: collections.abc.Iterable[str],
        fields: list[str]) -> list[_Resource]:
    """The resources with these ids."""
    wanted = sorted(ids)
    return [each for start in range(0, len(wanted), _IDS)
            for each in query(id=wanted[start:start + _IDS],
                              fields=fields)[kind]]


_TRUNKS = Trunks()
subports = _TRUNKS.get
