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

"""init_host and cleanup_host: the services of one nova-compute."""

import contextlib
import functools
import typing

from nova.compute import utils as compute_utils
from nova.conf import neutron
from nova.i18n import _
from nova.image import glance
from nova import objects
from nova.virt import hardware
import os_resource_classes as orc
from oslo_log import log as logging

from nova_docker.cdi import hook
from nova_docker.cdi import store
from nova_docker.console import hub
from nova_docker.console import server
from nova_docker.engine import client
from nova_docker.engine import session
from nova_docker.engine import transport
from nova_docker.host import checkpoints
from nova_docker.host import events
from nova_docker.host import info
from nova_docker.host import inventory
from nova_docker.host import numa
from nova_docker.host import startup
from nova_docker.host import states
from nova_docker.image import registries
from nova_docker.lifecycle import base
from nova_docker.lifecycle import boot
from nova_docker.lifecycle import carried
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import console
from nova_docker.lifecycle import cpus
from nova_docker.lifecycle import destroy
from nova_docker.lifecycle import image_cache
from nova_docker.lifecycle import left
from nova_docker.lifecycle import live_arrival
from nova_docker.lifecycle import live_checks
from nova_docker.lifecycle import live_migration
from nova_docker.lifecycle import pages
from nova_docker.lifecycle import portable
from nova_docker.lifecycle import quiesce
from nova_docker.lifecycle import records
from nova_docker.lifecycle import resume
from nova_docker.lifecycle import shares
from nova_docker.lifecycle import start
from nova_docker.lifecycle import suspend
from nova_docker.lifecycle import throttles
from nova_docker.lifecycle import unconfirmed
from nova_docker.lifecycle import volumes
from nova_docker.lifecycle import watchdog
from nova_docker.network import gate
from nova_docker.network import plans
from nova_docker.network import plugs
from nova_docker.network import vif
from nova_docker.spec import accelerators
from nova_docker.spec import limits
from nova_docker.spec import privileges
from nova_docker.spec import shares as shares_spec
from nova_docker.transfer import control
from nova_docker.transfer import incoming
from nova_docker.volume import connector
from nova_docker.volume import limit

LOG = logging.getLogger(__name__)


def init_host(conf: typing.Any, virtapi: typing.Any, host: str,
              emit: typing.Any) -> base.Services:
    """Check the host, clear what was left on it, and follow its engine.

    The gate comes first: containers that start meanwhile wait for it, and
    whatever asks about such a container waits with them. Whatever fails, what
    was begun is ended.

    Source: nova.virt.driver.ComputeDriver.init_host.

    :param conf: nova.conf.CONF
    :param emit: nova.virt.driver.ComputeDriver.emit_event
    :raises nova_docker.exception.HostUnusable: instances cannot run here
    """
    with contextlib.ExitStack() as undo:
        engine = session.Session(address(conf))
        undo.callback(engine.close)
        facts = startup.check(engine, conf.docker.url,
                              conf.docker.cdi_spec_dir)
        startup.check_labels(engine, host)
        services = _services(
            engine, _options(conf, facts, _disks(conf, engine),
                             _suspend(conf, engine)),
            console.options(conf), virtapi, host, emit)
        undo.callback(cleanup_host, services)
        hook.install(services.options.state_dir)
        checkpoints.install(services.options.state_dir)
        services.gate.start()
        vif.initialize()
        live_arrival.remove_over(services)
        destroy.remove_over(services)
        startup.reconcile(engine, _kept(services))
        cpus.heal(services)
        pages.check(services)
        quiesce.heal(services)
        volumes.heal(services)
        suspend.heal(services)
        live_migration.heal(services)
        image_cache.remove_leftovers(services)
        services.states.refresh(engine)
        services.events.start()
        services.transfers.start()
        services.consoles.start()
        undo.pop_all()
    return services


def cleanup_host(services: base.Services | None) -> None:
    """Stop following the engine. Instances are left as they are.

    Source: nova.virt.driver.ComputeDriver.cleanup_host.

    :param services: None when init_host has not come to its end
    """
    if services is not None:
        services.transfers.stop()
        quiesce.stop(services)
        services.consoles.stop()
        services.events.stop()
        services.gate.stop()
        services.engine.close()


