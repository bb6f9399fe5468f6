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

"""Boot from volume: a root volume is made of an image, and booted again.

Cinder makes a volume of an image by writing the image's data to it. At the
first boot, the driver loads that image into the engine and makes the volume a
root volume, with the files of a container of the image. Until its document is
there, the last thing of all, nobody has used the volume: what was cut off is
done again. After that, all that the driver needs is on the volume.
"""

import collections.abc
import contextlib
import hashlib
import io
import typing

from nova import exception
from nova.i18n import _
from nova import objects
from nova.virt import block_device as driver_block_device
from nova.volume import cinder
from oslo_log import log as logging

from nova_docker.engine import errors
from nova_docker.image import cache
from nova_docker.image import hollow
from nova_docker.image import load
from nova_docker.image import pipe
from nova_docker.image import source
from nova_docker.image import tar
from nova_docker.lifecycle import base
from nova_docker.network import plans
from nova_docker.spec import environment
from nova_docker.spec import names
from nova_docker.spec import volumes
from nova_docker.volume import root
from nova_docker.volume import rootfs

LOG = logging.getLogger(__name__)


def named(image_meta: typing.Any, block_device_info: typing.Any
          ) -> typing.Any:
    """Nova's description of an image, with an id also if it is on a volume.

    Nova has none then; errors tell that of the volume.

    :param image_meta: nova.objects.ImageMeta
    """
    if not has_id(image_meta):
        for mapping in (block_device_info or {}).get(
                'block_device_mapping') or ():
            if volumes.is_root(mapping):
                image_meta = image_meta.obj_clone()
                image_meta.id = driver_block_device.get_volume_id(
                    mapping['connection_info'])
    return image_meta


def has_id(image_meta: typing.Any) -> bool:
    """Whether Nova knows an image by its id."""
    return bool(image_meta.obj_attr_is_set('id') and image_meta.id)


def image(services: base.Services, context: typing.Any,
          instance: typing.Any, volume: volumes.Volume) -> load.Image:
    """Have an image without files in the engine, for a root volume.

    The volume gets its files where it has none yet.

    :param volume: connected, and not mounted
    :raises nova.exception.InvalidVolume: no container can boot from it
    :raises nova.exception.ImageUnacceptable: nor of the image on it
    """
    place = plans.root_path(services.options.state_dir, instance.uuid)
    found = root.content(volume.path)
    content = (root.document(volume.path, place) if root.is_root(found)
               else None)
    if content is None:
        remove_source(services, instance.uuid)
        content = _make(services, context, instance, volume, found)
    try:
        packed = hollow.packed(content)
    except tar.Refused as error:
        raise exception.InvalidVolume(reason=str(error)) from error
    made = load.ensure_from(
        _request(services, context, volume.id, volume, {},
                 container_format='docker', disk_format='raw'),
        lambda request: contextlib.nullcontext(io.BytesIO(packed)),
        names.volume_reference(hashlib.sha256(packed).hexdigest()))
    cache.use(services.options.state_dir, made.reference)
    return made


def check(services: base.Services, block_device_info: typing.Any) -> None:
    """Refuse to boot from a volume where the engine leaves no way to.

    :raises nova.exception.ComputeResourcesUnavailable: this host
    """
    if (volumes.has_root(block_device_info) and
            not rootfs.supported(services.engine.info())):
        raise exception.ComputeResourcesUnavailable(reason=_(
            'a container can not boot from a volume with the storage driver '
            'of the engine of this host'))


@contextlib.contextmanager
def aborting(instance: typing.Any) -> collections.abc.Iterator[None]:
    """End a spawn for what is wrong with a volume: so it is on each host.

    :raises nova.exception.BuildAbortException: says what
    """
    try:
        yield
    except exception.InvalidVolume as error:
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid,
            reason=error.format_message()) from error


def remove_source(services: base.Services, instance_uuid: str) -> None:
    """Remove the container that a root volume was to be made of, if there.

    :raises nova_docker.engine.errors.EngineError: it can't be
    """
    for container in services.engine.list_containers(
            [], names=[names.source_name(instance_uuid)]):
        with contextlib.suppress(errors.NotFound):
            services.engine.remove_container(container['Id'])


def _make(services: base.Services, context: typing.Any,
          instance: typing.Any, volume: volumes.Volume,
          found: dict[str, str]) -> bytes:
    """Make a volume of an image a root volume; returns its document.

    :param found: what is on it
    """
    loaded = _loaded(services, context, volume, found)
    cache.use(services.options.state_dir, loaded.reference)
    content = hollow.document(
        services.engine.inspect_image(loaded.reference))
    LOG.info('Volume %(volume)s gets the files of %(image)s',
             {'volume': volume.id, 'image': loaded.reference},
             instance=instance)
    with _source(services, instance.uuid, loaded.reference) as container_id:
        root.make(services.engine, volume.path, plans.root_path(
            services.options.state_dir, instance.uuid), container_id, content)
    return content


