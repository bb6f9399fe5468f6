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

"""System containers: systemd or another init is the first process.

Source: the image property ``docker_system_container``, and
https://systemd.io/CONTAINER_INTERFACE for what systemd expects. The control
groups that it writes to are the second CDI device's (nova_docker/cdi).
"""

import collections.abc
import typing

from oslo_utils import units

from nova_docker.spec import container
from nova_docker.spec import environment
from nova_docker.spec import names

_NAME = 'system_container'
_INIT = 'init'
#: systemd then halts; another init's signal is told by the image's owner.
_STOP_SIGNAL = 'SIGRTMIN+3'
_ENV = {
    'container': 'docker',
    # There is no DMI: cloud-init's ds-identify and its OpenStack data source
    # look for the product's name here, too.
    'product_name': 'OpenStack Nova',
}


def wanted(image_properties: collections.abc.Mapping[str, str]) -> bool:
    """Whether an instance is a system container.

    :param image_properties: of
        :func:`nova_docker.spec.environment.properties`
    :raises ValueError: the property is malformed, or another process would
        be the first
    """
    def said(name: str) -> bool:
        return environment.boolean(f'docker_{name}',
                                   image_properties.get(name, 'false'))

    if said(_NAME) and said(_INIT):
        raise ValueError(f'the image properties docker_{_NAME} and '
                         f'docker_{_INIT} exclude each other')
    return said(_NAME)


def mounts(image_properties: collections.abc.Mapping[str, str]
           ) -> list[str]:
    """Paths at which an instance has a file system in memory.

    :param image_properties: as of :func:`wanted`
    """
    return list(_tmpfs(0)) if wanted(image_properties) else []


def body(application: collections.abc.Mapping[str, typing.Any],
         image_config: collections.abc.Mapping[str, typing.Any],
         memory_mb: int) -> dict[str, typing.Any]:
    """The create body of a system container.

    What the owner of the image set stays as it is.

    :param application: of :func:`nova_docker.spec.container.build`
    :param image_config: of the engine's image
    :param memory_mb: MiB of the flavor
    """
    host_config = application['HostConfig']
    return container.with_device({
        # systemd writes to a console, and nowhere else.
        'Tty': True, 'OpenStdin': True,
        'StopSignal': image_config.get('StopSignal') or _STOP_SIGNAL,
        **application,
        'Env': _env(application.get('Env', ())),
        'HostConfig': {
            **host_config,
            'Tmpfs': _tmpfs(memory_mb) | host_config.get('Tmpfs', {}),
        },
    }, names.system_device)


def _env(own: collections.abc.Sequence[str]) -> list[str]:
    taken = {variable.partition('=')[0] for variable in own}
    return [*own, *(f'{name}={value}' for name, value in _ENV.items()
                    if name not in taken)]


def _tmpfs(memory_mb: int) -> dict[str, str]:
    """The sizes are systemd's and Debian's; all of it counts as memory."""
    memory = memory_mb * units.Mi
    return {
        '/run': f'exec,mode=755,size={memory // 5}',
        '/run/lock': f'mode=1777,size={5 * units.Mi}',
        '/tmp': f'exec,mode=1777,size={memory // 2}',  # nosec B108
    }
