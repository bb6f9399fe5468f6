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

"""Whether an instance can be migrated while it runs: asked on both hosts.

CRIU alone knows some of what it can not write down, such as a volume that was
attached while the instance ran. Then the migration fails later, and the
instance runs on where it is.
"""

import collections.abc
import typing

from nova import exception
from nova.i18n import _
from nova import objects

from nova_docker.host import info
from nova_docker.host import lxcfs
from nova_docker.lifecycle import base
from nova_docker.lifecycle import create
from nova_docker.lifecycle import flavors
from nova_docker.lifecycle import portable
from nova_docker.lifecycle import records
from nova_docker.lifecycle import shares
from nova_docker.lifecycle import suspend
from nova_docker.spec import accelerators
from nova_docker.spec import names
from nova_docker.spec import requests
from nova_docker.transfer import control
from nova_docker.volume import rootfs

#: What must be the same on both hosts, as :func:`facts` and users call it.
_SAME = ('Docker Engine', 'runc', 'CRIU', 'kernel', 'architecture',
         'control group version', 'storage driver', 'remapping of user ids',
         'lxcfs')
_FEATURES = 'features'


def check_can_live_migrate_destination(
        services: base.Services, context: typing.Any, instance: typing.Any,
        block_migration: bool | None) -> typing.Any:
    """See that an instance of another host can go on here.

    Source: nova.virt.driver.ComputeDriver.check_can_live_migrate_destination.

    :param block_migration: whether its files are to be copied; None if the
        driver is to say
    :returns: of the classes that conductor knows, one that is for copied files
    :raises nova.exception.MigrationPreCheckError: says why not
    """
    _refuse(_of_target(services, context, instance))
    return objects.LibvirtLiveMigrateData(
        block_migration=block_migration is not False,
        is_shared_instance_path=False, is_shared_block_storage=False)


def check_can_live_migrate_source(
        services: base.Services, instance: typing.Any,
        migrate_data: typing.Any) -> typing.Any:
    """See that an instance of this host can be written down and sent.

    Source: nova.virt.driver.ComputeDriver.check_can_live_migrate_source.

    :param migrate_data: of :func:`check_can_live_migrate_destination`
    :raises nova.exception.MigrationPreCheckError: says why not
    """
    _refuse(_of_source(services, instance))
    if not migrate_data.block_migration:
        _refuse([_('its files are on no storage that the hosts share: it has '
                   'to be a block migration, or auto')])
    # Nova would ask for the disks of a virtual machine else.
    migrate_data.block_migration = False
    return migrate_data


def facts(services: base.Services) -> dict[str, typing.Any]:
    """What another host has to know of this one, to be like it."""
    engine = services.engine.info()
    return {
        'Docker Engine': engine['ServerVersion'],
        'runc': (engine.get('RuncCommit') or {}).get('ID'),
        'CRIU': services.options.suspend.criu,
        'kernel': engine['KernelVersion'],
        'architecture': engine['Architecture'],
        'control group version': engine.get('CgroupVersion'),
        'storage driver': engine['Driver'],
        'remapping of user ids': portable.userns(engine) or _('none'),
        'lxcfs': (_('running') if lxcfs.mounts(services.options.lxcfs_dir)
                  else _('not running')),
        _FEATURES: sorted(info.cpu().features)}


def reasons(services: base.Services, instance: typing.Any,
            container: typing.Any) -> collections.abc.Iterator[str]:
    """Why an instance of this host can not be migrated as it runs."""
    state_dir = services.options.state_dir
    yield from _of_host(services)
    yield from suspend.reasons(services, instance, container)
    if len(base.of_instance(services, instance.uuid)) > 1:
        yield _('it is being rescued, or was rebuilt in part')
    for volume in records.read(state_dir, instance.uuid):
        # A file system is not for two hosts, and one is connected before the
        # other one is disconnected.
        yield _('it has volume %s: only servers without volumes can be '
                'migrated while they run') % volume.id
    if shares.read(services, instance.uuid):
        yield _('it has a share')
    if instance.numa_topology is not None:
        yield _('it has CPUs or NUMA nodes of this host')
    if accelerators.of_flavor(instance.flavor.extra_specs):
        yield _('it has devices of this host')


def _of_host(services: base.Services) -> collections.abc.Iterator[str]:
    """Why this host lets no instance go, nor come."""
    if not services.options.suspend.checkpoint:
        yield _('[docker]suspend of host %s is not "checkpoint", and servers '
                'are suspended to be migrated while they run') % services.host
    if not rootfs.supported(services.engine.info()):
        yield _('files can not be moved with the storage driver of the engine '
                'of host %s') % services.host


def _of_source(services: base.Services, instance: typing.Any
               ) -> collections.abc.Iterator[str]:
    container = base.find(services, instance.uuid)
    if container is None:
        yield _('it has no container')
    else:
        yield from reasons(services, instance, container)


def _of_target(services: base.Services, context: typing.Any,
               instance: typing.Any) -> collections.abc.Iterator[str]:
    yield from _of_host(services)
    yield from suspend.reasons_of_host(services, instance)
    yield from requests.of_flavor(instance.flavor.extra_specs)
    try:
        flavors.check(services, instance, create.of_instance(instance), None)
    except exception.BuildAbortException as error:
        yield error.kwargs['reason']
    else:
        yield from flavors.refusals(
            services, instance.flavor.extra_specs)
    if services.engine.list_containers(
            [], [names.container_name(instance.uuid)]) and not (
                base.of_instance(services, instance.uuid)):
        yield _('another container on host %s has its name') % services.host
    try:
        there = control.Client(context, instance.host).facts()
    except exception.MigrationError as error:
        yield error.kwargs['reason']
    else:
        yield from _differences(there, facts(services))


def _differences(there: dict[str, typing.Any], here: dict[str, typing.Any]
                 ) -> collections.abc.Iterator[str]:
    """Why what was written down on one host can not go on on another one."""
    for name in _SAME:
        if there.get(name) != here[name]:
            yield _('%(name)s is %(there)s on the host that it is on, and '
                    '%(here)s on the one that it is to go to') % {
                        'name': name, 'there': there.get(name),
                        'here': here[name]}
    missing = set(there.get(_FEATURES, ())) - set(here[_FEATURES])
    if missing:
        yield _('the processors of the host that it is to go to lack %s'
                ) % ', '.join(sorted(missing))


def _refuse(found: collections.abc.Iterable[str]) -> None:
    """:raises nova.exception.MigrationPreCheckError: with the reasons"""
    if words := '; '.join(found):
        raise exception.MigrationPreCheckError(reason=words)
