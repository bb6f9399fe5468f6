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

"""The command line of tools/cloud."""

import argparse
import os
import pathlib
import sys

from evalcloud import bringup
from evalcloud import packages
from evalcloud import paths
from evalcloud import progress
from evalcloud import settings
from evalcloud import supervisor
from evalcloud import tempest

_DESCRIPTION = """
A real, small OpenStack on this machine whose servers are Docker containers.
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    top = argparse.ArgumentParser(prog='tools/cloud',
                                  description=_DESCRIPTION)
    top.add_argument(
        '--state', type=pathlib.Path, default=paths.state_dir(),
        help='folder of the running cloud, default %(default)s, or '
             '$NOVA_DOCKER_STATE; $NOVA_DOCKER_CACHE is what is kept '
             'between clouds, default /var/cache/nova-docker')
    commands = top.add_subparsers(dest='command', required=True)
    for name, text in (('up', 'bring the cloud up, or mend it'),
                       ('demo', 'the same, then boot a first server')):
        _add_options(commands.add_parser(name, help=text))
    commands.add_parser('down', help='stop and remove it all')
    commands.add_parser('status', help='show what runs')
    openrc = commands.add_parser(
        'openrc', help='print shell exports: eval "$(tools/cloud openrc)"')
    openrc.add_argument('who', nargs='?', default='admin',
                        choices=('admin', 'demo'))
    openrc.add_argument('--host', metavar='NAME', default='',
                        help='compute host whose engine and Open vSwitch '
                             'are looked at, default compute-1')
    image = commands.add_parser('image', help='put one more image into it')
    image.add_argument('name', choices=sorted(bringup.SYSTEM_IMAGES),
                       help='debian: systemd, sshd and cloud-init; '
                            'docker-host: the same with a Docker Engine; '
                            'dropbear: small, with an SSH server')
    _add_tempest(commands.add_parser(
        'tempest', help='run tests of Tempest on it'))
    logs = commands.add_parser('logs', help='print the log of a service')
    logs.add_argument('service', help='a name that status shows, like '
                                      'nova-compute@compute-2')
    logs.add_argument('-f', '--follow', action='store_true')
    return top


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument('--network', choices=('ovn', 'ovs'),
                         help='OVN (default), or ML2/OVS with agents')
    command.add_argument('--firewall',
                         choices=('openvswitch', 'iptables_hybrid'),
                         help='what --network ovs makes security groups of: '
                              'flows (default), or iptables on a bridge '
                              'between each port and Open vSwitch')
    command.add_argument('--nova', choices=sorted(settings.SERIES),
                         help="Nova's major version, default 34")
    command.add_argument('--compute-driver', metavar='DRIVER',
                         help='default docker.DockerDriver; for comparison '
                              'fake.FakeDriverWithoutFakeNodes')
    command.add_argument('--engine', metavar='URL',
                         help='use this engine, unix:///..., instead of '
                              'starting one')
    command.add_argument('--computes', metavar='N', type=int,
                         choices=range(1, 10),
                         help='compute hosts, default 1: this machine. With '
                              '2 to 9 each is a network namespace with its '
                              'own engine, nova-compute and Open vSwitch, '
                              'and this machine keeps all else')
    command.add_argument('--with', dest='optional', metavar='SERVICE',
                         action='append', choices=settings.OPTIONAL,
                         help='what else it has; may be given again. '
                              'cinder: volumes, in sparse files that are '
                              'loop devices; cinder:lvm: volumes of LVM, by '
                              'iSCSI; heat: orchestration; libvirt: a host '
                              'of virtual machines beside the Docker hosts, '
                              'with an image for them')


def _add_tempest(command: argparse.ArgumentParser) -> None:
    command.add_argument('patterns', nargs='*', metavar='REGEX',
                         default=tempest.PATTERNS,
                         help='of names of tests, default the compute API '
                              'and the scenarios')
    command.add_argument('--concurrency', type=int, choices=(1, 2),
                         default=1, help='tests at a time, default 1')


def main() -> None:
    """Run one command."""
    args = parser().parse_args()
    state = args.state.absolute()
    if args.command in ('up', 'demo'):
        cloud = _up(args, state)
        if args.command == 'demo':
            bringup.demo(cloud)
        _say_how()
        return
    found = settings.load(state)
    if args.command == 'down':
        if found:
            bringup.down(found)
        progress.say('the cloud is down')
    elif not found:
        raise progress.Failure(f'there is no cloud in {state}: tools/cloud '
                               'up makes one')
    elif args.command == 'openrc':
        print(bringup.exports(found, args.who, args.host))
    elif args.command == 'image':
        bringup.image(found, args.name)
    elif args.command == 'tempest':
        _tempest(found, args.patterns, args.concurrency)
    elif args.command == 'logs':
        bringup.follow(found, args.service, args.follow)
    else:
        _status(found)


def _up(args: argparse.Namespace, state: pathlib.Path) -> settings.Settings:
    if os.geteuid():
        raise progress.Failure('this needs root')
    if not packages.codename():
        raise progress.Failure('this is no Debian or Ubuntu machine')
    running = settings.load(state)
    if running and (state / 'ready').exists() and \
            supervisor.Supervisor(running).alive():
        _same(args, running)
        progress.say(f'the cloud runs, {_words(running)}')
        bringup.verify(running)
        return running
    if running:
        progress.say('removing what is left of a cloud before')
        bringup.down(running)
    cloud = _new(args, state)
    progress.say(f'a cloud in {state}, {_words(cloud)}')
    bringup.install(cloud)
    bringup.build(cloud)
    progress.say('the cloud is up')
    return cloud


def _new(args: argparse.Namespace,
         state: pathlib.Path) -> settings.Settings:
    """The settings of a cloud that is to be made."""
    if args.engine and (args.computes or 1) > 1:
        raise progress.Failure('one engine does not make several hosts: '
                               '--engine or --computes')
    if args.firewall and args.network != 'ovs':
        raise progress.Failure('OVN has a firewall of its own: --firewall '
                               'goes with --network ovs')
    return settings.Settings(
        state=state, network=args.network or 'ovn',
        firewall=args.firewall or 'openvswitch', nova=args.nova or '34',
        compute_driver=args.compute_driver or 'docker.DockerDriver',
        computes=args.computes or 1, optional=_optional(args),
        engine_url=args.engine or '',
        password=settings.password(),
        engine_cdi=bringup.check_engine(args.engine) if args.engine else '')


def _optional(args: argparse.Namespace) -> tuple[str, ...]:
    """What "--with" asks for."""
    found = tuple(sorted(set(args.optional or ())))
    if len(settings.VOLUMES.keys() & found) > 1:
        raise progress.Failure('Cinder has one back end here: --with cinder '
                               'or --with cinder:lvm')
    return found


def _same(args: argparse.Namespace, running: settings.Settings) -> None:
    """Refuse options that the running cloud does not have."""
    asked = {'network': args.network, 'firewall': args.firewall,
             'nova': args.nova, 'compute-driver': args.compute_driver,
             'engine': args.engine, 'computes': args.computes,
             'with': ' '.join(_optional(args))}
    has = settings.public(running)
    wrong = {key: value for key, value in asked.items()
             if value and value != has[key]}
    if wrong:
        raise progress.Failure(f'a cloud runs with {_words(running)}: '
                               'tools/cloud down first')


def _words(cloud: settings.Settings) -> str:
    return ', '.join(f'{key} {value}'
                     for key, value in settings.public(cloud).items())


def _say_how() -> None:
    sys.stdout.flush()
    progress.say('use it: eval "$(tools/cloud openrc demo)"; '
                 'openstack server list')


def _tempest(cloud: settings.Settings, patterns: list[str],
             concurrency: int) -> None:
    bringup.image(cloud, 'dropbear', *tempest.IMAGES)
    outcome = tempest.run(cloud, patterns, concurrency)
    counts = outcome.counts
    for reason, number in counts.reasons.items():
        print(f'{number:4} skipped: {reason}')
    print(outcome.excluded)
    print(f'{counts.passed} passed, {counts.failed} failed, '
          f'{counts.skipped} skipped')
    if counts.failed or not counts.passed:
        sys.exit(1)


def _status(cloud: settings.Settings) -> None:
    for key, value in settings.public(cloud).items():
        print(f'{key:38} {value}')
    control = supervisor.Supervisor(cloud)
    if not control.alive():
        raise progress.Failure('the cloud does not run')
    states = control.states()
    for name, state in sorted(states.items()):
        print(f'{name:38} {state:10} {supervisor.log_file(cloud, name)}')
    if set(states.values()) != {'RUNNING'}:
        raise progress.Failure('not all of it runs')
