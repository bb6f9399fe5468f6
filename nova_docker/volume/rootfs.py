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

"""Where the engine has the file system of a container.

That of a stopped container can be mounted in another container. The container
runtime mounts it, as the CDI specification of that other
container says, and not the driver. So the mount is in the mount namespace of
the container that uses it and nowhere else: it ends with that container, is
there again after a reboot of the host, can not be left behind, and nothing on
the host that removes files can reach into it.
"""

import os
import re
import typing

from nova import exception
from nova.i18n import _
from oslo_concurrency import processutils

from nova_docker.engine import client
from nova_docker.privsep import rootfs

#: Where containerd listens if the engine, up to version 26, does not tell.
_CONTAINERD = '/run/containerd/containerd.sock'
#: What mount(2) takes on each kernel: a page, with a byte at its end.
_OPTIONS_SIZE = 4095


def mount(engine: client.Engine, container_id: str,
          path: str) -> dict[str, typing.Any]:
    """The file system of a container as a CDI mount, for writing.

    As long as that mount exists the container must not run.

    :param path: where it is to be mounted
    :raises nova.exception.Invalid: this engine keeps it where it can not be
        mounted, or has too many layers
    """
    info = engine.info()
    if any('name=userns' in option
           for option in info.get('SecurityOptions') or ()):
        raise exception.Invalid(
            _('the engine remaps user ids, so one container cannot mount the '
              'file system of another'))
    lower, upper, work = _layers(engine, container_id)
    if not rootfs.are_directories([upper, work]):
        raise exception.Invalid(_('%s is not a directory') % upper)
    options = [f'lowerdir={lower}', f'upperdir={upper}', f'workdir={work}',
               # As the engine mounts it: the kernel's default may differ.
               'index=off']
    if len(','.join(options)) > _OPTIONS_SIZE:
        raise exception.Invalid(
            _('the image of the instance has too many layers'))
    return {'hostPath': 'overlay', 'containerPath': path, 'type': 'overlay',
            'options': options}


def directory(engine: client.Engine,
              container_id: str) -> tuple[str, list[str]]:
    """The directory that is for the writable layer of a container alone.

    :returns: and the names in it of the upper and the work directory
    :raises nova.exception.Invalid: this engine has none
    """
    _lower, upper, work = _layers(engine, container_id)
    return os.path.dirname(upper), [os.path.basename(upper),
                                    os.path.basename(work)]


def upper(engine: client.Engine, container_id: str) -> str:
    """The directory of what a container does not share with its image.

    :raises nova.exception.Invalid: this engine has none
    """
    return _layers(engine, container_id)[1]


def layers(engine: client.Engine, container_id: str) -> list[str]:
    """The directories of the layers of a container, the topmost first.

    :raises nova.exception.Invalid: this engine has none
    """
    lower, upper, _work = _layers(engine, container_id)
    return [upper, *lower.split(':')]


def supported(info: client.Json) -> bool:
    """Whether an engine has such directories.

    :param info: the engine's answer to GET /info
    """
    return info['Driver'] in _LAYERS


def _layers(engine: client.Engine,
            container_id: str) -> tuple[str, str, str]:
    """Lower, upper and work directory of a container's overlay.

    :raises nova.exception.Invalid: it has none
    """
    container = engine.inspect_container(container_id)
    layers = _LAYERS.get(container['Driver'])
    if layers is None:
        raise exception.Invalid(
            _('the file system of a container cannot be mounted with the '
              'storage driver %s of the engine') % container['Driver'])
    return layers(engine, container)


def _overlay2(engine: client.Engine,
              container: client.Json) -> tuple[str, str, str]:
    """Lower, upper and work directory with the classic image store.

    :raises nova.exception.Invalid: the engine does not tell
    """
    data = container['GraphDriver']['Data']
    if not data:
        # As of one that is being removed.
        raise exception.Invalid(
            _('the engine does not tell where the file system of the '
              'instance is'))
    directory = os.path.dirname(data['UpperDir'])
    try:
        # With their full names, 40 layers are too many for mount(2).
        lower = ':'.join(
            os.path.join(os.path.dirname(directory), name)
            for name in rootfs.short_names(directory))
    except OSError:
        lower = data['LowerDir']
    return lower, data['UpperDir'], data['WorkDir']


def _overlayfs(engine: client.Engine,
               container: client.Json) -> tuple[str, str, str]:
    """The same with the containerd image store."""
    containerd = engine.info().get('Containerd') or {}
    address = containerd.get('Address') or _CONTAINERD
    namespace = (containerd.get('Namespaces') or {}).get('Containers', 'moby')
    try:
        command = rootfs.snapshot_mounts(address, namespace, container['Id'])
    except (OSError, processutils.ProcessExecutionError) as error:
        raise exception.Invalid(
            _('ctr does not tell where containerd at %(address)s has the '
              'file system: %(error)s') % {
                  'address': address, 'error': error}) from error
    found = dict(re.findall(r'(lowerdir|upperdir|workdir)=([^,\s]+)', command))
    try:
        return found['lowerdir'], found['upperdir'], found['workdir']
    except KeyError:
        raise exception.Invalid(
            _('containerd has no layers of the instance')) from None


#: By what the engine calls the storage driver.
_LAYERS = {'overlay2': _overlay2, 'overlayfs': _overlayfs}
