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

"""What a source of images is, and the stream that most read.

The data flows Glance, or a registry, -> pipe -> what checks it -> engine; no
copy of it is kept on the way. Nova verifies the signature of an image at the
end of its download only: whoever checks the data must read to that end before
it sends what the engine needs to keep the image.
"""

import collections.abc
import contextlib
import dataclasses
import threading
import typing

import cryptography.exceptions
from cursive import exception as cursive_exception
from nova import exception
from nova import objects
from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.image import pipe
from nova_docker.image import registries

LOG = logging.getLogger(__name__)

#: Bytes that the download may be ahead of the engine.
_AHEAD = 4 << 20
#: Seconds without data after which a load is given up. A cold object store
#: may take minutes to begin.
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
class Request:
    """An image that is wanted in the engine, and for what.

    :ivar properties: its docker_* properties, without that prefix
    :ivar root_bytes: size of the flavor's root disk; 0 for no limit
    :ivar trusted_certs: the instance's nova.objects.TrustedCerts or None
    :ivar registry_options: what the operator says about registries
    :ivar pinned: private reference that the instance got for an image that is
        in a registry, this one or another
    """

    engine: client.Engine
    image_api: ImageAPI
    context: typing.Any
    image_meta: objects.ImageMeta
    properties: collections.abc.Mapping[str, str]
    root_bytes: int = 0
    trusted_certs: typing.Any = None
    registry_options: registries.Options = registries.Options()
    pinned: str | None = None


#: Puts the image into the engine under the given private reference, or raises:
#: tar.Refused for what is wrong with the image, archive.TooLarge, a Nova
#: exception or an EngineError. What it left under the reference is removed by
#: its caller then; anything else it must not leave. A new kind of image is
#: one such function and its line in :func:`nova_docker.image.load._source`.
Source = collections.abc.Callable[[Request, str], None]


def from_glance(request: Request, data: pipe.Pipe) -> None:
    """Write what Glance has of the image.

    :raises nova.exception.NovaException: what Nova raises, and
        CouldNotFetchImage for the rest
    """
    image_id = request.image_meta.id
    try:
        request.image_api.download(
            request.context, image_id, data=data,
            trusted_certs=request.trusted_certs)
    except cryptography.exceptions.InvalidSignature:
        raise exception.ImageUnacceptable(
            image_id=image_id,
            reason='its signature does not match') from None
    except (exception.NovaException, pipe.Abandoned,
            cursive_exception.SignatureVerificationError):
        raise
    except Exception as exc:
        LOG.exception('Download of image %s failed', image_id)
        raise exception.CouldNotFetchImage(image_id=image_id) from exc


@contextlib.contextmanager
def downloaded(request: Request,
               download: collections.abc.Callable[[Request, pipe.Pipe], None]
               = from_glance) -> collections.abc.Iterator[pipe.Pipe]:
    """What a download writes, for as long as the body runs.

    Reading raises what the download raises, and CouldNotFetchImage when
    nothing comes of it for long.
    """
    data = pipe.Pipe(_AHEAD, _STALL)
    # A daemon, as one that hangs must not keep nova-compute from ending.
    thread = threading.Thread(
        target=_download, daemon=True, args=(request, download, data),
        name=f'download-{request.image_meta.id}')
    thread.start()
    try:
        yield data
    except pipe.Stalled as exc:
        LOG.error('No data of image %(image)s came for %(time)d s',
                  {'image': request.image_meta.id, 'time': _STALL})
        raise exception.CouldNotFetchImage(
            image_id=request.image_meta.id) from exc
    finally:
        data.abandon()
        thread.join(_STOP)


def send(to: collections.abc.Callable[
        [collections.abc.Iterable[bytes]], None],
        pieces: collections.abc.Iterable[bytes]) -> None:
    """Give the pieces to a method of the engine; raise what was wrong.

    The request ends where something is wrong with the pieces, and what came
    until then must be an error that the engine answers. Were the request to
    break off instead, a containerd store would keep what it got for a day.
    """
    ending = _Ending(pieces)
    try:
        to(ending)
    except errors.EngineError:
        if ending.error is None:
            raise
    if ending.error is not None:
        raise ending.error


class _Ending:

    def __init__(self, pieces: collections.abc.Iterable[bytes]) -> None:
        self._pieces = pieces
        #: What was wrong, None as long as nothing was.
        self.error: Exception | None = None

    def __iter__(self) -> collections.abc.Iterator[bytes]:
        try:
            yield from self._pieces
        except Exception as exc:
            self.error = exc


def _download(request: Request,
              download: collections.abc.Callable[[Request, pipe.Pipe], None],
              data: pipe.Pipe) -> None:
    """Body of the thread that feeds the pipe; tells it how it ended."""
    failure: Exception | None = None
    try:
        # The log lines of this thread belong to the same request.
        request.context.update_store()
        download(request, data)
    except pipe.Abandoned:
        LOG.debug('Download of image %s was stopped', request.image_meta.id)
    except Exception as exc:
        failure = exc
    finally:
        data.finish(failure)
