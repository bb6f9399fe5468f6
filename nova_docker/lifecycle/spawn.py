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

"""spawn: from an image to a running container."""

import collections.abc
import contextlib
import itertools
import typing

from nova import exception

from nova_docker.lifecycle import accelerators
from nova_docker.lifecycle import base
from nova_docker.lifecycle import boot
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import create
from nova_docker.lifecycle import destroy
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import flavors
from nova_docker.lifecycle import left
from nova_docker.lifecycle import start
from nova_docker.lifecycle import watchdog
from nova_docker.metadata import config_drive
from nova_docker.spec import disk
from nova_docker.spec import names
from nova_docker.spec import requests


def spawn(services: base.Services, context: typing.Any, instance: typing.Any,
          image_meta: typing.Any, injected_files: typing.Any,
          admin_password: str | None, network_info: typing.Any,
          block_device_info: typing.Any, power_on: bool,
          accel_info: typing.Any) -> None:
    """Create the instance's container and start it.

    Ports are plugged first and their events waited for last, so that the
    image and the container are made while Neutron works. Whatever fails, all
    that was made is removed again: nothing of the user's is in it yet.

    Source: nova.virt.driver.ComputeDriver.spawn.
    """
    image_meta = boot.named(image_meta, block_device_info)
    refuse(services, instance, image_meta, injected_files, network_info,
           block_device_info, accel_info)
    # A container that an earlier spawn left must not start meanwhile.
    with services.gate.turn(instance.uuid, refuse=True) as turn:
        destroy.undo_left(services, instance.uuid)
        _remove_never_started(services, instance)
        with contextlib.ExitStack() as undo:
            undo.callback(destroy.undo_spawn, services, instance,
                          network_info)
            connections.connect_all(services, context, instance,
                                    block_device_info)
            if power_on:
                with start.plugged(services, instance, network_info):
                    container_id = create.create(
                        services, context, instance, image_meta,
                        network_info, injected_files, admin_password,
                        block_device_info=block_device_info,
                        accel_info=accel_info)
                with start.first(services, image_meta.id, container_id):
                    start.container(services, context, turn, instance,
                                    network_info, container_id)
            else:
                create.create(
                    services, context, instance, image_meta, network_info,
                    injected_files, admin_password,
                    block_device_info=block_device_info,
                    accel_info=accel_info)
            undo.pop_all()


def refuse(services: base.Services, instance: typing.Any,
           image_meta: typing.Any, injected_files: typing.Any,
           network_info: typing.Any, block_device_info: typing.Any,
           accel_info: typing.Any) -> None:
    """Refuse what can't be honoured, before anything is touched.

    :raises nova.exception.BuildAbortException: says all the reasons
    :raises nova.exception.ImageUnacceptable: a docker_* image property
    """
    _abort(instance, requests.of_block_devices(
        block_device_info, services.options.userns_remap))
    ephemerals = disk.ephemeral_sizes(instance.flavor.ephemeral_gb,
                                      block_device_info)
    _abort(instance, itertools.chain(
        requests.of_flavor(instance.flavor.extra_specs),
        requests.of_image(image_meta.properties),
        accelerators.refusals(instance, accel_info),
        requests.of_instance(config_drive.required(instance) and
                             services.options.userns_remap),
        requests.of_files(injected_files,
                          create.mounts(instance, image_meta,
                                        len(ephemerals))),
        requests.of_read_only(instance.key_data, injected_files)
        if flavors.docker(instance).get('read_only_rootfs') else (),
        requests.of_ephemerals(ephemerals, services.options.userns_remap),
        requests.of_ports(network_info, instance)))
    flavors.host_config(services, instance, create.of_instance(instance),
                        block_device_info)
    watchdog.of(instance, image_meta)
    boot.check(services, block_device_info)


def _abort(instance: typing.Any,
           reasons: collections.abc.Iterable[str]) -> None:
    """End a spawn for reasons, if there are any."""
    found = list(reasons)
    if found:
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid, reason='; '.join(found))


def _remove_never_started(services: base.Services,
                          instance: typing.Any) -> None:
    """Make room for a spawn after one that was cut off.

    A container that ran holds what a user wrote: it is never replaced.

    :raises nova.exception.InstanceExists: there is such a container
    """
    # Nor is anything of a move that was cut off for it.
    left.remove(services, instance.uuid)
    existing = base.find(services, instance.uuid)
    if existing is None:
        return
    if existing['State'] != 'created':
        raise exception.InstanceExists(
            name=names.container_name(instance.uuid))
    disks.remove(services, existing)
