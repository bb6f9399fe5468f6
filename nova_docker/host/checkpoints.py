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

"""Whether the engine of this host can make checkpoints, and restore them."""

import os
import re

from oslo_concurrency import processutils

from nova_docker.engine import client
from nova_docker.privsep import criu

#: The first engine that restores no container without a network of its own:
#: it asks for the network namespace of a process that is not there yet.
_BROKEN = 28

#: What it is called on its way to another host.
PART = 'checkpoint'
#: As for a virtual machine, a connection goes on if its other end has waited,
#: and files that were deleted and are open go along. CRIU takes 1 MiB of each.
_OPTIONS = 'tcp-established\nghost-limit 1G\n'


def config(state_dir: str) -> str:
    """Where the options are that CRIU gets for each container."""
    return os.path.join(state_dir, 'criu.conf')


def install(state_dir: str) -> None:
    """Write them.

    :raises OSError: state_dir cannot be written
    """
    temporary = f'{config(state_dir)}.tmp'
    with open(temporary, 'w', encoding='utf-8') as file:
        file.write(_OPTIONS)
    os.rename(temporary, config(state_dir))


def directory(engine_info: client.Json, container_id: str,
              name: str) -> str:
    """Where the engine has a checkpoint of a container, for root only.

    It refuses one of another directory.
    """
    return os.path.join(engine_info['DockerRootDir'], 'containers',
                        container_id, 'checkpoints', name)


def version(program: str) -> str:
    """What CRIU says of its version; empty where it is not asked.

    :param program: as of :func:`refusal`, which it has passed
    """
    return criu.version(program) if program else ''


def refusal(engine_info: client.Json, program: str) -> str:
    """Why the engine can not; empty when it can.

    :param engine_info: the engine's answer to GET /info
    :param program: CRIU, as the engine runs it; empty, it is not asked
    """
    version = engine_info['ServerVersion']
    major = re.match(r'\d+', version)
    if not engine_info.get('ExperimentalBuild'):
        return ('the engine of this host is not experimental: add '
                '"experimental": true to its daemon.json')
    if major and int(major.group()) >= _BROKEN:
        return f'Docker Engine {version} does not restore checkpoints'
    if not program:
        return ''
    try:
        criu.check(program)
    except processutils.ProcessExecutionError as error:
        return f'CRIU does not work on this host: {error.stderr}'
    except OSError as error:
        return f'CRIU does not work on this host: {error}'
    return ''
