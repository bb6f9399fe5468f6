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

"""``nova-docker-status upgrade check``: what is to be done on this host.

It asks the questions that nova-compute asks as it starts, and some that it
has no reason to ask, and changes nothing: it makes no file of nova-compute's,
which would be root's, and writes to no log.
"""

import collections.abc
import dataclasses
import functools
import importlib.metadata
import logging
import os
import sys
import typing

import nova.conf
from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from oslo_utils import importutils

from nova_docker.cdi import store
from nova_docker import conf as docker_conf
from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.engine import session
from nova_docker import exception
from nova_docker.host import checkpoints
from nova_docker.host import startup
from nova_docker.lifecycle import pages
from nova_docker.lifecycle import shares
from nova_docker.lifecycle import startup as init_host
from nova_docker.lifecycle import unconfirmed
from nova_docker import loading
from nova_docker.network import plans
from nova_docker import privsep
from nova_docker.spec import disk
from nova_docker.spec import names
from nova_docker.spec import state
from nova_docker.volume import disk as disks
from nova_docker.volume import limit

DRIVER = 'docker.DockerDriver'
#: os-vif plugins without which no server has a port, nor nova-compute a
#: driver.
_PLUGINS = ('nova_docker', 'ovs')
#: Seconds that a person waits for the engine to answer.
_PATIENCE = 20
#: Instances that a text names.
_SOME = 3

_Check = collections.abc.Callable[['Checks'], upgradecheck.Result]


class _Unknown(Exception):
    """Why something can not be checked."""


def success(details: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.SUCCESS, details)


def warning(details: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.WARNING, details)


def failure(details: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.FAILURE, details)


def _check(check: _Check) -> _Check:
    """What stops nova-compute is a failure, what is not known a warning."""
    @functools.wraps(check)
    def wrapper(self: 'Checks') -> upgradecheck.Result:
        try:
            return check(self)
        except exception.HostUnusable as error:
            return failure(str(error))
        except (_Unknown, errors.EngineError, OSError) as error:
            return warning(f'Not checked: {error}')
    return wrapper


def _some(uuids: collections.abc.Set[str]) -> str:
    """The instances, or the first of them."""
    more = len(uuids) - _SOME
    return ', '.join(sorted(uuids)[:_SOME]) + (
        f' and {more} more' if more > 0 else '')


