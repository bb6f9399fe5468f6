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

"""What can go wrong with a request to the Docker Engine.

::

    EngineError
    ├── Unavailable        nobody answers at the address
    ├── Timeout            the engine accepted the request and did not answer
    ├── TooOld             it does not speak an API version that we need
    └── ApiError           the engine answered with an error status
        ├── BadRequest     400
        ├── NotFound       404
        ├── Conflict       409
        └── ServerError    5xx

Chosen by HTTP status, never by the text, which is for people.
"""


class EngineError(Exception):
    """A request to the Docker Engine failed."""


class Unavailable(EngineError):
    """The engine cannot be reached or broke the connection."""


class Timeout(EngineError):
    """The engine did not answer in time; the request may yet be done."""


class TooOld(EngineError):
    """The engine is older than the driver supports."""

    def __init__(self, version: str, api: str, needed: str) -> None:
        """Say what there is and what is needed.

        :param version: version of the engine
        :param api: newest API version that it speaks
        :param needed: oldest API version that would do
        """
        super().__init__(
            f'Docker Engine {version} is too old: it speaks API {api} and '
            f'{needed} is needed')
        self.version = version
        self.api = api


class ApiError(EngineError):
    """The engine refused the request or failed at it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BadRequest(ApiError):
    """The engine found the request malformed (400)."""


class NotFound(ApiError):
    """The container, image or other object does not exist (404)."""


class Conflict(ApiError):
    """The object is in a state that forbids the request (409)."""


class ServerError(ApiError):
    """The engine failed at the request (5xx)."""


_BY_STATUS = {400: BadRequest, 404: NotFound, 409: Conflict}


def of_status(status: int, message: str) -> ApiError:
    """The error for an answer with this HTTP status of 400 or above."""
    kind = ServerError if status >= 500 else _BY_STATUS.get(status, ApiError)
    return kind(message, status)
