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

"""An image in a registry as the stream of an OCI archive.

It is no other archive than a tenant may have put into Glance, and goes the
same way: through the rewriter.
"""

import collections.abc
import json

from nova_docker.image import archive
from nova_docker.image import distribution
from nova_docker.image import manifest
from nova_docker.image import registry
from nova_docker.image import tar

#: An index may name an index that names the image.
_MAX_INDEX_DEPTH = 3
#: Largest image configuration, in bytes: that of the rewriter.
_MAX_CONFIG = 4 << 20


def pieces(client: registry.Client, digest: str, architecture: str,
           limit: int | None) -> collections.abc.Iterator[bytes]:
    """Yield the archive.

    The configuration comes before the layers, so that what it says of them is
    known first. A layer has the size that the manifest says, or it is an
    error.

    :param digest: of the manifest, or of an index of several platforms
    :param architecture: the host's, in Docker's naming (amd64)
    :param limit: most bytes that the layers may have; None for any
    :raises nova_docker.image.tar.Refused: the image is not acceptable
    :raises nova_docker.image.registry.Unavailable: it cannot be had now
    """
    data = client.manifest(digest)
    for _ in range(_MAX_INDEX_DEPTH):
        chosen = distribution.choose(data, architecture)
        if chosen is None:
            break
        digest = chosen.digest
        data = client.manifest(digest)
    image = distribution.read(data)
    if image.config.size > _MAX_CONFIG:
        raise tar.Refused('the image configuration is too large')
    size = sum(layer.size for layer in image.layers)
    if limit is not None and size > limit:
        raise archive.TooLarge(size)
    yield archive.member(manifest.INDEX, json.dumps({
        'schemaVersion': 2,
        'manifests': [{'digest': digest, 'size': len(data)}]}).encode())
    yield archive.member(_name(digest), data)
    for blob in (image.config, *image.layers):
        yield archive.header(_name(blob.digest), blob.size)
        yield from client.blob(blob.digest, blob.size)
        yield archive.padding(blob.size)
    yield bytes(2 * tar.BLOCK)


def _name(digest: str) -> str:
    return 'blobs/' + digest.replace(':', '/')
