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

"""What a compute host would say of an image, and what it tells of itself."""

import platform

from nova_docker.image import archive
from nova_docker.image import compression
from nova_docker.image import rootfs
from nova_docker.osc import properties
from nova_docker.osc import upload


def check_archive(data: compression.Source, architecture: str | None
                  ) -> upload.Facts:
    """Check an image archive.

    :param architecture: which image of several, in Docker's naming
    :raises Refused: no server can be made from it
    """
    rewriter = archive.Rewriter(data, '', architecture)
    for _piece in rewriter:
        pass
    facts = rewriter.facts
    assert facts is not None
    return upload.Facts(facts.unpacked_size, properties.of_image(
        facts.architecture, facts.labels))


def check_rootfs(data: compression.Source, architecture: str | None
                 ) -> upload.Facts:
    """Check a root filesystem.

    :param architecture: of it, in Docker's naming; None for this machine's
    :raises Refused: no server can be made from it
    """
    size = sum(len(piece) for piece in rootfs.checked(data))
    return upload.Facts(size, properties.of_image(
        architecture or platform.machine(), {}))
