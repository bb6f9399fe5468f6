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

"""What an image is that is no archive, for the words of a refusal."""

import io

from oslo_utils.imageutils import format_inspector

from nova_docker.image import tar

#: Bytes that tell an image of an optical disc, which starts with nothing.
_ENOUGH = 64 << 10


def refuse(start: bytes) -> None:
    """Refuse the image of a disk.

    :param start: of the image's data, as much as came at once
    :raises Refused: a known one; all else is left to the reader of archives
    """
    if tar.is_header(start[:tar.BLOCK]):
        return
    inspector = format_inspector.InspectWrapper(io.BytesIO(start[:_ENOUGH]))
    while inspector.read(_ENOUGH):
        pass
    inspector.close()
    found = {str(each) for each in inspector.formats or ()} - {'raw'}
    if found:
        raise tar.Refused(
            f'it is a disk image ({"/".join(sorted(found))}) for virtual '
            'machines; containers need an archive of "docker save", an OCI '
            'archive or that of a root filesystem')
