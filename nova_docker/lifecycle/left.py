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

"""The container that a resize or a migration leaves until it is confirmed.

It stands beside the instance's own and is not taken for it: what it is, is
written down by :mod:`nova_docker.lifecycle.unconfirmed`. On another host there
are archives of its files, until the instance's own container there has them.
"""

import collections.abc
import contextlib
import dataclasses
import functools
import os
import types
import typing

from nova.compute import vm_states
from nova import exception
from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.lifecycle import base
from nova_docker.lifecycle import create
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import records
from nova_docker.lifecycle import unconfirmed
from nova_docker.network import plans
from nova_docker.spec import names
from nova_docker.spec import volumes
from nova_docker.transfer import outgoing
from nova_docker.transfer import spool
from nova_docker.volume import layer

LOG = logging.getLogger(__name__)

#: The part that has the name of the image which the others are upon.
_BASE = 'base'


def leave(services: base.Services, instance: typing.Any,
          container: client.Json | None) -> None:
    """Let the container of an instance be the one that it has left.

    In its turn. The container is stopped, and the instance has still the
    records of its volumes.

    :param container: None where nothing of it is kept
    """
    # Of a resize that nobody could confirm any more.
    remove(services, instance.uuid)
    state_dir = services.options.state_dir
    unconfirmed.write(state_dir, instance.uuid, unconfirmed.Move(
        container['Id'] if container else '', instance.flavor.flavorid,
        volumes.mount_paths(records.read(state_dir, instance.uuid))))
    if container:
        services.engine.rename_container(
            container['Id'], names.unconfirmed_name(instance.uuid))


def arrive(services: base.Services, instance_uuid: str,
           mount_paths: dict[str, str]) -> None:
    """Begin to have here what an instance has left on another host.

    What it left here itself, when it went there, is of another time.

    :param mount_paths: as of nova_docker.spec.volumes
    """
    if container := base.left(services, instance_uuid):
        disks.remove(services, container)
    unconfirmed.write(services.options.state_dir, instance_uuid,
                      unconfirmed.Move('', mount_paths=mount_paths))


def files(services: base.Services,
          instance_uuid: str) -> create.Files | None:
    """For a new container, all files of the one that was left.

    :returns: None where none was, here or on another host
    """
    give: collections.abc.Callable[[client.Json], None]
    if container := base.left(services, instance_uuid):
        image = container['Image']
        give = functools.partial(disks.copy, services, container)
    elif image := _noted(services, instance_uuid):
        give = functools.partial(_unpack, services, instance_uuid)
    else:
        return None

    def give_all(made: client.Json) -> None:
        give(made)
        _change(services, instance_uuid, done=True)
    return create.Files(give_all, image)


def base_images(services: base.Services) -> list[str]:
    """Those of all files that have come, and are in no container yet."""
    return [image for uuid in spool.unknown(services.options.state_dir, ())
            if (image := _noted(services, uuid))]


def note_base(transfer: outgoing.Transfer, container: client.Json) -> None:
    """Send the name of the image that the files of a container are upon.

    :raises nova.exception.MigrationError: says why it failed
    """
    transfer.send_text(_BASE, container['Image'])


def _noted(services: base.Services, instance_uuid: str) -> str | None:
    """What :func:`note_base` has said of files; None where none have come.

    There may be something else: their image, or what is migrated live.
    """
    with contextlib.suppress(FileNotFoundError):
        with open(spool.path(services.options.state_dir, instance_uuid,
                             _BASE), encoding='utf-8') as file:
            return file.read()
    return None


def unpack(services: base.Services, instance_uuid: str, made: client.Json,
           others: collections.abc.Mapping[
               str, collections.abc.Callable[[str], None]] = (
                   types.MappingProxyType({}))) -> None:
    """Give a container the files that came from another host.

    :param others: by the name of a part that is none of its files, what takes
        the archive's path
    """
    state_dir = services.options.state_dir
    directories = parts(services, instance_uuid, made)
    for name in spool.parts(state_dir, instance_uuid):
        file = spool.path(state_dir, instance_uuid, name)
        if name in others:
            others[name](file)
        elif name.endswith(spool.CHANGES):
            layer.change(file, directories[name.removesuffix(spool.CHANGES)])
        elif name != _BASE:
            layer.unpack(file, directories[name])


def _unpack(services: base.Services, instance_uuid: str,
            made: client.Json) -> None:
    unpack(services, instance_uuid, made)
    sync(services, instance_uuid, made)


