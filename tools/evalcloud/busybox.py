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

"""A small image without a registry and without a daemon.

The archive is what ``docker save`` would write (docker-archive) for an image
of the distribution's static busybox.
"""

import hashlib
import io
import json
import pathlib
import subprocess
import tarfile
import tempfile
import typing

from evalcloud import packages
from evalcloud import paths
from evalcloud import progress

#: Prints its network before anything else, then stays and shows life.
COMMAND = ['/bin/sh', '-c',
           'ip addr; ip route; ip -6 route; '
           'mkdir -p /tmp/www; hostname > /tmp/www/index.html; '
           'httpd -p 80 -h /tmp/www 2>/dev/null; '
           'echo "$(hostname) is up"; '
           'trap "exit 0" TERM; while :; do sleep 3600 & wait; done']

#: What udhcpc calls when it is told something.
DHCP_SCRIPT = """\
#!/bin/sh
case $1 in
deconfig)
    ip -4 address flush dev "$interface"
    ;;
bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    # Where there are static routes, the default route is one of them.
    set -- ${staticroutes:-${router:+0.0.0.0/0 $router}}
    while [ "$2" ]; do
        ip route replace "$1" via "$2" dev "$interface"
        shift 2
    done
    # The file is mounted: it can be written, but not replaced.
    for server in $dns; do
        echo "nameserver $server"
    done > /etc/resolv.conf
    ;;
esac
"""
_FILES = {
    'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n'
                  'daemon:x:1:1:daemon:/:/bin/false\n'
                  'nobody:x:65534:65534:nobody:/:/bin/false\n',
    'etc/shadow': 'root:*:19000:0:99999:7:::\n',
    'etc/group': 'root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n',
    'etc/nsswitch.conf': 'hosts: files dns\n',
    'etc/udhcpc/default.script': DHCP_SCRIPT,
}
_MODES = {'etc/shadow': 0o600, 'etc/udhcpc/default.script': 0o755}
_FOLDERS = ('bin', 'dev', 'etc', 'etc/udhcpc', 'proc', 'root', 'sys', 'tmp',
            'usr', 'usr/bin', 'var')


def write_archive(file: pathlib.Path, command: typing.Sequence[str] = (),
                  reference: str = 'busybox:latest') -> None:
    """Write the image archive ``file``.

    :param command: what the image runs, COMMAND when empty.
    """
    binary = program()
    layer = _layer(binary.read_bytes(), applets(binary))
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({
        'architecture': packages.architecture(), 'os': 'linux',
        'created': '2026-01-01T00:00:00Z',
        'config': {'Cmd': list(command) or COMMAND,
                   'Env': ['PATH=/bin:/usr/bin']},
        'rootfs': {'type': 'layers', 'diff_ids': [f'sha256:{digest}']},
        'history': [{'created': '2026-01-01T00:00:00Z',
                     'created_by': 'nova-docker tools/engine image'}],
    }).encode()
    name = hashlib.sha256(config).hexdigest() + '.json'
    manifest = json.dumps([{'Config': name, 'RepoTags': [reference],
                            'Layers': [f'{digest}/layer.tar']}]).encode()
    with tarfile.open(file, 'w') as archive:
        _add(archive, f'{digest}/layer.tar', layer)
        _add(archive, name, config)
        _add(archive, 'manifest.json', manifest)


def program() -> pathlib.Path:
    """The static busybox, unpacked into the cache on its first use."""
    folder = paths.cache_dir() / 'busybox'
    with paths.locked('busybox'):
        for name in ('bin/busybox', 'usr/bin/busybox'):
            if (folder / name).exists():
                return folder / name
        with progress.Step('busybox-static'):
            with tempfile.TemporaryDirectory(
                    dir=paths.cache_dir()) as fresh:
                packages.unpack(['busybox-static'], packages.codename(),
                                pathlib.Path(fresh, 'root'))
                pathlib.Path(fresh, 'root').rename(folder)
    return next(folder.glob('**/bin/busybox'))


def applets(binary: pathlib.Path) -> list[str]:
    """What a busybox can be called as."""
    return subprocess.check_output([str(binary), '--list'],
                                   text=True).split()


def _layer(binary: bytes, applets: typing.Iterable[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as layer:
        for name in _FOLDERS:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE
            member.mode = 0o1777 if name == 'tmp' else 0o755
            layer.addfile(member)
        _add(layer, 'bin/busybox', binary, 0o755)
        for applet in sorted(set(applets) - {'busybox'}):
            member = tarfile.TarInfo(f'bin/{applet}')
            member.type = tarfile.SYMTYPE
            member.linkname = 'busybox'
            layer.addfile(member)
        for name, text in _FILES.items():
            _add(layer, name, text.encode(), _MODES.get(name, 0o644))
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes,
         mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    member.mode = mode
    archive.addfile(member, io.BytesIO(data))
