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

"""The start of a container with its network: for spawn, power on, reboot."""

import collections.abc
import contextlib
import typing

from nova import context as nova_context
from nova import exception
from oslo_log import log as logging
import tenacity

from nova_docker.cdi import store
from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.host import lxcfs
from nova_docker.lifecycle import accelerators
from nova_docker.lifecycle import base
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import migrating
from nova_docker.lifecycle import records
from nova_docker.lifecycle import shares
from nova_docker.lifecycle import suspended
from nova_docker.metadata import config_drive
from nova_docker.network import gate
from nova_docker.network import metadata
from nova_docker.network import netns
from nova_docker.network import plans
from nova_docker.network import plugs
from nova_docker.network import sriov
from nova_docker.network import trunks
from nova_docker.network import vif
from nova_docker.network import wait
from nova_docker.spec import bandwidth
from nova_docker.spec import names
from nova_docker.spec import pages
from nova_docker.spec import ports
from nova_docker.spec import volumes
from nova_docker.volume import device
from nova_docker.volume import rootfs

LOG = logging.getLogger(__name__)

#: Starts that the engine itself fails after it was killed in the middle of
#: one: "file exists", then once "container with given ID already exists".
_ATTEMPTS = 3
#: Seconds that the engine may take beside the start hook.
_ENGINE_TIME = 60
#: Characters of the engine's reason that fit into a fault.
_REASON = 80
#: Where the container that rescues has the file system of the other one.
RESCUE_MOUNT = '/mnt'


@contextlib.contextmanager
def plugged(services: base.Services, instance: typing.Any,
            network_info: typing.Any
            ) -> collections.abc.Iterator[None]:
    """Plug the host side of the ports; at exit, wait for Neutron's events.

    Neutron batches its events for up to two seconds: what the caller does
    meanwhile costs nothing. The pairs and the namespace of an earlier start
    are used again where they are whole; then no port flaps and there is
    nothing to wait for; nor is there while nova-compute starts, as no event
    can reach it yet. The container must not run.

    :raises nova.exception.VirtualInterfacePlugException: a port can't be
        plugged
    :raises nova.exception.VirtualInterfaceCreateException: an event did not
        come in time and ``vif_plugging_is_fatal``
    """
    kept = netns.take_back(
        plans.netns_path(services.options.state_dir, instance.uuid),
        make_plan(services, instance, network_info))
    with (wait.vif_plugged(services.virtapi, instance, network_info)
          if services.started.is_set() and not kept
          else contextlib.nullcontext()):
        plugs.plug(services.options.state_dir, instance, network_info)
        yield


def make_plan(services: base.Services, instance: typing.Any,
              network_info: typing.Any,
              context: typing.Any = None) -> list[ports.Port]:
    """The plan of an instance; its ports are called as in the kept one.

    Its newest container says who sets their addresses: while it is rescued,
    or after a failed rebuild, its image is another one.

    :param context: to ask Neutron where the metadata is, which it knows for
        sure once it has reported the ports as plugged, and for the sub-ports
        of trunks; without, the ports keep the route and those that they have
    :raises nova.exception.VirtualInterfacePlugException: as of
        nova_docker.network.trunks.Trunks.get
    """
    earlier = plans.read(services.options.state_dir, instance.uuid) or ()
    addresses = metadata.addresses(context, network_info) if context else {}
    subports = trunks.subports(context, network_info, {
        port.id for port in earlier}) if context else {}
    container = base.find(services, instance.uuid)
    return ports.plan(
        network_info, addresses,
        bandwidth.of_flavor(instance.flavor.extra_specs), earlier,
        sriov.names(network_info),
        container is not None and names.is_dhcp(container['Labels']),
        subports)


