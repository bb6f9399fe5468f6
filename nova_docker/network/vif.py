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


"""The host's side of a port.

It is a veth pair, and os-vif to plug it; or a virtual function, see
nova_docker.network.sriov, and os-vif where its network card is offloaded of
Open vSwitch.
"""

import collections.abc
import contextlib
import typing

from nova import exception
from nova.i18n import _
from nova.network import model
from nova.network import os_vif_util
import os_vif
import os_vif.exception
import os_vif.objects.vif
from oslo_log import log as logging

from nova_docker.network import sriov
from nova_docker.privsep import link
from nova_docker.spec import names
from nova_docker.spec import ports

LOG = logging.getLogger(__name__)

_KINDS = (os_vif.objects.vif.VIFOpenVSwitch, os_vif.objects.vif.VIFBridge)
_FUNCTION = os_vif.objects.vif.VIFHostDevice


def initialize() -> None:
    """Load os-vif's plugins and start root's daemon (idempotent).

    Nova-compute loads the plugins, too. The daemon takes seconds to start,
    which the first instance, or a start that waits in the gate, would pay.
    """
    os_vif.initialize()
    try:
        link.pair_state('lo', 'lo')
    except Exception:
        LOG.exception('The functions that need root do not work. See the '
                      'option helper_command of [nova_docker_privileged].')


def plug(instance: typing.Any, network_info: typing.Any,
         running: bool = False) -> set[str]:
    """Plug the ports of an instance on the host (idempotent).

    Pairs that are missing are made, with the inner end parked. A live pair
    is kept and its port only asserted again.

    :param running: whether the container runs or may run. If it does not,
        a pair whose inner end is not parked belongs to a namespace that
        died or that nobody held, and is made anew.
    :returns: ids of the ports whose interface is on the host
    :raises nova.exception.VirtualInterfacePlugException: a port is not
        bound to this host, of a kind that containers cannot have, or cannot
        be plugged
    """
    return {vif['id'] for vif in network_info
            if _plug_one(instance, vif, running)}


def set_carrier(plan: collections.abc.Iterable[ports.Port],
                there: bool) -> None:
    """Have ports send and receive, or not (idempotent).

    Those that are gone are left out, and so are virtual functions: their
    other end is a network card.
    """
    link.set_carrier([port.host_device for port in plan
                      if port.pci_address is None], there)


def check(vif: typing.Any) -> None:
    """See that a port can be plugged into a container on this host.

    :raises nova.exception.VirtualInterfacePlugException: it cannot
    """
    _convert(vif)
    if ports.is_function(vif):
        sriov.check(vif)


def unplug(instance: typing.Any, network_info: typing.Any) -> None:
    """Unplug the ports of an instance and delete their pairs (idempotent).

    All are tried. Virtual functions are on the host before.

    :raises nova.exception.InternalError: of the first that failed
    """
    failed = None
    for vif in network_info or []:
        try:
            _unplug_one(instance, vif)
        except Exception as error:
            LOG.exception('Cannot unplug port %s.', vif['id'],
                          instance=instance)
            failed = failed or error
    if failed:
        raise exception.InternalError(
            _('Cannot unplug VIF: %s') % failed) from failed


def _plug_one(instance: typing.Any, vif: typing.Any, running: bool) -> bool:
    """Plug one port; returns whether its interface is on the host."""
    plugged = _convert(vif)
    try:
        if ports.is_function(vif):
            parked = sriov.plug(vif, running)
            _os_vif(os_vif.plug, instance, plugged)
            return parked
        return _plug_pair(instance, vif, plugged, running)
    except (os_vif.exception.ExceptionBase, OSError) as error:
        raise exception.VirtualInterfacePlugException(
            _('Cannot plug port %(port)s: %(error)s') %
            {'port': vif['id'], 'error': error}) from error


def _plug_pair(instance: typing.Any, vif: typing.Any, plugged: typing.Any,
               running: bool) -> bool:
    host, parked = plugged.vif_name, names.parked_device(vif['id'])
    state = link.pair_state(host, parked)
    inside = running and state == link.INSIDE
    alive = inside or state == link.PARKED
    with contextlib.ExitStack() as undo:
        if alive:
            link.assert_pair(host, ports.mtu(vif))
        else:
            undo.callback(_delete_pair, vif)
            # An Open vSwitch in userspace keeps serving the device that
            # had this name before, without an error and without traffic.
            _unplug_one(instance, vif)
            link.make_pair(host, parked, vif['address'], ports.mtu(vif),
                           vif['network']['bridge'])
        _os_vif(os_vif.plug, instance, plugged)
        if isinstance(plugged, os_vif.objects.vif.VIFBridge):
            link.set_bridge(host, plugged.bridge_name)
        undo.pop_all()
    return not inside


def _unplug_one(instance: typing.Any, vif: typing.Any) -> None:
    if not ports.is_function(vif):
        # Before os-vif: it fails at a device that goes while it looks at it,
        # as those of a namespace do some time after its end.
        _delete_pair(vif)
    try:
        plugged = _convert(vif)
    except exception.VirtualInterfacePlugException:
        # Never plugged here. The binding fails on purpose, for example, of
        # a port that Neutron lost.
        LOG.debug('Nothing to unplug of port %s.', vif['id'])
        return
    if ports.is_function(vif):
        sriov.unplug(vif)
    _os_vif(os_vif.unplug, instance, plugged)


def _os_vif(verb: collections.abc.Callable[..., None], instance: typing.Any,
            plugged: typing.Any) -> None:
    """Have os-vif plug or unplug a port, unless a network card does."""
    if plugged is not None:
        verb(plugged, os_vif_util.nova_to_osvif_instance(instance))


def _delete_pair(vif: typing.Any) -> None:
    link.delete_pair(names.host_device(vif['id'], vif.get('devname')),
                     names.parked_device(vif['id']))


def _convert(vif: typing.Any) -> typing.Any:
    """The os-vif object of a VIF whose device we make or move ourselves.

    :returns: None for a virtual function whose network card needs no os-vif
    :raises nova.exception.VirtualInterfacePlugException: it has none, or is
        of a kind that needs a virtual machine
    """
    function = ports.is_function(vif)
    if function and ports.pci_address(vif) is None:
        raise _unfit(vif)
    try:
        plugged = os_vif_util.nova_to_osvif_vif(vif)
    except exception.NovaException as error:
        raise exception.VirtualInterfacePlugException(
            error.format_message()) from error
    if function:
        if (vif['type'] != model.VIF_TYPE_HW_VEB and
                not isinstance(plugged, _FUNCTION)):
            raise _unfit(vif)
        return plugged
    # All that is left are ports of Open vSwitch, plain or with a bridge for
    # the iptables firewall in between.
    if not isinstance(plugged, _KINDS) or 'port_profile' not in plugged:
        raise _unfit(vif)
    plugged.port_profile.create_port = True
    if 'create_tap' in plugged.port_profile.fields:
        # It would take the name of our device.
        plugged.port_profile.create_tap = False
    plugged.vif_name = names.host_device(vif['id'], vif.get('devname'))
    return plugged


def _unfit(vif: typing.Any) -> exception.VirtualInterfacePlugException:
    return exception.VirtualInterfacePlugException(
        _('Port %(port)s of VIF type %(type)s and VNIC type %(vnic)s '
          'cannot be plugged into a container on this host.') %
        {'port': vif['id'], 'type': vif['type'],
         'vnic': vif.get('vnic_type')})