def sync(services: base.Services, instance_uuid: str,
         made: client.Json) -> None:
    """Have on the disk what was unpacked for a container.

    :raises nova.exception.InternalError: it can't be
    """
    for directory in parts(services, instance_uuid, made).values():
        layer.sync(directory)


def parts(services: base.Services, instance_uuid: str,
          container: client.Json) -> dict[str, str]:
    """Where what goes to another host is on this one.

    :param container: its disks are mounted
    """
    config_drive = plans.config_drive_path(services.options.state_dir,
                                           instance_uuid)
    return disks.parts(services, container) | (
        {'config-drive': config_drive} if os.path.isdir(config_drive) else {})


def restore(services: base.Services, instance_uuid: str) -> None:
    """Let the container that an instance has left be its own (idempotent).

    In its turn. Any other one that it has goes. Where its volumes were mounted
    is known until :func:`remove`.
    """
    container = base.left(services, instance_uuid)
    if container:
        for other in base.of_instance(services, instance_uuid):
            disks.remove(services, other)
        name = names.container_name(instance_uuid)
        if container['Names'] != [f'/{name}']:
            services.engine.rename_container(container['Id'], name)
    _change(services, instance_uuid, container='', done=False)


def mount_paths(services: base.Services, instance_uuid: str
                ) -> dict[str, str]:
    """Where the volumes were of an instance that has left its container.

    :returns: as of nova_docker.spec.volumes
    """
    move = unconfirmed.read(services.options.state_dir, instance_uuid)
    return move.mount_paths if move else {}


def put_volumes(services: base.Services, instance_uuid: str,
                paths: dict[str, str]) -> None:
    """Have volumes where they are now when an instance has again what it left.

    It may have got them since, or others in the place of those that it had.
    From now on its other container is no longer taken for whole: it goes.

    :param paths: of them, as of nova_docker.spec.volumes
    """
    _change(services, instance_uuid, done=False,
            mount_paths=mount_paths(services, instance_uuid) | paths)


def settle(services: base.Services, instance: typing.Any) -> None:
    """Leave an instance no container that lacks its files.

    Nova-compute may have died in the middle of a resize. Where Nova has the
    new flavor by then, the instance is left without one: :func:`files` is for
    the next. Else it has its old one again.
    """
    state_dir = services.options.state_dir
    if _noted(services, instance.uuid) and not unconfirmed.read(
            state_dir, instance.uuid):
        # Nova-compute died before it was told what had come.
        arrive(services, instance.uuid, {})
    move = unconfirmed.read(state_dir, instance.uuid)
    if not move or move.done and base.find(services, instance.uuid):
        return
    if not (move.container or _noted(services, instance.uuid)):
        return
    LOG.warning('A move has not come to its end', instance=instance)
    if move.container and (move.flavor == instance.flavor.flavorid or
                           base.left(services, instance.uuid) is None):
        restore(services, instance.uuid)
        return
    for container in base.of_instance(services, instance.uuid):
        disks.remove(services, container)


def remove(services: base.Services, instance_uuid: str) -> None:
    """Remove the container that an instance has left, if there (idempotent).

    In its turn. So goes what came from another host.

    :raises nova_docker.engine.errors.EngineError: it can't be removed
    :raises nova.exception.InternalError: its disk can't be
    """
    container = base.left(services, instance_uuid)
    if container:
        with contextlib.suppress(errors.NotFound):
            disks.remove(services, container)
    spool.discard(services.options.state_dir, instance_uuid)
    unconfirmed.drop(services.options.state_dir, instance_uuid)


def end(services: base.Services, instance: typing.Any) -> None:
    """Remove what an instance has left that can't be reverted any more.

    In its turn, when it runs again. Never raises.
    """
    if instance.vm_state == vm_states.RESIZED:
        return
    try:
        remove(services, instance.uuid)
    except (errors.EngineError, exception.InternalError):
        LOG.exception('The container that a resize has left stays until the '
                      'next hard reboot or delete', instance=instance)


def _change(services: base.Services, instance_uuid: str,
            **changes: typing.Any) -> None:
    """Change what is known of a move, if there is one."""
    state_dir = services.options.state_dir
    if move := unconfirmed.read(state_dir, instance_uuid):
        unconfirmed.write(state_dir, instance_uuid,
                          dataclasses.replace(move, **changes))
