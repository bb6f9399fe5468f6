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

"""What an instance has of its flavor, as this host can give it."""

import collections.abc
import typing

from nova import exception
from nova.i18n import _

from nova_docker.host import info
from nova_docker.host import nodes
from nova_docker.host import seccomp
from nova_docker.lifecycle import base
from nova_docker.lifecycle import cpus
from nova_docker.lifecycle import pages
from nova_docker.lifecycle import throttles
from nova_docker.spec import bandwidth
from nova_docker.spec import container
from nova_docker.spec import dhcp
from nova_docker.spec import disk
from nova_docker.spec import extra_specs
from nova_docker.spec import limits
from nova_docker.spec import privileges
from nova_docker.spec import security
from nova_docker.spec import system
from nova_docker.spec import throttle


def docker(instance: typing.Any) -> dict[str, typing.Any]:
    """The docker:* extra specs of an instance's flavor, without that prefix.

    :raises nova.exception.BuildAbortException: they can't be honoured
    """
    try:
        return extra_specs.parse(instance.flavor.extra_specs)
    except ValueError as error:
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid, reason=str(error)) from error


def host_config(services: base.Services, instance: typing.Any,
                properties: collections.abc.Mapping[str, str],
                block_device_info: typing.Any) -> dict[str, typing.Any]:
    """HostConfig of the flavor, and of less swap where that is asked for.

    :param properties: the docker_* properties of the image, without prefix
    :raises nova.exception.BuildAbortException: it can't be honoured
    :raises nova.exception.ComputeResourcesUnavailable: not on this host
    """
    wanted = docker(instance)
    if reasons := list(refusals(services, instance.flavor.extra_specs,
                                bool(pages.of(instance)))):
        raise exception.ComputeResourcesUnavailable(reason='; '.join(reasons))
    options = services.options
    profile = wanted.get('seccomp_profile')
    return check(
        services, instance, properties, block_device_info,
        seccomp.read(options.seccomp_profiles_dir, profile)
        if profile and profile not in seccomp.OF_ENGINE else None,
        cpus.of(services, instance)
    ) | container.log(
        wanted.get('log_max_size_mb', options.log_max_size),
        wanted.get('log_max_files', options.log_max_files))


def check(services: base.Services, instance: typing.Any,
          properties: collections.abc.Mapping[str, str],
          block_device_info: typing.Any,
          profile: str | None = None, where: limits.Cpus = limits.ANY
          ) -> dict[str, typing.Any]:
    """As :func:`host_config`, for any host.

    :param profile: of seccomp that the flavor names, as JSON
    :param where: it runs
    :raises nova.exception.BuildAbortException: it can't be honoured
    """
    flavor, wanted = instance.flavor, docker(instance)
    huge_mb = sum(pages.of(instance).values())
    try:
        vif = bandwidth.of_flavor(flavor.extra_specs)
        has_dhcp = dhcp.wanted(properties)
        if has_dhcp:
            dhcp.check(flavor.extra_specs, vif)
        is_system = system.wanted(properties)
        privileges.check(wanted, vif, is_system)
        throttle.of_flavor(flavor.extra_specs)
        return limits.host_config(
            flavor.vcpus, flavor.memory_mb - huge_mb,
            disk.swap_mb(flavor.swap, block_device_info), flavor.extra_specs,
            wanted, services.options.limits, where) | security.of_flavor(
                wanted, raw_sockets=not vif.outbound, net_admin=has_dhcp,
                new_privileges=is_system, seccomp=profile)
    except ValueError as error:
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid, reason=str(error)) from error


def refusals(services: base.Services,
             specs: collections.abc.Mapping[str, str],
             huge_pages: bool = False) -> collections.abc.Iterator[str]:
    """Why this host can't have instances of a flavor that others may.

    :param specs: its extra specs
    :param huge_pages: whether Nova claims some
    """
    try:
        wanted = extra_specs.parse(specs)
    except ValueError as error:
        yield str(error)
        return
    yield from throttles.refusals(services, specs)
    if huge_pages:
        yield from pages.refusals(services)
    options = services.options
    yield from privileges.of_host(wanted, options.allowed)
    for device in wanted.get('devices', ()):
        if not nodes.is_there(device.path):
            yield _('it has no device %s') % device.path
    if privileges.asks_engine(wanted):
        details = services.engine.info()
        yield from privileges.of_engine(wanted, privileges.Engine(
            frozenset(details.get('Runtimes') or ()),
            info.security_options(details.get('SecurityOptions') or ()),
            info.has_init(details)))
    profile = wanted.get('seccomp_profile')
    if profile and profile not in seccomp.OF_ENGINE:
        try:
            seccomp.read(options.seccomp_profiles_dir, profile)
        except (OSError, ValueError) as error:
            yield f'docker:seccomp_profile={profile} can not be read: {error}'
