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

"""Servers of a plain user on the evaluation cloud, and what they leave."""

import contextlib
import ipaddress
import json
import os
import pathlib
import signal
import subprocess
import time
import unittest
import urllib.request
import uuid

import docker
import openstack
from oslotest import base
import requests

from evalcloud import settings
from evalcloud import supervisor
from evalcloud import underlay
from tests.fixtures import commands

#: Whether tests that have a long version run that.
LONG = os.environ.get('NOVA_DOCKER_TEST_LONG') == '1'
#: Of a test whose like there is without a cloud: of units, functional, or with
#: an engine and devices.
long_only = unittest.skipUnless(LONG, 'only with NOVA_DOCKER_TEST_LONG=1')
#: Seconds between questions about a server: Nova asks Neutron twice for each.
NOVA = 1

_VARIABLES = ('OS_CLOUD', 'OS_CLIENT_CONFIG_FILE', 'DOCKER_HOST',
              'OVS_RUNDIR')


def wait_for(what, check, seconds=60, every=0.3):
    """Wait until ``check`` returns something true, and return that.

    :param every: seconds between checks: more where one takes long
    :raises AssertionError: naming ``what`` when it does not
    """
    deadline = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f'{what}: not in {seconds} s')
        time.sleep(every)
    return found


def state_dir():
    """The cloud's folder."""
    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if missing:
        raise AssertionError(
            f'{", ".join(missing)} not set: tools/cloud up, then '
            'eval "$(tools/cloud openrc demo)"')
    return pathlib.Path(os.environ['OS_CLIENT_CONFIG_FILE']).parent


def compute_hosts():
    """The compute hosts of the cloud, by name."""
    cloud = settings.load(state_dir())
    return {host.name: Host(cloud, host) for host in cloud.compute_hosts}


