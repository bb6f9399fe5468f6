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

"""Whether a container, and its files, can be on another host.

Files are as the kernel and the engine of this one keep them. What is needed
there goes over the message bus, and that host says whether it has it.
"""

import collections.abc
import os
import typing

from nova.i18n import _

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.host import info
from nova_docker.host import overlay
from nova_docker.lifecycle import base
from nova_docker.lifecycle import create
from nova_docker.lifecycle import flavors
from nova_docker.lifecycle import pages
from nova_docker.spec import environment
from nova_docker.spec import system
from nova_docker.transfer import control
from nova_docker.volume import layer
from nova_docker.volume import rootfs


def check_host(services: base.Services, context: typing.Any, host: str,
               instance: typing.Any) -> None:
    """Ask a host whether it can have an instance of this one.

    :param instance: with the flavor that it gets, and what Nova has claimed
    :raises nova.exception.MigrationError: says why not
    """
    properties = create.of_instance(instance)
    control.Client(context, host).check({
        'userns': userns(services.engine.info()), 'overlay': [],
        'system': system.wanted(properties),
        'init': bool(environment.host_config(properties).get('Init')),
        'extra_specs': dict(instance.flavor.extra_specs),
        'huge_pages': bool(pages.of(instance))})


def check_files(services: base.Services, context: typing.Any, host: str,
                container: client.Json) -> None:
    """Ask a host whether it can read the files of a container.

    :param container: it is stopped, and its disks are mounted
    :raises nova.exception.MigrationError: says why not
    """
    engine = services.engine
    special = overlay.special(
        layer.noted(rootfs.upper(engine, container['Id'])))
    if special:
        control.Client(context, host).check({
            'userns': userns(engine.info()), 'overlay': special,
            'system': False, 'init': False})


def refusals(services: base.Services, needs: dict[str, typing.Any]
             ) -> collections.abc.Iterator[str]:
    """Why an instance can't be on this host, which another one asks for.

    :param needs: userns, the user namespace that owners of files are of;
        overlay, the attributes of files that must be followed; whether it is a
        system container, or has the engine's init; extra_specs, those of its
        flavor; and huge_pages, whether it has some
    """
    if needs['system'] and not services.options.system_containers:
        yield _('system containers are disabled on it')
    try:
        details = services.engine.info()
    except errors.EngineError as error:
        yield _('its engine does not answer: %s') % error
        return
    if not rootfs.supported(details):
        yield _('files can not be moved to the storage driver %s of its '
                'engine') % details['Driver']
    if needs['init'] and not info.has_init(details):
        yield _('its engine has no docker-init')
    here = userns(details)
    if needs['userns'] != here:
        yield _('the engines remap user ids to %(there)s and to %(here)s, so '
                'files would have other owners') % {
                    'there': needs['userns'] or _('none'),
                    'here': here or _('none')}
    for name in needs['overlay']:
        if not overlay.follows(name):
            yield _('its kernel does not follow the attribute '
                    'trusted.overlay.%s, without which files would have lost '
                    'their content') % name
    yield from flavors.refusals(services, needs.get('extra_specs', {}),
                                needs.get('huge_pages', False))


def userns(details: client.Json) -> str:
    """Which ids of a host those of its containers are; empty, the same.

    :param details: the engine's answer to GET /info
    """
    if 'userns' not in info.security_options(
            details.get('SecurityOptions') or ()):
        return ''
    # The engine names it after the first ids, as in 100000.100000.
    return os.path.basename(str(details['DockerRootDir']))
