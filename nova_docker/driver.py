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

"""DockerDriver: Nova's verbs, each handed on to the module that does it.

Longer than 400 lines: there are so many verbs.
"""

import collections.abc
import functools
import typing

import nova.conf
from nova import exception
from nova.virt import driver
from nova.virt import hardware
from oslo_concurrency import lockutils

from nova_docker import conf
from nova_docker.engine import errors
from nova_docker.host import stats
from nova_docker.lifecycle import base
from nova_docker.lifecycle import console
from nova_docker.lifecycle import destroy
from nova_docker.lifecycle import image_cache
from nova_docker.lifecycle import interfaces
from nova_docker.lifecycle import live_arrival
from nova_docker.lifecycle import live_checks
from nova_docker.lifecycle import live_migration
from nova_docker.lifecycle import password
from nova_docker.lifecycle import power
from nova_docker.lifecycle import query
from nova_docker.lifecycle import quiesce
from nova_docker.lifecycle import rebuild
from nova_docker.lifecycle import rescue
from nova_docker.lifecycle import resize
from nova_docker.lifecycle import resources
from nova_docker.lifecycle import shares
from nova_docker.lifecycle import snapshot
from nova_docker.lifecycle import spawn
from nova_docker.lifecycle import startup
from nova_docker.lifecycle import suspend
from nova_docker.lifecycle import swap
from nova_docker.lifecycle import volumes

CONF = nova.conf.CONF
conf.register_opts(CONF)

_Verb = typing.TypeVar(
    '_Verb', bound=collections.abc.Callable[..., typing.Any])

#: The engine's errors as Nova's, the first that fits. Only classes of
#: nova.exception cross RPC as themselves.
_ERRORS = (
    (errors.Unavailable, exception.HypervisorUnavailable),
    (errors.Timeout, exception.HypervisorUnavailable),
    (errors.EngineError, exception.InternalError),
)

#: Characters of the engine's message that fit into a fault, which has 255.
_REASON = 200