class Host:
    """A compute host, seen from outside the driver.

    :param cloud: evalcloud.settings.Settings
    :param host: evalcloud.hosts.Host
    """

    def __init__(self, cloud, host):
        self._host = host
        self._supervisor = supervisor.Supervisor(cloud)
        self._environ = {**os.environ, **host.runtime,
                         'DOCKER_HOST': cloud.docker_host(host)}
        self.engine = docker.from_env(environment=self._environ).api
        self._cdi = [pathlib.Path(folder) for folder in
                     self.engine.info()['CDISpecDirs']]

    @property
    def name(self):
        return self._host.name

    @property
    def address(self):
        """Where other hosts reach it."""
        return self._host.address

    @property
    def folder(self):
        """What all its programs write to."""
        return self._host.folder

    def start(self, *programs):
        """Start programs that do not run, and do not wait for them."""
        self._supervisor.start(*map(self._host.program, programs))

    def stop(self, *programs):
        """Stop programs, and wait for their end."""
        self._supervisor.stop(*map(self._host.program, programs))

    def clear(self):
        """Remove what a boot of the host does not find."""
        mounts = self.run('cat', '/proc/self/mountinfo')
        for line in reversed(mounts.splitlines()):
            if f'{self.folder}/' in line.split()[4]:
                self.run('umount', line.split()[4])
        for name in self._names('netns', 'name'):
            if name.startswith('nova-'):
                self.run('ip', 'netns', 'del', name)
        for name in self._names('link', 'ifname'):
            if name.startswith('tap'):
                self.run('ip', 'link', 'del', name)

    def run(self, *command):
        """Run a command there and return its output."""
        return subprocess.check_output([*self._host.enter, *command],
                                       text=True, env=self._environ)

    def ports(self):
        """Ports of the integration bridge."""
        return set(self.run('ovs-vsctl', '--timeout=30', 'list-ports',
                            'br-int').split())

    def _names(self, what, key):
        """Names of the links or network namespaces, as ip lists them."""
        return {each[key] for each in
                json.loads(self.run('ip', '-json', what) or '[]')}

    def traffic(self):
        """Bytes that were sent and received so far, by interface."""
        links = json.loads(self.run('ip', '-json', '-stats', 'link'))
        return {each['ifname']: tuple(each['stats64'][way]['bytes']
                                      for way in ('tx', 'rx'))
                for each in links}

    @contextlib.contextmanager
    def cut_off(self):
        """Let nothing go to other hosts inside the block.

        Not what goes to the services of the cloud, nor what servers send.
        """
        rule = ('OUTPUT', '-o', underlay.MANAGEMENT, '-j', 'DROP')
        self.run('iptables', '-w', '-I', *rule)
        try:
            yield
        finally:
            self.run('iptables', '-w', '-D', *rule)

    def criu_config(self):
        """File of the options that CRIU gets."""
        return self._host.data / 'nova/docker/criu.conf'

    def moves(self):
        """Files of what moves of servers have left, or are bringing."""
        return {path for folder in ('transfers', 'unconfirmed') for path in
                (self._host.data / 'nova/docker' / folder).glob('*')}

    def traces(self):
        """All that servers have on this host, by kind."""
        mounts = self.run('cat', '/proc/self/mountinfo')
        return {
            'containers': {
                container['Id']
                for container in self.engine.containers(all=True)},
            'ports of br-int': self.ports(),
            'network namespaces': self._names('netns', 'name'),
            'links': self._names('link', 'ifname'),
            'mounts': {line.split()[4] for line in mounts.splitlines()
                       if str(self._host.folder) in line.split()[4]},
            'CDI files': {path for folder in self._cdi
                          for path in folder.glob('*')},
            'state': set((self._host.data / 'nova/docker/instances')
                         .glob('*')),
            'moves': self.moves(),
        }

    def volumes(self, server):
        """File with what the driver knows of a server's volumes."""
        return (self._host.data / 'nova/docker/instances' / server.id /
                'volumes.json')

    @property
    def engine_config(self):
        """Configuration file of the engine."""
        return self._host.engine.config

    @property
    def compute_config(self):
        """Configuration file of nova-compute."""
        return self._host.etc / 'nova' / 'nova-compute.conf'

    def log(self, program):
        """Log file of a program."""
        return supervisor.log_file(self._supervisor.cloud,
                                   self._host.program(program))

    def pid(self, program):
        """Process of a program, as tools/cloud status names them."""
        return self._supervisor.pid(self._host.program(program))

    def send_signal(self, program, number):
        """Send a program a signal; returns its process."""
        pid = self.pid(program)
        if not pid:
            raise AssertionError(f'{program} does not run')
        os.kill(pid, number)
        return pid

    def kill(self, program, number=signal.SIGKILL):
        """End a program; its supervisor starts it again, as systemd does."""
        before = self.send_signal(program, number)
        wait_for(f'{program} again',
                 lambda: self.pid(program) not in (0, before))

    @contextlib.contextmanager
    def hung(self, program):
        """Let a program do nothing inside the block."""
        self.send_signal(program, signal.SIGSTOP)
        try:
            yield
        finally:
            self.send_signal(program, signal.SIGCONT)

    def answers(self):
        """Whether the engine does."""
        try:
            return self.engine.ping()
        except (requests.RequestException, docker.errors.DockerException):
            return False

    def containers(self, server):
        """The containers, none or one, of a server or of this name."""
        return self.engine.containers(
            all=True, filters={'name': f'^/{_name(server)}$'})

    def container(self, server):
        """The inspected container of a server."""
        return self.engine.inspect_container(_name(server))

    def execute(self, server, *command):
        """Exit status and output of a command inside a server."""
        return commands.run(self.engine, _name(server), list(command))


def _name(server):
    """The name of a server's container."""
    return server if isinstance(server, str) else f'nova-{server.id}'


