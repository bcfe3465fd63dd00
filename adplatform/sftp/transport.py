"""paramiko's transport, which remembers what the server offers, for whoever has to say why they do not agree."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import paramiko

LOG = "adplatform.sftp.paramiko"
_KINDS: Mapping[str, tuple[str, str]] = {
    "kex": ("key exchange", "kex_algo_list"),
    "key_types": ("host key", "server_key_algo_list"),
    "ciphers": ("cipher", "server_encrypt_algo_list"),
    "digests": ("MAC", "server_mac_algo_list"),
}
"""Kinds of algorithms by paramiko's name of our list: for people, and its name of the server's."""


class Transport(paramiko.Transport):
    """Offers AES-GCM first, which is the fastest, and only ``host_key_algorithms`` for the host key."""

    def __init__(self, sock: Any, host_key_algorithms: Sequence[str], *, packet: int, window: int) -> None:
        super().__init__(sock, default_max_packet_size=packet, default_window_size=window)
        self.offered: Mapping[str, Any] = {}
        # It logs with a trace what it raises, too.
        logging.getLogger(LOG).setLevel(logging.CRITICAL)
        self.set_log_channel(LOG)
        options = self.get_security_options()
        options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
        options.key_types = list(host_key_algorithms)

    def _really_parse_kex_init(self, message: Any, ignore_first_byte: bool = False) -> Any:
        parsed = super()._really_parse_kex_init(message, ignore_first_byte)
        self.offered = {name: list(value) for name, value in parsed.items() if isinstance(value, list)}
        return parsed

    def disagreement(self) -> str:
        """The kinds of algorithms that they have none in common of, with both lists; empty where they agree."""
        options = self.get_security_options()
        said = []
        for ours_name, (kind, theirs_name) in _KINDS.items():
            ours, theirs = getattr(options, ours_name), self.offered.get(theirs_name, [])
            if theirs and not set(ours) & set(theirs):
                said.append(f"no {kind} in common: the server has {', '.join(theirs)}; here are {', '.join(ours)}")
        return "; ".join(said)
