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

"""What Nova asks about instances without changing them."""

import typing

from nova.compute import power_state
from nova import exception
from nova.objects import diagnostics
from nova.objects import fields
from nova.virt import hardware
from oslo_utils import units

from nova_docker.console import log
from nova_docker.engine import client
from nova_docker.host import stats
from nova_docker.lifecycle import base
from nova_docker.lifecycle import suspended
from nova_docker.metadata import config_drive
from nova_docker.spec import names


def get_info(services: base.Services, instance: typing.Any,
             use_cache: bool) -> hardware.InstanceInfo:
    """The power state, from the events' cache or with one list request.

    Source: nova.virt.driver.ComputeDriver.get_info.

    :raises nova.exception.InstanceNotFound: there is no container
    """
    known = services.states.get(instance.uuid) if use_cache else None
    known = known or services.states.fetch(services.engine, instance.uuid)
    if known is None:
        raise exception.InstanceNotFound(instance_id=instance.uuid)
    power = known.power
    if power == power_state.PAUSED and instance.uuid in services.frozen:
        power = power_state.RUNNING
    if (power in (power_state.PAUSED, power_state.SHUTDOWN) and
            suspended.noted(services, instance.uuid)):
        power = power_state.SUSPENDED
    return hardware.InstanceInfo(state=power,
                                 internal_id=known.container)


def list_instances(services: base.Services) -> list[str]:
    """Source: nova.virt.driver.ComputeDriver.list_instances."""
    return _labels(services, names.LABEL_NAME)


def list_instance_uuids(services: base.Services) -> list[str]:
    """Source: nova.virt.driver.ComputeDriver.list_instance_uuids."""
    return _labels(services, names.LABEL_INSTANCE)


def _labels(services: base.Services, label: str) -> list[str]:
    """A label of all containers; that of an instance with two, once."""
    found = services.engine.list_containers(names.host_filter(services.host))
    return list(dict.fromkeys(
        container['Labels'][label] for container in found))


def get_console_output(services: base.Services, instance: typing.Any) -> str:
    """The end of what the instance printed, whether it runs or not.

    Source: nova.virt.driver.ComputeDriver.get_console_output.

    :raises nova.exception.InstanceNotFound: there is no container
    """
    with base.existing(services, instance.uuid) as container:
        return log.read(services.engine, container['Id'],
                        services.options.console_log_size * units.Ki)


def get_diagnostics(services: base.Services,
                    instance: typing.Any) -> dict[str, typing.Any]:
    """Facts by free names, as microversions before 2.48 show them.

    Source: nova.virt.driver.ComputeDriver.get_diagnostics.

    :raises nova.exception.InstanceNotFound: there is no container
    """
    state = _state(services, instance)
    usage = stats.container(state['Pid'])
    facts: dict[str, typing.Any] = {
        'cpu0_time': usage.cpu_time, 'memory': usage.memory_limit,
        'memory-rss': usage.memory_used, 'processes': usage.processes,
        'read_bytes': usage.read_bytes, 'read_req': usage.read_requests,
        'write_bytes': usage.write_bytes, 'write_req': usage.write_requests,
        'health': state.get('Health', {}).get('Status')}
    for vif in instance.get_network_info() or ():
        device = names.host_device(vif['id'], vif.get('devname'))
        facts |= {f'{device}_{counter}': value
                  for counter, value in stats.nic(device).items()}
    return {name: value for name, value in facts.items()
            if value is not None}


def get_instance_diagnostics(services: base.Services,
                             instance: typing.Any) -> diagnostics.Diagnostics:
    """The facts that microversion 2.48 and later show.

    Nova's list of drivers has no docker; libvirt is what its schema takes.

    Source: nova.virt.driver.ComputeDriver.get_instance_diagnostics.

    :raises nova.exception.InstanceNotFound: there is no container
    """
    usage = stats.container(_state(services, instance)['Pid'])
    found = diagnostics.Diagnostics(
        state='running' if usage.uptime is not None else 'shutdown',
        driver=fields.HypervisorDriver.LIBVIRT, hypervisor='docker',
        hypervisor_os='linux',
        config_drive=config_drive.required(instance),
        uptime=usage.uptime, num_cpus=0, num_nics=0, num_disks=0)
    if usage.memory_limit:
        found.memory_details = diagnostics.MemoryDiagnostics(
            maximum=usage.memory_limit // units.Mi,
            used=(usage.memory_used or 0) // units.Mi)
    if usage.cpu_time is not None:
        found.add_cpu(id=0, time=usage.cpu_time)
    if usage.read_bytes is not None or usage.write_bytes is not None:
        found.add_disk(
            read_bytes=usage.read_bytes, read_requests=usage.read_requests,
            write_bytes=usage.write_bytes,
            write_requests=usage.write_requests)
    for vif in instance.get_network_info() or ():
        found.add_nic(mac_address=vif['address'], **stats.nic(
            names.host_device(vif['id'], vif.get('devname'))))
    return found


def _state(services: base.Services, instance: typing.Any) -> client.Json:
    """The container's State; only its Pid, 0, when it does not run.

    A container that starts is not inspected, which would block.
    """
    with base.existing(services, instance.uuid) as container:
        if container['State'] not in base.RUNNING:
            return {'Pid': 0}
        found = services.engine.inspect_container(container['Id'])['State']
    return typing.cast(client.Json, found)
