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

"""What the verbs share: the host's services and how to find a container."""

import collections.abc
import contextlib
import dataclasses
import threading
import typing

from nova import exception
from nova.i18n import _
from nova import objects

from nova_docker.console import server
from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.host import events
from nova_docker.host import inventory
from nova_docker.host import numa
from nova_docker.host import states
from nova_docker.image import registries
from nova_docker.image import save
from nova_docker.lifecycle import unconfirmed
from nova_docker.network import gate
from nova_docker.spec import limits
from nova_docker.spec import names
from nova_docker.spec import privileges
from nova_docker.spec import shares
from nova_docker.transfer import control
from nova_docker.transfer import incoming
from nova_docker.volume import connector

#: What the engine calls a container whose processes exist.
RUNNING = ('running', 'paused', 'restarting')


@dataclasses.dataclass(frozen=True)
class Disks:
    """The disks of instances.

    :ivar root: how root disks are held to their sizes: a kind of
        nova_docker.spec.disk
    :ivar directory: absolute path of those that are files
    :ivar reserve: whether these take all their space at once
    """
    root: str
    directory: str
    reserve: bool


@dataclasses.dataclass(frozen=True)
class Suspend:
    """What becomes of instances that are suspended.

    :ivar checkpoint: whether the engine writes them to its disk; else they
        are frozen
    :ivar refusal: why none can be; empty when they can
    :ivar criu: the version of what writes them; empty where it is not asked
    """
    checkpoint: bool
    refusal: str
    criu: str


@dataclasses.dataclass(frozen=True)
class Options:
    """The options that the verbs need, read once at start.

    :ivar state_dir: absolute path
    :ivar cdi_spec_dir: absolute path, one that the engine reads
    :ivar start_hook_timeout: seconds
    :ivar online: CPUs of the host; shared is those for VCPUs, dedicated those
        for PCPUs
    :ivar allowed: what flavors may give instances here
    :ivar pci_cdi: CDI names by PCI addresses, and gpus those by resource class
    :ivar system_containers: whether this host runs any
    :ivar userns_remap: whether root in a container is not root of the host
    :ivar first_ids: the user and the group of the host that it is
    :ivar log_max_size: MiB
    :ivar console_log_size: KiB
    :ivar volume_filesystems: kinds that this host mounts
    :ivar resume: whether instances are started again that ended with the
        engine or the host
    """
    state_dir: str
    cdi_spec_dir: str
    start_hook_timeout: int
    limits: limits.Limits
    disks: Disks
    allowed: privileges.Allowed
    seccomp_profiles_dir: str
    lxcfs_dir: str
    pci_cdi: dict[str, str]
    gpus: dict[str, list[str]]
    system_containers: bool
    userns_remap: bool
    first_ids: tuple[int, int]
    online: frozenset[int]
    shared: frozenset[int]
    dedicated: frozenset[int]
    networks: numa.Networks
    reserved: inventory.Reserved
    log_max_size: int
    log_max_files: int
    console_log_size: int
    resume: bool
    registries: registries.Options
    volumes: connector.Options
    volume_filesystems: frozenset[str]
    shares: shares.Options
    suspend: Suspend
    transfers: incoming.Options

    @property
    def floating(self) -> frozenset[int] | None:
        """CPUs of instances that have none of their own; None for all."""
        return None if self.shared == self.online else self.shared


@dataclasses.dataclass
class Leaving:
    """A live migration that is being done, which its user may abort.

    :ivar target: the host that the instance goes to
    :ivar final: whether it is too late for that
    """
    target: str
    aborted: bool = False
    final: bool = False
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def check(self) -> None:
        """:raises nova.exception.MigrationError: it was aborted"""
        if self.aborted:
            raise exception.MigrationError(reason=_('it was aborted'))

    def finish(self) -> None:
        """From now on it is too late.

        :raises nova.exception.MigrationError: it was aborted
        """
        with self.lock:
            self.check()
            self.final = True


