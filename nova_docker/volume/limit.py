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

"""By what means the root disks of a host are held to their sizes."""

import os
import shutil
import typing

from oslo_concurrency import processutils
from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker import exception
from nova_docker.privsep import disk as privileged
from nova_docker.spec import disk
from nova_docker.volume import rootfs

LOG = logging.getLogger(__name__)

#: Storage drivers whose option works on all their file systems.
_ALWAYS = ('btrfs', 'zfs')
#: What /proc/self/mountinfo says of an XFS with project quotas.
_PROJECT_QUOTA = 'prjquota'


def detect(engine: client.Engine, wanted: str | None, disks_dir: str,
           proc: str = '/proc') -> str:
    """How this host does it.

    :param wanted: [docker]root_disk, None for the best that it can
    :param disks_dir: where the file systems are
    :returns: a kind of nova_docker.spec.disk
    :raises HostUnusable: it cannot; the message says why and what to do
    """
    if wanted == disk.UNLIMITED:
        LOG.warning('[docker]root_disk is %s: a server can fill the disk of '
                    'this host, and so harm all others', disk.UNLIMITED)
        return disk.UNLIMITED
    info = engine.info()
    reasons = []
    for kind, refusal in ((disk.ENGINE, _engine),
                          (disk.FILESYSTEM, _filesystem)):
        if wanted in (None, kind):
            reason = refusal(info, disks_dir, proc)
            if reason is None:
                LOG.info('Root disks are held to their size by means of: %s',
                         kind)
                return kind
            reasons.append(reason)
    raise exception.HostUnusable(reason=(
        'The root disks of servers cannot be held to the size of their '
        f'flavors: {"; ".join(reasons)}. With [docker]root_disk = '
        f'{disk.UNLIMITED} servers run all the same, and can fill the disk of '
        'this host.'))


def _engine(info: client.Json, disks_dir: str, proc: str) -> str | None:
    """Why the storage option of the engine does not work here, if so."""
    driver = info['Driver']
    if driver in _ALWAYS or (driver == 'overlay2' and 'xfs' in
                             _backing(info) and
                             _PROJECT_QUOTA in _options(
                                 info['DockerRootDir'], proc)):
        return None
    return (f'the storage driver {driver} of the engine has no sizes '
            '(overlay2 has on XFS that is mounted with pquota)')


def _filesystem(info: client.Json, disks_dir: str, proc: str) -> str | None:
    """Why file systems cannot be mounted under layers here, if so."""
    if not rootfs.supported(info):
        return ('file systems cannot be mounted under the layers of the '
                f'storage driver {info["Driver"]}')
    if info['Driver'] != 'overlay2' and not shutil.which('ctr'):
        return 'there is no ctr of containerd, which tells where layers are'
    try:
        privileged.probe(disks_dir)
    except (OSError, processutils.ProcessExecutionError) as error:
        return ('no file system can be made and mounted in '
                f'{disks_dir}: {error}')
    return None


def _backing(info: client.Json) -> list[typing.Any]:
    """The file system of the engine's data, in a list that may be empty."""
    return [value for name, value in info.get('DriverStatus') or ()
            if name == 'Backing Filesystem']


def _options(path: str, proc: str) -> list[str]:
    """The options of the file system that holds a path.

    :raises OSError: the path cannot be seen from here
    """
    device = os.stat(path).st_dev
    number = f'{os.major(device)}:{os.minor(device)}'
    with open(os.path.join(proc, 'self/mountinfo')) as mountinfo:
        for line in mountinfo:
            fields = line.split()
            if fields[2] == number:
                return fields[-1].split(',')
    return []