class CloudTestCase(base.BaseTestCase):
    """A test that makes servers; afterwards nothing of them may be left."""

    #: Of the group that the servers are in where there are several hosts:
    #: "affinity" puts them on one host, "anti-affinity" on different ones.
    policy = None

    def setUp(self):
        super().setUp()
        self.hosts = compute_hosts()
        self.cloud = openstack.connect()
        self.compute, self.network = self.cloud.compute, self.cloud.network
        self._groups, self._servers = {}, []
        for host in self.hosts.values():
            self.addCleanup(self.assert_nothing_left, host, host.traces())

    def resume_on(self, host):
        """Have servers that ended with their host be started again with it.

        As configure does.
        """
        self.configure(host, 'resume_guests_state_on_host_boot = true')

    def configure(self, host, line):
        """Add a line to the configuration of a host's nova-compute.

        From its next start to the end of the test.
        """
        file = host.compute_config
        before = file.read_text()
        file.write_text(before.replace(
            '[DEFAULT]\n', f'[DEFAULT]\n{line}\n', 1))
        self.addCleanup(host.kill, 'nova-compute')
        self.addCleanup(file.write_text, before)

    def host_of(self, server):
        """The host that a server, or a container of this name, is on."""
        found = [host for host in self.hosts.values()
                 if host.containers(server)]
        self.assertEqual(1, len(found), server)
        return found[0]

    def container(self, server):
        """The inspected container of a server."""
        return self.host_of(server).container(server)

    def containers(self, server):
        """The containers of a server on all hosts, running or not."""
        return [container for host in self.hosts.values()
                for container in host.containers(server)]

    def execute(self, server, *command):
        """Exit status and output of a command in a server, or container."""
        return self.host_of(server).execute(server, *command)

    def assert_nothing_left(self, host, before):
        """Wait until a host has nothing more than it had, see traces."""
        def left():
            now = host.traces()
            return {kind: names - before[kind] for kind, names in now.items()
                    if names - before[kind]}
        # Neutron's agents take their things away a little later.
        self.assert_becomes({}, left)

    def assert_becomes(self, expected, read, seconds=60):
        """Wait until ``read`` returns what is expected."""
        with contextlib.suppress(AssertionError):
            wait_for('', lambda: read() == expected, seconds)
            return
        self.assertEqual(expected, read())

    def create(self, name, **options):
        """A server that is ACTIVE; deleted at the end of the test."""
        return self.wait_status(self.build(name, **options), 'ACTIVE')

    def build(self, name, image='busybox', flavor='m1.nano', cloud=None,
              **options):
        """A server to be; deleted at the end of the test.

        :param image: name or id, as is the flavor; None to boot from a volume
        :param cloud: connection of the user who makes it, self.cloud without
        """
        cloud = cloud or self.cloud
        compute, network = cloud.compute, cloud.network
        if 'networks' not in options:
            options['networks'] = [
                {'uuid': network.find_network('private').id}]
        if self.policy and len(self.hosts) > 1:
            options['scheduler_hints'] = {'group': self._group(compute)}
        if image:
            options['image_id'] = cloud.image.find_image(image).id
        server = compute.create_server(
            name=name, flavor_id=compute.find_flavor(flavor).id, **options)
        self._servers.append(server)
        self.addCleanup(self._delete_all)
        if 'scheduler_hints' in options:
            # The next one of the group is to know this one's host.
            wait_for(f'host of {name}',
                     lambda: compute.get_server(server.id).host_id)
        return server

    def _group(self, compute):
        """Id of the user's server group with the test's policy."""
        if compute not in self._groups:
            group = compute.create_server_group(
                name=self.id()[-200:], policy=self.policy)
            self.addCleanup(compute.delete_server_group, group)
            self._groups[compute] = group.id
        return self._groups[compute]

    def wait_status(self, server, status, task_state=None):
        """Wait for a server's status and return the server."""
        def reached():
            now = self.compute.get_server(server.id)
            if now.status == 'ERROR' != status:
                raise AssertionError(f'{now.name} went to ERROR: {now.fault}')
            return now if (now.status, now.task_state) == (
                status, task_state) else None
        return wait_for(f'{server.name} {status}', reached, 120, NOVA)

    @contextlib.contextmanager
    def another_start(self, server):
        """Wait until a server was started after the block began."""
        def started():
            # It may be replaced meanwhile.
            with contextlib.suppress(AssertionError, docker.errors.NotFound):
                found = self.container(server)
                return found['State']['Running'] and (
                    found['Id'], found['State']['StartedAt'])
        before = started()
        yield
        wait_for(f'another start of {server.name}',
                 lambda: (now := started()) and now != before, 120)
        self.wait_status(server, 'ACTIVE')

    def delete(self, *servers):
        """Delete servers, side by side, and wait until they are gone."""
        for server in servers:
            self.compute.delete_server(server, ignore_missing=True)
        for server in servers:
            # openstacksdk ends its wait with DELETED, when Nova still has it.
            wait_for(f'{server.name} gone', lambda server=server: (
                not self.compute.find_server(server.id)), 120, NOVA)

    def _delete_all(self):
        servers, self._servers = self._servers, []
        self.delete(*servers)

    def addresses(self, server):
        """The fixed IPs of a server with one port, IPv4 first."""
        [entries] = server.addresses.values()
        found = [entry['addr'] for entry in entries
                 if entry['OS-EXT-IPS:type'] == 'fixed']
        return sorted(found, key=lambda each: ipaddress.ip_address(
            each).version)

    def console(self, server):
        """The server's console log."""
        return self.compute.get_server_console_output(server)['output']

    def console_url(self, server, protocol, kind=None):
        """Where a browser finds the server's console.

        :param kind: as the API calls it; None for the name of the protocol
        """
        return self.compute.create_console(
            server, console_type=kind or protocol,
            console_protocol=protocol)['url']

    def assert_pings(self, server, address):
        """The server, as in execute, reaches an address."""
        def pinged():
            return not self.execute(
                server, 'ping', '-c', '1', '-W', '2', address)[0]
        wait_for(f'{server} pings {address}', pinged)

    def assert_fetches(self, server, url, text):
        """The server, as in execute, gets a text from a web server.

        A server that is up and answers pings may still be starting it.
        """
        wait_for(f'{text!r} from {url}', lambda: self.fetch(
            server, url) == (0, text))

    def assert_serves(self, address, text):
        """The host gets a server's page at an address outside."""
        def fetched():
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f'http://{address}/',
                                            timeout=5) as page:
                    return page.read().decode() == text
        wait_for(f'{text!r} from {address}', fetched)

    def floating_ip(self, server, port=None):
        """A floating IP of the server, of its first port without one."""
        port = port or next(self.network.ports(device_id=server.id))
        address = self.network.create_ip(
            floating_network_id=self.network.find_network('public').id,
            port_id=port.id)
        self.addCleanup(self.network.delete_ip, address)
        return address.floating_ip_address

    def network_of_its_own(self, cidr, cloud=None):
        """A network with one subnet; both are returned.

        :param cloud: connection of its owner, self.cloud without
        """
        owner = (cloud or self.cloud).network
        network = owner.create_network(name=f'net-{uuid.uuid4().hex}')
        self.addCleanup(owner.delete_network, network)
        subnet = owner.create_subnet(
            network_id=network.id, cidr=cidr,
            ip_version=ipaddress.ip_network(cidr).version)
        return network, subnet

    def security_group(self):
        """A security group that lets nothing in."""
        group = self.network.create_security_group(
            name=f'group-{uuid.uuid4().hex}')
        self.addCleanup(self.network.delete_security_group, group)
        return group

    def allow(self, group, **rule):
        """Let traffic, all that comes in by IPv4 without more, pass."""
        return self.network.create_security_group_rule(
            security_group_id=group.id,
            **{'direction': 'ingress', 'ether_type': 'IPv4', **rule})

    def pings(self, server, address, size=56):
        """Whether an address answers the server once in three seconds."""
        return not self.execute(
            server, 'ping', '-c', '3', '-W', '1', '-s', str(size), address)[0]

    def fetch(self, server, url, seconds=10):
        """Exit status and output of wget inside a server."""
        return self.execute(
            server, 'timeout', str(seconds), 'wget', '-qO-', url)

    def metadata(self, server):
        """What the metadata service tells a server of itself."""
        def fetched():
            status, text = self.fetch(
                server, 'http://169.254.169.254/openstack/latest/'
                'meta_data.json')
            return None if status else json.loads(text)
        # For the first server of a network on a host, Neutron's agent
        # starts a proxy, which may come up after the server.
        return wait_for(f'metadata of {server.name}', fetched)
