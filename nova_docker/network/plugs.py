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

"""What is plugged of an instance on the host, whatever Nova knows of it.

Nova's own list of an instance's ports may lose one, or have it as it is on
another host by now. So a port is kept, as Nova's network model has it, from
before it is plugged until it is unplugged, and is unplugged by that.
"""

import collections.abc
import contextlib
import os
import typing

from nova import exception
from nova.network import model

from nova_docker.network import plans
from nova_docker.network import vif

_Vifs = collections.abc.Iterable[model.VIF]


def plug(state_dir: str, instance: typing.Any, network_info: typing.Any,
         running: bool = False) -> set[str]:
    """As :func:`nova_docker.network.vif.plug`.

    What else is plugged of an instance that does not run, Nova has forgotten.
    It is unplugged: the next start would be without it.
    """
    if not running:
        wanted = {each['id'] for each in network_info}
        # What fails is tried again, at the latest as the instance goes.
        with contextlib.suppress(exception.InternalError):
            unplug(state_dir, instance, [
                each for each in kept(state_dir, instance.uuid)
                if each['id'] not in wanted])
    _write(state_dir, instance.uuid,
           _merged(kept(state_dir, instance.uuid), network_info))
    return vif.plug(instance, network_info, running)


def unplug(state_dir: str, instance: typing.Any,
           network_info: typing.Any) -> None:
    """As :func:`nova_docker.network.vif.unplug`, of ports as plugged."""
    unwanted = {each['id'] for each in network_info or ()}
    known = kept(state_dir, instance.uuid)
    vif.unplug(instance, [each for each in _merged(network_info or (), known)
                          if each['id'] in unwanted])
    _write(state_dir, instance.uuid, [
        each for each in known if each['id'] not in unwanted])


def unplug_all(state_dir: str, instance: typing.Any,
               network_info: typing.Any) -> None:
    """As :func:`unplug`, of those ports and of all that are plugged."""
    unplug(state_dir, instance, _merged(
        network_info or (), kept(state_dir, instance.uuid)))


def kept(state_dir: str, uuid: str) -> list[model.VIF]:
    """The ports of an instance that are plugged, as they were then."""
    return [model.VIF.hydrate(plain)
            for plain in plans.read_json(_path(state_dir, uuid)) or ()]


def _merged(vifs: _Vifs, better: _Vifs) -> list[model.VIF]:
    """All ports; those that are in both as they are in the second."""
    return list({each['id']: each for each in [*vifs, *better]}.values())


def _write(state_dir: str, uuid: str, vifs: list[model.VIF]) -> None:
    # Nothing is made for an instance of which nothing was plugged.
    if vifs != kept(state_dir, uuid):
        plans.ensure(state_dir, uuid)
        plans.write_json(_path(state_dir, uuid), vifs)


def _path(state_dir: str, uuid: str) -> str:
    return os.path.join(plans.instance_dir(state_dir, uuid), 'plugged.json')
