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


"""The console log: what the container's main process wrote."""

from nova_docker.engine import client


def read(engine: client.Engine, name: str, max_bytes: int) -> str:
    """The end of the output of a container, running or stopped.

    Nova passes on ASCII only, and fails on other text that a driver returns.
    Each other character is shown as one question mark.

    :param max_bytes: length of the output that is read at most
    :raises nova_docker.engine.errors.NotFound: no such container
    """
    return text(engine.container_logs(name, max_bytes))


def text(output: bytes) -> str:
    """Make ASCII of UTF-8 that may begin and end within a character."""
    return output[_partial(output):].decode(errors='replace').encode(
        'ascii', 'replace').decode('ascii')


def _partial(output: bytes) -> int:
    # The log is cut at its front. A character has up to three bytes after
    # its first, and all begin with the bits 10.
    length = 0
    while length < min(3, len(output)) and output[length] & 0xc0 == 0x80:
        length += 1
    return length
