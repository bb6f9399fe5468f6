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

"""From Glance into the engine: a Glance image that containers can use.

The data flows Glance -> pipe -> rewriter -> engine; no copy of it is kept on
the way. Nova verifies the signature of an image at the end of its download
only; the rewriter reads to that end before it writes the manifest, without
which the engine keeps nothing.
"""

import collections.abc
import contextlib
import dataclasses
import threading
import typing

import cryptography.exceptions
from cursive import exception as cursive_exception
from nova.compute import utils as compute_utils
from nova import exception
from nova import objects
from oslo_concurrency import lockutils
from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.image import archive
from nova_docker.image import pipe
from nova_docker.spec import names

LOG = logging.getLogger(__name__)

#: Bytes that the download may be ahead of the engine.
_AHEAD = 4 << 20
#: Seconds without data from Glance after which a load is given up. A cold
#: object store may take minutes to begin.
_STALL = 600.0
#: Seconds to wait for a download that was told to stop.
_STOP = 30.0


class ImageAPI(typing.Protocol):
    """The part of nova.image.glance.API that is used here."""

    def get(self, context: typing.Any, id_or_uri: str) -> typing.Any:
        """Glance's description of an image as a dict."""

    def download(self, context: typing.Any, id_or_uri: str, *,
                 data: typing.Any, trusted_certs: typing.Any) -> typing.Any:
        """Write the image's data to a file object."""


@dataclasses.dataclass(frozen=True)
class Image:
    """An image in the engine.

    :ivar reference: its private name and tag
    :ivar id: the engine's id of it, which depends on the image store
    :ivar size: bytes, as the engine counts them
    :ivar config: its default Cmd, Entrypoint, Env, User, WorkingDir, Labels,
        StopSignal, Healthcheck, ExposedPorts and Volumes
    """

    reference: str
    id: str
    size: int
    config: client.Json


def ensure(engine: client.Engine, image_api: ImageAPI, context: typing.Any,
           image_meta: objects.ImageMeta, root_bytes: int,
           trusted_certs: typing.Any = None) -> Image:
    """Make the image available in the engine, loading it when it is absent.

    A present image is used as it is, as Nova's other drivers use their cache;
    its data cannot have changed under the same id and checksum.

    :param root_bytes: size of the flavor's root disk; 0 for no limit
    :param trusted_certs: the instance's nova.objects.TrustedCerts or None
    :raises nova.exception.ImageUnacceptable: not a container image, or not an
        acceptable one
    :raises nova.exception.FlavorDiskSmallerThanImage: it is larger unpacked
        than the flavor's disk
    :raises nova.exception.ImageNotFound: Glance does not have it any more
    :raises nova.exception.CouldNotFetchImage: the download failed
    """
    _check_format(image_meta)
    reference = _reference(engine, image_api, context, image_meta)
    with lockutils.lock(f'nova-docker-{reference}'):
        with contextlib.suppress(errors.NotFound):
            return _inspect(engine, reference, root_bytes)
        with _refusals(image_meta.id, root_bytes):
            with compute_utils.disk_ops_semaphore, _undone(engine, reference):
                _load(engine, image_api, context, image_meta.id, reference,
                      root_bytes, trusted_certs)
                return _inspect(engine, reference, root_bytes)


def _check_format(image_meta: objects.ImageMeta) -> None:
    formats = (_get(image_meta, 'disk_format'),
               _get(image_meta, 'container_format'))
    if formats != ('raw', 'docker'):
        raise exception.ImageUnacceptable(
            image_id=image_meta.id,
            reason='this host runs containers: the image must have '
                   'disk_format raw and container_format docker, not '
                   '{} and {}'.format(*formats))
    if _get(image_meta, 'size') == 0:
        raise exception.ImageUnacceptable(image_id=image_meta.id,
                                          reason='it has no data')


def _get(image_meta: objects.ImageMeta, field: str) -> typing.Any:
    """A field of the image, None when Nova did not say."""
    return (getattr(image_meta, field)
            if image_meta.obj_attr_is_set(field) else None)


def _reference(engine: client.Engine, image_api: ImageAPI,
               context: typing.Any, image_meta: objects.ImageMeta) -> str:
    """The private reference of the image.

    Nova keeps no checksum with an instance, so later in its life the image is
    looked for by its id alone; Glance may have deleted it by then.
    """
    checksum = _get(image_meta, 'checksum')
    if checksum is not None:
        return names.image_reference(image_meta.id, checksum)
    prefix = f'{names.IMAGE_REPOSITORY}/{image_meta.id}:'
    for image in engine.list_images([prefix + '*']):
        for tag in image['RepoTags'] or ():
            if tag.startswith(prefix):
                return str(tag)
    checksum = image_api.get(context, image_meta.id).get('checksum')
    return names.image_reference(image_meta.id, checksum)


