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

"""Programs of this machine, installed where they are missing, in containers.
"""

import pathlib
import re
import shutil
import subprocess
import sys

from tests.benchmarks import bed
from tests.fixtures import archives

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / 'tools'))

from evalcloud import engine  # noqa: E402
from evalcloud import packages  # noqa: E402

install = packages.install


def archive(*names: str) -> bytes:
    """An image with programs and their libraries, and a directory /tmp."""
    programs = [shutil.which(name) for name in names]
    libraries = subprocess.check_output(['ldd', *programs], text=True)
    files = {*programs, *re.findall(r'(/\S+) \(', libraries)}
    layer = archives.layer(('tmp/.keep', b''), *(
        (file.lstrip('/'), pathlib.Path(file).read_bytes())
        for file in sorted(files)))
    return archives.docker25([layer], archives.config(
        [layer], architecture=packages.architecture()))


class Container:
    """A container that runs."""

    def __init__(self, both: bed.Bed, name: str) -> None:
        self._docker = (engine.path() / 'docker', '--host', both.url)
        self._name = name

    def run(self, command: str, *options: str) -> str:
        """Output of a command in the container.

        :param options: of docker exec
        """
        return subprocess.run(
            [*self._docker, 'exec', *options, self._name, *command.split()],
            check=True, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT).stdout
