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

"""GPUs and other devices of the host that instances have for themselves."""

import collections.abc
import contextlib
import typing

from nova import exception
from nova.i18n import _
from nova import objects
from oslo_concurrency import lockutils

from nova_docker.engine import client
from nova_docker.host import pci
from nova_docker.lifecycle import base
from nova_docker.spec import accelerators
from nova_docker.spec import names


@contextlib.contextmanager
def added(services: base.Services, instance: typing.Any,
          accel_info: typing.Any, body: client.Json, rescue: bool
          ) -> collections.abc.Iterator[None]:
    """Add an instance's devices to the create body of its container.

    Of those that choose CDI devices one at a time, until the container is
    made: then its label tells the next which are taken. PCI devices are
    claimed already.

    :param accel_info: Cyborg's accelerator requests
    :param rescue: whether it is the one to rescue it with, which has none
    :raises nova.exception.ComputeResourcesUnavailable: the host lacks one
    """
    if rescue:
        body['Labels'] |= names.devices_label((), ())
        yield
        return
    wanted = accelerators.wanted(instance.flavor.extra_specs)
    with (lockutils.lock('nova-docker-accelerators') if wanted
          else contextlib.nullcontext()):
        addresses = _addresses(instance, accel_info)
        known = services.options.pci_cdi
        nodes = [each for each in addresses if each not in known]
        for address in nodes:
            if not pci.nodes(address):
                raise exception.ComputeResourcesUnavailable(reason=_(
                    'the PCI device %s has no device nodes') % address)
        chosen = _chosen(services, instance, wanted) if wanted else []
        body['Labels'] |= names.devices_label(nodes, chosen)
        body['HostConfig']['DeviceRequests'] += accelerators.device_requests(
            instance.uuid, [*(known[each] for each in addresses
                              if each in known), *chosen], bool(nodes))
        yield


def device_nodes(container: client.Json) -> list[dict[str, typing.Any]]:
    """The CDI device nodes of a container, as they are called now."""
    addresses, _names = names.devices(container['Labels'])
    return accelerators.device_nodes(
        node for address in addresses for node in pci.nodes(address))


def refusals(instance: typing.Any, accel_info: typing.Any
             ) -> collections.abc.Iterator[str]:
    """Why an instance can't have its devices on any host."""
    specs = instance.flavor.extra_specs
    try:
        accelerators.wanted(specs)
        accelerators.addresses(accel_info)
    except ValueError as error:
        yield str(error)
    if specs.get('accel:device_profile') and not accel_info:
        yield _('Nova does not say which accelerators it has')


def _addresses(instance: typing.Any, accel_info: typing.Any) -> list[str]:
    alias = objects.InstancePCIRequest.FLAVOR_ALIAS
    requests = instance.pci_requests.requests if instance.pci_requests else ()
    claimed = (instance.get_pci_devices(source=alias) if any(
        request.source == alias for request in requests) else ())
    return [*(device.address for device in claimed),
            *accelerators.addresses(accel_info)]


def _chosen(services: base.Services, instance: typing.Any,
            wanted: collections.abc.Mapping[str, int]) -> list[str]:
    """The CDI devices that an instance gets.

    Those that another container of it has are its own: one of them runs.
    """
    used = {name for container in services.engine.list_containers(
        [names.LABEL_INSTANCE])
        if names.instance_uuid(container['Labels']) != instance.uuid
        for name in names.devices(container['Labels'])[1]}
    try:
        return accelerators.choose(wanted, services.options.gpus, used)
    except ValueError as error:
        raise exception.ComputeResourcesUnavailable(
            reason=str(error)) from error
