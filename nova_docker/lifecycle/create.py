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

"""The container of an instance, made and not started."""

import collections.abc
import contextlib
import dataclasses
import typing

from nova import exception
from oslo_utils import excutils
from oslo_utils import units

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.host import checkpoints
from nova_docker.host import info
from nova_docker.image import cache
from nova_docker.image import load
from nova_docker.image import source
from nova_docker.lifecycle import accelerators
from nova_docker.lifecycle import base
from nova_docker.lifecycle import boot
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import flavors
from nova_docker.lifecycle import pages
from nova_docker.lifecycle import pins
from nova_docker.lifecycle import records
from nova_docker.lifecycle import start
from nova_docker.lifecycle import watchdog
from nova_docker.metadata import config_drive
from nova_docker.metadata import devices
from nova_docker.metadata import guest
from nova_docker.spec import console
from nova_docker.spec import container
from nova_docker.spec import dhcp
from nova_docker.spec import disk
from nova_docker.spec import environment
from nova_docker.spec import names
from nova_docker.spec import paths
from nova_docker.spec import ports
from nova_docker.spec import resolver
from nova_docker.spec import system
from nova_docker.spec import throttle


@dataclasses.dataclass(frozen=True)
class Files:
    """The files of another container, which one gets that is made.

    :ivar give: gives them to it: its Id and Labels are read
    :ivar base_image: what they are upon, as of :func:`ensure_base`; None for
        the image of the instance
    """
    give: collections.abc.Callable[[client.Json], None]
    base_image: str | None = None


def create(services: base.Services, context: typing.Any, instance: typing.Any,
           image_meta: typing.Any, network_info: typing.Any,
           injected_files: collections.abc.Sequence[tuple[str, bytes]] = (),
           admin_password: str | None = None, *,
           block_device_info: typing.Any = None,
           ephemerals: collections.abc.Mapping[str, str] | None = None,
           rescue_properties: collections.abc.Mapping[str, str] | None = None,
           files: Files | None = None, accel_info: typing.Any = None) -> str:
    """Make a container of the instance, not started, from an image.

    :param injected_files: (path, data); known at spawn and rebuild only
    :param admin_password: of root; known at spawn, rebuild and rescue only
    :param ephemerals: the label of a container whose ephemeral disks it gets;
        None for new ones
    :param rescue_properties: the docker_* properties, without that prefix, of
        an image to rescue the instance with; None for the instance's own
    :param files: what it gets in place of those of a new one
    :param accel_info: Cyborg's accelerator requests
    :returns: the id of the container
    :raises nova.exception.ImageUnacceptable: the image or a property of it
    :raises nova.exception.BuildAbortException: the flavor or the metadata
    :raises nova.exception.ComputeResourcesUnavailable: this host
    """
    rescue = rescue_properties is not None
    properties = (of_instance(instance) if rescue_properties is None
                  else rescue_properties)
    body, volumes = _body(
        services, context, instance, image_meta, network_info, properties,
        rescue, block_device_info, files.base_image if files else None)
    body['Labels'] |= (names.ephemerals_label('', ()) if rescue else
                       ephemerals or disks.label(instance, block_device_info))
    instance.device_metadata = devices.build(context, instance, network_info)
    start.ensure_config_drive(services, instance, network_info,
                              injected_files, admin_password)
    disks.remove_left(services, instance.uuid)
    with accelerators.added(services, instance, accel_info, body, rescue):
        container_id = services.engine.create_container(
            names.rescue_name(instance.uuid) if rescue
            else names.container_name(instance.uuid), body)
    made = {'Id': container_id, 'Labels': body['Labels']}
    with _or_removed(services, made):
        with boot.aborting(instance):
            disks.make(services, instance, made)
        if files:
            files.give(made)
        elif not body['HostConfig'].get('ReadonlyRootfs'):
            guest.prepare(services.engine, container_id, instance, image_meta,
                          properties, injected_files, admin_password, volumes,
                          services.options.first_ids)
    return container_id


