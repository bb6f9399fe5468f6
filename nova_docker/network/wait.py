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


"""Waiting for Neutron's word that the ports of an instance are wired."""

import collections.abc
import contextlib
import typing

import nova.conf
from nova import exception
from nova.network import model
from oslo_log import log as logging

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def vif_plugged(virtapi: typing.Any, instance: typing.Any,
                network_info: typing.Any) -> collections.abc.Iterator[None]:
    """Wait at the end of the context for network-vif-plugged events.

    Enter it before the ports are plugged, or an event may be missed. Neutron
    batches its events for up to two seconds: do the other work of a spawn in
    here, and leave it right before the start of the container. How long and
    whether it matters is Nova's ``vif_plugging_timeout`` and
    ``vif_plugging_is_fatal``.

    :param virtapi: nova.virt.virtapi.VirtAPI
    :raises nova.exception.VirtualInterfaceCreateException: Neutron reported
        a failure or did not answer in time, and that is fatal
    """
    def failed(event_name: str, instance: typing.Any) -> None:
        LOG.error('Neutron reported a failure on %s.', event_name,
                  instance=instance)
        if CONF.vif_plugging_is_fatal:
            raise exception.VirtualInterfaceCreateException()

    timeout = CONF.vif_plugging_timeout
    events = _events(network_info) if timeout else []
    try:
        with virtapi.wait_for_instance_event(
                instance, events, timeout=timeout, error_callback=failed):
            yield
    except exception.InstanceEventTimeout:
        LOG.warning('Neutron did not report the ports of the instance as '
                    'plugged within %d seconds.', timeout, instance=instance)
        if CONF.vif_plugging_is_fatal:
            raise exception.VirtualInterfaceCreateException() from None


def _events(network_info: typing.Any) -> list[tuple[str, str]]:
    """The events to expect: of ports that are down.

    A port that is up makes no down-to-up change, and one of unknown state
    is taken for up, as Nova's other drivers do. Neutron's agent for network
    cards waits until the kernel has no driver for a virtual function: one in
    a container has.
    """
    return [('network-vif-plugged', vif['id']) for vif in network_info
            if vif.get('active', True) is False and
            vif['type'] != model.VIF_TYPE_HW_VEB]
