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

"""Images in registries: those of which Glance only knows where they are.

The registry is read here and not by the engine, which would follow it to any
host, unpack without a limit and give the image a name of the tenant's choice.
What comes from it goes the way of an archive from Glance.

A tag is resolved once: the digest that it had is a part of the image's private
reference, and that is kept with the instance.
"""

import collections.abc
import contextlib
import hashlib

from nova import exception
from oslo_log import log as logging

from nova_docker.image import pipe
from nova_docker.image import pull
from nova_docker.image import registries
from nova_docker.image import registry
from nova_docker.image import source
from nova_docker.image import tar
from nova_docker.spec import names
from nova_docker.spec import reference

LOG = logging.getLogger(__name__)

#: The image property, and what it is called in Request.properties.
_PROPERTY = 'docker_image_ref'
_OF_INSTANCE = 'image_ref'


def image_ref(request: source.Request) -> str | None:
    """Where the image is; None when it is in Glance.

    An instance has the properties, maybe cut, of the image that it was made
    of. It may be made again of a snapshot, so Glance decides; but an instance
    that has its image pinned needs Glance no more.

    :raises nova.exception.ImageNotFound: Glance does not have it
    """
    text = request.properties.get(_OF_INSTANCE)
    if text is None or _pinned(request, text):
        return text
    image = request.image_api.get(request.context, request.image_meta.id)
    found: str | None = image['properties'].get(_PROPERTY)
    return found


def private_reference(request: source.Request, where: str) -> str:
    """The private reference of the image that is meant.

    It is the one that the instance has, else the one that this host has, else
    the one of what the tag is in the registry now.

    :param where: what :func:`image_ref` returned
    :raises nova_docker.image.tar.Refused: it is malformed or not allowed
    :raises nova.exception.CouldNotFetchImage: the registry can't say now
    """
    if pinned := _pinned(request, where):
        return pinned
    image = _parse(where)
    if request.trusted_certs is not None:
        raise tar.Refused('the signatures of images in registries can not be '
                          'verified with trusted certificates')
    with _trouble(request):
        registries.find(request.registry_options, image)
    image_id = request.image_meta.id
    if image.digest is None:
        present = _present(request, names.pulled_references(image_id, where))
        if len(present) == 1:
            return present[0]
    return names.pulled_reference(
        image_id, where, image.digest or _resolve(request, image))


@contextlib.contextmanager
def downloaded(request: source.Request, where: str, private: str
               ) -> collections.abc.Iterator[pipe.Pipe]:
    """The image as an archive, for as long as the body runs.

    :param where: what :func:`image_ref` returned
    :param private: what :func:`private_reference` returned
    """
    image = _parse(where)
    architecture = request.engine.version()['Arch']

    def download(request: source.Request, data: pipe.Pipe) -> None:
        with _client(request, image) as client:
            for piece in pull.pieces(
                    client, names.pulled_digest(private), architecture,
                    request.root_bytes or None):
                data.write(piece)

    with _trouble(request), source.downloaded(request, download) as data:
        yield data


def _resolve(request: source.Request, image: reference.Reference) -> str:
    """The digest of what a tag is in the registry now."""
    def download(request: source.Request, data: pipe.Pipe) -> None:
        with _client(request, image) as client:
            data.write(client.manifest(image.tag or ''))

    sha256 = hashlib.sha256()
    with _trouble(request), source.downloaded(request, download) as data:
        while piece := data.read(registry.MAX_MANIFEST):
            sha256.update(piece)
    return f'sha256:{sha256.hexdigest()}'


def _client(request: source.Request, image: reference.Reference
            ) -> contextlib.closing[registry.Client]:
    return contextlib.closing(registry.Client(
        registries.find(request.registry_options, image), image.repository))


@contextlib.contextmanager
def _trouble(request: source.Request) -> collections.abc.Iterator[None]:
    """Let Nova try other hosts after what may be better there, or later."""
    try:
        yield
    except registry.Unavailable as error:
        raise _failed(request, str(error)) from error
    except registries.Misconfigured as error:
        LOG.error('Images in registries can not be had: %s', error)
        raise _failed(request, 'the registry is not set up properly on the '
                      'compute host') from None


def _failed(request: source.Request, why: str) -> exception.CouldNotFetchImage:
    return exception.CouldNotFetchImage(
        f'Could not fetch image {request.image_meta.id}: {why}')


def _pinned(request: source.Request, text: str) -> str | None:
    """The reference that the instance has of this image at this place."""
    if request.pinned and request.pinned.startswith(
            names.pulled_references(request.image_meta.id, text)):
        return request.pinned
    return None


def _present(request: source.Request, prefix: str) -> list[str]:
    """The private references in the engine that begin with a prefix."""
    return [tag for image in request.engine.list_images([f'{prefix}*'])
            for tag in image['RepoTags'] or () if tag.startswith(prefix)]


def _parse(text: str) -> reference.Reference:
    try:
        return reference.parse(text)
    except ValueError as error:
        raise tar.Refused(str(error)) from None
