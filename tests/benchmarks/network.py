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


"""TCP between two servers, and between the same containers on plain veths.

All four are on one bridge, and have the same limits and programs: iperf3 for
the throughput, sockperf for the round trip.
"""

import contextlib
import functools
import json
import subprocess

from nova_docker.spec import names
from tests.benchmarks import bed
from tests.benchmarks import programs
from tests.fixtures import starts

_PAIRS = 10
_SECONDS = 2
_PACKAGES = ('iperf3', 'sockperf', 'ethtool', 'iproute2')
_COMMAND = 'iperf3 --server'
_BESIDE = 'sockperf server --tcp --ip 0.0.0.0'
_TIMEOUT = 60


class _Host(programs.Container):
    """A container with an address, which runs the servers."""

    def __init__(self, both: bed.Bed, container: str, address: str) -> None:
        super().__init__(both, container)
        self.address = address
        self.run(_BESIDE, '--detach')

    def throughput(self, other: '_Host') -> float:
        """Bits in a second to another host."""
        report = json.loads(self.run(
            f'iperf3 --client {other.address} --json --time {_SECONDS}'))
        return float(report['end']['sum_received']['bits_per_second'])

    def round_trip(self, other: '_Host') -> float:
        """Seconds, the median, of 14 bytes to another host and back."""
        report = self.run(f'sockperf ping-pong --tcp --full-rtt --ip '
                          f'{other.address} --time {_SECONDS}')
        _, _, median = report.partition('percentile 50.000 =')
        return float(median.split()[0]) / 1e6

    def reaches(self, other: '_Host') -> bool:
        """Whether the servers of another host answer."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.throughput(other)
            self.round_trip(other)
            return True
        return False


def _ours(both: bed.Bed) -> _Host:
    """By the driver."""
    instance = both.instance()
    both.spawn(instance)
    port, = instance.get_network_info()
    return _Host(both, names.container_name(instance.uuid),
                 port.fixed_ips()[0]['address'])


def _bare(both: bed.Bed, stack: contextlib.ExitStack) -> _Host:
    """By hand."""
    name, address = bed.name(), next(both.addresses)
    both.run(name, 'none')
    pid = both.engine.inspect_container(name)['State']['Pid']
    outer, inside = f'bare{name[-8:]}', f'nsenter --net=/proc/{pid}/ns/net'
    for command in (
            f'ip link add {outer} mtu {bed.MTU} type veth '
            f'peer name eth0 mtu {bed.MTU} netns {pid}',
            f'ip link set {outer} up',
            f'{inside} ip address add {address}/16 dev eth0',
            f'{inside} ip link set eth0 up',
            # What is left to a network card never gets through the switch.
            f'{inside} ethtool --offload eth0 tx off'):
        subprocess.run(command.split(), check=True,
                       stdout=subprocess.DEVNULL)
    both.switch.vsctl('add-port', 'br-int', outer)
    stack.callback(both.switch.vsctl, 'del-port', 'br-int', outer)
    return _Host(both, name, address)


def main() -> None:
    """Print the ratios: the first shall be large, the second small."""
    options = bed.arguments(__doc__, _PAIRS, vif=False)
    programs.install(_PACKAGES)
    rates: dict[str, list[float]] = {'ours': [], 'bare': []}
    times: dict[str, list[float]] = {'ours': [], 'bare': []}
    # iperf3 has its buffers in a file in /tmp.
    with (bed.Bed(options, programs.archive('iperf3', 'sockperf')) as both,
          contextlib.ExitStack() as stack):
        both.image.properties.os_command_line = _COMMAND
        sides = [('ours', _ours(both), _ours(both)),
                 ('bare', _bare(both, stack), _bare(both, stack))]
        for _, client, server in sides:
            starts.wait_until(functools.partial(client.reaches, server),
                              _TIMEOUT)
        for number in range(options.pairs):
            for name, client, server in sides[::1 if number % 2 else -1]:
                rates[name].append(client.throughput(server))
                times[name].append(client.round_trip(server))
    print(bed.ratio('round trip of TCP / on plain veths', times['ours'],
                    times['bare'], 'us', 1e6))
    print(bed.ratio('throughput of TCP / on plain veths', rates['ours'],
                    rates['bare'], 'Mbit/s', 1e-6))