def _services(engine: client.Engine, options: base.Options,
              consoles: server.Options, virtapi: typing.Any, host: str,
              emit: typing.Any) -> base.Services:
    """What the verbs work with; nothing is started."""
    known = states.States(host)
    services = base.Services(
        host=host, engine=engine, virtapi=virtapi, states=known,
        image_api=glance.API(), options=options,
        transfers=control.Server(host, options.transfers, control.Answers(
            lambda uuid: destroy.discard(services, uuid),
            lambda needs: portable.refusals(services, needs),
            lambda *wanted: carried.has(services, *wanted),
            lambda *wanted: carried.load_sent(services, *wanted),
            lambda *wanted: carried.send(services, *wanted),
            lambda: live_checks.facts(services),
            lambda uuid: live_arrival.prepare(services, uuid),
            lambda uuid: live_arrival.restore(services, uuid),
            lambda uuid: live_arrival.withdraw(services, uuid),
            lambda uuid: left.mount_paths(services, uuid))),
        consoles=server.Consoles(
            consoles, options.state_dir, hub.Source(
                lambda uuid: console.open_terminal(services, uuid),
                console.close_terminal)),
        gate=gate.Gate(options.state_dir,
                       lambda uuid, _pid: start.unasked(services, uuid),
                       lambda *start: _prepare(services, *start),
                       functools.partial(unconfirmed.container,
                                         options.state_dir),
                       options.start_hook_timeout),
        events=events.EventThread(
            engine, host, known, emit,
            functools.partial(start.set_down, options.state_dir),
            lambda: destroy.undo_again(services),
            lambda uuid: watchdog.act(services, uuid),
            lambda uuid: resume.after_engine(services, uuid)))
    return services


def _prepare(services: base.Services, instance_uuid: str, pid: int,
             container_id: str) -> None:
    """Hold a container to its limits before its first instruction.

    :param pid: of its first process
    :raises OSError: the host can not do that
    """
    labels: dict[str, str] = next(
        (each['Labels'] for each in base.all_of_instance(
            services, instance_uuid) if each['Id'] == container_id), {})
    throttles.apply(services, instance_uuid, pid, container_id, labels)
    pages.apply(pid, container_id, labels)


def address(conf: typing.Any) -> transport.Address:
    """The engine of this host, by the configuration."""
    docker = conf.docker
    return transport.Address(
        url=docker.url, ca_file=docker.tls_ca_file,
        cert_file=docker.tls_cert_file, key_file=docker.tls_key_file,
        verify=docker.tls_verify, timeout=docker.request_timeout)


def _disks(conf: typing.Any, engine: client.Engine) -> base.Disks:
    """How this host makes disks.

    :raises nova_docker.exception.HostUnusable: it cannot
    """
    docker = conf.docker
    return base.Disks(
        limit.detect(engine, docker.root_disk, docker.disks_dir),
        docker.disks_dir, conf.preallocate_images == 'space')


def _networks(conf: typing.Any) -> numa.Networks:
    """Where networks are near to.

    :raises nova.exception.InvalidNetworkNUMAAffinity: nowhere on this host
    """
    # As Nova's manager of computes does: their names are in other options.
    neutron.register_dynamic_opts(conf)
    networks = numa.Networks(
        {name: frozenset(conf[f'neutron_physnet_{name}'].numa_nodes)
         for name in conf.neutron.physnets},
        frozenset(conf.neutron_tunnel.numa_nodes))
    numa.check(networks, numa.read())
    return networks


def _suspend(conf: typing.Any, engine: client.Engine) -> base.Suspend:
    """What this host does with instances that are suspended."""
    docker = conf.docker
    wanted = docker.suspend == 'checkpoint'
    refusal = checkpoints.refusal(
        engine.info(), docker.criu) if wanted else ''
    if refusal:
        LOG.warning('No instance can be suspended: %s', refusal)
    if docker.suspend == 'refuse':
        refusal = _('suspending servers is disabled on this host')
    return base.Suspend(
        wanted, refusal, checkpoints.version(docker.criu)
        if wanted and not refusal else '')