def container(services: base.Services, context: typing.Any, turn: gate.Turn,
              instance: typing.Any, network_info: typing.Any,
              container_id: str, checkpoint: str | None = None) -> None:
    """Start a container whose host side is plugged.

    A start that failed before it reached the gate is tried again; one that
    the gate has seen is not, for then the gate or the command is at fault.

    :param checkpoint: whose processes go on; without, those of a suspended
        instance are given up
    :raises nova.exception.VirtualInterfacePlugException: the gate failed it
    :raises nova_docker.engine.errors.EngineError: the engine did
    """
    migrating.settle(services, instance.uuid)
    if not checkpoint:
        suspended.end(services, instance.uuid)
    specify(services, instance)
    plan = make_plan(services, instance, network_info, context)

    @tenacity.retry(
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, errors.ServerError) and
            not turn.taken),
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=tenacity.wait_fixed(1), reraise=True)
    def attempt() -> None:
        turn.hand(plan)
        services.engine.start_container(
            container_id,
            timeout=services.options.start_hook_timeout + _ENGINE_TIME,
            checkpoint=checkpoint)

    try:
        attempt()
    except errors.EngineError:
        if turn.error:
            turn.check()
        raise
    finally:
        disks.protect(services, instance.uuid)
    turn.check()


def specify(services: base.Services, instance: typing.Any) -> None:
    """Write the CDI specification of the instance's newest container.

    It is the one that may start: an older one, whose file system it may have
    mounted, fails to start by whomever. The disks of both are mounted first.

    :raises nova.exception.InstanceNotFound: there is none, or none to rescue
    """
    containers = base.of_instance(services, instance.uuid)
    rescue = bool(containers) and names.is_rescue(containers[0]['Labels'])
    if not containers[rescue:]:
        raise exception.InstanceNotFound(instance_id=instance.uuid)
    options = services.options
    for each in containers:
        disks.mount(services, instance, each)
    mounts = ([rootfs.mount(services.engine, containers[1]['Id'],
                            RESCUE_MOUNT)] if rescue else [])
    mounts += disks.mounts(services, containers[0])
    mounts += ensure_config_drive(services, instance,
                                  instance.get_network_info())
    known = records.read(options.state_dir, instance.uuid)
    mounts += volumes.mounts(known, records.mounted(options.state_dir,
                                                    instance.uuid))
    mounts += shares.mounts(services, instance.uuid)
    mounts += pages.mounts(names.pages(containers[0]['Labels']))
    mounts += lxcfs.mounts(options.lxcfs_dir)
    store.write(options.cdi_spec_dir, instance.uuid, options.state_dir,
                options.start_hook_timeout, volumes.device_nodes(known),
                mounts, rescue, accelerators.device_nodes(containers[0]))


@contextlib.contextmanager
def first(services: base.Services, image_id: str, container_id: str
          ) -> collections.abc.Iterator[None]:
    """The first start of a container, in the body, tells of its image.

    :raises nova.exception.ImageUnacceptable: its command can't run. Only the
        end of the engine's long message says why, and a fault shows 255
        characters.
    """
    try:
        yield
    except (errors.BadRequest, errors.NotFound) as error:
        command = services.engine.inspect_container(container_id)['Path']
        raise exception.ImageUnacceptable(
            image_id=image_id, reason=f'{command} can not be started: '
            f'...{str(error)[-_REASON:]}') from error


def plug_and_start(services: base.Services, context: typing.Any,
                   turn: gate.Turn, instance: typing.Any,
                   network_info: typing.Any, container_id: str,
                   block_device_info: typing.Any = None,
                   checkpoint: str | None = None) -> None:
    """Connect, plug and start; a failed start unplugs, and removes nothing.

    :param block_device_info: as of :func:`connections.connect_all`
    :param checkpoint: as of :func:`container`
    """
    connections.connect_all(services, context, instance, block_device_info)
    with contextlib.ExitStack() as undo:
        undo.callback(_unplug_quietly, services, instance, network_info)
        with plugged(services, instance, network_info):
            pass
        container(services, context, turn, instance, network_info,
                  container_id, checkpoint)
        undo.pop_all()


