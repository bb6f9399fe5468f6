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

"""What the keys of a keyboard type into a terminal, such as xterm."""

import re

SHIFT, ALT, CTRL = 1, 2, 4

#: X11's keysyms of the keys that change others.
MODIFIERS = {0xffe1: SHIFT, 0xffe2: SHIFT, 0xffe3: CTRL, 0xffe4: CTRL,
             0xffe7: ALT, 0xffe8: ALT, 0xffe9: ALT, 0xffea: ALT}

_PLAIN = {
    0xff08: b'\x7f', 0xff09: b'\t', 0xff0a: b'\n', 0xff0d: b'\r',
    0xff1b: b'\x1b', 0xff80: b' ', 0xff8d: b'\r', 0xfe20: b'\x1b[Z'}

#: Of cursor keys, also those of the keypad: the last character of CSI.
_CURSOR = {
    0xff50: b'H', 0xff51: b'D', 0xff52: b'A', 0xff53: b'C', 0xff54: b'B',
    0xff57: b'F', 0xff95: b'H', 0xff96: b'D', 0xff97: b'A', 0xff98: b'C',
    0xff99: b'B', 0xff9c: b'F'}

#: F1 to F4.
_FUNCTION = {0xffbe: b'P', 0xffbf: b'Q', 0xffc0: b'R', 0xffc1: b'S'}

#: The number in CSI number ~: insert, delete, page up and down, F5 to F12.
_NUMBERED = {
    0xff63: 2, 0xffff: 3, 0xff55: 5, 0xff56: 6, 0xff9e: 2, 0xff9f: 3,
    0xff9a: 5, 0xff9b: 6, 0xffc2: 15, 0xffc3: 17, 0xffc4: 18, 0xffc5: 19,
    0xffc6: 20, 0xffc7: 21, 0xffc8: 23, 0xffc9: 24}

#: Keysyms from before Unicode: by their high byte, the character set that
#: the low one is of.
_CHARACTER_SETS = {
    0x00: 'latin_1', 0x01: 'iso8859_2', 0x02: 'iso8859_3',
    0x03: 'iso8859_4', 0x04: 'shift_jis', 0x05: 'iso8859_6',
    0x06: 'koi8_u', 0x07: 'iso8859_7', 0x0c: 'iso8859_8', 0x0d: 'tis_620',
    0x13: 'iso8859_15'}
#: What those sets do not say: both small sigmas are the other way round.
_CHARACTERS = {0x20ac: '\u20ac', 0x07f2: '\u03c3', 0x07f3: '\u03c2'}

#: What Ctrl makes of keys that are no letters.
_CONTROL = {' ': 0, '2': 0, '3': 27, '4': 28, '5': 29, '6': 30, '7': 31,
            '8': 127, '/': 31, '?': 127}


def typed(keysym: int, modifiers: int, application: bool) -> bytes:
    """What a key that goes down types; nothing for one that is not known.

    :param modifiers: of SHIFT, ALT and CTRL, those that are down
    :param application: whether the program wants cursor keys as its own
    """
    special = _special(keysym, modifiers, application)
    if special:
        return special
    plain = _PLAIN.get(keysym)
    if plain == b'\t' and modifiers & SHIFT:
        plain = b'\x1b[Z'
    if plain is None:
        plain = _text(character(keysym), modifiers)
    return b'\x1b' + plain if plain and modifiers & ALT else plain


def character(keysym: int) -> str:
    """The character of a key; empty for one that has none."""
    if keysym >> 24 == 1:
        code = keysym & 0xffffff
        known = code < 0x110000 and not 0xd800 <= code < 0xe000
        return chr(code) if known else ''
    if 0xffaa <= keysym <= 0xffb9:
        # Of the keypad.
        return chr(keysym & 0x7f)
    if keysym in _CHARACTERS:
        return _CHARACTERS[keysym]
    charset = _CHARACTER_SETS.get(keysym >> 8)
    if charset is None:
        return ''
    found = bytes([keysym & 0xff]).decode(charset, 'ignore')
    return found if found.isprintable() else ''


def _special(keysym: int, modifiers: int, application: bool) -> bytes:
    changed = b'%d' % (1 + modifiers) if modifiers else b''
    if keysym in _NUMBERED:
        number = b'%d' % _NUMBERED[keysym]
        return b'\x1b[' + number + (changed and b';' + changed) + b'~'
    final = _CURSOR.get(keysym) or _FUNCTION.get(keysym)
    if final and changed:
        return b'\x1b[1;' + changed + final
    if final:
        single = application or keysym in _FUNCTION
        return (b'\x1bO' if single else b'\x1b[') + final
    return b''


def _text(text: str, modifiers: int) -> bytes:
    if modifiers & CTRL:
        if re.fullmatch(r'[@-~]', text):
            return bytes([ord(text) & 0x1f])
        if text in _CONTROL:
            return bytes([_CONTROL[text]])
    return text.encode()
