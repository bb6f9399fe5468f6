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

"""Building a cloud, step by step, and taking it down."""

import concurrent.futures
import contextlib
import functools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import typing

from evalcloud import busybox
from evalcloud import config
from evalcloud import criu
from evalcloud import database
from evalcloud import debian
from evalcloud import docker_host
from evalcloud import dropbear
from evalcloud import engine
from evalcloud import libvirtd
from evalcloud import loops
from evalcloud import lvm
from evalcloud import lxcfs
from evalcloud import network
from evalcloud import packages
from evalcloud import pages
from evalcloud import processes
from evalcloud import progress
from evalcloud import python
from evalcloud import services
from evalcloud import settings
from evalcloud import supervisor
from evalcloud import system_image
from evalcloud import underlay
from evalcloud import virtual_machine

_PACKAGES = ('mariadb-server', 'rabbitmq-server', 'openvswitch-switch',
             'iproute2', 'iputils-ping', 'iptables', 'ethtool', 'haproxy',
             'procps', lxcfs.PACKAGE)
_OF_NETWORK = {
    'ovn': ('ovn-central', 'ovn-host'),
    'ovs': ('dnsmasq-base', 'dnsmasq-utils', 'ipset', 'conntrack',
            'iputils-arping', 'radvd'),
}
_OF_VOLUMES = {'': (), 'loop': ('qemu-utils',),
               'lvm': ('qemu-utils', 'lvm2', 'open-iscsi')}

#: What the driver's containers and images are called, see
#: nova_docker/spec/names.py.
_LABEL = 'org.openstack.nova-docker.host=' + settings.HOST

_IMAGES = 'nova-docker.invalid/*/*'

#: What an image is made by; the module says how.
SYSTEM_IMAGES = {'debian': debian, 'docker-host': docker_host,
                 'dropbear': dropbear}

Task = typing.Callable[[], object]


def _together(*tasks: Task) -> None:
    """Run tasks side by side; the first failure is raised."""
    with concurrent.futures.ThreadPoolExecutor(len(tasks)) as pool:
        for done in [pool.submit(task) for task in tasks]:
            done.result()


def install(cloud: settings.Settings) -> None:
    """Get all that comes from outside; nothing when it is there."""
    wanted = (*_PACKAGES, *_OF_NETWORK[cloud.network],
              *_OF_VOLUMES[cloud.volumes],
              *(libvirtd.PACKAGES if cloud.vm_hosts else ()))

    def of_system() -> None:
        packages.install(wanted)
        engine.path()
        criu.works()
        pages.path()
        if cloud.vm_hosts:
            virtual_machine.disk()

    _together(
        of_system,
        lambda: python.services_venv(
            cloud.venv, cloud.constraints, cloud.source,
            *(settings.PACKAGES.get(name, name)
              for name in cloud.more)))
    if cloud.vm_hosts:
        # Built with libvirt's headers, which are there now.
        python.add(cloud.venv, cloud.constraints, libvirtd.BINDING)


def build(cloud: settings.Settings) -> None:
    """Bring a new cloud up in an empty state folder."""
    _check_ports()
    _check_folder(cloud.state)
    network.check(cloud)
    if cloud.volumes == 'lvm':
        lvm.check(cloud)
    if cloud.vm_hosts:
        libvirtd.check()
    _folders(cloud)
    cloud.save()
    network.remember(cloud)
    if cloud.several:
        underlay.create(cloud)
    if cloud.volumes == 'lvm':
        lvm.create(cloud)
    for file, text in services.files(cloud).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    libvirtd.prepare(cloud)
    cloud.clouds_yaml.touch(mode=0o600)
    cloud.clouds_yaml.write_text(config.clouds_yaml(cloud))
    control = supervisor.Supervisor(cloud)
    control.boot()
    with progress.Step('database, message broker, engine, Open vSwitch'):
        restored = _base(cloud, control)
    if not restored:
        with progress.Step('database schemas (kept for the next time)'):
            database.schemas(cloud)
    _identity(cloud, control, fresh=not restored)
    _services(cloud, control)
    _clients(cloud)
    resources(cloud)
    (cloud.state / 'ready').touch()


def _check_ports() -> None:
    """Refuse a machine on which something has one of our ports."""
    for name, port in settings.PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(('127.0.0.1', port))
            except OSError as error:
                raise progress.Failure(
                    f'port {port} of 127.0.0.1, for {name}: '
                    f'{error.strerror}') from None


def _check_folder(state: pathlib.Path) -> None:
    """Refuse a folder that has something of the user's."""
    if state.exists() and set(os.listdir(state)) - {'log'}:
        raise progress.Failure(f'{state} is not empty, and what is in it is '
                               'no cloud: name another folder')