@contextlib.contextmanager
def _or_removed(services: base.Services, made: client.Json
                ) -> collections.abc.Iterator[None]:
    """A container never ran, and must not run without what was asked for."""
    try:
        yield
    except Exception:
        with (excutils.save_and_reraise_exception(),
              contextlib.suppress(errors.EngineError,
                                  exception.InternalError)):
            disks.remove(services, made)


def _body(services: base.Services, context: typing.Any, instance: typing.Any,
          image_meta: typing.Any, network_info: typing.Any,
          properties: collections.abc.Mapping[str, str], rescue: bool,
          block_device_info: typing.Any, base_image: str | None
          ) -> tuple[client.Json, list[str]]:
    """The create body, once the image is there, and that one's volumes."""
    what, where = of_image(image_meta, properties, instance)
    limit = flavors.host_config(services, instance, properties,
                                block_device_info)
    if rescue:
        # It gets a password, and whoever rescues works in it.
        limit.pop('ReadonlyRootfs', None)
    _need_init(services, image_meta, where)
    is_system = _is_system(services, properties)
    root = None if rescue else records.root(services.options.state_dir,
                                            instance.uuid)
    with boot.aborting(instance):
        image = (boot.image(services, context, instance, root) if root else
                 ensure_base(services, context, instance, base_image,
                             instance.flavor.root_gb) if base_image else
                 ensure_image(services, context, instance, image_meta,
                              properties))
    _refuse_missing(image_meta.id, image.config, what)
    root_gb = instance.flavor.root_gb
    root_disk = (disk.VOLUME if root else
                 disk.kind(services.options.disks.root, root_gb))
    body = container.build(
        names.labels(instance.uuid, instance.name, services.host,
                     instance.project_id, rescue) |
        names.watchdog_label(
            None if rescue else watchdog.of(instance, image_meta)) |
        names.root_disk_label(root_disk) | names.dhcp_label(
            dhcp.wanted(properties)) | names.disk_limits_label(
                throttle.of_flavor(instance.flavor.extra_specs)) |
        names.cpus_label(instance.numa_topology is not None) |
        names.pages_label(pages.of(instance)),
        instance.hostname, image.reference, what,
        limit | disk.host_config(root_disk, root_gb) | container.criu(
            checkpoints.config(services.options.state_dir)),
        container.dns(*resolver.dns(network_info)),
        container.hosts(instance.hostname, ports.address(network_info)),
        where)
    if is_system:
        body = system.body(body, image.config, instance.flavor.memory_mb)
    if flavors.docker(instance).get('nesting'):
        body = container.with_device(body, names.nesting_device)
    body['Labels'] |= console.label(
        body.get('Tty', False), environment.console(properties))
    return body, names.image_volumes(image.config.get('Labels'))


def ensure_image(services: base.Services, context: typing.Any,
                 instance: typing.Any, image_meta: typing.Any,
                 properties: collections.abc.Mapping[str, str]
                 ) -> load.Image:
    """Have an image for the instance in the engine; the cache keeps it.

    :param properties: the docker_* properties, without that prefix
    :raises nova.exception.ImageUnacceptable: the image
    :raises nova.exception.BuildAbortException: Glance does not have it
    """
    try:
        image = load.ensure(source.Request(
            services.engine, services.image_api, context, image_meta,
            properties, instance.flavor.root_gb * units.Gi,
            instance.trusted_certs, services.options.registries,
            pins.of(instance)))
    except exception.ImageNotFound as error:
        # No other host could do better: Nova would try them all.
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid,
            reason=error.format_message()) from error
    pins.keep(instance, image_meta.id, image)
    cache.use(services.options.state_dir, image.reference)
    return image


