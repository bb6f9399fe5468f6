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

"""The small Debian with a Docker Engine of its own, for nested containers."""

import pathlib

from evalcloud import debian
from evalcloud import system_image

PROPERTIES = debian.PROPERTIES


def rootfs() -> pathlib.Path:
    """The tarball, some 560 MB, made on its first use."""
    plain = debian.rootfs()
    # What that one has is there already, and removed again.
    return system_image.build(system_image.Recipe(
        name='docker-host', variant='custom', include=('docker.io',),
        files={}, hooks=debian.RECIPE.hooks,
        options=(f"--setup-hook=tar -x -C \"$1\" -f '{plain}'",
                 *debian.RECIPE.options)))
