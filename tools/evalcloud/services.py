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

"""The programs of a cloud: what each one runs, and in which group."""

import dataclasses
import pathlib
import subprocess
import sys
import typing

from evalcloud import config
from evalcloud import hosts
from evalcloud import libvirtd
from evalcloud import lxcfs
from evalcloud import processes
from evalcloud import progress
from evalcloud import settings

_RABBIT_SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server'


@dataclasses.dataclass(frozen=True)
class Program:
    """One program under the supervisor."""

    name: str
    command: typing.Sequence[typing.Any]
    env: typing.Mapping[str, typing.Any] = dataclasses.field(
        default_factory=dict)
    #: URL path that answers once the program serves.
    url: str = ''
    #: uwsgi configuration, for APIs.
    wsgi: str = ''
    #: Whether it is brought up before the others, by a step of its own.
    base: bool = False
    #: Whether it is an agent, which needs Neutron's servers.
    agent: bool = False


def programs(cloud: settings.Settings) -> list[Program]:
    """All programs, in the order in which they start."""
    found = [*_base(cloud)]
    for host in cloud.all_hosts:
        found += _open_vswitch(host)
    if not cloud.engine_url:
        found += [_engine(cloud, host) for host in cloud.compute_hosts]
        if lxcfs.works():
            found += [_on(host, Program('lxcfs', lxcfs.command(host),
                                        base=True))
                      for host in cloud.compute_hosts]
    for host in cloud.vm_hosts:
        found += [_on(host, Program(name, command, base=True))
                  for name, command in libvirtd.daemons(host).items()]
    if cloud.network == 'ovn':
        found += _ovn(cloud)
    if cloud.several:
        found.append(Program(
            'haproxy', ['haproxy', '-db', '-f',
                        cloud.etc / 'haproxy' / 'haproxy.cfg'], base=True))
    found += _apis(cloud)
    found += _workers(cloud)
    return found


def _on(host: hosts.Host, program: Program) -> Program:
    """The program, as it runs on a host."""
    return dataclasses.replace(
        program, name=host.program(program.name),
        command=[*host.enter, *program.command],
        env={**program.env, **host.runtime})


def _base(cloud: settings.Settings) -> list[Program]:
    run, data = cloud.run, cloud.data
    ports = settings.PORTS
    rabbit = {
        'HOME': data / 'rabbitmq',
        'ERL_EPMD_ADDRESS': '127.0.0.1', 'ERL_EPMD_PORT': ports['epmd'],
        'RABBITMQ_NODENAME': 'nova-docker@localhost',
        'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
        'RABBITMQ_NODE_PORT': ports['rabbitmq'],
        'RABBITMQ_DIST_PORT': ports['erlang'],
        'RABBITMQ_MNESIA_BASE': data / 'rabbitmq' / 'mnesia',
        'RABBITMQ_LOG_BASE': cloud.log,
        'RABBITMQ_ENABLED_PLUGINS_FILE': cloud.etc / 'rabbitmq/plugins',
        'RABBITMQ_CONFIG_FILE': cloud.etc / 'rabbitmq/rabbitmq',
        'RABBITMQ_CONF_ENV_FILE': '/dev/null',
        'RABBITMQ_PID_FILE': run / 'rabbitmq.pid',
        'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS':
            '-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 '
            '+sbwt none +sbwtdcpu none +sbwtdio none',
    }
    return [
        # Not durable: a cloud that crashed is built anew.
        Program('mariadb', [
            'mariadbd', '--no-defaults', '--user=root',
            f'--datadir={data}/mysql', f'--socket={cloud.mysql_socket}',
            f'--pid-file={run}/mysql.pid', '--skip-networking',
            '--skip-log-bin', '--innodb-flush-log-at-trx-commit=0',
            '--innodb-doublewrite=0', '--innodb-buffer-pool-size=128M',
            '--innodb-flush-method=nosync', '--performance-schema=0',
            '--max-connections=400', '--skip-name-resolve',
            '--character-set-server=utf8mb3'], base=True),
        Program('epmd', ['epmd', '-address', '127.0.0.1', '-port',
                         ports['epmd']], base=True),
        Program('rabbitmq', [_RABBIT_SERVER], rabbit, base=True),
    ]


def _open_vswitch(host: hosts.Host) -> list[Program]:
    run = host.run / 'ovs'
    return [
        _on(host, Program('ovsdb-server', [
            'ovsdb-server', f'--remote=punix:{run}/db.sock',
            f'--unixctl={run}/ovsdb-server.ctl',
            host.data / 'ovs' / 'conf.db'], base=True)),
        _on(host, Program('ovs-vswitchd', [
            'ovs-vswitchd', host.ovsdb,
            f'--unixctl={run}/ovs-vswitchd.ctl'], base=True)),
    ]


def _engine(cloud: settings.Settings, host: hosts.Host) -> Program:
    return _on(host, Program('dockerd', [
        cloud.source / 'tools' / 'engine', 'run', '--dir',
        host.engine.folder], base=True))