def ensure_base(services: base.Services, context: typing.Any,
                instance: typing.Any, name: str, root_gb: int) -> load.Image:
    """Have the image in the engine that the files of a container are upon.

    It need not be the one that Nova names: after it has unshelved an instance,
    Nova names its first one again, and deletes the one that it is of.

    :param name: of that container's image, on this host or another one
    :param root_gb: GiB of the root disk; 0 for no limit
    :raises nova.exception.NovaException: it can't be had here
    """
    def is_there(reference: str) -> bool:
        with contextlib.suppress(errors.NotFound):
            services.engine.inspect_image(reference)
            return True
        return False

    of_glance, _carried = references = names.base_references(name)
    reference = next(filter(is_there, references), None)
    if reference is None and of_glance.startswith(
            names.image_prefix(instance.image_ref)):
        reference = ensure_image(
            services, context, instance, instance.image_meta,
            of_instance(instance)).reference
    if reference is None or reference not in references:
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid,
            reason=f'the image {name}, which its files are upon, is not here')
    cache.use(services.options.state_dir, reference)
    return load.inspect(services.engine, reference, root_gb * units.Gi)


def _refuse_missing(image_id: str,
                    image: collections.abc.Mapping[str, typing.Any],
                    properties: collections.abc.Mapping[str, typing.Any]
                    ) -> None:
    """Refuse what neither the image nor its properties say.

    The engine ignores when to check health where nothing says how.

    :param image: Config of the image
    :param properties: Config of its properties
    """
    config = {**image, **properties}
    health = {**(image.get('Healthcheck') or {}),
              **properties.get('Healthcheck', {})}
    if not config.get('Cmd') and not config.get('Entrypoint'):
        what = 'a command'
    elif 'Healthcheck' in properties and not health.get('Test'):
        what = 'the command of the health check'
    else:
        return
    raise exception.ImageUnacceptable(
        image_id=image_id,
        reason=f'neither the image nor its properties name {what}')


def _is_system(services: base.Services,
               properties: collections.abc.Mapping[str, str]) -> bool:
    """Whether it is a system container.

    :raises nova.exception.ComputeResourcesUnavailable: this host runs none
    """
    if not system.wanted(properties):
        return False
    if not services.options.system_containers:
        raise exception.ComputeResourcesUnavailable(
            reason='system containers are disabled on this host')
    return True


def of_instance(instance: typing.Any) -> dict[str, str]:
    """The docker_* properties of the instance's image, without the prefix."""
    with _refused(instance.image_ref):
        return environment.properties(instance.system_metadata)


def of_metadata(instance: typing.Any) -> dict[str, str]:
    """Environment variables of the instance's metadata."""
    try:
        return environment.variables(instance.metadata)
    except ValueError as error:
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid,
            reason=f'metadata: {error}') from error


def of_image(image_meta: typing.Any,
             properties: collections.abc.Mapping[str, str],
             instance: typing.Any
             ) -> tuple[dict[str, typing.Any], dict[str, typing.Any]]:
    """Create body and HostConfig of an image's properties.

    With what the metadata and the flavor of an instance say of the same.

    :param properties: the docker_* properties, without that prefix
    """
    variables, wanted = of_metadata(instance), flavors.docker(instance)
    with _refused(image_meta.id):
        system.wanted(properties)
        dhcp.wanted(properties)
        environment.console(properties)
        return (environment.config(
            properties, image_meta.properties.get('os_command_line'),
            variables, wanted), environment.host_config(properties, wanted))


def mounts(instance: typing.Any, image_meta: typing.Any,
           ephemerals: int) -> list[str]:
    """Paths of an instance's container at which nobody sees its image.

    :param ephemerals: number of its ephemeral disks
    """
    properties = of_instance(instance)
    _, host_config = of_image(image_meta, properties, instance)
    return [*host_config.get('Tmpfs', ()), *system.mounts(properties),
            *disk.ephemeral_paths(ephemerals),
            *([paths.CONFIG_DRIVE] if config_drive.required(instance)
              else [])]


def _need_init(services: base.Services, image_meta: typing.Any,
               host_config: collections.abc.Mapping[str, typing.Any]
               ) -> None:
    """Refuse an image that wants the engine's init where there is none."""
    with _refused(image_meta.id):
        if (host_config.get('Init') and
                not info.has_init(services.engine.info())):
            raise ValueError(
                'docker_init: the engine of this host has no docker-init')


@contextlib.contextmanager
def _refused(image_id: str) -> collections.abc.Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise exception.ImageUnacceptable(
            image_id=image_id, reason=str(error)) from error
