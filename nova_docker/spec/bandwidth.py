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

"""The flavor's limits of what a port receives and sends.

Source: Nova's flavor extra specs ``quota:vif_inbound_*`` and
``quota:vif_outbound_*``, with the units of libvirt, which they were made for
(https://libvirt.org/formatnetwork.html#quality-of-service): 1000 bytes per
second for average and peak, 1024 bytes for burst.
"""

import collections.abc
import dataclasses
import typing

#: The kernel's classes count bytes per second in 32 bits.
_FASTEST = 2 ** 32 - 1
_RATE = 1000
_BURST = 1024
#: Largest values in these units. The kernel counts a burst by the time that
#: it takes at the average rate, for less than 275 seconds.
_MOST = {'average': _FASTEST // _RATE, 'peak': _FASTEST // _RATE,
         'burst': _FASTEST // _BURST}
_BURST_SECONDS = 270
#: The largest packet that a container hands to its interface, in bytes.
_PACKET = 65536
#: Bytes of a packet on the wire, and how many may wait.
_FRAME = 1500
_QUEUE = (32, 1000)


@dataclasses.dataclass(frozen=True)
class Limit:
    """The limit of one direction.

    :param rate: bytes per second on average
    :param ceiling: bytes per second of a burst
    :param burst: bytes that may pass faster than the average
    :param queue: packets that may wait; more are dropped
    """

    rate: int
    ceiling: int
    burst: int
    queue: int


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of a port, None where there is none.

    :param inbound: of what the instance receives
    :param outbound: of what it sends
    """

    inbound: Limit | None = None
    outbound: Limit | None = None

    @classmethod
    def from_dict(cls, plain: collections.abc.Mapping[str, typing.Any]
                  ) -> typing.Self:
        """The inverse of dataclasses.asdict.

        :raises TypeError: it is none
        """
        return cls(**{direction: limit and Limit(**limit)
                      for direction, limit in plain.items()})


def of_flavor(extra_specs: collections.abc.Mapping[str, str]) -> Limits:
    """The limits that a flavor sets; each port has them for itself.

    :raises ValueError: an extra spec has a value that can't be applied
    """
    return Limits(_limit(extra_specs, 'inbound'),
                  _limit(extra_specs, 'outbound'))


def _limit(extra_specs: collections.abc.Mapping[str, str],
           direction: str) -> Limit | None:
    keys = {what: f'quota:vif_{direction}_{what}' for what in _MOST}
    average, peak, burst = (
        _integer(extra_specs.get(key, '0'), key, _MOST[what])
        for what, key in keys.items())
    if not average:
        if peak or burst:
            raise ValueError(f'{keys["peak"]} and {keys["burst"]} need '
                             f'{keys["average"]}')
        return None
    if peak and peak < average:
        raise ValueError(f'{keys["peak"]}={peak} is below '
                         f'{keys["average"]}={average}')
    rate = average * _RATE
    if burst * _BURST > rate * _BURST_SECONDS:
        raise ValueError(
            f'{keys["burst"]}={burst} is more than {_BURST_SECONDS} seconds '
            f'of {keys["average"]}={average}')
    return Limit(
        rate=rate,
        ceiling=peak * _RATE or _FASTEST,
        # Without a burst, what smooths the kernel's clock: 10 milliseconds.
        burst=burst * _BURST or max(_PACKET, rate // 100),
        # 50 milliseconds.
        queue=max(_QUEUE[0], min(rate // 20 // _FRAME, _QUEUE[1])))


def _integer(value: str, key: str, most: int) -> int:
    """0 says, as with libvirt, that there is no such limit."""
    try:
        number = int(value)
    except ValueError:
        raise ValueError(f'{key}={value!r} is not an integer') from None
    if not 0 <= number <= most:
        raise ValueError(f'{key}={number} is not within 0 and {most}')
    return number