def _ovn(cloud: settings.Settings) -> list[Program]:
    run, data = cloud.run / 'ovn', cloud.data / 'ovn'

    def database(name: str) -> Program:
        return Program(f'ovn-{name}', [
            'ovsdb-server', f'--remote=punix:{run}/ovn{name}_db.sock',
            f'--unixctl={run}/ovn{name}_db.ctl', f'{data}/{name}.db'],
            base=True)

    return [
        database('nb'), database('sb'),
        Program('ovn-northd', [
            'ovn-northd', f'--ovnnb-db=unix:{run}/ovnnb_db.sock',
            f'--ovnsb-db=unix:{run}/ovnsb_db.sock',
            f'--unixctl={run}/ovn-northd.ctl'], base=True),
        *(_on(host, Program('ovn-controller', ['ovn-controller', host.ovsdb],
                            base=True)) for host in cloud.all_hosts),
    ]


def _apis(cloud: settings.Settings) -> list[Program]:
    etc = cloud.etc
    nova = {'OS_NOVA_CONFIG_DIR': etc / 'nova',
            'OS_NOVA_CONFIG_FILES': 'api-paste.ini;nova.conf'}
    found = [
        _api(cloud, 'keystone', 'keystone', 'keystone.wsgi.api', 4, {
            'OS_KEYSTONE_CONFIG_DIR': etc / 'keystone',
            'OS_KEYSTONE_CONFIG_FILES': 'keystone.conf'}),
        _api(cloud, 'placement', 'placement', 'placement.wsgi.api', 4, {
            'OS_PLACEMENT_CONFIG_DIR': etc / 'placement'}),
        _api(cloud, 'glance', 'glance', 'glance.wsgi.api', 4, {
            'OS_GLANCE_CONFIG_DIR': etc / 'glance'}),
        _api(cloud, 'neutron-api', 'neutron', 'neutron.wsgi.api', 1, {
            'OS_NEUTRON_CONFIG_DIR': etc / 'neutron',
            'OS_NEUTRON_CONFIG_FILES': 'neutron.conf;ml2_conf.ini'},
            processes=2),
        _api(cloud, 'nova-api', 'nova', 'nova.wsgi.osapi_compute', 4, nova),
        _api(cloud, 'nova-metadata', 'metadata', 'nova.wsgi.metadata', 2,
             nova),
    ]
    if cloud.volumes:
        found.append(_api(cloud, 'cinder-api', 'cinder', 'cinder.wsgi.api', 4,
                          {}, f'--config-file {etc}/cinder/cinder.conf'))
    if 'heat' in cloud.more:
        found.append(_api(cloud, 'heat-api', 'heat', 'heat.wsgi.api', 4, {},
                          f'--config-file {etc}/heat/heat.conf'))
        # Servers of a stack are told its address, whether they ask or not.
        found.append(_api(cloud, 'heat-api-cfn', 'heat-cfn', 'heat.wsgi.cfn',
                          1, {}, f'--config-file {etc}/heat/heat.conf'))
    return found


def _api(cloud: settings.Settings, name: str, port: str, module: str,
         threads: int, env: dict[str, typing.Any],
         arguments: str = '', processes: int = 1) -> Program:
    """An API.

    :param processes: more for Neutron's, whose code is not for threads: a
        request that takes seconds would hold all others up
    """
    return Program(
        name, [cloud.venv / 'bin' / 'uwsgi', '--ini',
               cloud.etc / 'uwsgi' / f'{name}.ini'], env,
        url=cloud.url(port),
        wsgi=config.uwsgi(cloud, module, settings.PORTS[port], processes,
                          threads, arguments))


def _workers(cloud: settings.Settings) -> list[Program]:
    nova = cloud.etc / 'nova' / 'nova.conf'
    server = [cloud.etc / 'neutron' / name
              for name in ('neutron.conf', 'ml2_conf.ini')]
    found = [_worker(cloud, 'nova-conductor', nova),
             _worker(cloud, 'nova-scheduler', nova)]
    found += [Program(f'nova-{name}', [
        cloud.venv / 'bin' / f'nova-{name}', '--config-file', nova,
        '--web', cloud.web]) for name in ('novncproxy', 'serialproxy')]
    found += [_on(host, _worker(cloud, 'nova-compute',
                                host.etc / 'nova' / 'nova-compute.conf'))
              for host in cloud.nova_hosts]
    found.append(_worker(cloud, 'neutron-periodic-workers', *server))
    found.append(_worker(cloud, {
        'ovn': 'neutron-ovn-maintenance-worker',
        'ovs': 'neutron-rpc-server'}[cloud.network], *server))
    if cloud.volumes:
        found += _cinder(cloud)
    if 'heat' in cloud.more:
        found.append(_worker(cloud, 'heat-engine',
                             cloud.etc / 'heat' / 'heat.conf'))
    return found + _agents(cloud)


