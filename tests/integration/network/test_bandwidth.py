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


"""Limits of ports, with real traffic on the real kernel; needs root only."""

import dataclasses
import os
import pathlib
import subprocess

import fixtures
from oslotest import base

from nova_docker.network import netns
from nova_docker.privsep import link
from nova_docker.spec import bandwidth
from nova_docker.spec import ports
from tests.fixtures import network
from tests.fixtures import openvswitch
from tests.fixtures import privsep

#: Kilobytes per second, and bytes that take about one and a half seconds.
RATE = 1000
SIZE = 1_500_000

_RECEIVE = """
import socket, sys, time
with socket.create_server((sys.argv[1], 7777)) as server:
    print('ready', flush=True)
    server.settimeout(60)
    wire, _ = server.accept()
    count = 0
    while chunk := wire.recv(65536):
        count += len(chunk)
    # The clock is that of the machine, in all its namespaces.
    print(count, time.monotonic())
"""
_SEND = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 7777), timeout=30) as wire:
    print(time.monotonic())
    wire.sendall(b'x' * int(sys.argv[2]))
"""


class BandwidthTest(base.BaseTestCase):
    """A container's namespace, and the host at the other end of its pair."""

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.useFixture(openvswitch.OwnNetwork())
        self.host = self.useFixture(network.HostPorts())

    def _boot(self, **extra_specs):
        limits = bandwidth.of_flavor({
            f'quota:vif_{key}': str(value)
            for key, value in extra_specs.items()})
        port = dataclasses.replace(
            network.make_port(), limits=limits, routes=(),
            addresses=(ports.Address('10.1.0.5', 24, 4),))
        self.host.make(port)
        subprocess.run(['ip', 'addr', 'add', '10.1.0.1/24', 'dev',
                        port.host_device], check=True)
        # It is another host's here, and answers.
        pathlib.Path('/proc/sys/net/ipv4/conf', port.host_device,
                     'arp_ignore').write_text('0')
        return port, self._start(port)

    def _start(self, port):
        inside = self.useFixture(network.Namespace())
        netns.configure(inside.pid, [port])
        return inside

    def _rate(self, source, target, address, size=SIZE):
        """Kilobytes per second from a namespace, None is the host's."""
        def command(namespace, code, *arguments):
            enter = (['nsenter', f'--net=/proc/{namespace.pid}/ns/net']
                     if namespace else [])
            return [*enter, 'python3', '-c', code, *arguments]

        with subprocess.Popen(command(target, _RECEIVE, address),
                              stdout=subprocess.PIPE, text=True) as receiver:
            self.addCleanup(receiver.kill)
            self.assertEqual('ready\n', receiver.stdout.readline())
            began = float(subprocess.run(
                command(source, _SEND, address, str(size)), check=True,
                timeout=60, text=True, stdout=subprocess.PIPE).stdout)
            count, ended = receiver.stdout.read().split()
            return int(count) / (float(ended) - began) / 1000

    def _receives(self, inside, **kwargs):
        return self._rate(None, inside, '10.1.0.5', **kwargs)

    def _sends(self, inside, **kwargs):
        return self._rate(inside, None, '10.1.0.1', **kwargs)

    def _is_limit(self, rate):
        # How much slower it is says the machine's load, not the limit.
        self.assertLess(RATE * 0.3, rate)
        self.assertGreater(RATE * 1.5, rate)

    def test_inbound(self):
        _port, inside = self._boot(inbound_average=RATE)
        self._is_limit(self._receives(inside))
        self.assertLess(RATE * 1.5, self._sends(inside))

    def test_outbound(self):
        _port, inside = self._boot(outbound_average=RATE)
        self._is_limit(self._sends(inside))
        self.assertLess(RATE * 1.5, self._receives(inside))

    def test_burst_passes_at_its_peak(self):
        _port, inside = self._boot(
            outbound_average=100, outbound_peak=RATE,
            outbound_burst=SIZE // 1000)
        self._is_limit(self._sends(inside))

    def test_burst_ends(self):
        _port, inside = self._boot(
            inbound_average=RATE, inbound_burst=200)
        rate = self._receives(inside)
        self.assertLess(RATE * 0.3, rate)
        self.assertGreater(RATE * 1.8, rate)

    def test_limits_of_the_next_start(self):
        port, inside = self._boot(inbound_average=RATE, outbound_average=RATE)
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'netns')
        self.addCleanup(netns.release, path)
        netns.hold(path, inside.pid)
        inside.end()
        self.assertTrue(netns.take_back(path, [port]))
        again = self._start(port)
        self._is_limit(self._receives(again))
        self._is_limit(self._sends(again))

    def test_port_that_is_attached_again(self):
        port, inside = self._boot(inbound_average=RATE, outbound_average=RATE)
        links = {each['ifname'] for each in inside.ip('link')}
        link.delete_pair(port.host_device, port.parked_device)
        netns.forget(inside.pid, port)
        self.assertEqual({'lo'}, {
            each['ifname'] for each in inside.ip('link')})
        self.host.make(port)
        netns.configure(inside.pid, [port])
        self.assertEqual(links, {
            each['ifname'] for each in inside.ip('link')})
        # And without a word that it was lost.
        link.delete_pair(port.host_device, port.parked_device)
        self.host.make(port)
        netns.configure(inside.pid, [port])
        self.assertEqual(links, {
            each['ifname'] for each in inside.ip('link')})

    def test_other_packets_pass(self):
        # Address resolution among them, of both families.
        port, inside = self._boot(inbound_average=RATE, outbound_average=RATE)
        netns_path = f'--net=/proc/{inside.pid}/ns/net'
        subprocess.run(['nsenter', netns_path, 'ping', '-c', '2', '-i', '0.2',
                        '-W', '5', '10.1.0.1'], check=True,
                       stdout=subprocess.DEVNULL)
        block, = [each for each in inside.ip('-d', 'link')
                  if each['ifname'] == 'ifb-eth0']
        self.assertIn('UP', block['flags'])
        self.assertEqual([], [
            address for each in inside.ip('addr', 'show', 'dev', 'ifb-eth0')
            for address in each.get('addr_info', ())])
        self.assertEqual({port.host_device}, self.host.left())