def _folders(cloud: settings.Settings) -> None:
    shutil.rmtree(cloud.state, ignore_errors=True)
    cloud.state.mkdir(mode=0o700, parents=True)
    for folder in ('log', 'bin', 'data/glance/images', 'data/glance/staging',
                   'data/glance/tasks', 'data/rabbitmq/mnesia'):
        (cloud.state / folder).mkdir(parents=True)
    pages.link(cloud.web)
    if cloud.volumes:
        (cloud.data / 'cinder').mkdir()
    for host in cloud.all_hosts:
        for folder in ('etc', 'run/ovs', 'run/ovn', 'run/lock',
                       'data/neutron', 'data/nova/instances'):
            (host.folder / folder).mkdir(parents=True)


def _base(cloud: settings.Settings, control: supervisor.Supervisor) -> bool:
    """What the services stand on; whether the databases are filled."""
    restored = []

    def engines_up() -> None:
        for host in [] if cloud.engine_url else cloud.compute_hosts:
            if lxcfs.works():
                lxcfs.folder(host).mkdir()
                control.start(host.program('lxcfs'))
                control.wait(host.program('lxcfs'),
                             functools.partial(lxcfs.is_mounted, host))
            control.start(host.program('dockerd'))
            control.wait(host.program('dockerd'), host.engine.answers, 60)

    def virtual_machines_up() -> None:
        for host in cloud.vm_hosts:
            control.start(*map(host.program, libvirtd.daemons(host)))
            control.wait(host.program('libvirtd'),
                         supervisor.exists(libvirtd.socket(host)))

    control.start('epmd', 'rabbitmq')
    if cloud.several:
        control.start('haproxy')
    _together(
        lambda: restored.append(database.start(
            cloud, supervisor.Supervisor(cloud))),
        lambda: network.start(cloud, supervisor.Supervisor(cloud)),
        engines_up, virtual_machines_up)
    return restored[0]


def _identity(cloud: settings.Settings, control: supervisor.Supervisor,
              fresh: bool) -> None:
    programs = {each.name: each for each in services.programs(cloud)}
    with progress.Step('keystone'):
        control.start('keystone')
        control.wait_http(programs['keystone'])
    if fresh:
        with progress.Step('users and endpoints'):
            services.run_inside(cloud, 'catalog')
            database.save(cloud, control)


def _services(cloud: settings.Settings,
              control: supervisor.Supervisor) -> None:
    port = settings.PORTS['rabbitmq']
    control.wait('rabbitmq', lambda: _listens(port))
    late = [each.name for each in services.programs(cloud) if each.agent]
    rest = [each for each in services.programs(cloud)
            if not each.base and not each.agent]
    with progress.Step('OpenStack services'):
        control.start(*(each.name for each in rest))
        if cloud.network == 'ovs':
            services.run_inside(cloud, 'consumers', 'q-plugin',
                                'q-l3-plugin', 'q-reports-plugin')
        control.start(*late)
        for each in rest:
            if each.url:
                control.wait_http(each)
                progress.say(f'{each.name} answers')


