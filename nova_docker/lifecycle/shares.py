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
"""mount_share and umount_share: shares of Manila in an instance.

Nova has them mounted before it starts an instance and unmounted after it has
stopped it, one by one. Each has a mount of its own for each instance, which
the container gets by its CDI specification; what an instance starts with is
written down beside it.
"""

import os
import typing

from nova import exception
from nova.i18n import _
from nova.objects import fields
from oslo_log import log as logging
from oslo_utils import uuidutils

from nova_docker.lifecycle import base
from nova_docker.lifecycle import connections
from nova_docker.metadata import devices
from nova_docker.network import plans
from nova_docker.privsep import share as privileged
from nova_docker.spec import shares

LOG = logging.getLogger(__name__)


def mount_share(services: base.Services, instance: typing.Any,
                mapping: typing.Any) -> None:
    """Have a share mounted for the next start of an instance (idempotent).

    Source: nova.virt.driver.ComputeDriver.mount_share.

    :param mapping: nova.objects.ShareMapping, with the access to it
    :raises nova.exception.ShareMountError: it is not
    :raises nova.exception.ShareProtocolNotSupported: it never can be
    """
    options = services.options
    with (connections.failing(
            exception.ShareMountError, share_id=mapping.share_id,
            server_id=instance.uuid),
          services.gate.turn(instance.uuid)):
        share, export = _of(services, mapping)
        privileged.mount(
            export.kind, export.source,
            _place(services, instance.uuid, share.id), export.options,
            export.secret, options.shares.timeout)
        _write(services, instance.uuid, [
            *_others(services, instance.uuid, share.id), share])


def umount_share(services: base.Services, instance: typing.Any,
                 mapping: typing.Any) -> bool:
    """Unmount a share of an instance that does not run (idempotent).

    Source: nova.virt.driver.ComputeDriver.umount_share.

    :returns: whether another instance has that mount, too: none does
    :raises nova.exception.ShareUmountError: somebody on the host uses it
    """
    with (connections.failing(
            exception.ShareUmountError, share_id=mapping.share_id,
            server_id=instance.uuid),
          services.gate.turn(instance.uuid)):
        _unmount(services, instance.uuid, mapping.share_id)
    return False


def is_share_mounted(services: base.Services, mapping: typing.Any) -> bool:
    """Whether any instance of this host has a share mounted.

    Source: nova.virt.driver.ComputeDriver.is_share_mounted.
    """
    return any(os.path.basename(path) == mapping.share_id
               for path in privileged.mounted(
                   _top(services.options.state_dir)))


def settle(services: base.Services, context: typing.Any,
           instance: typing.Any, network_info: typing.Any,
           share_info: typing.Any) -> None:
    """Have an instance start with the shares that Nova knows, no others.

    What Nova has forgotten meanwhile, as it was cut off, is unmounted.

    :param share_info: nova.objects.ShareMappingList; None when Nova does not
        say
    :raises nova.exception.ShareUmountError: somebody on the host uses it
    """
    if share_info is None:
        return
    wanted = {mapping.share_id for mapping in share_info}
    known = [share.id for share in read(services, instance.uuid)]
    for share_id in known:
        if share_id not in wanted:
            LOG.info('Unmounting share %s, which Nova does not know',
                     share_id, instance=instance)
            with connections.failing(
                    exception.ShareUmountError, share_id=share_id,
                    server_id=instance.uuid):
                _unmount(services, instance.uuid, share_id)
    if wanted or known:
        instance.device_metadata = devices.build(context, instance,
                                                 network_info)


def mounts(services: base.Services, instance_uuid: str
           ) -> list[dict[str, typing.Any]]:
    """The CDI mounts of the shares of an instance.

    :raises nova.exception.InternalError: one is not mounted
    """
    check(services, instance_uuid)
    return shares.mounts(read(services, instance_uuid),
                         _directory(services, instance_uuid))


def check(services: base.Services, instance_uuid: str) -> None:
    """See that an instance has its shares.

    Without, a container would write to the directory of the host.

    :raises nova.exception.InternalError: one is not mounted
    """
    known = read(services, instance_uuid)
    mounted = known and {os.path.basename(path) for path in
                         privileged.mounted(
                             _directory(services, instance_uuid))}
    for share in known:
        if share.id not in mounted:
            raise exception.InternalError(
                _('Share %s is not mounted') % share.id)


def unmount_all(services: base.Services, instance_uuid: str) -> None:
    """Unmount all shares of an instance that has no container.

    Never raises: what is left, the next start of nova-compute unmounts.
    """
    if instance_uuid not in instances(services.options.state_dir):
        return
    try:
        for path in reversed(privileged.mounted(
                _directory(services, instance_uuid))):
            privileged.unmount(path, services.options.shares.timeout)
    except Exception:
        LOG.exception('Shares of instance %s may be left mounted',
                      instance_uuid)


def instances(state_dir: str) -> list[str]:
    """The instances that a share may be mounted for.

    Most hosts have none, and then no daemon for shares.
    """
    try:
        return os.listdir(_top(state_dir))
    except FileNotFoundError:
        return []


def read(services: base.Services, instance_uuid: str) -> list[shares.Share]:
    """The shares that an instance starts with."""
    return [shares.Share(**plain) for plain in plans.read_json(
        _path(services, instance_uuid)) or ()]


def _of(services: base.Services, mapping: typing.Any
        ) -> tuple[shares.Share, shares.Export]:
    """A share, and what is to be mounted of it.

    :raises nova.exception.ShareProtocolNotSupported: it is of another kind
    :raises ValueError: it is none that can be mounted here
    """
    if mapping.share_proto not in fields.ShareMappingProto.ALL:
        raise exception.ShareProtocolNotSupported(
            share_proto=mapping.share_proto)
    if services.options.userns_remap:
        raise ValueError('shares are not supported on this host, whose engine '
                         'remaps users')
    if not uuidutils.is_uuid_like(mapping.share_id):
        raise ValueError('it has no id')
    known = {name: getattr(mapping, name, None) if
             mapping.obj_attr_is_set(name) else None
             for name in ('access_to', 'access_key')}
    return shares.share(mapping.share_id, mapping.tag), shares.export(
        mapping.share_proto, mapping.export_location, known['access_to'],
        known['access_key'], services.options.shares)


def _unmount(services: base.Services, instance_uuid: str,
             share_id: str) -> None:
    privileged.unmount(_place(services, instance_uuid, share_id),
                       services.options.shares.timeout)
    if os.path.exists(_path(services, instance_uuid)):
        _write(services, instance_uuid,
               _others(services, instance_uuid, share_id))


def _others(services: base.Services, instance_uuid: str,
            share_id: str) -> list[shares.Share]:
    return [share for share in read(services, instance_uuid)
            if share.id != share_id]


def _write(services: base.Services, instance_uuid: str,
           known: list[shares.Share]) -> None:
    plans.ensure(services.options.state_dir, instance_uuid)
    plans.write_json(_path(services, instance_uuid),
                     [{'id': share.id, 'tag': share.tag} for share in known])


def _path(services: base.Services, instance_uuid: str) -> str:
    return os.path.join(plans.instance_dir(
        services.options.state_dir, instance_uuid), 'shares.json')


def _top(state_dir: str) -> str:
    """Where this host has all shares mounted."""
    return os.path.join(state_dir, 'shares')


def _directory(services: base.Services, instance_uuid: str) -> str:
    return os.path.join(_top(services.options.state_dir), instance_uuid)


def _place(services: base.Services, instance_uuid: str,
           share_id: str) -> str:
    return os.path.join(_directory(services, instance_uuid), share_id)
