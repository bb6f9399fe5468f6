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

"""What the metadata of an image archive says. Pure.

Two layouts are read: that of ``docker save`` and ``skopeo docker-archive``
(manifest.json) and the OCI image layout (index.json). Everything here comes
from a tenant: wrong types, doubled keys and claims that the engine could read
in another way are refused.
"""

import collections
import collections.abc
import dataclasses
import json
import re
import typing

from nova_docker.image import tar
from nova_docker.spec import names

MANIFEST = 'manifest.json'
INDEX = 'index.json'
#: The names that mean something in one of the layouts.
METADATA = frozenset((MANIFEST, INDEX, 'oci-layout', 'repositories'))

#: Top directories, of which no root filesystem of a distribution lacks all.
ROOT = frozenset(('bin', 'dev', 'etc', 'lib', 'sbin', 'usr', 'var'))

#: Layers that every storage driver of the engine can stack.
MAX_LAYERS = 127
#: An image index may name an index that names the image.
_MAX_INDEX_DEPTH = 3

#: Architectures, in Docker's naming, whose programs run on another one.
_COMPATIBLE = {'amd64': ('386',)}
#: Most platforms that a refusal names.
_MAX_NAMED = 10

_ATTESTATION = 'vnd.docker.reference.type'
_DIGEST = re.compile(r'sha256:[0-9a-f]{64}')

_T = typing.TypeVar('_T')
_Members = collections.abc.Mapping[str, bytes]


@dataclasses.dataclass(frozen=True)
class Selection:
    """The names of the members that make up the one image."""

    config: str
    layers: list[str]


@dataclasses.dataclass(frozen=True)
class Config:
    """What the rewriter must know of an image configuration."""

    architecture: str
    os: str
    variant: str
    diff_ids: list[str]
    labels: dict[str, str]

    @property
    def platform(self) -> str:
        """As ``docker build --platform`` takes it: linux/arm64/v8."""
        return '/'.join(filter(None, (self.os, self.architecture,
                                      self.variant)))

    def rank(self, architecture: str | None) -> tuple[int, str] | None:
        """How well it fits a host, the lowest best; None, not at all.

        The host's own architecture comes first, and the variant that asks
        least of the processor.

        :param architecture: the host's; None for any that there is
        """
        own = architecture or self.architecture
        fitting = (own, *_COMPATIBLE.get(own, ()))
        if self.os != 'linux' or self.architecture not in fitting:
            return None
        return fitting.index(self.architecture), self.variant


def select(members: _Members, architecture: str | None) -> Selection:
    """Find the one image of an archive, or the one of several platforms.

    :param members: the contents of the archive's small files by name
    :param architecture: the host's, in Docker's naming (amd64); None for any
    :raises Refused: no image, several, or none for the host
    """
    if MANIFEST in members:
        return _docker(parse(MANIFEST, members[MANIFEST]))
    if INDEX in members:
        return _oci(members, architecture)
    raise tar.Refused(
        'it has neither manifest.json nor index.json, as of "docker save"; '
        'a root filesystem needs bare/raw and docker_image_type=rootfs')


def read_config(data: bytes) -> Config:
    """Read an image configuration.

    The engine's JSON decoder ignores the case of keys, so a second spelling
    of a key could show it other layers than those that are verified here.

    :raises Refused: it cannot be read, or in two ways
    """
    what = 'the image configuration'
    config = typed(parse(what, data), dict, what)
    _refuse_spellings(config, ('architecture', 'os', 'variant', 'rootfs',
                               'config'))
    rootfs = field(config, 'rootfs', dict, what)
    _refuse_spellings(rootfs, ('diff_ids',))
    diff_ids = rootfs.get('diff_ids') or []
    for diff_id in typed(diff_ids, list, what):
        if not _DIGEST.fullmatch(typed(diff_id, str, what)):
            raise tar.Refused(f'{what} has an odd diff_id')
    return Config(architecture=field(config, 'architecture', str, what),
                  os=field(config, 'os', str, what),
                  variant=typed(config.get('variant') or '', str, what),
                  diff_ids=diff_ids, labels=_labels(config))


def without_volumes(data: bytes) -> bytes:
    """An image configuration that declares no volumes.

    What is written to a volume that the engine makes for an image is beside
    the container's files: not in a snapshot, nor in what is shelved, migrated
    or rescued, and not bounded by the flavor's disk. To a server it would be
    lost; without the declaration it is a directory as any other. Which ones
    there should be is in a label, for the image may not have them.

    :param data: that :func:`read_config` has nothing against
    """
    config = typing.cast(dict[str, typing.Any], json.loads(data))
    section = config.get('config')
    if not isinstance(section, dict):
        return data
    # The engine's JSON decoder ignores the case of keys.
    volumes = [key for key in section if key.casefold() == 'volumes']
    if not any(section[key] for key in volumes):
        return data
    paths = [path for key in volumes for path in section.pop(key) or ()]
    section['Labels'] = _labels(config) | {
        names.LABEL_VOLUMES: json.dumps(paths)}
    return json.dumps(config).encode()