def _listens(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    needle = f':{port:04X} 00000000:0000 0A'
    return needle in pathlib.Path('/proc/net/tcp').read_text()


def _clients(cloud: settings.Settings) -> None:
    """Links to the clients, for a user's PATH."""
    docker = engine.path() / 'docker'
    for program in (cloud.venv / 'bin' / 'openstack', docker):
        link = cloud.bin / program.name
        if not link.exists():
            link.symlink_to(program)


def resources(cloud: settings.Settings) -> None:
    """Flavors, image and networks; ends when servers can be made."""
    archive = cloud.data / 'busybox.tar'
    if not archive.exists():
        busybox.write_archive(archive)
    with progress.Step('flavors, image, networks, hosts'):
        services.run_inside(cloud, 'resources', str(archive))
    if cloud.vm_hosts:
        said = virtual_machine.FORMATS | virtual_machine.PROPERTIES
        services.run_inside(cloud, 'image', settings.VM_IMAGE,
                            str(virtual_machine.disk()), json.dumps(said))


def verify(cloud: settings.Settings) -> None:
    """Mend a running cloud: start what does not run, make what is gone."""
    control = supervisor.Supervisor(cloud)
    stopped = [name for name, state in control.states().items()
               if state not in ('RUNNING', 'STARTING')]
    if stopped:
        progress.say(f'starting {", ".join(stopped)}')
        control.start(*stopped)
    for each in services.programs(cloud):
        if each.url:
            control.wait_http(each)
    resources(cloud)


def down(cloud: settings.Settings) -> None:
    """Stop everything and remove all but the logs."""
    control = supervisor.Supervisor(cloud)
    if control.alive():
        names = [each.name for each in services.programs(cloud)
                 if not each.base]
        with progress.Step('stopping the services'):
            control.stop(*names)
    plugged = network.ports(cloud)
    with progress.Step('removing servers and stopping the rest'):
        if cloud.engine_url:
            _remove_containers(cloud)
        else:
            for host in cloud.compute_hosts:
                host.engine.kill_containers()
        if control.alive():
            control.stop(*control.states())
        control.shutdown()
        for host in cloud.compute_hosts:
            host.engine.stop(purge=True)
        # Helpers that left their parents: dnsmasq, haproxy, privsep.
        processes.end(processes.of_folder(cloud.state), grace=2)
        processes.unmount(cloud.state)
        if cloud.volumes == 'lvm':
            lvm.remove(cloud)
        loops.detach(cloud.state)
        network.clean(cloud, plugged)
    for entry in cloud.state.iterdir():
        if entry.name == 'log':
            continue
        if entry.is_dir():
            progress.run('rm', '-rf', '--one-file-system', str(entry))
        else:
            entry.unlink()


def _remove_containers(cloud: settings.Settings) -> None:
    """Remove our containers and images from an engine that stays."""
    docker = [str(engine.path() / 'docker'), '-H', cloud.engine_url]
    with contextlib.suppress(progress.Failure):
        found = progress.run(*docker, 'ps', '-aq', '--filter',
                             f'label={_LABEL}').split()
        if found:
            progress.run(*docker, 'rm', '-f', *found)
        images = progress.run(*docker, 'images', '--format',
                              '{{.Repository}}:{{.Tag}}', '--filter',
                              f'reference={_IMAGES}').split()
        if images:
            progress.run(*docker, 'rmi', *images)
    for file in pathlib.Path(cloud.engine_cdi).glob('nova-docker-*.json'):
        file.unlink()


def check_engine(url: str) -> str:
    """Look at an engine that the user named; returns its CDI folder."""
    docker = str(engine.path() / 'docker')
    info = json.loads(progress.run(
        docker, '-H', url, 'info', '--format', '{{json .}}'))
    if not info.get('ServerVersion'):
        raise progress.Failure(f'no engine answers at {url}')
    folders = info.get('CDISpecDirs') or []
    if not folders:
        raise progress.Failure(
            f'the engine at {url} ({info["ServerVersion"]}) has CDI off: set '
            f'"features": {{"cdi": true}} in its daemon.json')
    return str(folders[-1])


def demo(cloud: settings.Settings) -> None:
    """Boot a first server as the plain user and show it."""
    services.run_inside(cloud, 'demo')


def image(cloud: settings.Settings, kind: str, *names: str) -> None:
    """A system image.

    :param kind: one of SYSTEM_IMAGES
    :param names: in the cloud, ``kind`` without
    """
    module = SYSTEM_IMAGES[kind]
    said = json.dumps(system_image.FORMATS | module.PROPERTIES |
                      cloud.image_properties)
    file = str(module.rootfs())
    for name in names or [kind]:
        services.run_inside(cloud, 'image', name, file, said)


def follow(cloud: settings.Settings, name: str, forever: bool) -> None:
    """Print the log of a program."""
    file = supervisor.log_file(cloud, name)
    if not file.exists():
        known = sorted(each.stem for each in cloud.log.glob('*.log'))
        raise progress.Failure(f'no log of {name!r}; there are: '
                               + ', '.join(known))
    command = ['tail', '-n', '+1', *(['-F'] if forever else []), str(file)]
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        subprocess.call(command)


def exports(cloud: settings.Settings, who: str, name: str = '') -> str:
    """Shell lines that point the clients at the cloud.

    :param name: the compute host whose engine and switch they look at, the
        first one when empty
    """
    names = [host.name for host in cloud.compute_hosts]
    if name and name not in names:
        raise progress.Failure(f'no compute host {name!r}; there are: '
                               + ', '.join(names))
    host = cloud.compute_hosts[names.index(name) if name else 0]
    values = {'OS_CLOUD': ('nova-docker' if who == 'admin'
                           else 'nova-docker-demo'),
              'OS_CLIENT_CONFIG_FILE': cloud.clouds_yaml,
              'DOCKER_HOST': cloud.docker_host(host), **host.runtime}
    lines = [f"export {key}='{value}'" for key, value in values.items()]
    if str(cloud.bin) not in os.environ.get('PATH', '').split(':'):
        lines.append(f"export PATH='{cloud.bin}':\"$PATH\"")
    return '\n'.join(lines)
