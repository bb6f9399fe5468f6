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

import http.server
import threading

from tests.integration.cloud import base


class _Whoami(http.server.BaseHTTPRequestHandler):
    """Answers with the address that a request came from."""

    def do_GET(self):
        """Answer to a GET."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())

    def log_message(self, *_arguments):
        """Log nothing."""


class FloatingIPTest(base.CloudTestCase):
    """What the world outside, which is the host, sees of a server."""

    def setUp(self):
        super().setUp()
        self.server = self.create('server')
        world = http.server.ThreadingHTTPServer(('172.24.4.1', 0), _Whoami)
        self.addCleanup(world.server_close)
        self.url = 'http://{}:{}/'.format(*world.server_address)
        thread = threading.Thread(target=world.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(world.shutdown)

    def _seen_as(self, address):
        """Whether the world sees the server by an address."""
        return self.fetch(self.server, self.url) == (0, address)

    def test_address_of_what_a_server_sends(self):
        """The router's, or its own floating IP as long as it has one."""
        gateway = self.network.find_router('router').external_gateway_info
        router = gateway['external_fixed_ips'][0]['ip_address']
        base.wait_for('the router', lambda: self._seen_as(router))
        own = self.floating_ip(self.server)
        base.wait_for(own, lambda: self._seen_as(own))
        self.network.update_ip(self.network.find_ip(own), port_id=None)
        base.wait_for('the router', lambda: self._seen_as(router))


class SecondPortTest(base.CloudTestCase):
    """A floating IP of each port of a server."""

    def test_both_answer(self):
        net, subnet = self.network_of_its_own('10.50.0.0/24')
        router = self.network.find_router('router')
        self.network.add_interface_to_router(router, subnet_id=subnet.id)
        self.addCleanup(self.network.remove_interface_from_router, router,
                        subnet_id=subnet.id)
        private = self.network.find_network('private')
        server = self.create('server', networks=[
            {'uuid': private.id}, {'uuid': net.id}])
        for network in (net, private):
            [port] = self.network.ports(
                device_id=server.id, network_id=network.id)
            self.assert_serves(self.floating_ip(server, port), 'server\n')