class Checks(upgradecheck.UpgradeCommands):
    """The checks of one compute host.

    :param conf: nova.conf.CONF, which main reads before any check
    :param connect: makes the engine's client of an Address
    """

    display_title = 'nova-docker Upgrade Check Results'

    def __init__(self, conf: typing.Any, connect: collections.abc.Callable[
            [session.Address], client.Engine] = session.Session) -> None:
        self._conf = conf
        self._connect = connect
        self._engine: client.Engine | None = None
        self._info: client.Json = {}

    @property
    def engine(self) -> client.Engine:
        """:raises _Unknown: it can not be used"""
        if not self._info or self._engine is None:
            raise _Unknown('the Docker Engine can not be used, see above.')
        return self._engine

    @property
    def info(self) -> client.Json:
        """The engine's answer to GET /info.

        :raises _Unknown: it can not be used
        """
        return self._info if self.engine else {}

    def _as_root(self) -> None:
        """:raises _Unknown: this process is not root's"""
        if os.geteuid():
            raise _Unknown('run this command as root.')

    @_check
    def check_driver(self) -> upgradecheck.Result:
        """nova.conf has the driver, and Nova finds it."""
        wanted = self._conf.compute_driver
        if wanted != DRIVER:
            return failure(
                f'The configuration has compute_driver = {wanted}. Set '
                f'[DEFAULT]compute_driver = {DRIVER}, or name the files of '
                'nova-compute with --config-file.')
        loading.install()
        importutils.import_module('nova.virt.docker')
        return success(f'{DRIVER}, of nova-docker {_version("nova-docker")} '
                       f'beside Nova {_version("nova")}')

    @_check
    def check_plugins(self) -> upgradecheck.Result:
        """nova-compute loads them all before its driver."""
        found, broken = set(), []
        for plugin in importlib.metadata.entry_points(group='os_vif'):
            try:
                plugin.load()
                found.add(plugin.name)
            except Exception as error:
                broken.append(f'{plugin.name} ({error})')
        missing = sorted(set(_PLUGINS) - found)
        if missing:
            return failure(
                'os-vif has no plugin called '
                f'{" and none called ".join(missing)} in the Python '
                'environment of this command: install os-vif and nova-docker '
                'where nova-compute is.'
                + ''.join(f' It can not load {each}.' for each in broken))
        if broken:
            return warning(
                f'os-vif can not load {", ".join(broken)}. Ports that need '
                'it can not be plugged.')
        return success(', '.join(sorted(found)))

    @_check
    def check_engine(self) -> upgradecheck.Result:
        """It answers, and is one for servers."""
        address = init_host.address(self._conf)
        self._engine = self._connect(dataclasses.replace(
            address, timeout=min(address.timeout, _PATIENCE)))
        found = startup.reach(self._engine, address.url)
        startup.see(found)
        self._info = found
        return success(f'Docker Engine {found["ServerVersion"]} at '
                       f'{address.url}')

    @_check
    def check_cdi(self) -> upgradecheck.Result:
        """The engine reads the CDI specifications of servers."""
        directory = self._conf.docker.cdi_spec_dir
        startup.check_cdi(self.info, directory)
        return success(directory)

    @_check
    def check_cgroups(self) -> upgradecheck.Result:
        """Servers are held to their flavors."""
        startup.check_limits(self.info)
        version = self.info.get('CgroupVersion')
        found = [pages.danger()]
        if not self.info.get('SwapLimit'):
            found.append(startup.NO_SWAP_LIMIT)
        if version == '1' and self._conf.docker.system_containers:
            found.append(
                'With cgroup v1 the kernel does not hold system containers '
                'to their limits. Change to cgroup v2, or set '
                '[docker]system_containers = false where tenants are not '
                'trusted')
        found = [each for each in found if each]
        return warning('. '.join(found) + '.') if found else success(
            f'cgroup v{version}')

    @_check
    def check_kernel(self) -> upgradecheck.Result:
        """What servers share is enough for all."""
        low = startup.low_settings()
        return warning(f'{low}.') if low else success('sysctl')

    @_check
    def check_root_disks(self) -> upgradecheck.Result:
        """Servers are held to the size of their disks."""
        docker, info = self._conf.docker, self.info
        if docker.root_disk == disk.UNLIMITED:
            return warning(
                f'[docker]root_disk is {disk.UNLIMITED}: a server can fill '
                'the disk of this host, and so harm all others.')
        self._as_root()
        # What is not there yet is nova-compute's to make.
        folder = docker.disks_dir
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        kind = limit.detect(self.engine, docker.root_disk, folder)
        return success(f'by means of: {kind} (storage driver '
                       f'{info["Driver"]})')

    @_check
    def check_live_restore(self) -> upgradecheck.Result:
        """Servers outlive a restart of the engine."""
        if self.info.get('LiveRestoreEnabled'):
            return success('on')
        return warning(
            'Servers end when the engine is restarted or upgraded. Add '
            '"live-restore": true to its daemon.json and reload it.')

    @_check
    def check_suspend(self) -> upgradecheck.Result:
        """The engine and CRIU do what the option says."""
        docker, info = self._conf.docker, self.info
        if docker.suspend != 'checkpoint':
            return success(f'[docker]suspend = {docker.suspend}, which needs '
                           'no CRIU')
        self._as_root()
        refusal = checkpoints.refusal(info, docker.criu)
        if refusal:
            return warning('No server can be suspended, nor migrated while '
                           f'it runs: {refusal}.')
        return success(checkpoints.version(docker.criu) or 'not asked')

    @_check
    def check_labels(self) -> upgradecheck.Result:
        """The driver knows what its containers say."""
        host = self._conf.host
        startup.check_labels(self.engine, host)
        owners = [each['Labels'].get(names.LABEL_HOST) for each in
                  self.engine.list_containers([names.LABEL_INSTANCE])]
        others = {owner for owner in owners if owner and owner != host}
        own = f'{owners.count(host)} containers of {host}'
        return success(f'{own}; others are of {", ".join(sorted(others))}'
                       if others else own)

    @_check
    def check_leftovers(self) -> upgradecheck.Result:
        """Nothing is here of servers that are not, and all of those that are.
        """
        engine = self.engine
        self._as_root()
        docker = self._conf.docker
        kept = {
            'CDI specifications': store.instances(
                docker.cdi_spec_dir, docker.state_dir),
            'network state': plans.instances(docker.state_dir),
            'shares': set(shares.instances(docker.state_dir)),
            'disks': {uuid for uuid, _ in disks.images(docker.disks_dir)},
        }
        # After that: a container is made first.
        containers = engine.list_containers([names.LABEL_INSTANCE])
        present = {state.instance(each) for each in containers}
        found = [f'{what} of {_some(uuids - present)}'
                 for what, uuids in kept.items() if uuids - present]
        if found:
            found = ['There is no container for ' + '; '.join(found) +
                     '. nova-compute removes these as it starts, and disks '
                     'by its image cache manager. Those of servers that are '
                     'just being created or deleted are no leftovers.']
        bare = {names.instance_uuid(each['Labels']) for each in containers
                if each['Labels'].get(names.LABEL_HOST) == self._conf.host}
        bare -= kept['network state'] | unconfirmed.instances(docker.state_dir)
        if bare:
            found.append(
                f'Nothing is kept in {docker.state_dir} for the containers '
                f'of {_some(bare)}, so they do not start. Is that '
                '[docker]state_dir? A hard reboot of a server makes it anew.')
        return warning(' '.join(found)) if found else success('none')

    _upgrade_checks = (
        ('Compute driver', check_driver),
        ('os-vif plugins', check_plugins),
        ('Docker Engine', check_engine),
        ('Container Device Interface', check_cdi),
        ('Control groups', check_cgroups),
        ('Kernel settings', check_kernel),
        ('Sizes of root disks', check_root_disks),
        ('Live restore', check_live_restore),
        ('Suspend', check_suspend),
        ('Labels of containers', check_labels),
        ('Leftovers', check_leftovers),
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return '(version unknown)'


def main() -> int:
    """The program nova-docker-status.

    :returns: 0, 1 or 2 for the worst result, 255 where nothing was checked
    """
    # What the driver logs would stand between the lines of the answer.
    logging.getLogger().addHandler(logging.NullHandler())
    docker_conf.register_opts(nova.conf.CONF)
    if not os.geteuid():
        # There is no need for a daemon that is root for us.
        privsep.sys_admin_pctxt.set_client_mode(False)
    try:
        return upgradecheck.main(
            nova.conf.CONF, 'nova', Checks(nova.conf.CONF), sys.argv[1:],
            cfg.find_config_files('nova', 'nova-compute'))
    except cfg.Error as error:
        print(f'nova-docker-status: {error}', file=sys.stderr)
        return 255