def _options(conf: typing.Any, facts: info.HostInfo, disks: base.Disks,
             suspending: base.Suspend) -> base.Options:
    """The options as values; what they say of CPUs is checked here.

    :raises nova.exception.Invalid: they name CPUs that are not online
    """
    floating, pinned = inventory.cpus(
        facts.cpu.online, hardware.get_cpu_shared_set(),
        hardware.get_cpu_dedicated_set())
    docker = conf.docker
    return base.Options(
        state_dir=docker.state_dir, cdi_spec_dir=docker.cdi_spec_dir,
        start_hook_timeout=docker.start_hook_timeout,
        limits=limits.Limits(docker.pids_limit, docker.cpu_hard_cap),
        disks=disks,
        allowed=privileges.Allowed(
            docker.allow_privileged, tuple(docker.allowed_sysctls),
            tuple(docker.allowed_devices),
            tuple(docker.allowed_apparmor_profiles)),
        seccomp_profiles_dir=docker.seccomp_profiles_dir,
        lxcfs_dir=docker.lxcfs_dir,
        pci_cdi=accelerators.mapping(docker.pci_cdi_devices),
        gpus={orc.VGPU: docker.vgpu_devices, orc.PGPU: docker.pgpu_devices},
        system_containers=docker.system_containers,
        userns_remap=facts.userns_remap, first_ids=facts.first_ids,
        online=facts.cpu.online, shared=frozenset(floating),
        dedicated=frozenset(pinned), networks=_networks(conf),
        reserved=inventory.Reserved(
            cpus=conf.reserved_host_cpus,
            memory_mb=conf.reserved_host_memory_mb,
            disk_gb=compute_utils.convert_mb_to_ceil_gb(
                conf.reserved_host_disk_mb)),
        log_max_size=docker.log_max_size,
        log_max_files=docker.log_max_files,
        console_log_size=docker.console_log_size,
        resume=conf.resume_guests_state_on_host_boot,
        registries=registries.Options(
            tuple(docker.allowed_registries), docker.registries_file,
            conf.glance.verify_glance_signatures),
        volumes=connector.Options(
            docker.volume_use_multipath, docker.volume_enforce_multipath,
            docker.num_volume_scan_tries, docker.iscsi_iface),
        volume_filesystems=frozenset(docker.volume_filesystems),
        shares=shares_spec.Options(
            tuple(docker.nfs_mount_options),
            tuple(docker.ceph_mount_options), docker.share_timeout),
        suspend=suspending,
        transfers=_transfers(docker))


def _transfers(docker: typing.Any) -> incoming.Options:
    ports = docker.migration_ports
    return incoming.Options(
        docker.state_dir, docker.migration_inbound_addr,
        (ports[0], ports[-1]) if ports else None, docker.migration_timeout)


def _kept(services: base.Services) -> list[startup.Kept]:
    """What the driver keeps of an instance beside its container."""
    options = services.options

    def remove_state(instance_uuid: str) -> None:
        if records.root(options.state_dir, instance_uuid):
            boot.remove_source(services, instance_uuid)
        connections.disconnect_all(services, instance_uuid)
        start.release(options.state_dir, instance_uuid)
        # Nova is not asked for it; os-vif wants a name only.
        plugs.unplug_all(options.state_dir, objects.Instance(
            id=0, uuid=instance_uuid), None)
        plans.remove(options.state_dir, instance_uuid)

    return [
        startup.Kept(
            'CDI specification',
            functools.partial(store.instances, options.cdi_spec_dir,
                              options.state_dir),
            functools.partial(store.remove, options.cdi_spec_dir)),
        startup.Kept(
            'network state and volumes',
            functools.partial(plans.instances, options.state_dir),
            remove_state),
        startup.Kept(
            'console ports', services.consoles.ports.instances,
            services.consoles.close),
        startup.Kept(
            'shares', functools.partial(shares.instances, options.state_dir),
            functools.partial(shares.unmount_all, services)),
    ]