@dataclasses.dataclass(frozen=True)
class Services:
    """What one nova-compute works with.

    :ivar host: the name that Nova gives to init_host
    :ivar transfers: lets other hosts send servers here
    :ivar virtapi: nova.virt.virtapi.VirtAPI
    :ivar image_api: nova.image.glance.API
    :ivar undone: by instance uuid, how to undo what could not be undone, as
        the engine was away
    :ivar uploads: by private reference, the snapshots that are being taken
    :ivar frozen: uuids of the instances whose processes the driver, and not
        their user, has frozen; Nova need not see it
    :ivar leaving: by instance uuid, the live migrations from this host
    :ivar deadlines: by instance uuid, what ends the quiescence of one
    :ivar started: whether nova-compute has started: until then Nova goes on
        with what was cut off, and nothing can reach it by RPC
    """
    host: str
    engine: client.Engine
    gate: gate.Gate
    events: events.EventThread
    transfers: control.Server
    states: states.States
    consoles: server.Consoles
    virtapi: typing.Any
    image_api: typing.Any
    options: Options
    undone: dict[str, collections.abc.Callable[[], None]] = (
        dataclasses.field(default_factory=dict))
    uploads: dict[str, save.Upload] = (
        dataclasses.field(default_factory=dict))
    frozen: set[str] = dataclasses.field(default_factory=set)
    leaving: dict[str, Leaving] = dataclasses.field(default_factory=dict)
    deadlines: dict[str, threading.Timer] = (
        dataclasses.field(default_factory=dict))
    started: threading.Event = (
        dataclasses.field(default_factory=threading.Event))


def stop_timeout(instance: typing.Any, timeout: int) -> int:
    """Seconds that an instance has for a clean stop.

    :param timeout: that Nova gives it; 0 for none. It is of the image where
        that has one, which wins over the flavor.
    """
    if not timeout or 'image_os_shutdown_timeout' in instance.system_metadata:
        return timeout
    return int(instance.flavor.extra_specs.get(
        'docker:stop_timeout', timeout))


def find(services: Services, instance_uuid: str) -> client.Json | None:
    """The container of an instance as GET /containers/json has it.

    Of several, the newest: the one that it is rescued with, or that a rebuild
    made.
    """
    return next(iter(of_instance(services, instance_uuid)), None)


def of_instance(services: Services, instance_uuid: str) -> list[client.Json]:
    """All containers of an instance, the newest first.

    But for the one that a resize has left: see :func:`left`.
    """
    left_id = unconfirmed.container(services.options.state_dir, instance_uuid)
    return [container for container in all_of_instance(
        services, instance_uuid) if container['Id'] != left_id]


def all_of_instance(services: Services,
                    instance_uuid: str) -> list[client.Json]:
    """The same, with the one that a resize has left.

    A list and no inspect, which blocks while the container starts. By label:
    a container that is not ours does not exist, whatever its name.
    """
    return services.engine.list_containers(
        labels=names.instance_filter(instance_uuid, services.host))


def left(services: Services, instance_uuid: str) -> client.Json | None:
    """The container that a resize has left until it is confirmed."""
    left_id = unconfirmed.container(services.options.state_dir, instance_uuid)
    return next((container for container in (
        all_of_instance(services, instance_uuid) if left_id else ())
        if container['Id'] == left_id), None)


def get(services: Services, instance_uuid: str) -> client.Json:
    """As :func:`find`.

    :raises nova.exception.InstanceNotFound: there is none
    """
    container = find(services, instance_uuid)
    if container is None:
        raise exception.InstanceNotFound(instance_id=instance_uuid)
    return container


def instance_of(services: Services, context: typing.Any, instance_uuid: str,
                attributes: collections.abc.Sequence[str] = ()) -> typing.Any:
    """What Nova knows of an instance whose container is here.

    :param attributes: expected_attrs of nova.objects.Instance
    :raises nova.exception.InstanceNotFound: nothing, or that it is on another
        host by now: this one was taken for dead, and it was evacuated
    """
    instance = objects.Instance.get_by_uuid(
        context, instance_uuid, expected_attrs=list(attributes))
    if instance.host != services.host:
        raise exception.InstanceNotFound(
            _('Instance %(uuid)s is on host %(host)s') % {
                'uuid': instance_uuid, 'host': instance.host})
    return instance


def migration(context: typing.Any, instance: typing.Any) -> typing.Any:
    """The move to another host, or back, that Nova is at with an instance.

    Not the one that has a status: one that was cut off may have it for ever.
    """
    return objects.Migration.get_by_id_and_instance(
        context, instance.migration_context.migration_id, instance.uuid)


@contextlib.contextmanager
def existing(services: Services, instance_uuid: str
             ) -> collections.abc.Iterator[client.Json]:
    """As :func:`get`, for requests about that container.

    :raises nova.exception.InstanceNotFound: there is none, or it has gone
        before a request
    """
    try:
        yield get(services, instance_uuid)
    except errors.NotFound as error:
        raise exception.InstanceNotFound(
            instance_id=instance_uuid) from error
