"""How the server authenticates the client, and what is changed of it on the way: SCRAM's channel binding.

Every method is relayed message by message; none is kept. Of SCRAM, either the offer SCRAM-SHA-256-PLUS is taken out
where the client's certificate is not the server's, or the whole exchange is terminated: `scram` says why and how.
"""

from __future__ import annotations

from typing import Final

from proxy.scram import (
    PLAIN,
    PLUS,
    SASL,
    Exchange,
    ScramRefused,
    Verifier,
    binds_in_vain,
    offer,
    offered,
)
from proxy.wire.framing import HEADER_SIZE, BadMessage
from proxy.wire.messages import AUTHENTICATION, PASSWORD, message

METHODS: Final = {0: "trust", 3: "password", 5: "md5", 7: "gssapi", 9: "sspi", 10: "scram-sha-256"}


class Authentication:
    """From the server's first question to AuthenticationOk.

    client_binding  tls-server-end-point of the certificate that the client has seen; b"": it has no TLS
    server_binding  the same of the server's certificate; b"": the connection to it has no TLS
    terminate       SCRAM ends here
    """

    __slots__ = (
        "_client_binding",
        "_exchange",
        "_mechanisms",
        "_server_binding",
        "_terminate",
        "_unbound",
        "method",
    )

    def __init__(
        self, client_binding: bytes = b"", server_binding: bytes = b"", *, terminate: bool = False
    ) -> None:
        self._client_binding = client_binding
        self._server_binding = server_binding
        self._terminate = terminate
        self._mechanisms: tuple[bytes, ...] = ()
        """What the server offered of an exchange that is terminated."""
        self._exchange: Exchange | None = None
        self._unbound = False
        """The server offered channel binding, and the client was not told."""
        self.method = "trust"
        """How the server asked."""

    def asked(self, code: int, body: bytes) -> bytes | None:
        """The server's question (its body) as the client gets it; None: call `begin` with the login's verifier first.

        Raises ScramRefused, BadMessage.
        """
        self.method = METHODS.get(code, self.method)
        if self._exchange is not None:
            return message(AUTHENTICATION, body[:4] + self._exchange.from_server(code, body[4:]))
        if self._mechanisms:
            raise BadMessage("the server asks twice")
        if code == SASL:
            mechanisms = offered(body[4:])
            if self._terminate and PLAIN in mechanisms:
                self._mechanisms = mechanisms
                return None
            body = self._relayed(body, mechanisms)
        return message(AUTHENTICATION, body)

    def begin(self, verifier: Verifier | None) -> bytes:
        """The offer for the client. None: the login has no SCRAM secret, and the server will say so in its own way."""
        self._exchange = Exchange(
            self._mechanisms, verifier, self._client_binding, self._server_binding
        )
        return message(AUTHENTICATION, self._exchange.offer())

    def answered(self, whole: bytes) -> bytes:
        """The client's message as the server gets it. Raises ScramRefused, BadMessage."""
        if whole[0] != PASSWORD:
            return whole
        if self._exchange is not None:
            return message(PASSWORD, self._exchange.from_client(whole[HEADER_SIZE:]))
        if self._mechanisms:
            raise BadMessage("data before the server has asked for it")
        if self._unbound and binds_in_vain(whole[HEADER_SIZE:]):
            # The server would call it a downgrade attack: it offered what the client was not shown.
            text = "SCRAM channel binding is not possible through Sealgate: TLS ends here"
            hint = 'Connect with channel_binding=disable, or set [upstream] scram = "terminate".'
            raise ScramRefused("28000", text, hint)
        return whole

    def accepted(self) -> None:
        """The server said AuthenticationOk. Raises BadMessage where it has not proved itself yet."""
        if self._mechanisms and (self._exchange is None or not self._exchange.finished):
            raise BadMessage("AuthenticationOk before the end of the SASL exchange")
        self._exchange = None

    def _relayed(self, body: bytes, mechanisms: tuple[bytes, ...]) -> bytes:
        """PLUS stays where the client sees the very certificate that the server will compare with."""
        same = self._client_binding and self._client_binding == self._server_binding
        self._unbound = PLUS in mechanisms and not same
        return offer([name for name in mechanisms if name != PLUS]) if self._unbound else body
