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

"""A plain user's first server: boot, floating IP, ping, console log."""

import os
import pathlib
import subprocess
import sys
import time
import typing

import openstack

from evalcloud import inside
from evalcloud import progress
from evalcloud import settings

_NAME = 'demo'


def main() -> None:
    cloud = settings.load(pathlib.Path(sys.argv[1]))
    assert cloud is not None
    os.environ['OS_CLOUD'] = 'nova-docker-demo'
    user: typing.Any = openstack.connect(cloud='nova-docker-demo')
    if not user.compute.find_server(_NAME):
        _show('server', 'create', '--image', 'busybox', '--flavor',
              'm1.tiny', '--network', 'private', '--wait', '-c', 'status',
              _NAME)
    server = user.compute.find_server(_NAME)
    address = next(user.network.ips(port_id=_port(user, server.id)), None)
    if address is None:
        address = user.network.create_ip(
            floating_network_id=user.network.find_network('public').id,
            port_id=_port(user, server.id))
        progress.say(f'floating IP {address.floating_ip_address}')
    _ping(address.floating_ip_address)
    _show('server', 'list')
    _show('console', 'log', 'show', _NAME)


def _port(user: typing.Any, server: str) -> str:
    return str(next(user.network.ports(device_id=server)).id)


def _show(*arguments: str) -> None:
    """Run the client as a user would, and show what was run."""
    print('\n$ openstack ' + ' '.join(arguments), flush=True)
    if subprocess.call([f'{sys.prefix}/bin/openstack', *arguments]):
        sys.exit('the command above failed')


def _ping(address: str) -> None:
    """Ping from the host, until the router knows the address."""
    deadline = time.monotonic() + 60
    while subprocess.call(['ping', '-c', '1', '-W', '1', address],
                          stdout=subprocess.DEVNULL):
        if time.monotonic() > deadline:
            sys.exit(f'{address} does not answer a ping')
    print(f'\n$ ping -c 3 {address}', flush=True)
    if subprocess.call(['ping', '-c', '3', '-i', '0.2', address]):
        sys.exit(f'{address} does not answer every ping')


if __name__ == '__main__':
    inside.run(main)
