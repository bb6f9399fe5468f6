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

"""Into the engine: a Glance image that containers can use.

What is said of the image in Glance decides how it gets into the engine: its
formats and its docker_* properties choose a source.
"""

import collections.abc
import contextlib
import dataclasses
import functools
import typing

from nova.compute import utils as compute_utils
from nova import exception
from nova import objects
from oslo_concurrency import lockutils
from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.image import archive
from nova_docker.image import cache
from nova_docker.image import layers
from nova_docker.image import remote
from nova_docker.image import rootfs
from nova_docker.image import source
from nova_docker.image import tar
from nova_docker.spec import names

LOG = logging.getLogger(__name__)

#: Gives the data of an image, for as long as the context is open.
Download = collections.abc.Callable[
    [source.Request], contextlib.AbstractContextManager[archive.Source]]


@dataclasses.dataclass(frozen=True)
class Image:
    """An image in the engine.

    :ivar reference: its private name and tag
    :ivar id: the engine's id of it, which depends on the image store
    :ivar size: bytes, as the engine counts them
    :ivar config: its default Cmd, Entrypoint, Env, User, WorkingDir, Labels,
        StopSignal, Healthcheck, ExposedPorts and Volumes
    :ivar in_registry: whether it is that of a registry, whose digest is in
        its reference
    """

    reference: str
    id: str
    size: int
    config: client.Json
    in_registry: bool


def ensure(request: source.Request) -> Image:
    """Make the image available in the engine, loading it when it is absent.

    A present image is used as it is, as Nova's other drivers use their cache;
    its data cannot have changed under the same id and checksum.

    :raises nova.exception.ImageUnacceptable: not a container image, or not an
        acceptable one
    :raises nova.exception.FlavorDiskSmallerThanImage: it is larger unpacked
        than the flavor's disk
    :raises nova.exception.ImageNotFound: Glance does not have it any more
    :raises nova.exception.CouldNotFetchImage: the download failed
    """
    with _refusals(request):
        load, reference = _in_registry(request) or (
            _source(request, source.downloaded), _reference(request))
    return _ensure(request, load, reference)


def ensure_from(request: source.Request, download: Download,
                reference: str) -> Image:
    """As :func:`ensure`, with data that is elsewhere than in Glance.

    :param download: gives the data of the image
    :param reference: private, of that data only
    """
    with _refusals(request):
        load = _source(request, download)
    return _ensure(request, load, reference)


def inspect(engine: client.Engine, reference: str,
            root_bytes: int) -> Image:
    """An image that is in the engine.

    :param root_bytes: size of the flavor's root disk; 0 for no limit
    :raises nova_docker.engine.errors.NotFound: it is not there
    :raises nova.exception.FlavorDiskSmallerThanImage: it is larger
    """
    found = engine.inspect_image(reference)
    if root_bytes and found['Size'] > root_bytes:
        raise exception.FlavorDiskSmallerThanImage(
            flavor_size=root_bytes, image_size=found['Size'])
    return Image(reference=reference, id=found['Id'], size=found['Size'],
                 config=found['Config'] or {},
                 in_registry=names.is_pulled(reference))


def _ensure(request: source.Request, load: source.Source,
            reference: str) -> Image:
    with lockutils.lock(f'nova-docker-{reference}'):
        with contextlib.suppress(errors.NotFound):
            return inspect(request.engine, reference, request.root_bytes)
        with _refusals(request), compute_utils.disk_ops_semaphore, _undone(
                request.engine, reference):
            load(request, reference)
            return inspect(request.engine, reference, request.root_bytes)


def _in_registry(request: source.Request
                 ) -> tuple[source.Source, str] | None:
    """The source and the private reference of an image in a registry.

    :raises nova_docker.image.tar.Refused: the image is not acceptable
    """
    where = remote.image_ref(request)
    if where is None:
        return None
    if _formats(request) != ('docker', 'raw'):
        raise tar.Refused('an image in a registry must have '
                          'container_format docker and disk_format raw')
    reference = remote.private_reference(request, where)
    download = functools.partial(remote.downloaded, where=where,
                                 private=reference)
    return functools.partial(_archive, download), reference


