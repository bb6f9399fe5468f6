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

"""Images without files, of which containers are that have theirs elsewhere.

A root volume has a document that says of the image it was made of what a
container must know, but for the files::

    {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]}}

Of this an image is made again, for the engine to read it as that of any image.
"""

import hashlib
import json

from nova_docker.engine import client
from nova_docker.image import archive
from nova_docker.image import manifest
from nova_docker.image import save
from nova_docker.image import tar

_WHAT = 'the image.json of the volume'
#: A tar archive of nothing.
_LAYER = bytes(2 * tar.BLOCK)


def document(image: client.Json) -> bytes:
    """The document of an image.

    :param image: the engine's answer to GET /images/{name}/json
    """
    return json.dumps({
        'architecture': image['Architecture'], 'os': image['Os'],
        'variant': image.get('Variant') or '',
        'config': _config(image['Config'] or {})}, sort_keys=True).encode()


def packed(content: bytes) -> bytes:
    """The archive of an image without files.

    The same for the same document.

    :param content: a document, or what somebody has made of it
    :raises Refused: it is none
    """
    found = manifest.typed(manifest.parse(_WHAT, content), dict, _WHAT)
    config = json.dumps({
        'architecture': manifest.field(found, 'architecture', str, _WHAT),
        'os': manifest.field(found, 'os', str, _WHAT),
        'variant': manifest.typed(found.get('variant') or '', str, _WHAT),
        'config': _config(manifest.field(found, 'config', dict, _WHAT)),
        'rootfs': {'type': 'layers', 'diff_ids': [
            f'sha256:{hashlib.sha256(_LAYER).hexdigest()}']},
    }, sort_keys=True).encode()
    index = json.dumps([{'Config': 'config.json', 'RepoTags': None,
                         'Layers': ['layer.tar']}]).encode()
    return b''.join((archive.member('layer.tar', _LAYER),
                     archive.member('config.json', config),
                     archive.member(manifest.MANIFEST, index),
                     bytes(2 * tar.BLOCK)))


def _config(section: client.Json) -> client.Json:
    """What is for all containers of an image."""
    return {key: value for key, value in section.items()
            if key in save.CONFIG}
