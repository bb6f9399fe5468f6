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

"""The Docker Engine that the environment of a user names.

For the command line only: nova-compute's engine is named by its options.
"""

import collections.abc
import contextlib
import os

import docker
from docker import errors as docker_errors

from nova_docker.engine import errors
from nova_docker.engine import transport

_DEFAULT = 'unix:///var/run/docker.sock'


@contextlib.contextmanager
def saved(name: str) -> collections.abc.Iterator[
        collections.abc.Iterator[bytes]]:
    """The archive of one image, as GET /images/{name}/get streams it.

    The engine is that of DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.

    :param name: a name (which means its tag "latest"), a name with a tag or a
        digest, or an id
    :raises EngineError: also while the archive is read
    """
    url = os.environ.get('DOCKER_HOST') or _DEFAULT
    with _translated(url):
        api = docker.APIClient(version='auto',
                               **docker.utils.kwargs_from_env())
    with contextlib.closing(api):
        with _translated(url):
            # Asked for by a name alone, the engine would send all tags of it.
            image = api.inspect_image(name)['Id']
        # It may gather a large image for minutes before it sends anything.
        api.timeout = None
        yield _chunks(api, image, url)


def _chunks(api: docker.APIClient, image: str, url: str
            ) -> collections.abc.Iterator[bytes]:
    with _translated(url):
        yield from api.get_image(image)


@contextlib.contextmanager
def _translated(url: str) -> collections.abc.Iterator[None]:
    with transport.translated(url):
        try:
            yield
        except docker_errors.APIError as error:
            raise errors.of_status(error.status_code or 0,
                                   error.explanation or str(error)) from error