@contextlib.contextmanager
def _source(services: base.Services, instance_uuid: str, reference: str
            ) -> collections.abc.Iterator[str]:
    """A container of an image, which never starts; gives its id."""
    container_id = services.engine.create_container(
        names.source_name(instance_uuid), {
            # It must have one, and the image need not.
            'Image': reference, 'Cmd': ['/'],
            'Labels': names.source_labels(),
            'HostConfig': {'NetworkMode': 'none'}})
    try:
        yield container_id
    finally:
        try:
            services.engine.remove_container(container_id)
        except errors.EngineError:
            LOG.exception('A container is left until the server is deleted')


def _loaded(services: base.Services, context: typing.Any,
            volume: volumes.Volume, found: dict[str, str]) -> load.Image:
    """The image that a volume is to be made of, in the engine.

    One that was begun has lost what Cinder wrote, and Glance may have it.

    :raises nova.exception.InvalidVolume: it was not made of one; nothing on
        it is touched
    """
    metadata = cinder.API().get(context, volume.id).get(
        'volume_image_metadata') or {}
    if root.is_root(found):
        return _of_glance(services, context, volume, metadata)
    length, md5 = _length(metadata), metadata.get('checksum')
    digests = (root.digests(volume.path, length)
               if 0 < length <= root.size(volume.path) else ())
    if not digests or digests[0] != md5:
        raise exception.InvalidVolume(reason=_(
            'a container can boot from a volume that was made of a container '
            'image, and this one has %s') % root.described(
                volume.path, found))
    if 'docker_image_ref' in metadata:
        return _of_glance(services, context, volume, metadata)

    def downloaded(_request: source.Request
                   ) -> contextlib.AbstractContextManager[pipe.Pipe]:
        def write(_request: source.Request, data: pipe.Pipe) -> None:
            for piece in root.pieces(volume.path, length):
                data.write(piece)
        return source.downloaded(_request, write)

    request = _request(
        services, context, metadata.get('image_id') or volume.id, volume,
        environment.of_glance(metadata), size=length,
        container_format=metadata.get('container_format', ''),
        disk_format=metadata.get('disk_format', ''))
    with _fitting(volume):
        return load.ensure_from(request, downloaded,
                                names.volume_reference(digests[1]))


def _of_glance(services: base.Services, context: typing.Any,
               volume: volumes.Volume, metadata: volumes.Json
               ) -> load.Image:
    """The image by what Glance says of it, to the user who asks.

    :raises nova.exception.InvalidVolume: it is gone, or of somebody else
    """
    image_id = metadata.get('image_id')
    try:
        if not image_id:
            raise exception.ImageNotFound(image_id=image_id)
        image = services.image_api.get(context, image_id)
    except (exception.ImageNotFound, exception.ImageNotAuthorized) as error:
        raise exception.InvalidVolume(reason=_(
            'the image that it was made of is not there any more, and its '
            'first boot was not finished')) from error
    request = _request(
        services, context, image_id, volume,
        environment.of_glance(image.get('properties') or {}),
        **{key: image.get(key) for key in (
            'container_format', 'disk_format', 'size', 'checksum')})
    with _fitting(volume):
        return load.ensure(request)


def _request(services: base.Services, context: typing.Any, image_id: str,
             volume: volumes.Volume,
             properties: collections.abc.Mapping[str, str],
             **fields: typing.Any) -> source.Request:
    """An image that is wanted for a volume.

    :param fields: of nova.objects.ImageMeta
    """
    return source.Request(
        services.engine, services.image_api, context,
        objects.ImageMeta.from_dict({'id': image_id} | fields), properties,
        root.size(volume.path),
        registry_options=services.options.registries)


@contextlib.contextmanager
def _fitting(volume: volumes.Volume) -> collections.abc.Iterator[None]:
    """Tell of an image that is larger than its volume."""
    try:
        yield
    except exception.FlavorDiskSmallerThanImage as error:
        raise exception.InvalidVolume(reason=_(
            'it is smaller than its image, unpacked')) from error


def _length(metadata: volumes.Json) -> int:
    """Bytes of an image; 0 when that is not known. Its owner may edit it."""
    try:
        return int(metadata.get('size', 0))
    except ValueError:
        return 0
