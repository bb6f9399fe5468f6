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

"""What the console of a container is, as its label says it."""

import collections.abc
import json

from nova_docker.spec import names

#: The terminal of its command.
_TTY = 'tty'


def label(tty: bool, command: collections.abc.Sequence[str]
          ) -> dict[str, str]:
    """The label that says what the container's console is.

    :param tty: whether the container has a terminal
    :param command: what is executed for the console instead; may be empty
    """
    return {names.LABEL_CONSOLE: json.dumps(command) if command else
            _TTY if tty else ''}


def command(container_labels: collections.abc.Mapping[str, str]
            ) -> list[str] | None:
    """The command of a container's console, empty for its own terminal.

    :returns: None for a container without a console
    """
    found = container_labels.get(names.LABEL_CONSOLE)
    if not found:
        return None
    return [] if found == _TTY else [*map(str, json.loads(found))]