def _inspect(engine: client.Engine, reference: str,
             root_bytes: int) -> Image:
    found = engine.inspect_image(reference)
    if root_bytes and found['Size'] > root_bytes:
        raise exception.FlavorDiskSmallerThanImage(
            flavor_size=root_bytes, image_size=found['Size'])
    return Image(reference=reference, id=found['Id'], size=found['Size'],
                 config=found['Config'] or {})


@contextlib.contextmanager
def _refusals(image_id: str, root_bytes: int
              ) -> collections.abc.Iterator[None]:
    """Turn what is wrong with the image into Nova's exceptions."""
    try:
        yield
    except archive.TooLarge as exc:
        raise exception.FlavorDiskSmallerThanImage(
            flavor_size=root_bytes, image_size=exc.size) from exc
    except (archive.Refused, errors.BadRequest) as exc:
        raise exception.ImageUnacceptable(
            image_id=image_id, reason=str(exc)) from exc
    except pipe.Stalled as exc:
        LOG.error('Glance sent no data of image %(image)s for %(time)d s',
                  {'image': image_id, 'time': _STALL})
        raise exception.CouldNotFetchImage(image_id=image_id) from exc


@contextlib.contextmanager
def _undone(engine: client.Engine, reference: str
            ) -> collections.abc.Iterator[None]:
    """Leave nothing under the reference when the body fails."""
    try:
        yield
    except Exception:
        try:
            engine.remove_image(reference)
        except errors.NotFound:
            pass
        except errors.EngineError as exc:
            LOG.warning('Image %(reference)s may be left in the engine: '
                        '%(error)s', {'reference': reference, 'error': exc})
        raise


def _load(engine: client.Engine, image_api: ImageAPI, context: typing.Any,
          image_id: str, reference: str, root_bytes: int,
          trusted_certs: typing.Any) -> None:
    data = pipe.Pipe(_AHEAD, _STALL)
    rewriter = archive.Rewriter(data, reference,
                                architecture=engine.version()['Arch'],
                                limit=root_bytes or None)
    # A daemon, as a Glance that hangs must not keep nova-compute from ending.
    download = threading.Thread(
        target=_download, daemon=True, name=f'download-{image_id}',
        args=(image_api, context, image_id, data, trusted_certs))
    download.start()
    pieces = _Ending(rewriter)
    try:
        engine.load_image(pieces)
    except errors.EngineError:
        if pieces.error is None:
            raise
    finally:
        data.abandon()
        download.join(_STOP)
    if pieces.error is not None:
        raise pieces.error
    LOG.info('Loaded image %(image)s: %(facts)s',
             {'image': image_id, 'facts': rewriter.facts})


class _Ending:
    """The rewritten archive, which ends where something is wrong with it.

    An archive without its manifest is an error that the engine answers. Were
    the request to break off instead, a containerd store would keep what it
    got for a day.
    """

    def __init__(self, pieces: collections.abc.Iterable[bytes]) -> None:
        self._pieces = pieces
        #: What was wrong, None as long as nothing was.
        self.error: Exception | None = None

    def __iter__(self) -> collections.abc.Iterator[bytes]:
        try:
            yield from self._pieces
        except Exception as exc:
            self.error = exc


def _download(image_api: ImageAPI, context: typing.Any, image_id: str,
              data: pipe.Pipe, trusted_certs: typing.Any) -> None:
    """Body of the thread that feeds the pipe; tells it how it ended."""
    failure: Exception | None = exception.CouldNotFetchImage(
        image_id=image_id)
    try:
        # The log lines of this thread belong to the same request.
        context.update_store()
        image_api.download(context, image_id, data=data,
                           trusted_certs=trusted_certs)
        failure = None
    except pipe.Abandoned:
        LOG.debug('Download of image %s was stopped', image_id)
    except cryptography.exceptions.InvalidSignature:
        failure = exception.ImageUnacceptable(
            image_id=image_id, reason='its signature does not match')
    except (exception.NovaException,
            cursive_exception.SignatureVerificationError) as exc:
        failure = exc
    except Exception:
        LOG.exception('Download of image %s failed', image_id)
    finally:
        data.finish(failure)
