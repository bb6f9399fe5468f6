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

"""What Glance is told of an image: pure."""

import collections.abc

#: Architectures: Docker's names and Nova's. An image for 386 has none of
#: Nova's, since hosts of x86_64 run it too, and would not be chosen.
_ARCHITECTURES = {'amd64': 'x86_64', 'arm64': 'aarch64', 'arm': 'armv7l',
                  'ppc64le': 'ppc64le', 's390x': 's390x'}
_KNOWN = _ARCHITECTURES | {name: name for name in _ARCHITECTURES.values()}

_LABELS = 'org.opencontainers.image.'
#: The annotations of the OCI image specification that describe an image.
_KEPT = ('authors', 'base.digest', 'base.name', 'created', 'description',
         'documentation', 'licenses', 'revision', 'source', 'title', 'url',
         'vendor', 'version')
#: Nova keeps as much of a property with a server.
_MAX_VALUE = 255

_GiB = 1 << 30


def docker_architecture(name: str) -> str:
    """Docker's name of an architecture, of Nova's name or Docker's.

    :raises ValueError: it has no such name
    """
    for docker, nova in _ARCHITECTURES.items():
        if name in (docker, nova):
            return docker
    raise ValueError(name)


def of_image(architecture: str,
             labels: collections.abc.Mapping[str, str]
             ) -> dict[str, str]:
    """Properties that an image's configuration gives.

    :param architecture: in Docker's naming or Nova's
    """
    found = {name: _text(labels[name])
             for name in (_LABELS + key for key in _KEPT) if name in labels}
    if architecture in _KNOWN:
        found['hw_architecture'] = _KNOWN[architecture]
    return {name: value for name, value in found.items() if value}


def min_disk(size: int) -> int:
    """GiB that a flavor's disk must have for so many bytes."""
    return -(-size // _GiB)


def _text(value: str) -> str:
    """What Glance and its database take of a text.

    Glance refuses characters outside of the Basic Multilingual Plane.
    """
    plain = ''.join(char if char.isprintable() else ' ' for char in value
                    if char <= '\uffff')
    return ' '.join(plain.split())[:_MAX_VALUE]
