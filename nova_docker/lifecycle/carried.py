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

"""The image that the files of a server are upon, where they go to.

Mostly the host that a server goes to has it, or gets it from Glance or a
registry. It can't where it is gone: Nova deletes the image that it has
unshelved a server from, and users delete theirs. Then the engine's own copy
goes along, as a whole, before the server is stopped. There it gets a name that
only servers are made of which were moved: what a host sends is not what others
get of that Glance image.
"""

import contextlib
import os
import shutil
import typing

from nova import exception
from nova.i18n import _
from nova import objects
from oslo_log import log as logging
from oslo_utils import units

from nova_docker.engine import client
from nova_docker.image import load
from nova_docker.image import source
from nova_docker.lifecycle import base
from nova_docker.lifecycle import create
from nova_docker.lifecycle import suspend
from nova_docker.spec import names
from nova_docker.transfer import control
from nova_docker.transfer import outgoing
from nova_docker.transfer import spool

LOG = logging.getLogger(__name__)

_PART = 'image'


def give(services: base.Services, context: typing.Any, host: str,
         instance_uuid: str, container: client.Json, root_gb: int) -> None:
    """See that a host has the image of a container of this one.

    :param root_gb: GiB of the root disk that it gets there; 0 for no limit
    :raises nova.exception.MigrationError: it can't have it
    :raises nova_docker.engine.errors.EngineError: the engine of this host
        does not give it
    """
    image = container['Image']
    there = control.Client(context, host)
    if there.has_image(instance_uuid, image, root_gb):
        return
    LOG.info('Image %(image)s, which instance %(uuid)s is of, goes along to '
             '%(host)s', {'image': image, 'uuid': instance_uuid, 'host': host})
    options = services.options.transfers
    with spool.going(options.state_dir, instance_uuid) as folder:
        path = _saved(services.engine, image, folder)
        with outgoing.begun(context, host, instance_uuid, {}, options,
                            False) as transfer:
            transfer.send_file(_PART, path)
            transfer.finish({})
    with contextlib.ExitStack() as undo:
        undo.callback(there.discard, instance_uuid)
        there.load_image(instance_uuid, image, root_gb)
        undo.pop_all()


def send(services: base.Services, context: typing.Any, instance_uuid: str,
         host: str) -> str:
    """:func:`give` it to a host that asks for it, and say what it is called.

    :raises nova.exception.InstanceNotFound: there is no container
    """
    container = base.get(services, instance_uuid)
    give(services, context, host, instance_uuid, container, 0)
    return typing.cast(str, container['Image'])


def has(services: base.Services, context: typing.Any, instance_uuid: str,
        image: str, root_gb: int) -> bool:
    """Whether the image of another host's container is here, or is by now.

    :raises nova.exception.FlavorDiskSmallerThanImage: it does not fit
    """
    instance = objects.Instance.get_by_uuid(
        context.elevated(), instance_uuid,
        expected_attrs=[*suspend.ATTRIBUTES, 'trusted_certs'])
    try:
        create.ensure_base(services, context, instance, image, root_gb)
    except exception.FlavorDiskSmallerThanImage:
        raise
    except exception.NovaException as error:
        LOG.info('Another host is to send image %(image)s: %(error)s',
                 {'image': image, 'error': error}, instance=instance)
        return False
    return True


def load_sent(services: base.Services, context: typing.Any,
              instance_uuid: str, image: str, root_gb: int) -> None:
    """Load the image that another host has sent.

    As strictly as that of a tenant, by whom it is.

    :raises nova.exception.MigrationError: it is not acceptable here
    :raises nova.exception.FlavorDiskSmallerThanImage: it does not fit
    """
    state_dir = services.options.state_dir
    _of_glance, reference = names.base_references(image)
    request = source.Request(
        services.engine, services.image_api, context,
        objects.ImageMeta.from_dict({
            'id': instance_uuid, 'container_format': 'docker',
            'disk_format': 'raw'}), {}, root_gb * units.Gi)
    try:
        load.ensure_from(
            request, lambda _request: open(
                spool.path(state_dir, instance_uuid, _PART), 'rb'), reference)
    except exception.ImageUnacceptable as error:
        raise exception.MigrationError(reason=_(
            'image %(image)s can not go along: %(reason)s') % {
                'image': image, 'reason': error.kwargs['reason']}) from error
    finally:
        spool.discard(state_dir, instance_uuid)


def _saved(engine: client.Engine, image: str, folder: str) -> str:
    """An image of the engine as a file; its path.

    So the engine need not wait for the other host, nor that one for it.

    :raises nova.exception.MigrationError: there is no space for it
    """
    size = engine.inspect_image(image)['Size']
    free = shutil.disk_usage(folder).free
    if size > free:
        raise exception.MigrationError(reason=_(
            'its image of %(size)d MiB has to go along, and there are '
            '%(free)d MiB free in [docker]state_dir of the host that it is '
            'on') % {'size': size // units.Mi, 'free': free // units.Mi})
    path = os.path.join(folder, _PART)
    with engine.save_image(image) as pieces, open(path, 'wb') as file:
        for piece in pieces:
            file.write(piece)
    return path
