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


def programs(cloud: settings.Settings) -> list[Program]:
    """All programs, in the order in which they start."""
    found = [*_base(cloud)]
    if not cloud.engine_url:
        found.append(Program(
            'dockerd', [cloud.source / 'tools' / 'engine', 'run', '--dir',
                        cloud.own_engine.folder], base=True))
    if cloud.network == 'ovn':
        found += _ovn(cloud)
    found += _apis(cloud)
    found += _workers(cloud)
    return found


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
        Program('ovsdb-server', [
            'ovsdb-server', f'--remote=punix:{run}/ovs/db.sock',
            f'--unixctl={run}/ovs/ovsdb-server.ctl',
            f'{data}/ovs/conf.db'], base=True),
        Program('ovs-vswitchd', [
            'ovs-vswitchd', cloud.ovsdb,
            f'--unixctl={run}/ovs/ovs-vswitchd.ctl'], base=True),
    ]


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
        Program('ovn-controller', ['ovn-controller', cloud.ovsdb],
                base=True),
    ]


def _apis(cloud: settings.Settings) -> list[Program]:
    etc = cloud.etc
    nova = {'OS_NOVA_CONFIG_DIR': etc / 'nova',
            'OS_NOVA_CONFIG_FILES': 'api-paste.ini;nova.conf'}
    return [
        _api(cloud, 'keystone', 'keystone', 'keystone.wsgi.api', 4, {
            'OS_KEYSTONE_CONFIG_DIR': etc / 'keystone',
            'OS_KEYSTONE_CONFIG_FILES': 'keystone.conf'}),
        _api(cloud, 'placement', 'placement', 'placement.wsgi.api', 4, {
            'OS_PLACEMENT_CONFIG_DIR': etc / 'placement'}),
        _api(cloud, 'glance', 'glance', 'glance.wsgi.api', 4, {
            'OS_GLANCE_CONFIG_DIR': etc / 'glance'}),
        _api(cloud, 'neutron-api', 'neutron', 'neutron.wsgi.api', 1, {
            'OS_NEUTRON_CONFIG_DIR': etc / 'neutron',
            'OS_NEUTRON_CONFIG_FILES': 'neutron.conf;ml2_conf.ini'}),
        _api(cloud, 'nova-api', 'nova', 'nova.wsgi.osapi_compute', 4, nova),
        _api(cloud, 'nova-metadata', 'metadata', 'nova.wsgi.metadata', 2,
             nova),
    ]


def _api(cloud: settings.Settings, name: str, port: str, module: str,
         threads: int, env: dict[str, typing.Any]) -> Program:
    return Program(
        name, [cloud.venv / 'bin' / 'uwsgi', '--ini',
               cloud.etc / 'uwsgi' / f'{name}.ini'], env,
        url=cloud.url(port),
        wsgi=config.uwsgi(cloud, module, settings.PORTS[port], threads))


def _workers(cloud: settings.Settings) -> list[Program]:
    nova, neutron = cloud.etc / 'nova', cloud.etc / 'neutron'
    server = (neutron / 'neutron.conf', neutron / 'ml2_conf.ini')
    agent = (neutron / 'neutron.conf', neutron / 'agents.ini')
    common: list[tuple[str, tuple[pathlib.Path, ...]]] = [
        ('nova-conductor', (nova / 'nova.conf',)),
        ('nova-scheduler', (nova / 'nova.conf',)),
        ('nova-compute', (nova / 'nova-compute.conf',)),
        ('neutron-periodic-workers', server),
    ]
    of_network: dict[str, list[tuple[str, tuple[pathlib.Path, ...]]]] = {
        'ovn': [('neutron-ovn-maintenance-worker', server),
                ('neutron-ovn-metadata-agent', agent)],
        'ovs': [('neutron-rpc-server', server),
                ('neutron-openvswitch-agent', server),
                ('neutron-dhcp-agent', agent),
                ('neutron-l3-agent', agent),
                ('neutron-metadata-agent', agent)],
    }
    return [Program(name, [cloud.venv / 'bin' / name,
                           *(part for file in files
                             for part in ('--config-file', file))])
            for name, files in common + of_network[cloud.network]]


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


def files(cloud: settings.Settings) -> dict[str, str]:
    """Text of every configuration file, by its name below etc/."""
    texts = config.render(cloud)
    texts['rabbitmq/rabbitmq.conf'] = rabbitmq_conf(cloud)
    texts['rabbitmq/plugins'] = '[].\n'
    for program in programs(cloud):
        if program.wsgi:
            texts[f'uwsgi/{program.name}.ini'] = program.wsgi
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
        # Neutron's agents run ovs-vsctl, which looks here.
        'OVS_RUNDIR': str(cloud.run / 'ovs'),
        'OVN_RUNDIR': str(cloud.run / 'ovn'),
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
