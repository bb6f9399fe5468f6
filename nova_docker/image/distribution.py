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

"""What the documents of a registry say: manifests and indexes. Pure.

The formats are those of the OCI and of Docker (schema 2), which differ in
their media types only. Other than in an archive, not all of the image is at
hand when its platform is chosen, so the index is believed; the configuration,
which the rewriter looks at, has the last word.
"""

import collections.abc
import dataclasses
import typing

from nova_docker.image import manifest
from nova_docker.image import tar

_MANIFEST = 'the manifest in the registry'
_INDEX = 'the index in the registry'
#: Media types of the configuration of what is an image; others are charts...
_CONFIGS = ('application/vnd.oci.image.config.v1+json',
            'application/vnd.docker.container.image.v1+json')
_SIZE_LIMIT = 1 << 63
#: Most platforms that a refusal names.
_MAX_NAMED = 20
#: Rank of what an index says nothing of: it may fit.
_UNKNOWN = (99, '')


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """A blob or a manifest: ``sha256:...`` and its size in bytes."""

    digest: str
    size: int


@dataclasses.dataclass(frozen=True)
class Image:
    """The blobs of an image; the layers from the bottom, each once."""

    config: Descriptor
    layers: list[Descriptor]


def choose(data: bytes, architecture: str) -> Descriptor | None:
    """The manifest or index that an index has for a host.

    Of several, the first of those that fit best, as the engine does.

    :param architecture: the host's, in Docker's naming (amd64)
    :returns: None when the data is no index
    :raises nova_docker.image.tar.Refused: none fits
    """
    document = _document(data, _INDEX)
    if 'manifests' not in document:
        return None
    if 'layers' in document or 'config' in document:
        raise tar.Refused(f'{_INDEX} is a manifest too')
    best: dict[tuple[int, str], Descriptor] = {}
    platforms = set()
    for entry in manifest.field(document, 'manifests', list, _INDEX):
        if manifest.is_attestation(manifest.typed(entry, dict, _INDEX)):
            continue
        rank: tuple[int, str] | None = _UNKNOWN
        if 'platform' in entry:
            platform = _platform(entry)
            platforms.add(platform.platform)
            rank = platform.rank(architecture)
        if rank is not None:
            best.setdefault(rank, _descriptor(entry, _INDEX))
    if not best:
        named = ', '.join(sorted(platforms)[:_MAX_NAMED]) or 'nothing'
        raise tar.Refused('the registry has the image not for '
                          f'linux/{architecture}, but for {named}')
    return best[min(best)]


def read(data: bytes) -> Image:
    """Read the manifest of an image.

    :raises nova_docker.image.tar.Refused: it is none, or of no image
    """
    document = _document(data, _MANIFEST)
    if document.get('schemaVersion') != 2:
        raise tar.Refused(f'{_MANIFEST} is in a format that is not supported '
                          '(schema 1); push the image with a newer tool')
    config = manifest.field(document, 'config', dict, _MANIFEST)
    kind = config.get('mediaType') or _CONFIGS[0]
    if kind not in _CONFIGS:
        raise tar.Refused('what is in the registry is no container image but '
                          f'{str(kind)[:80]}')
    layers = [_descriptor(layer, _MANIFEST) for layer in manifest.field(
        document, 'layers', list, _MANIFEST)]
    if len(layers) > manifest.MAX_LAYERS:
        raise tar.Refused(f'the image has {len(layers)} layers, more than '
                          f'{manifest.MAX_LAYERS}')
    return Image(_descriptor(config, _MANIFEST), list(dict.fromkeys(layers)))


def _document(data: bytes, what: str) -> dict[str, typing.Any]:
    return manifest.typed(manifest.parse(what, data), dict, what)


def _platform(entry: collections.abc.Mapping[str, typing.Any]
              ) -> manifest.Config:
    """What the index says that it is for, as a configuration says it."""
    platform = manifest.typed(entry.get('platform') or {}, dict, _INDEX)

    def part(key: str) -> str:
        return manifest.typed(platform.get(key) or '', str, _INDEX)

    return manifest.Config(
        architecture=part('architecture'), os=part('os'),
        variant=part('variant'), diff_ids=[], labels={})


def _descriptor(document: object, what: str) -> Descriptor:
    entry = manifest.typed(document, dict, what)
    size = manifest.field(entry, 'size', int, what)
    if isinstance(size, bool) or not 0 <= size < _SIZE_LIMIT:
        raise tar.Refused(f'{what} has an odd size')
    return Descriptor(manifest.digest(entry, what), size)