def _cinder(cloud: settings.Settings) -> list[Program]:
    conf = cloud.etc / 'cinder' / 'cinder.conf'
    volume = _worker(cloud, 'cinder-volume', conf)
    return [
        _worker(cloud, 'cinder-scheduler', conf),
        # It finds the driver of loop devices there.
        dataclasses.replace(volume, env={
            'PYTHONPATH': cloud.source / 'tools',
            'PYTHONDONTWRITEBYTECODE': '1'})]


def _worker(cloud: settings.Settings, name: str, *files: pathlib.Path,
            agent: bool = False) -> Program:
    options = [part for file in files for part in ('--config-file', file)]
    return Program(name, [cloud.venv / 'bin' / name, *options], agent=agent)


def _agents(cloud: settings.Settings) -> list[Program]:
    def agent(host: hosts.Host, name: str, file: str) -> Program:
        return _on(host, _worker(cloud, name,
                                 host.etc / 'neutron' / 'neutron.conf',
                                 host.etc / 'neutron' / file, agent=True))

    if cloud.network == 'ovn':
        return [agent(host, 'neutron-ovn-metadata-agent', 'agents.ini')
                for host in cloud.nova_hosts]
    return [
        *(agent(host, 'neutron-openvswitch-agent', 'ml2_conf.ini')
          for host in cloud.all_hosts),
        *(agent(cloud.controller, f'neutron-{name}-agent', 'agents.ini')
          for name in ('dhcp', 'l3', 'metadata'))]


def rabbitmq_conf(cloud: settings.Settings) -> str:
    """Configuration of the message broker."""
    return (f'default_user = openstack\n'
            f'default_pass = {cloud.password}\n'
            f'loopback_users = none\n'
            f'listeners.tcp.default = '
            f'127.0.0.1:{settings.PORTS["rabbitmq"]}\n'
            f'vm_memory_high_watermark.absolute = 1GB\n'
            f'disk_free_limit.absolute = 50MB\n'
            f'log.file = false\n'
            f'log.console = true\n'
            f'log.console.level = warning\n')


def haproxy_cfg(cloud: settings.Settings) -> str:
    """Configuration of the proxy by which hosts apart reach the services.

    Each finds them on its own loopback, so that they need to listen nowhere
    else and have the same addresses in every cloud.
    """
    lines = ['global', '    maxconn 2000', 'defaults', '    mode tcp',
             '    timeout connect 5s', '    timeout client 1d',
             '    timeout server 1d']
    for name in ('keystone', 'placement', 'glance', 'neutron', 'nova',
                 'metadata', 'rabbitmq', *cloud.more):
        address = f'127.0.0.1:{settings.PORTS[name]}'
        lines += [f'listen {name}', f'    server controller {address}']
        lines += [f'    bind {address} namespace {host.name}'
                  for host in cloud.all_hosts if host.apart]
    return '\n'.join(lines) + '\n'


def files(cloud: settings.Settings) -> dict[pathlib.Path, str]:
    """Text of every configuration file."""
    texts = config.render(cloud) | libvirtd.files(cloud)
    texts[cloud.etc / 'rabbitmq/rabbitmq.conf'] = rabbitmq_conf(cloud)
    texts[cloud.etc / 'rabbitmq/plugins'] = '[].\n'
    if cloud.several:
        texts[cloud.etc / 'haproxy/haproxy.cfg'] = haproxy_cfg(cloud)
    for program in programs(cloud):
        if program.wsgi:
            texts[cloud.etc / f'uwsgi/{program.name}.ini'] = program.wsgi
    return texts


def environment(cloud: settings.Settings) -> dict[str, str]:
    """What every program finds in its environment, and nothing else."""
    return {
        'PATH': f'{cloud.venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:'
                '/usr/bin:/sbin:/bin',
        'HOME': str(cloud.data), 'LC_ALL': 'C.UTF-8',
        'PYTHONWARNINGS': 'ignore', 'PYTHONUNBUFFERED': '1',
        processes.MARK: str(cloud.state),
        'NOVA_DOCKER_CACHE': str(cloud.venv.parent),
        # A cloud of another checkout may have put its driver into the venv.
        'PYTHONPATH': str(cloud.source),
        # Neutron's agents run ovs-vsctl, which looks here.
        **{name: str(folder)
           for name, folder in cloud.controller.runtime.items()},
        'no_proxy': '127.0.0.1,localhost',
    }


def run_inside(cloud: settings.Settings, module: str, *arguments: str) -> None:
    """Run a module of ``evalcloud.inside`` with the venv's libraries."""
    env = {**environment(cloud),
           'PYTHONPATH': str(cloud.source / 'tools'),
           'PYTHONDONTWRITEBYTECODE': '1', **progress.began(),
           'OS_CLIENT_CONFIG_FILE': str(cloud.clouds_yaml)}
    command = [f'{cloud.venv}/bin/python', '-m', f'evalcloud.inside.{module}',
               str(cloud.state), *arguments]
    sys.stderr.flush()
    if subprocess.call(command, env=env, cwd='/'):
        raise progress.Failure(f'{module} of the cloud failed: see above; '
                               f'logs are in {cloud.log}')
