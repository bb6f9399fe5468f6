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

"""A client of one repository in a registry: its manifests and blobs.

It speaks the OCI distribution API, over HTTPS only, with the hosts that the
operator named and no others, wherever the registry sends it. What comes back
is bounded in size and time, and has the digest that was asked for.

Source: https://github.com/opencontainers/distribution-spec (1.1), and for
tokens https://distribution.github.io/distribution/spec/auth/token/.
"""

import base64
import collections.abc
import contextlib
import hashlib
import json
import os
import ssl
import time
import typing
import urllib.parse
import urllib.request

from oslo_log import log as logging
import urllib3
import urllib3.exceptions

from nova_docker.image import registries
from nova_docker.image import tar
from nova_docker.spec import reference

LOG = logging.getLogger(__name__)

#: Largest manifest or index, in bytes: what registries take at most.
MAX_MANIFEST = 4 << 20

_ACCEPT = ', '.join((
    'application/vnd.oci.image.index.v1+json',
    'application/vnd.docker.distribution.manifest.list.v2+json',
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.docker.distribution.manifest.v2+json'))
_MAX_TOKEN = 1 << 20
_MAX_REDIRECTS = 5
_TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
#: A transfer that took the seconds and had fewer bytes in each of them is
#: given up.
_SLOW_AFTER = 60.0
_SLOWEST = 64 << 10
_CHUNK = 256 << 10
#: Statuses below 500 that may be others later.
_PASSING = (408, 425, 429)


class Unavailable(Exception):
    """The registry cannot serve now; the text is for the tenant."""


class Client:
    """One repository, for one thread.

    The texts of all that it raises are for the tenant: they name the registry
    and no credentials, no URL and no other host.
    """

    def __init__(self, registry: registries.Registry,
                 repository: str) -> None:
        """Prepare; nothing is sent."""
        self._registry = registry
        self._repository = repository
        self._authorization = (
            f'Bearer {registry.token}' if registry.token else None)
        self._pools = _Pools(registry)

    def close(self) -> None:
        """Close the connections."""
        self._pools.clear()

    def manifest(self, name: str) -> bytes:
        """A manifest or an index.

        :param name: tag or digest
        :raises nova_docker.image.tar.Refused: it is not there, or another one
        :raises Unavailable: it cannot be had now
        """
        digest = name if ':' in name else None
        return b''.join(self._verified(
            self._get('manifests', name, _ACCEPT), name, digest, None,
            MAX_MANIFEST))

    def blob(self, digest: str, size: int
             ) -> collections.abc.Iterator[bytes]:
        """Yield the pieces of a blob; what is wrong may be known at its end.

        :param size: bytes that it has
        :raises nova_docker.image.tar.Refused: it is not there, or another one
        :raises Unavailable: it cannot be had now
        """
        return self._verified(self._get('blobs', digest, '*/*'), digest,
                              digest, size, size)

    def _verified(self, pieces: collections.abc.Iterable[bytes], name: str,
                  digest: str | None, size: int | None, limit: int
                  ) -> collections.abc.Iterator[bytes]:
        sha256 = hashlib.sha256()
        count = 0
        for piece in pieces:
            count += len(piece)
            if count > limit:
                raise self._refused(f'sends more than {limit} bytes of '
                                    f'{name}')
            sha256.update(piece)
            yield piece
        if size is not None and count < size:
            raise self._unavailable(f'sent {count} of {size} bytes of {name}')
        if digest is not None and digest != f'sha256:{sha256.hexdigest()}':
            raise self._refused(f'sent something else than {digest}')

    def _get(self, kind: str, name: str, accept: str
             ) -> collections.abc.Iterator[bytes]:
        """Yield the pieces of the body at a path of the repository."""
        url = f'{self._registry.url}/v2/{self._repository}/{kind}/{name}'
        with self._translated():
            response = self._send(url, self._authorization, accept)
            if response.status == 401 and not self._registry.token:
                response.close()
                self._authorization = self._authorize(response)
                response = self._send(url, self._authorization, accept)
            with response:
                self._check_status(response, f'{self._repository}, {name}')
                yield from self._pieces(response)

    def _send(self, url: str, authorization: str | None, accept: str
              ) -> urllib3.BaseHTTPResponse:
        """A GET whose redirects are followed, with the body yet to be read.

        Not by urllib3, nor with requests, which read the bodies of redirects,
        of any length.

        :param authorization: for the host of the URL and no other
        """
        for _ in range(_MAX_REDIRECTS + 1):
            if not url.startswith('https://'):
                raise self._refused('refers to no HTTPS address')
            headers = {'Accept': accept, 'Accept-Encoding': 'identity',
                       'User-Agent': 'nova-docker'}
            if authorization is not None:
                headers['Authorization'] = authorization
            response = self._pools.request(
                'GET', url, headers=headers, timeout=_TIMEOUT, retries=False,
                redirect=False, preload_content=False, decode_content=False)
            location = response.get_redirect_location()
            if not location:
                return response
            response.close()
            try:
                target = urllib.parse.urljoin(url, location)
                if (urllib.parse.urlsplit(target).netloc
                        != urllib.parse.urlsplit(url).netloc):
                    authorization = None
            except ValueError:
                raise self._refused('refers to no proper address') from None
            url = target
        raise self._refused('redirects without end')

    def _authorize(self, response: urllib3.BaseHTTPResponse) -> str:
        """The header that answers the challenge of a 401."""
        basic = self._basic()
        for challenge in response.headers.getlist('WWW-Authenticate'):
            scheme, _, text = challenge.partition(' ')
            if scheme.lower() == 'bearer':
                return 'Bearer ' + self._token(text, basic)
            if scheme.lower() == 'basic' and basic is not None:
                return basic
        raise self._refused('wants credentials that this cloud does not have')

    def _basic(self) -> str | None:
        registry = self._registry
        if registry.username is None or registry.password is None:
            return None
        pair = f'{registry.username}:{registry.password}'.encode()
        return 'Basic ' + base64.b64encode(pair).decode()

    def _token(self, challenge: str, basic: str | None) -> str:
        """A token to pull, from the server that a challenge names."""
        try:
            parameters = urllib.request.parse_keqv_list(
                urllib.request.parse_http_list(challenge))
        except (ValueError, IndexError):
            raise self._refused('asks for a token in an odd way') from None
        realm = parameters.get('realm', '')
        query = urllib.parse.urlencode({
            'scope': f'repository:{self._repository}:pull',
            'service': parameters.get('service', '')})
        with self._send(f'{realm}{"&" if "?" in realm else "?"}{query}',
                        basic, 'application/json') as response:
            self._check_status(response, 'a token')
            data = b''.join(self._verified(
                self._pieces(response), 'a token', None, None, _MAX_TOKEN))
        try:
            answer = json.loads(data)
            token = str(answer.get('token') or answer['access_token'])
        except (ValueError, RecursionError, AttributeError, LookupError):
            token = ''
        if not registries.TOKEN.fullmatch(token):
            raise self._refused('gives no token')
        return token

    def _check_status(self, response: urllib3.BaseHTTPResponse,
                      what: str) -> None:
        status = response.status
        if status in _PASSING or status >= 500:
            raise self._unavailable(f'failed with HTTP status {status}')
        if status in (401, 403):
            raise self._refused(f'denies access to {what} ({status})')
        if status == 404:
            raise self._refused(f'does not have {what}')
        if status != 200:
            raise self._refused(f'answered with HTTP status {status}')

    def _pieces(self, response: urllib3.BaseHTTPResponse
                ) -> collections.abc.Iterator[bytes]:
        """Yield the body as it comes; the time of who takes it is not ours."""
        count = 0
        waited = 0.0
        while True:
            began = time.monotonic()
            piece = response.read1(_CHUNK, decode_content=False)
            waited += time.monotonic() - began
            if not piece:
                return
            count += len(piece)
            if waited > _SLOW_AFTER and count < waited * _SLOWEST:
                raise self._unavailable('sends too slowly')
            yield piece

    @contextlib.contextmanager
    def _translated(self) -> collections.abc.Iterator[None]:
        """Raise what goes wrong on the way as one of the two errors.

        The texts of urllib3 quote URLs, and some have signatures in them.
        """
        try:
            yield
        except urllib3.exceptions.LocationValueError:
            raise self._refused('refers to no proper address') from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            cause: BaseException = error
            while cause.__context__ is not None:
                cause = cause.__context__
            LOG.warning('The registry %(registry)s or a host that it refers '
                        'to failed: %(type)s: %(cause)s',
                        {'registry': self._registry.name,
                         'type': type(cause).__name__, 'cause': cause})
            raise self._unavailable(_words(cause)) from None

    def _refused(self, what: str) -> tar.Refused:
        return _refused(self._registry, what)

    def _unavailable(self, what: str) -> Unavailable:
        return Unavailable(f'the registry {self._registry.name} {what}')


class _Pools(urllib3.PoolManager):
    """Connects to the hosts of one registry only.

    It looks at what will be connected to, which has no second reading as a
    URL may. Neither proxies nor CAs come from the environment.
    """

    def __init__(self, registry: registries.Registry) -> None:
        folder = os.path.isdir(registry.ca_file)
        super().__init__(
            cert_reqs='CERT_REQUIRED',
            ca_certs=None if folder else registry.ca_file,
            ca_cert_dir=registry.ca_file if folder else None)
        self._registry = registry

    def connection_from_host(
            self, host: str | None, port: int | None = None,
            scheme: str | None = 'http', *args: typing.Any,
            **kwargs: typing.Any) -> urllib3.HTTPConnectionPool:
        """See urllib3. Nothing is connected yet."""
        pool = super().connection_from_host(host, port, scheme, *args,
                                            **kwargs)
        found = reference.Host(pool.host, pool.port or 443)
        if found not in self._registry.hosts:
            LOG.warning(
                'The registry %(registry)s refers to %(host)s port %(port)s, '
                'which [docker]registries_file does not name for it',
                {'registry': self._registry.name, 'host': found.name,
                 'port': found.port})
            raise _refused(self._registry, 'refers to a host that this cloud '
                           'does not allow')
        return pool


def _refused(registry: registries.Registry, what: str) -> tar.Refused:
    return tar.Refused(f'the registry {registry.name} {what}')


def _words(cause: BaseException) -> str:
    if isinstance(cause, TimeoutError):
        return 'does not answer in time'
    if isinstance(cause, ssl.SSLCertVerificationError):
        return 'has no certificate that this cloud trusts'
    return 'can not be reached, or broke off'