def _unplug_quietly(services: base.Services, instance: typing.Any,
                    network_info: typing.Any) -> None:
    """Unplug after a failed start, whose error is what the user must see."""
    try:
        unplug(services, instance, network_info)
    except Exception:
        LOG.exception('Ports may be left plugged', instance=instance)


def ensure_config_drive(
        services: base.Services, instance: typing.Any,
        network_info: typing.Any,
        injected_files: collections.abc.Sequence[tuple[str, bytes]] = (),
        admin_password: str | None = None) -> list[dict[str, typing.Any]]:
    """Make the config drive of an instance that wants one and has none.

    As :func:`nova_docker.metadata.config_drive.ensure`, which see.
    """
    if not config_drive.required(instance):
        return []
    state_dir = services.options.state_dir
    plans.ensure(state_dir, instance.uuid)
    return config_drive.ensure(
        plans.config_drive_path(state_dir, instance.uuid), instance,
        network_info, injected_files, admin_password)


def unplug(services: base.Services, instance: typing.Any,
           network_info: typing.Any) -> None:
    """Remove the host side of the ports and the kept namespace.

    That of ports which Nova has forgotten goes, too.

    :raises nova.exception.InternalError: a port cannot be unplugged
    """
    state_dir = services.options.state_dir
    release(state_dir, instance.uuid)
    plugs.unplug_all(state_dir, instance, network_info)


def release(state_dir: str, instance_uuid: str) -> None:
    """Let the kept namespace of an instance go.

    :raises OSError: the kernel does not give a virtual function back
    """
    netns.release(plans.netns_path(state_dir, instance_uuid),
                  plans.read(state_dir, instance_uuid) or ())


def set_down(state_dir: str, instance_uuid: str) -> None:
    """Set the interfaces down that an instance has, if it does not run."""
    netns.set_down(plans.netns_path(state_dir, instance_uuid),
                   plans.read(state_dir, instance_uuid) or ())


def set_carrier(state_dir: str, instance_uuid: str, there: bool) -> None:
    """Have the ports of an instance that runs send and receive, or not."""
    vif.set_carrier(plans.read(state_dir, instance_uuid) or (), there)


def running(services: base.Services,
            instance_uuid: str) -> client.Json | None:
    """The container of an instance if it has a network namespace in use.

    A moment after the gate let a start go, the engine does not list it as
    running yet.
    """
    found = base.find(services, instance_uuid)
    if found is not None and (
            found['State'] in base.RUNNING or netns.in_use(plans.netns_path(
                services.options.state_dir, instance_uuid))):
        return found
    return None


def unasked(services: base.Services, instance_uuid: str
            ) -> list[ports.Port]:
    """The gate's question at a start that Nova did not ask for.

    The ports are taken back from the kept namespace, with no call to
    anybody; only where that is not whole are they plugged anew.

    :raises Exception: the start must fail
    """
    if (suspended.noted(services, instance_uuid) or
            migrating.read(services, instance_uuid)):
        # Its checkpoint goes with the files that it has now.
        raise exception.InstanceNotRunning(instance_id=instance_uuid)
    disks.check(services, instance_uuid)
    state_dir = services.options.state_dir
    for volume in records.read(state_dir, instance_uuid):
        device.check(volume)
    shares.check(services, instance_uuid)
    path = plans.netns_path(state_dir, instance_uuid)
    plan = plans.read(state_dir, instance_uuid)
    if plan is not None and netns.take_back(path, plan):
        # It may have been paused when it ended.
        vif.set_carrier(plan, True)
        return plan
    context = nova_context.get_admin_context()
    instance = base.instance_of(services, context, instance_uuid,
                                ('info_cache', 'flavor'))
    network_info = instance.get_network_info()
    LOG.info('Plugging the ports again', instance=instance)
    plugs.plug(state_dir, instance, network_info)
    return make_plan(services, instance, network_info, context)