def _source(request: source.Request, download: Download) -> source.Source:
    """How the image gets into the engine.

    The formats decide. The properties of an instance are those of the image
    that it was made of, also when it is made again from a snapshot of it.

    :raises nova.exception.ImageUnacceptable: in no way
    """
    meta = request.image_meta
    formats = _formats(request)
    if _get(meta, 'size') == 0:
        raise exception.ImageUnacceptable(image_id=meta.id,
                                          reason='it has no data')
    if formats == ('docker', 'raw'):
        return functools.partial(_archive, download)
    if (formats == ('bare', 'raw')
            and request.properties.get('image_type') == 'rootfs'):
        return functools.partial(_root_filesystem, download)
    raise exception.ImageUnacceptable(
        image_id=meta.id,
        reason='it has the formats {}/{}; containers need docker/raw, or '
               'bare/raw and docker_image_type=rootfs'.format(*formats))


def _archive(download: Download, request: source.Request,
             reference: str) -> None:
    """The source of archives of ``docker save`` and OCI archives."""
    try:
        _rewritten(download, request, reference,
                   layers.present(request.engine))
    except archive.Absent:
        # Other images may have them, or somebody removed an image meanwhile.
        LOG.info('Image %s is sent once more, with all its layers',
                 request.image_meta.id)
        _rewritten(download, request, reference, frozenset())


def _rewritten(download: Download, request: source.Request, reference: str,
               present: frozenset[tuple[str, ...]]) -> None:
    """Send the archive, rewritten, without the layers that are present.

    :raises Absent: the engine needs one of those
    """
    with download(request) as data:
        rewriter = archive.Rewriter(
            data, reference, request.engine.version()['Arch'],
            request.root_bytes or None, present)
        try:
            source.send(request.engine.load_image, rewriter)
        except errors.BadRequest as exc:
            if rewriter.left_out:
                raise archive.Absent() from exc
            raise
    LOG.info('Loaded image %(image)s: %(facts)s; %(bytes)d bytes of layers '
             'were there',
             {'image': request.image_meta.id, 'facts': rewriter.facts,
              'bytes': rewriter.left_out})


def _root_filesystem(download: Download, request: source.Request,
                     reference: str) -> None:
    """The source of tar archives of root filesystems."""
    # Unlike a load, an import that breaks off leaves nothing in any store.
    platform = f'linux/{request.engine.version()["Arch"]}'
    with download(request) as data:
        pieces = rootfs.checked(data, request.root_bytes or None)
        try:
            request.engine.import_image(reference, platform, pieces)
        except errors.ServerError as exc:
            raise tar.Refused(
                f'the engine can not import the root filesystem: {exc}'
            ) from exc
    LOG.info('Imported image %s', request.image_meta.id)


def _formats(request: source.Request) -> tuple[str | None, str | None]:
    return (_get(request.image_meta, 'container_format'),
            _get(request.image_meta, 'disk_format'))


def _get(image_meta: objects.ImageMeta, field: str) -> typing.Any:
    """A field of the image, None when Nova did not say."""
    return (getattr(image_meta, field)
            if image_meta.obj_attr_is_set(field) else None)


def _reference(request: source.Request) -> str:
    """The private reference of the image.

    Nova keeps no checksum with an instance, so later in its life the image is
    looked for by its id alone; Glance may have deleted it by then.
    """
    image_meta = request.image_meta
    checksum = _get(image_meta, 'checksum')
    if checksum is not None:
        return names.image_reference(image_meta.id, checksum)
    prefix = f'{names.IMAGE_REPOSITORY}/{image_meta.id}:'
    for image in request.engine.list_images([prefix + '*']):
        for tag in image['RepoTags'] or ():
            if tag.startswith(prefix) and not names.is_pulled(tag):
                return str(tag)
    checksum = request.image_api.get(
        request.context, image_meta.id).get('checksum')
    return names.image_reference(image_meta.id, checksum)


@contextlib.contextmanager
def _refusals(request: source.Request) -> collections.abc.Iterator[None]:
    """Turn what is wrong with the image into Nova's exceptions."""
    try:
        yield
    except archive.TooLarge as exc:
        raise exception.FlavorDiskSmallerThanImage(
            flavor_size=request.root_bytes, image_size=exc.size) from exc
    except (tar.Refused, errors.BadRequest) as exc:
        raise exception.ImageUnacceptable(
            image_id=request.image_meta.id, reason=str(exc)) from exc


@contextlib.contextmanager
def _undone(engine: client.Engine, reference: str
            ) -> collections.abc.Iterator[None]:
    """Leave nothing under the reference when the body fails."""
    try:
        yield
    except Exception:
        cache.remove(engine, reference)
        raise
