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

"""References of images in registries, as users write them."""

import dataclasses
import re
import typing

#: Docker Hub by the name that references have for it.
DOCKER_HUB = 'docker.io'

_LATEST = 'latest'
#: Longest registry and repository together.
_MAX_NAME = 255
_HOST = re.compile(
    r'(?P<name>[a-z0-9]+(?:(?:\.|-+)[a-z0-9]+)*|\[[0-9a-f:.]+\])'
    r'(?::(?P<port>[0-9]{1,5}))?')
_COMPONENT = r'[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
_REPOSITORY = re.compile(f'{_COMPONENT}(?:/{_COMPONENT})*')
_TAG = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}')
_DIGEST = re.compile(r'sha256:[0-9a-f]{64}')


@dataclasses.dataclass(frozen=True)
class Reference:
    """An image in a registry.

    :ivar registry: host name or address, with a port unless it is 443
    :ivar repository: path of the image in the registry
    :ivar tag: meaningless where there is a digest
    :ivar digest: of the manifest or index, ``sha256:...``; None if it is the
        registry that says what the tag is now
    """

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """The registry and the repository."""
        return f'{self.registry}/{self.repository}'

    def __str__(self) -> str:
        return (self.name + (f':{self.tag}' if self.tag else '')
                + (f'@{self.digest}' if self.digest else ''))


def parse(text: str) -> Reference:
    """Read ``registry/repository[:tag][@sha256:digest]``.

    Source: https://github.com/distribution/reference, but for the registry,
    which must be named.

    :raises ValueError: it is something else; says what is wrong
    """
    rest, at, digest = text.partition('@')
    if at and not _DIGEST.fullmatch(digest):
        raise _wrong(text, 'a digest is sha256: and 64 hexadecimal digits')
    registry, slash, path = rest.partition('/')
    if not slash or not _is_registry(registry):
        raise _wrong(text, 'it must begin with a registry in lower case, as '
                           f'in {DOCKER_HUB}/library/nginx:1.27')
    repository, colon, tag = path.partition(':')
    if not _REPOSITORY.fullmatch(repository):
        raise _wrong(text, 'the path must be in lower case, as in '
                           f'{DOCKER_HUB}/library/nginx:1.27')
    if colon and not _TAG.fullmatch(tag):
        raise _wrong(text, 'the tag is malformed')
    if registry == DOCKER_HUB and '/' not in repository:
        repository = f'library/{repository}'
    if len(registry) + 1 + len(repository) > _MAX_NAME:
        raise _wrong(text, f'the name is longer than {_MAX_NAME} characters')
    return Reference(registry, repository,
                     tag or (None if digest else _LATEST), digest or None)


def _is_registry(text: str) -> bool:
    """Whether the first part of a name can't be a part of a path."""
    try:
        host(text)
    except ValueError:
        return False
    return text == 'localhost' or '.' in text or ':' in text


def _wrong(text: str, why: str) -> ValueError:
    return ValueError(
        f'docker_image_ref={text[:100]!r} is no image in a registry: {why}')


class Host(typing.NamedTuple):
    """A host and its port."""

    name: str
    port: int


def host(text: str) -> Host:
    """Read ``host[:port]``; without a port it is that of HTTPS.

    :raises ValueError: it is something else
    """
    found = _HOST.fullmatch(text)
    port = int(found['port'] or 443) if found else 0
    if not found or not 0 < port < 1 << 16:
        raise ValueError(f'{text!r} is no host with or without a port')
    return Host(found['name'].strip('[]'), port)