def _translated(verb: _Verb) -> _Verb:
    """Raise the engine's errors as Nova's; the fault shows their message.

    Of a long one, its end: an engine puts why behind what it did.
    """
    @functools.wraps(verb)
    def wrapper(*args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        try:
            return verb(*args, **kwargs)
        except errors.EngineError as error:
            nova_error = next(to for of, to in _ERRORS
                              if isinstance(error, of))
            reason = str(error)
            if len(reason) > _REASON:
                reason = f'...{reason[-_REASON:]}'
            raise nova_error(f'Docker Engine: {reason}') from error
    return typing.cast(_Verb, wrapper)


class DockerDriver(driver.ComputeDriver):
    """Instances as containers of a Docker Engine.

    The methods are those of :class:`nova.virt.driver.ComputeDriver`, which
    says what each one is for; here they are an index of where it is done.
    """

    capabilities = {
        **driver.ComputeDriver.capabilities,
        'has_imagecache': True,
        'supports_attach_interface': True,
        'supports_device_tagging': True,
        'supports_evacuate': True,
        'supports_tagged_attach_interface': True,
        'supports_tagged_attach_volume': True,
        'supports_extend_volume': True,
        'supports_multiattach': True,
        'supports_pcpus': True,
        'supports_accelerators': True,
        'supports_trusted_certs': True,
        'supports_bfv_rescue': True,
        'supports_virtio_fs': True,
        'supports_mem_backing_file': True,
        'supports_image_type_raw': True,
    }

    def __init__(self, virtapi: typing.Any) -> None:
        super().__init__(virtapi)
        self._initialized: base.Services | None = None

    @property
    def _services(self) -> base.Services:
        if self._initialized is None:
            raise exception.VirtDriverNotReady()
        return self._initialized

    # The host

    @_translated
    def init_host(self, host: str) -> None:
        self.cleanup_host(host)
        self._initialized = startup.init_host(
            CONF, self.virtapi, host, self.emit_event)

    # Nova 2026.2 waits for it only so long: what starts next waits, too.
    @lockutils.synchronized('nova-docker-cleanup-host')
    def cleanup_host(self, host: str) -> None:
        startup.cleanup_host(self._initialized)
        self._initialized = None

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        return [self._services.host]

    @_translated
    def get_available_resource(self, nodename: str) -> dict[str, typing.Any]:
        return resources.get_available_resource(self._services, nodename)

    @_translated
    def update_provider_tree(self, provider_tree: typing.Any, nodename: str,
                             allocations: typing.Any = None) -> None:
        resources.update_provider_tree(
            self._services, provider_tree, nodename,
            self._get_allocation_ratios)

    def get_host_ip_addr(self) -> str:
        return str(CONF.my_ip)

    def get_host_uptime(self) -> str:
        return stats.uptime()

    def get_host_cpu_stats(self) -> dict[str, int]:
        return stats.host_cpu()

    # Instances: what they are

    @_translated
    def get_info(self, instance: typing.Any,
                 use_cache: bool = True) -> hardware.InstanceInfo:
        return query.get_info(self._services, instance, use_cache)

    @_translated
    def list_instances(self) -> list[str]:
        return query.list_instances(self._services)

    @_translated
    def list_instance_uuids(self) -> list[str]:
        return query.list_instance_uuids(self._services)

    @_translated
    def get_console_output(self, context: typing.Any,
                           instance: typing.Any) -> str:
        return query.get_console_output(self._services, instance)

    @_translated
    def get_serial_console(self, context: typing.Any,
                           instance: typing.Any) -> typing.Any:
        return console.get_serial_console(self._services, instance)

    @_translated
    def get_vnc_console(self, context: typing.Any,
                        instance: typing.Any) -> typing.Any:
        return console.get_vnc_console(self._services, instance)

    @_translated
    def get_diagnostics(self, instance: typing.Any) -> dict[str, typing.Any]:
        return query.get_diagnostics(self._services, instance)

    @_translated
    def get_instance_diagnostics(self, instance: typing.Any) -> typing.Any:
        return query.get_instance_diagnostics(self._services, instance)

    def instance_on_disk(self, instance: typing.Any) -> bool:
        """No host has the files of a container of another one."""
        return False

    # Instances: from their first to their last moment

    @_translated
    def spawn(self, context: typing.Any, instance: typing.Any,
              image_meta: typing.Any, injected_files: typing.Any,
              admin_password: typing.Any, allocations: typing.Any,
              network_info: typing.Any = None,
              block_device_info: typing.Any = None, power_on: bool = True,
              accel_info: typing.Any = None) -> None:
        spawn.spawn(self._services, context, instance, image_meta,
                    injected_files, admin_password, network_info,
                    block_device_info, power_on, accel_info)

    @_translated
    def rebuild(self, context: typing.Any, instance: typing.Any,
                image_meta: typing.Any, injected_files: typing.Any,
                admin_password: typing.Any, allocations: typing.Any,
                bdms: typing.Any, detach_block_devices: typing.Any,
                attach_block_devices: typing.Any,
                network_info: typing.Any = None, evacuate: bool = False,
                block_device_info: typing.Any = None,
                preserve_ephemeral: bool = False,
                accel_uuids: typing.Any = None,
                reimage_boot_volume: bool = False) -> None:
        rebuild.rebuild(
            self._services, context, instance, image_meta, injected_files,
            admin_password, network_info, block_device_info, accel_uuids,
            rebuild.Volumes(bdms, detach_block_devices, attach_block_devices),
            CONF.shutdown_timeout, preserve_ephemeral)

    @_translated
    def destroy(self, context: typing.Any, instance: typing.Any,
                network_info: typing.Any,
                block_device_info: typing.Any = None,
                destroy_disks: bool = True,
                destroy_secrets: bool = True) -> None:
        destroy.destroy(self._services, instance, network_info, destroy_disks)

    @_translated
    def cleanup(self, context: typing.Any, instance: typing.Any,
                network_info: typing.Any,
                block_device_info: typing.Any = None,
                destroy_disks: bool = True, migrate_data: typing.Any = None,
                destroy_vifs: bool = True,
                destroy_secrets: bool = True) -> None:
        # Of a live migration, its verb does so at its end.
        if migrate_data is None:
            destroy.cleanup(self._services, instance, network_info,
                            destroy_disks, destroy_vifs)

    @_translated
    def power_off(self, instance: typing.Any, timeout: int = 0,
                  retry_interval: int = 0) -> None:
        power.power_off(self._services, instance, timeout)

    @_translated
    def power_on(self, context: typing.Any, instance: typing.Any,
                 network_info: typing.Any,
                 block_device_info: typing.Any = None,
                 accel_info: typing.Any = None,
                 share_info: typing.Any = None) -> None:
        power.power_on(self._services, context, instance, network_info,
                       block_device_info, share_info)

    @_translated
    def reboot(self, context: typing.Any, instance: typing.Any,
               network_info: typing.Any, reboot_type: str,
               block_device_info: typing.Any = None,
               bad_volumes_callback: typing.Any = None,
               accel_info: typing.Any = None,
               share_info: typing.Any = None) -> None:
        power.reboot(self._services, context, instance, network_info,
                     reboot_type == 'HARD', block_device_info, share_info,
                     CONF.shutdown_timeout, accel_info)

    @_translated
    def resume_state_on_host_boot(
            self, context: typing.Any, instance: typing.Any,
            network_info: typing.Any, share_info: typing.Any,
            block_device_info: typing.Any = None) -> None:
        power.power_on(self._services, context, instance, network_info,
                       block_device_info, share_info)

    @_translated
    def pause(self, instance: typing.Any) -> None:
        power.pause(self._services, instance)

    @_translated
    def unpause(self, instance: typing.Any) -> None:
        power.unpause(self._services, instance)

    @_translated
    def suspend(self, context: typing.Any, instance: typing.Any) -> None:
        suspend.suspend(self._services, instance)

    @_translated
    def resume(self, context: typing.Any, instance: typing.Any,
               network_info: typing.Any, block_device_info: typing.Any = None,
               share_info: typing.Any = None) -> None:
        suspend.resume(self._services, context, instance, network_info,
                       block_device_info, share_info)

    # Instances: when their flavor changes

    @_translated
    def migrate_disk_and_power_off(
            self, context: typing.Any, instance: typing.Any, dest: str,
            flavor: typing.Any, network_info: typing.Any,
            block_device_info: typing.Any = None, timeout: int = 0,
            retry_interval: int = 0) -> str:
        return resize.migrate_disk_and_power_off(
            self._services, context, instance, flavor, network_info,
            block_device_info, timeout, dest == self.get_host_ip_addr())

    @_translated
    def finish_migration(
            self, context: typing.Any, migration: typing.Any,
            instance: typing.Any, disk_info: typing.Any,
            network_info: typing.Any, image_meta: typing.Any,
            resize_instance: bool, allocations: typing.Any,
            block_device_info: typing.Any = None, power_on: bool = True,
            share_info: typing.Any = None) -> None:
        resize.finish_migration(
            self._services, context, instance, disk_info, network_info,
            image_meta, block_device_info, power_on, share_info)

    @_translated
    def confirm_migration(self, context: typing.Any, migration: typing.Any,
                          instance: typing.Any,
                          network_info: typing.Any) -> None:
        resize.confirm_migration(self._services, migration, instance,
                                 network_info)

    @_translated
    def finish_revert_migration(
            self, context: typing.Any, instance: typing.Any,
            network_info: typing.Any, migration: typing.Any,
            block_device_info: typing.Any = None, power_on: bool = True,
            share_info: typing.Any = None) -> None:
        resize.finish_revert_migration(
            self._services, context, instance, network_info, migration,
            block_device_info, power_on, share_info)

    @_translated
    def delete_instance_files(self, instance: typing.Any) -> bool:
        return resize.delete_instance_files(self._services, instance)

    # Instances: when they are in trouble

    @_translated
    def rescue(self, context: typing.Any, instance: typing.Any,
               network_info: typing.Any, image_meta: typing.Any,
               rescue_password: typing.Any, block_device_info: typing.Any,
               share_info: typing.Any) -> None:
        rescue.rescue(self._services, context, instance, network_info,
                      image_meta, rescue_password, block_device_info)

    @_translated
    def unrescue(self, context: typing.Any, instance: typing.Any) -> None:
        rescue.unrescue(self._services, context, instance)

    @_translated
    def trigger_crash_dump(self, instance: typing.Any) -> None:
        power.trigger_crash_dump(self._services, instance)

    @_translated
    def set_admin_password(self, instance: typing.Any,
                           new_pass: str) -> None:
        password.set_admin_password(self._services, instance, new_pass)

    # Images

    @_translated
    def snapshot(self, context: typing.Any, instance: typing.Any,
                 image_id: str, update_task_state: typing.Any) -> None:
        snapshot.snapshot(self._services, context, instance, image_id,
                          update_task_state)

    @_translated
    def quiesce(self, context: typing.Any, instance: typing.Any,
                image_meta: typing.Any) -> None:
        quiesce.quiesce(self._services, instance)

    @_translated
    def unquiesce(self, context: typing.Any, instance: typing.Any,
                  image_meta: typing.Any) -> None:
        quiesce.unquiesce(self._services, instance)

    @_translated
    def cache_image(self, context: typing.Any, image_id: str) -> bool:
        return image_cache.cache_image(self._services, context, image_id)

    @_translated
    def manage_image_cache(self, context: typing.Any,
                           all_instances: typing.Any) -> None:
        image_cache.manage_image_cache(
            self._services, all_instances,
            CONF.image_cache.remove_unused_base_images,
            CONF.image_cache.remove_unused_original_minimum_age_seconds)

    # Ports

    @_translated
    def attach_interface(self, context: typing.Any, instance: typing.Any,
                         image_meta: typing.Any, vif: typing.Any) -> None:
        interfaces.attach_interface(self._services, context, instance, vif)

    @_translated
    def detach_interface(self, context: typing.Any, instance: typing.Any,
                         vif: typing.Any) -> None:
        interfaces.detach_interface(self._services, context, instance, vif)

    @_translated
    def plug_vifs(self, instance: typing.Any,
                  network_info: typing.Any) -> None:
        interfaces.plug_vifs(self._services, instance, network_info)

    @_translated
    def unplug_vifs(self, instance: typing.Any,
                    network_info: typing.Any) -> None:
        interfaces.unplug_vifs(self._services, instance, network_info)

    # Volumes

    def default_root_device_name(self, instance: typing.Any,
                                 image_meta: typing.Any,
                                 root_bdm: typing.Any) -> str:
        return volumes.ROOT_DEVICE

    @_translated
    def get_volume_connector(self, instance: typing.Any
                             ) -> dict[str, typing.Any]:
        return volumes.get_volume_connector(
            self._services, CONF.my_block_storage_ip)

    @_translated
    def attach_volume(self, context: typing.Any,
                      connection_info: dict[str, typing.Any],
                      instance: typing.Any, mountpoint: str,
                      disk_bus: typing.Any = None,
                      device_type: typing.Any = None,
                      encryption: typing.Any = None) -> None:
        volumes.attach_volume(self._services, context, connection_info,
                              instance, mountpoint, encryption)

    @_translated
    def detach_volume(self, context: typing.Any,
                      connection_info: dict[str, typing.Any],
                      instance: typing.Any, mountpoint: str,
                      encryption: typing.Any = None) -> None:
        volumes.detach_volume(self._services, connection_info, instance,
                              mountpoint)

    @_translated
    def extend_volume(self, context: typing.Any,
                      connection_info: dict[str, typing.Any],
                      instance: typing.Any, requested_size: int) -> None:
        volumes.extend_volume(self._services, context, connection_info,
                              instance, requested_size)

    @_translated
    def swap_volume(self, context: typing.Any,
                    old_connection_info: dict[str, typing.Any],
                    new_connection_info: dict[str, typing.Any],
                    instance: typing.Any, mountpoint: str,
                    resize_to: int) -> None:
        swap.swap_volume(self._services, context, old_connection_info,
                         new_connection_info, instance, mountpoint)

    def block_stats(self, instance: typing.Any,
                    disk_id: str) -> list[int] | None:
        return volumes.block_stats(self._services, instance, disk_id)

    def get_all_volume_usage(self, context: typing.Any,
                             compute_host_bdms: typing.Any
                             ) -> list[dict[str, typing.Any]]:
        return volumes.get_all_volume_usage(self._services, compute_host_bdms)

    # Shares

    @_translated
    def mount_share(self, context: typing.Any, instance: typing.Any,
                    share_mapping: typing.Any) -> None:
        shares.mount_share(self._services, instance, share_mapping)

    @_translated
    def umount_share(self, context: typing.Any, instance: typing.Any,
                     share_mapping: typing.Any) -> bool:
        return shares.umount_share(self._services, instance, share_mapping)

    @_translated
    def is_share_mounted(self, share_mapping: typing.Any) -> bool:
        return shares.is_share_mounted(self._services, share_mapping)

    # Instances: when they go to another host as they run

    @_translated
    def check_can_live_migrate_destination(
            self, context: typing.Any, instance: typing.Any,
            src_compute_info: typing.Any, dst_compute_info: typing.Any,
            block_migration: bool = False,
            disk_over_commit: bool = False) -> typing.Any:
        return live_checks.check_can_live_migrate_destination(
            self._services, context, instance, block_migration)

    @_translated
    def check_can_live_migrate_source(
            self, context: typing.Any, instance: typing.Any,
            dest_check_data: typing.Any,
            block_device_info: typing.Any = None) -> typing.Any:
        return live_checks.check_can_live_migrate_source(
            self._services, instance, dest_check_data)

    def cleanup_live_migration_destination_check(
            self, context: typing.Any, dest_check_data: typing.Any) -> None:
        """The check leaves nothing."""

    @_translated
    def pre_live_migration(
            self, context: typing.Any, instance: typing.Any,
            block_device_info: typing.Any, network_info: typing.Any,
            disk_info: typing.Any, migrate_data: typing.Any) -> typing.Any:
        return live_arrival.pre_live_migration(
            self._services, context, instance, block_device_info,
            network_info, migrate_data)

    @_translated
    def live_migration(
            self, context: typing.Any, instance: typing.Any, dest: str,
            post_method: typing.Any, recover_method: typing.Any,
            block_migration: typing.Any = False,
            migrate_data: typing.Any = None) -> None:
        live_migration.live_migration(
            self._services, context, instance, dest, post_method,
            recover_method, block_migration, migrate_data)

    def live_migration_force_complete(self, instance: typing.Any) -> None:
        """It is in force already: nothing runs while it is copied."""

    @_translated
    def live_migration_abort(self, instance: typing.Any) -> None:
        live_migration.live_migration_abort(self._services, instance)

    @_translated
    def rollback_live_migration_at_destination(
            self, context: typing.Any, instance: typing.Any,
            network_info: typing.Any, block_device_info: typing.Any,
            destroy_disks: bool = True,
            migrate_data: typing.Any = None) -> None:
        live_arrival.rollback_live_migration_at_destination(
            self._services, instance, network_info)

    @_translated
    def post_live_migration_at_source(
            self, context: typing.Any, instance: typing.Any,
            network_info: typing.Any) -> None:
        live_migration.post_live_migration_at_source(
            self._services, instance, network_info)

    @_translated
    def post_live_migration_at_destination(
            self, context: typing.Any, instance: typing.Any,
            network_info: typing.Any, block_migration: bool = False,
            block_device_info: typing.Any = None) -> None:
        live_arrival.post_live_migration_at_destination(
            self._services, instance)
