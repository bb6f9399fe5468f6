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


"""A nova-compute that is not root, with a real privsep daemon that is.

Run by test_unprivileged: ``python -m ... STATE_DIR UUID``. The last line of
its output says what is left.
"""

import contextlib
import dataclasses
import os
import sys

from oslo_privsep import capabilities
from oslo_privsep import priv_context

from nova_docker.cdi import hook
from nova_docker.cdi import store
from nova_docker.engine import session
from nova_docker.engine import transport
from nova_docker.network import gate
from nova_docker.network import netns
from nova_docker.network import plans
import nova_docker.privsep
from nova_docker.privsep import link
from nova_docker.spec import bandwidth
from nova_docker.spec import names
from tests.fixtures import network
from tests.fixtures import starts

NOBODY = 65534


def become_nobody(url):
    """Start the daemon, then give up being root.

    Only the right to read files stays: Python itself may be in root's home.
    """
    nova_docker.privsep.sys_admin_pctxt.start(priv_context.Method.FORK)
    capabilities.set_keepcaps(True)
    # Nova's user is in the group of the engine's socket.
    os.setgroups([os.stat(url.removeprefix('unix://')).st_gid])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    reading = [capabilities.CAP_DAC_READ_SEARCH]
    capabilities.drop_all_caps_except(reading, reading, [])


def create(engine, name, instance_uuid):
    engine.create_container(name, {
        'Image': 'busybox:latest',
        'Cmd': ['sh', '-c', 'ip rule; ip addr; echo shown; exec sleep 99'],
        'HostConfig': {'NetworkMode': 'none', 'DeviceRequests': [{
            'Driver': 'cdi',
            'DeviceIDs': [names.cdi_device(instance_uuid)]}]}})


def _printed(engine, name, text):
    """How often the container has printed a text."""
    return engine.container_logs(name, 10000).count(text)


def main(state_dir, instance_uuid):
    url = os.environ['DOCKER_HOST']
    become_nobody(url)
    hook.install(state_dir)
    engine = session.Session(transport.Address(url))
    cdi_dir = engine.info()['CDISpecDirs'][0]
    name = names.container_name(instance_uuid)
    port = dataclasses.replace(
        network.make_port(), limits=bandwidth.of_flavor(
            {'quota:vif_inbound_average': '1000',
             'quota:vif_outbound_average': '1000'}))
    plan = [port, network.make_port(1, 2)]
    path = plans.netns_path(state_dir, instance_uuid)

    def on_start(uuid, pid):
        if not netns.take_back(path, plans.read(state_dir, uuid)):
            raise AssertionError('not held')
        return plan

    with contextlib.ExitStack() as undo:
        opened = gate.Gate(state_dir, on_start, lambda *_: None, {}.get,
                           20)
        opened.start()
        undo.callback(opened.stop)
        undo.callback(plans.remove, state_dir, instance_uuid)
        undo.callback(store.remove, cdi_dir, instance_uuid)
        for each in plan:
            undo.callback(link.delete_pair, each.host_device,
                          each.parked_device)
            link.make_pair(each.host_device, each.parked_device, each.mac,
                           each.mtu, None)
        undo.callback(netns.release, path)
        store.write(cdi_dir, instance_uuid, state_dir, 20)
        create(engine, name, instance_uuid)
        undo.callback(engine.remove_container, name)
        with opened.turn(instance_uuid) as turn:
            turn.hand(plan)
            engine.start_container(name, 60)
            turn.check()
        starts.wait_until(lambda: _printed(engine, name, b'shown') == 1)
        engine.kill_container(name)
        starts.wait_until(lambda: netns.set_down(path))
        # Nobody asked the gate before.
        engine.start_container(name, 60)
        starts.wait_until(lambda: _printed(engine, name, b'shown') == 2)
        # Addresses, interfaces, and the rules of two addresses at two starts.
        assert [_printed(engine, name, text) for text in (
            b'10.1.0.5/24', b'qdisc htb', b'lookup 20001')] == [2, 4, 4]
    print(os.getuid(), sorted(os.listdir(state_dir)),
          sorted(plans.instances(state_dir)))


if __name__ == '__main__':
    main(*sys.argv[1:])
