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


"""The hooks: scripts that the engine runs as root at every start."""

import importlib.resources
import os

#: Has the network plugged.
SCRIPT = 'hook.sh'
#: Gives a system container its own control groups.
SYSTEM_SCRIPT = 'system.sh'


def path(state_dir: str) -> str:
    """Where the start hook is installed."""
    return os.path.join(state_dir, SCRIPT)


def command(state_dir: str, instance_uuid: str) -> list[str]:
    """The start hook and its arguments for an instance."""
    return [path(state_dir), state_dir, instance_uuid]


def system_command(state_dir: str) -> list[str]:
    """The second hook of system containers."""
    return [os.path.join(state_dir, SYSTEM_SCRIPT)]


def install(state_dir: str) -> None:
    """Install the hooks, whether or not starts are waiting in an old one.

    :raises OSError: state_dir cannot be written
    """
    os.makedirs(state_dir, mode=0o700, exist_ok=True)
    for name in (SCRIPT, SYSTEM_SCRIPT):
        script = importlib.resources.files(__package__).joinpath(
            name).read_text(encoding='utf-8')
        installed = os.path.join(state_dir, name)
        temporary = f'{installed}.tmp'
        with open(temporary, 'w', encoding='utf-8') as file:
            os.fchmod(file.fileno(), 0o755)
            file.write(script)
        os.rename(temporary, installed)
