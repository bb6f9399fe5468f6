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


"""A container and a virtual machine under the same Nova, side by side.

In the cloud that "tools/cloud up --with libvirt" makes and "openrc demo"
names. Both images are busybox, which takes its addresses, writes a line to its
console and serves a page; flavor, network and API are the same. The virtual
machine has no help of the hardware: QEMU translates what it executes.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import statistics
import threading
import time
import typing

import openstack

from evalcloud import settings
from tests.benchmarks import results
from tests.integration.cloud import base
from tests.integration.cloud.hybrid import base as hybrid

_TICK = os.sysconf('SC_CLK_TCK')
_MIB = 1 << 20
_IDLE_SECONDS = 30
#: What is measured, and its unit.
_ROWS = {'ACTIVE': 's', 'first ping': 's', 'console': 's', 'gone': 's',
         'memory': 'MiB', 'CPU to boot': 's', 'CPU idle': '% of one CPU'}


def _cpu(pids: collections.abc.Iterable[int]) -> float:
    """Seconds of CPU that processes, with their dead children, have used."""
    ticks = 0
    for pid in pids:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text()
        # utime, stime, cutime, cstime
        ticks += sum(map(int, text.rpartition(')')[2].split()[11:15]))
    return ticks / _TICK


def _memory(pids: collections.abc.Iterable[int]) -> float:
    """MiB of memory, with their share of what is shared (PSS)."""
    kib = 0
    for pid in pids:
        for line in pathlib.Path(
                f'/proc/{pid}/smaps_rollup').read_text().splitlines():
            if line.startswith('Pss:'):
                kib += int(line.split()[1])
    return kib * 1024 / _MIB


class _Container:
    """Processes of a container: its own, and its shim."""

    def __init__(self, host: typing.Any, server: typing.Any) -> None:
        self._host, self._name = host, f'nova-{server.id}'
        pid = host.container(server)['State']['Pid']
        status = pathlib.Path(f'/proc/{pid}/status').read_text()
        self._shim = int(status.partition('PPid:')[2].split()[0])

    def _pids(self) -> list[int]:
        top = self._host.engine.top(self._name)
        column = top['Titles'].index('PID')
        return [self._shim, *(int(line[column])
                              for line in top['Processes'])]

    def memory(self) -> float:
        return _memory(self._pids())

    def cpu(self) -> float:
        """Of its control group, and of the shim."""
        said = self._host.engine.stats(self._name, stream=False,
                                       one_shot=True)
        stat = pathlib.Path(f'/proc/{self._shim}/stat').read_text()
        own = sum(map(int, stat.rpartition(')')[2].split()[11:13])) / _TICK
        return own + said['cpu_stats']['cpu_usage']['total_usage'] / 1e9


class _VirtualMachine:
    """The process of a virtual machine."""

    def __init__(self, host: typing.Any, server: typing.Any) -> None:
        self._pid = host.process(server)

    def memory(self) -> float:
        return _memory([self._pid])

    def cpu(self) -> float:
        return _cpu([self._pid])


class Bed:
    """The cloud, with a server that pings the others."""

    def __init__(self) -> None:
        cloud = settings.load(base.state_dir())
        if not cloud or not cloud.vm_hosts:
            raise SystemExit('needs a cloud of "tools/cloud up --with '
                             'libvirt"')
        self.cloud: typing.Any = openstack.connect()
        self.host = next(iter(base.compute_hosts().values()))
        self.vm_host = hybrid.VMHost(cloud.vm_hosts[0])
        self._network = self.cloud.network.find_network('private')

    @contextlib.contextmanager
    def server(self, name: str, image: str
               ) -> collections.abc.Iterator[typing.Any]:
        """A server that is being made, with its IPv4 address.

        A port of its own tells the address before.
        """
        network, compute = self.cloud.network, self.cloud.compute
        port = network.create_port(network_id=self._network.id)
        address = next(entry['ip_address'] for entry in port.fixed_ips
                       if '.' in entry['ip_address'])
        image_id = self.cloud.image.find_image(image).id
        flavor_id = compute.find_flavor(hybrid.FLAVOR).id
        try:
            server = compute.create_server(
                name=name, image_id=image_id, flavor_id=flavor_id,
                networks=[{'port': port.id}])
            try:
                yield server, address
            finally:
                self.delete(server)
        finally:
            network.delete_port(port)

    def delete(self, server: typing.Any) -> None:
        """Delete a server, and wait until it is gone."""
        self.cloud.compute.delete_server(server, ignore_missing=True)
        base.wait_for(f'{server.name} gone', lambda: not (
            self.cloud.compute.find_server(server.id)), 120)

    def wait_active(self, server: typing.Any) -> None:
        """Wait until a server is ACTIVE."""
        def active() -> bool:
            status = self.cloud.compute.get_server(server.id).status
            if status == 'ERROR':
                raise AssertionError(f'{server.name} went to ERROR')
            return bool(status == 'ACTIVE')
        base.wait_for(f'{server.name} ACTIVE', active, 300)

    def wait_up(self, server: typing.Any) -> None:
        """Wait for the line of its console that says so."""
        def printed() -> bool:
            said = self.cloud.compute.get_server_console_output(server)
            return f'{server.name} is up' in said['output']
        base.wait_for(f'{server.name} up', printed, hybrid.BOOT_SECONDS)

    def wait_ping(self, pinger: typing.Any, address: str) -> None:
        """Wait until an address answers a server."""
        self.host.execute(pinger, 'timeout', str(hybrid.BOOT_SECONDS), 'sh',
                          '-c', f'until ping -c 1 -W 1 {address}; do :; done')

    def measure(self, name: str, image: str, kind: typing.Any,
                host: typing.Any, pinger: typing.Any) -> dict[str, float]:
        """One server from its creation to its end."""
        found = {}
        began = time.monotonic()
        with self.server(name, image) as (server, address):
            def pinged() -> None:
                self.wait_ping(pinger, address)
                found['first ping'] = time.monotonic() - began

            waiting = threading.Thread(target=pinged)
            waiting.start()
            self.wait_active(server)
            found['ACTIVE'] = time.monotonic() - began
            self.wait_up(server)
            found['console'] = time.monotonic() - began
            waiting.join()
            processes = kind(host, server)
            found['CPU to boot'] = processes.cpu()
            # What follows the boot.
            time.sleep(10)
            before, at = processes.cpu(), time.monotonic()
            time.sleep(_IDLE_SECONDS)
            found['CPU idle'] = 100 * (processes.cpu() - before) / (
                time.monotonic() - at)
            found['memory'] = processes.memory()
            at = time.monotonic()
            self.delete(server)
            found['gone'] = time.monotonic() - at
        return found


def main() -> None:
    """Print the medians of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pairs', type=int, default=3, metavar='N',
                        help='rounds, %(default)s by default')
    options = parser.parse_args()
    bed = Bed()
    kinds = {'container': ('busybox', _Container, bed.host),
             'virtual machine': (hybrid.IMAGE, _VirtualMachine, bed.vm_host)}
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    with bed.server('pinger', 'busybox') as (pinger, _address):
        bed.wait_active(pinger)
        # Both hosts get their image.
        for image, _kind, _host in kinds.values():
            with bed.server('first', image) as (server, _address):
                bed.wait_active(server)
        for number in range(options.pairs):
            for name, (image, kind, host) in kinds.items():
                values = bed.measure(f'{name.split()[0]}-{number}', image,
                                     kind, host, pinger)
                print(name, {key: round(value, 2)
                             for key, value in values.items()}, flush=True)
                found[name].append(values)
    load = os.getloadavg()[0]
    print(f'load average {load:.1f}, {os.cpu_count()} CPUs')
    ours, theirs = found.values()
    for row, unit in _ROWS.items():
        if unit == 's':
            results.pairs(row, 'virtual machine',
                          [values[row] for values in ours],
                          [values[row] for values in theirs])
    rows = {row: [statistics.median(values[row] for values in found[kind])
                  for kind in kinds] for row in _ROWS}
    for row, (one, other) in rows.items():
        print(f'{row:12} container {one:8.2f} {_ROWS[row]}, '
              f'virtual machine {other:8.2f} {_ROWS[row]}')
    one, other = rows['memory']
    print(f'hybrid: a virtual machine takes {other / one:.0f} times the '
          f'memory of a container ({other:.1f} and {one:.1f} MiB)')
