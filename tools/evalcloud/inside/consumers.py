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

"""Wait until queues of the message broker have a consumer.

An agent that starts before Neutron's RPC server consumes loses its first
call and waits a minute for it.
"""

import pathlib
import sys
import time

import amqp

from evalcloud import settings


def main() -> None:
    cloud = settings.load(pathlib.Path(sys.argv[1]))
    assert cloud is not None
    missing = set(sys.argv[2:])
    deadline = time.monotonic() + 120
    while missing:
        missing -= {name for name in missing if _consumed(cloud, name)}
        if time.monotonic() > deadline:
            sys.exit(f'nothing consumes {", ".join(sorted(missing))}')
        time.sleep(0.3)


def _consumed(cloud: settings.Settings, queue: str) -> bool:
    address = f'127.0.0.1:{settings.PORTS["rabbitmq"]}'
    try:
        with amqp.Connection(address, userid='openstack',
                             password=cloud.password) as connection:
            found = connection.channel().queue_declare(queue, passive=True)
            return bool(found.consumer_count)
    except (amqp.exceptions.NotFound, OSError):
        return False


if __name__ == '__main__':
    main()
