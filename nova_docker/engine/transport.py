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

"""How requests travel to the Docker Engine: a socket or TLS, versions, errors.

This is the one place that turns what docker-py, requests and urllib3 raise
into :mod:`nova_docker.engine.errors`.
"""

import collections.abc
import contextlib
import dataclasses
import json
import ssl
import tarfile
import typing

import docker
from docker import errors as docker_errors
from docker import tls
from docker import transport
import requests
import requests.adapters
import urllib3.exceptions

from nova_docker.engine import errors

#: Oldest API that the driver works with: Engine 25.
OLDEST_API = '1.44'

#: Newest API that the driver was tried with. A newer engine is spoken to in
#: this version as long as it understands it.
NEWEST_API = '1.51'

#: Idle connections that are kept. More than these are made when needed: no
#: request waits for another one's connection.
POOL_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Address:
    """Where an engine is and how it is spoken to.

    :param url: ``unix:///path``, or ``tcp://host:port`` or
        ``https://host:port``, which both mean TLS
    :param ca_file: CA certificates of the engine; None for the system's
    :param cert_file: client certificate, with ``key_file``; None for none
    :param verify: whether to verify the engine's certificate and host name
    :param timeout: seconds to wait for an answer
    """

    url: str
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    timeout: float = 60


def _reason(error: BaseException) -> str:
    """The words of the innermost error: the others only wrap it."""
    for inner in (getattr(error, 'reason', None), *error.args[-1:]):
        if isinstance(inner, BaseException):
            return _reason(inner)
    return str(error)


@contextlib.contextmanager
def translated(url: str) -> collections.abc.Iterator[None]:
    """Raise what goes wrong on the way as Unavailable or Timeout.

    :param url: the engine's address, for the message
    """
    try:
        yield
    except (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError
            ) as error:
        raise _timeout(url) from error
    except requests.ConnectionError as error:
        # What requests makes of a read timeout in the middle of a body.
        if error.args and isinstance(
                error.args[0], urllib3.exceptions.ReadTimeoutError):
            raise _timeout(url) from error
        raise _unavailable(url, error) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError,
            docker_errors.DockerException, json.JSONDecodeError,
            tarfile.TarError, OSError) as error:
        raise _unavailable(url, error) from error


def _timeout(url: str) -> errors.Timeout:
    return errors.Timeout(f'The Docker Engine at {url} did not answer in time')


def _unavailable(url: str, error: BaseException) -> errors.Unavailable:
    return errors.Unavailable(
        f'The Docker Engine at {url} cannot be reached: {_reason(error)}')


class _UnixAdapter(transport.UnixHTTPAdapter):
    """docker-py's adapter with one pool of connections.

    docker-py keeps one pool for each of the last 25 URLs and closes older
    ones under the feet of the threads that are about to use them.
    """

    def get_connection(self, url: str, proxies: typing.Any = None
                       ) -> typing.Any:
        return super().get_connection('http+docker://localhost', proxies)


class Client(docker.APIClient):
    """docker-py's low-level client that raises our errors.

    Raises :class:`~nova_docker.engine.errors.EngineError` only, except while
    the body of a streamed answer is read: use :func:`translated` there.
    """

    def __init__(self, address: Address, version: str,
                 timeout: float | None) -> None:
        """Prepare the client; nothing is sent.

        :param version: API version to speak
        :param timeout: seconds to wait for an answer; None waits for ever
        """
        self._address = address
        remote = not address.url.startswith('unix://')
        with translated(address.url):
            super().__init__(
                address.url, version=version, timeout=timeout,
                tls=_tls(address) if remote else False)
        # Neither proxies, netrc nor CA bundles out of the environment.
        self.trust_env = False
        if remote:
            self.mount('https://', requests.adapters.HTTPAdapter(
                pool_maxsize=POOL_SIZE))
            if address.verify and not address.ca_file:
                system = ssl.get_default_verify_paths()
                self.verify = system.cafile or system.capath or True
        else:
            self.mount('http+docker://', _UnixAdapter(
                docker.utils.parse_host(address.url), timeout,
                max_pool_size=POOL_SIZE))

    def send(self, request: requests.PreparedRequest, **kwargs: typing.Any
             ) -> requests.Response:
        """Send a request and, unless streamed, read the whole answer."""
        with translated(self._address.url):
            return typing.cast(requests.Response,
                               super().send(request, **kwargs))

    def _raise_for_status(self, response: requests.Response) -> None:
        """What each method of docker-py calls to check the answer."""
        if response.status_code < 400:
            return
        with translated(self._address.url):
            text = response.content.decode(errors='replace')
        with contextlib.suppress(KeyError, TypeError, ValueError):
            text = str(json.loads(text)['message'])
        raise errors.of_status(response.status_code, text.strip())

    def _result(self, response: requests.Response, json: bool = False,
                binary: bool = False) -> typing.Any:
        """What each method of docker-py calls to decode the answer."""
        with translated(self._address.url):
            return super()._result(response, json, binary)


def _tls(address: Address) -> tls.TLSConfig:
    certificate = None
    if address.cert_file or address.key_file:
        certificate = (address.cert_file, address.key_file)
    return tls.TLSConfig(client_cert=certificate, ca_cert=address.ca_file,
                         verify=address.verify)


class Clients(typing.NamedTuple):
    """Two clients of one engine, in the same API version."""

    #: Gives up after the address's timeout.
    bounded: Client
    #: Waits for ever, for streams and long work.
    unbounded: Client


def connect(address: Address) -> Clients:
    """Agree with the engine on an API version.

    :raises TooOld: the engine does not speak 1.44 yet
    """
    probe = Client(address, OLDEST_API, address.timeout)
    with contextlib.closing(probe), translated(address.url):
        engine = probe.version(api_version=False)
    try:
        version = _negotiated(engine)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise errors.Unavailable(
            f'What answers at {address.url} is no Docker Engine') from error
    return Clients(Client(address, version, address.timeout),
                   Client(address, version, None))


def _negotiated(engine: collections.abc.Mapping[str, typing.Any]) -> str:
    """The API version to speak, from GET /version."""
    newest: str = engine['ApiVersion']
    if _number(newest) < _number(OLDEST_API):
        raise errors.TooOld(engine.get('Version', ''), newest, OLDEST_API)
    oldest: str = engine.get('MinAPIVersion') or OLDEST_API
    return max(min(newest, NEWEST_API, key=_number), oldest, key=_number)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split('.'))