def _labels(config: dict[str, typing.Any]) -> dict[str, str]:
    """The image's labels, as far as they have the expected form."""
    section = config.get('config')
    labels = section.get('Labels') if isinstance(section, dict) else None
    if not isinstance(labels, dict):
        return {}
    return {key: value for key, value in labels.items()
            if isinstance(value, str)}


def _docker(document: object) -> Selection:
    images = typed(document, list, MANIFEST)
    if len(images) != 1:
        raise tar.Refused(f'the image archive holds {len(images)} images, '
                          'not one')
    image = typed(images[0], dict, MANIFEST)
    layers = typed(image.get('Layers') or [], list, MANIFEST)
    return Selection(config=field(image, 'Config', str, MANIFEST),
                     layers=[typed(name, str, MANIFEST) for name in layers])


def _oci(members: _Members, architecture: str | None) -> Selection:
    # What an index says of a platform is a claim; the engine goes by the
    # configuration.
    images = list(_images(members, INDEX, 0, set()))
    if not images:
        raise tar.Refused(f'the image archive lacks what {INDEX} names')
    if len(images) == 1:
        return images[0]
    fitting = collections.defaultdict(list)
    platforms = set()
    for image in images:
        if config := _config_of(members, image):
            platforms.add(config.platform)
            rank = config.rank(architecture)
            if rank is not None:
                fitting[rank].append(image)
    if not fitting:
        named = ', '.join(sorted(platforms)[:_MAX_NAMED]) or 'nothing'
        raise tar.Refused('the image archive has no image for linux/'
                          f'{architecture or "*"}, but for {named}')
    best = fitting[min(fitting)]
    if len(best) > 1:
        raise tar.Refused(f'the image archive holds {len(best)} images that '
                          'fit, not one')
    return best[0]


def _images(members: _Members, name: str, depth: int, seen: set[str]
            ) -> collections.abc.Iterator[Selection]:
    """The images in the archive that an index leads to, each once.

    The archive of one platform may keep an index that names all of them.
    """
    seen.add(name)
    document = typed(parse(name, members[name]), dict, name)
    if 'manifests' not in document:
        layers = field(document, 'layers', list, name)
        yield Selection(config=_blob(field(document, 'config', dict, name)),
                        layers=[_blob(layer) for layer in layers])
        return
    if depth == _MAX_INDEX_DEPTH:
        raise tar.Refused('the image archive nests its indexes too deeply')
    for image in field(document, 'manifests', list, name):
        if is_attestation(typed(image, dict, name)):
            continue
        inner = _blob(image)
        if inner in members and inner not in seen:
            yield from _images(members, inner, depth + 1, seen)


def _config_of(members: _Members, image: Selection) -> Config | None:
    """The configuration; None when it is absent or not that of an image."""
    try:
        return read_config(members[image.config])
    except (KeyError, tar.Refused):
        return None


def is_attestation(descriptor: dict[str, typing.Any]) -> bool:
    """Whether it is what build tools say about an image, and not an image."""
    annotations = descriptor.get('annotations') or {}
    return _ATTESTATION in typed(annotations, dict, 'an index')


def digest(descriptor: dict[str, typing.Any], what: str) -> str:
    """The digest in a descriptor, ``sha256:`` and 64 hexadecimal digits."""
    found = field(descriptor, 'digest', str, what)
    if not _DIGEST.fullmatch(found):
        raise tar.Refused(f'{what} has an odd digest')
    return found


def _blob(descriptor: object) -> str:
    what = 'a descriptor in the image archive'
    return 'blobs/' + digest(typed(descriptor, dict, what),
                             what).replace(':', '/')


def parse(what: str, data: bytes) -> object:
    """JSON that everybody reads in the same way."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique,
                          parse_constant=_no_constant)
    except tar.Refused:
        raise
    except (ValueError, RecursionError) as exc:
        raise tar.Refused(f'{what} is not valid JSON') from exc


def _unique(pairs: list[tuple[str, typing.Any]]) -> dict[str, typing.Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise tar.Refused('the metadata of the image archive has a key twice')
    return result


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _refuse_spellings(document: dict[str, typing.Any],
                      known: collections.abc.Sequence[str]) -> None:
    for key in document:
        if key not in known and key.casefold() in known:
            raise tar.Refused('the image configuration has an odd key: '
                              f'{key!r}')


def field(document: dict[str, typing.Any], key: str, kind: type[_T],
          what: str) -> _T:
    """The value of a key, which is of the given type."""
    return typed(document.get(key), kind, what)


def typed(value: object, kind: type[_T], what: str) -> _T:
    """The value, which is of the given type."""
    if not isinstance(value, kind):
        raise tar.Refused(f'{what} is not of the expected form')
    return value
